r"""Handwritten digits (scikit-learn): 32 learning rates and weight decays.

Command:   python -m examples.population.main --config=configs/population.py \
             --workdir=runs/population
Result:    97.8% test accuracy of the winner, which other images chose
Time:      about 20 s on 2 CPU cores, imports and compilation included

Everything can be changed on the command line:

  --config.members=64
  --config.peak_learning_rate='(1e-3, 1e-2)'
  --config.weight_decay='(0.1, 0.1)'   (the same for all members)
  --config.total_steps=1000   (warm-up and decay stretch with it)
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = ml_collections.ConfigDict()
  config.seed = 0  # of parameters, data order, and which numbers meet
  config.batch_size = 64  # images per update, the same for all members
  config.total_steps = 500  # updates, about 30 epochs
  config.warmup_steps = config.get_ref('total_steps') // 10
  # A multiple of the number of devices: each trains an equal part of them.
  config.members = 32
  # From where to where the members lie, evenly spaced in logarithm.
  config.peak_learning_rate = (1e-4, 0.1)
  config.weight_decay = (1e-3, 1.0)
  return config

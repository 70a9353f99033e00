r"""Handwritten digits (scikit-learn): AdamW, three of its arguments scheduled.

Command:   python examples/digits/main.py --config=configs/digits.py \
             --workdir=runs/digits
Result:    98.6% test accuracy (98.3% to 99.2% with the seeds 0 to 9)
Time:      12 to 22 s on 2 CPU cores, imports and compilation included

Everything can be changed on the command line:

  --config.seed=1
  --config.optimizer.learning_rate.peak_value=1e-3
  --config.optimizer.b2='{"name": "constant_schedule", "value": 0.99}'
  --config.optimizer.learning_rate.warmup_steps=50
  --config.total_steps=2000   (warm-up and decay stretch with it)

In the directory of a run with other schedules, this is an error, unless:

  --config.on_change=config   (these, from here on; or checkpoint: those)
  --config.on_change=rebase --config.rebase_steps=100   (without a jump)
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = ml_collections.ConfigDict()
  config.seed = 0  # of the parameters and of the order of the data
  config.batch_size = 64  # images per update
  config.total_steps = 1000  # updates, about 45 epochs
  config.checkpoint_every_steps = 200
  config.progress_every_steps = 20  # how often the progress bar changes
  # Where the directory's checkpoint has other schedules, and for how many
  # updates 'rebase' moves: see flax_sched.checkpoint.restore.
  config.on_change = 'error'
  config.rebase_steps = ml_collections.config_dict.placeholder(int)

  # The optimizer is one of Optax's, by name; each argument is a number, or the
  # name of a schedule of flax_sched with its arguments. Lengths are in updates,
  # or shares of the run.
  config.optimizer = ml_collections.ConfigDict({'name': 'adamw'})
  config.optimizer.learning_rate = {
    'name': 'warmup_cosine_decay_schedule',
    'init_value': 0.0,
    'peak_value': 3e-3,
    'warmup_steps': '10%',
    'decay_steps': '90%',
    'end_value': 1e-5,
  }
  config.optimizer.weight_decay = {
    'name': 'linear_schedule',
    'init_value': 0.02,
    'end_value': 0.1,
    'transition_steps': '100%',
  }
  config.optimizer.b2 = {
    'name': 'warmup_constant_schedule',
    'init_value': 0.98,
    'peak_value': 0.999,
    'warmup_steps': '50%',
  }
  return config

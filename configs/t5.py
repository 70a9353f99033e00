r"""The recipe of T5: Adafactor, a rate that falls as an inverse square root.

Source:    C. Raffel et al., "Exploring the Limits of Transfer Learning with a
           Unified Text-to-Text Transformer", 2019, arXiv:1910.10683, section
           3.1.2; Adafactor: N. Shazeer, M. Stern, 2018, arXiv:1804.04235
Command:   python examples/digits/main.py --config=configs/t5.py \
             --workdir=runs/t5
Result:    98.6% test accuracy (98.6% to 99.7% with the seeds 0 to 9)
Time:      12 to 25 s on 2 CPU cores, imports and compilation included

The learning rate is 1 / sqrt(max(n, k)) with k = 10,000 "warm-up steps", in
which it is constant. It multiplies the root mean square of each parameter. It
has no end, so the run can go on with more steps, if k is given in updates:

  --config.optimizer.learning_rate.timescale=10   (and a larger total_steps)

Everything else can be changed on the command line too:

  --config.seed=1
  --config.optimizer.learning_rate.init_value=0.01
  --config.optimizer.clipping_threshold=2.0
  --config.total_steps=2000   (k stretches with it)

Transformers before T5, and T5X with the factor linear_warmup, rise in a
straight line up to there:

  --config.optimizer.learning_rate='{"name": "inverse_sqrt_schedule",
    "peak_value": 0.3, "warmup_steps": "1%"}'
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = ml_collections.ConfigDict()
  config.seed = 0  # of the parameters and of the order of the data
  config.batch_size = 64  # images; 2,048 sequences of 512 tokens
  config.total_steps = 1000  # updates; 1 million
  config.checkpoint_every_steps = 200
  config.progress_every_steps = 20  # how often the progress bar changes
  # Where the directory's checkpoint has other schedules: see configs/digits.py.
  config.on_change = 'error'
  config.rebase_steps = ml_collections.config_dict.placeholder(int)

  config.optimizer = ml_collections.ConfigDict({'name': 'adafactor'})
  config.optimizer.learning_rate = {
    'name': 'power_schedule',
    'init_value': 0.3,  # 0.01: 1 / sqrt(10,000)
    'power': -0.5,  # the inverse square root
    'timescale': '1%',  # 10,000 of 1 million updates
    'offset': 0,  # from 1: constant for the timescale
  }
  config.optimizer.decay_rate = 0.8  # 0.8: beta2 at update n is 1 - n**-0.8
  config.optimizer.clipping_threshold = 1.0  # 1.0
  config.optimizer.multiply_by_parameter_scale = True  # a relative step
  return config

r"""A language model of Python's documentation: warmup-stable-decay, branches.

Command:   python -m examples.lm.main --config=configs/lm.py --workdir=runs/lm
Result:    2.12 bits per byte of validation text
Time:      about 2.5 min on 2 CPU cores, imports and compilation included

From a checkpoint of the stable phase, a finished model of another length:

  --branch_from_step=400 --branch_steps=100

Everything can be changed on the command line, the same for all branches:

  --config.seed=1
  --config.optimizer.learning_rate.schedules.s1=1e-3   (the peak)
  --config.optimizer.weight_decay='{"name": "Constant", "constant": 0.1}'
  --config.cooldown_shape=linear   (of the run and of its branches)
  --config.model.layers=4

In the directory of a run with other schedules, this is an error, unless:

  --config.total_steps=2000 --config.on_change=config   (a longer run)
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = ml_collections.ConfigDict()
  config.seed = 0  # of the parameters and of the order of the data
  config.batch_size = 16  # sequences per update, a multiple of the devices
  config.length = 128  # bytes of a sequence
  config.total_steps = 1000  # updates
  # Branches begin at checkpoints, all of which are kept.
  config.checkpoint_every_steps = 100
  config.evaluate_every_steps = 50  # and at each checkpoint
  config.progress_every_steps = 20  # how often the progress bar changes
  # Where the directory's checkpoint has other schedules: 'error', 'config' or
  # 'checkpoint'. See flax_sched.checkpoint.restore.
  config.on_change = 'error'

  config.model = ml_collections.ConfigDict()
  config.model.layers = 2
  config.model.width = 128
  config.model.heads = 4
  config.model.dtype = 'float32'  # of activations; 'bfloat16' on TPU and GPU

  config.clip_norm = 1.0  # of the gradients, before the optimizer sees them
  config.cooldown_shape = '1-sqrt'
  config.optimizer = ml_collections.ConfigDict({'name': 'adamw'})
  # A shape with the peak 1, which two hyperparameters multiply. The warm-up is
  # as long in a longer run, so that runs of all lengths begin with the same
  # updates: a branch is the run that was planned to be that short.
  config.optimizer.schedules = {
    'shape': {
      'name': 'wsd_schedule',
      'init_value': 0.01,
      'peak_value': 1.0,
      'warmup_steps': 50,
      'stable_steps': '80% - 50',
      'decay_steps': '20%',
      'end_value': 0.0,
      'decay_shape': config.get_ref('cooldown_shape'),
    }
  }
  config.optimizer.learning_rate = {
    'name': 'Multiply',
    'schedules': {'s0': 'shape', 's1': 3e-3},
  }
  config.optimizer.weight_decay = {
    'name': 'Multiply',
    'schedules': {'s0': 'shape', 's1': 0.1},
  }
  config.optimizer.b1 = 0.9
  config.optimizer.b2 = {
    'name': 'warmup_constant_schedule',
    'init_value': 0.95,
    'peak_value': 0.99,
    'warmup_steps': 100,
  }
  return config

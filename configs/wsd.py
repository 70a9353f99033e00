r"""The recipe of warmup-stable-decay: a constant rate, a cooldown at the end.

Source:    S. Hu et al., "MiniCPM", 2024, arXiv:2404.06395; A. Hägele et al.,
           "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
           Durations", 2024, arXiv:2405.18392, with the numbers of its code,
           https://github.com/epfml/schedules-and-scaling; a weight decay that
           follows the rate: A. Defazio, "Why Gradients Rapidly Increase Near
           the End of Training", 2025, arXiv:2506.02285
Command:   python examples/digits/main.py --config=configs/wsd.py \
             --workdir=runs/wsd
Result:    99.2% test accuracy (98.3% to 99.4% with the seeds 0 to 9)
Time:      12 to 25 s on 2 CPU cores, imports and compilation included

Left out: the original clips the gradients at a norm of 1, and its weight decay
is constant. Defazio's follows the rate in all layers but the last.

Everything can be changed on the command line:

  --config.seed=1
  --config.optimizer.learning_rate.schedules.s1=1e-3   (the peak)
  --config.optimizer.weight_decay='{"name": "Constant", "constant": 0.1}'
  --config.optimizer.schedules.shape.decay_shape=linear   (of both)
  --config.total_steps=2000   (all phases stretch with it)

A checkpoint of the stable phase, here of step 600, becomes a finished model of
any length. In a copy of the directory, without the later checkpoints and logs,

  cp -r runs/wsd runs/branch
  rm -r runs/branch/logs runs/branch/checkpoints/{800,1000}

the same command with --workdir=runs/branch goes on from there and ends sooner,
its last 20% being the cooldown:

  --config.total_steps=750 --config.on_change=config

A larger total_steps makes the stable phase longer instead. The same in code:

  state = checkpoint.restore(manager, train.create_state(config))
  state = fs.branch_cooldown(state, 150, '1-sqrt')
  state = fs.branch_cooldown(state, 150, '1-sqrt', name='weight_decay')
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = ml_collections.ConfigDict()
  config.seed = 0  # of the parameters and of the order of the data
  config.batch_size = 64  # images; 200 sequences of 512 tokens
  config.total_steps = 1000  # updates; 15,000
  config.checkpoint_every_steps = 200
  config.progress_every_steps = 20  # how often the progress bar changes
  # Where the directory's checkpoint has other schedules: see configs/digits.py.
  config.on_change = 'error'
  config.rebase_steps = ml_collections.config_dict.placeholder(int)

  config.optimizer = ml_collections.ConfigDict({'name': 'adamw'})
  # A shape with the peak 1, which two hyperparameters multiply.
  config.optimizer.schedules = {
    'shape': {
      'name': 'wsd_schedule',
      'init_value': 0.0,
      'peak_value': 1.0,
      'warmup_steps': '2%',  # 300 of 15,000 updates
      'stable_steps': '78%',
      'decay_steps': '20%',  # 20%; MiniCPM: 10%
      'end_value': 0.0,  # 0
      'decay_shape': '1-sqrt',  # MiniCPM: 'exponential'
    }
  }
  config.optimizer.learning_rate = {
    'name': 'Multiply',
    'schedules': {'s0': 'shape', 's1': 3e-3},  # the peak: 1e-3
  }
  config.optimizer.weight_decay = {
    'name': 'Multiply',
    'schedules': {'s0': 'shape', 's1': 0.1},  # the peak: 0.1
  }
  config.optimizer.b1 = 0.9  # 0.9
  config.optimizer.b2 = 0.95  # 0.95
  return config

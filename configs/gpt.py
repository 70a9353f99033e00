r"""The recipe of GPT-3 and nanoGPT: AdamW, a short warm-up, cosine to a tenth.

Source:    T. Brown et al., "Language Models are Few-Shot Learners", 2020,
           arXiv:2005.14165, appendix B; the numbers of updates are nanoGPT's:
           https://github.com/karpathy/nanoGPT, train.py
Command:   python examples/digits/main.py --config=configs/gpt.py \
             --workdir=runs/gpt
Result:    99.2% test accuracy (98.1% to 99.4% with the seeds 0 to 9)
Time:      12 to 25 s on 2 CPU cores, imports and compilation included

Left out: both clip the gradients at a norm of 1, and nanoGPT decays matrices
only.

Everything can be changed on the command line:

  --config.seed=1
  --config.optimizer.learning_rate.peak_value=3e-3
  --config.optimizer.learning_rate.end_value=3e-4   (a tenth of it)
  --config.optimizer.weight_decay=0.01
  --config.total_steps=2000   (warm-up and decay stretch with it)

A longer warm-up leaves less for the decay:

  --config.optimizer.learning_rate.warmup_steps='5%'
  --config.optimizer.learning_rate.decay_steps='95%'
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = ml_collections.ConfigDict()
  config.seed = 0  # of the parameters and of the order of the data
  config.batch_size = 64  # images; about 0.5 million tokens
  config.total_steps = 1000  # updates; 600,000
  config.checkpoint_every_steps = 200
  config.progress_every_steps = 20  # how often the progress bar changes
  # Where the directory's checkpoint has other schedules: see configs/digits.py.
  config.on_change = 'error'
  config.rebase_steps = ml_collections.config_dict.placeholder(int)

  config.optimizer = ml_collections.ConfigDict({'name': 'adamw'})
  config.optimizer.learning_rate = {
    'name': 'warmup_cosine_decay_schedule',
    'init_value': 0.0,
    'peak_value': 6e-3,  # 6e-4, at 125 million parameters; less above
    # 2,000 of 600,000 updates; GPT-3: 375 million of 300 billion tokens.
    'warmup_steps': '0.3333%',
    # The other 598,000; GPT-3: up to 260 billion tokens, and then constant.
    'decay_steps': '99.6667%',
    'end_value': 6e-4,  # a tenth of the peak: 6e-5
  }
  config.optimizer.weight_decay = 0.1  # 0.1
  config.optimizer.b1 = 0.9  # 0.9
  config.optimizer.b2 = 0.95  # 0.95
  return config

"""Trains a small language model, or a branch. The work is in train.py."""

from collections.abc import Sequence
import pathlib

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags

from examples.lm import plans
from examples.lm import train

ROOT = pathlib.Path(__file__).resolve().parents[2]

CONFIG = config_flags.DEFINE_config_file(
  'config', str(ROOT / 'configs' / 'lm.py'), 'What to train.'
)
WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Where checkpoints, logs and results go.', required=True
)
BRANCH_FROM_STEP = flags.DEFINE_integer(
  'branch_from_step',
  None,
  'Trains a branch, from the checkpoint of this step in workdir.',
  lower_bound=1,
)
BRANCH_STEPS = flags.DEFINE_integer(
  'branch_steps', None, 'How many updates the branch takes.', lower_bound=1
)


def main(argv: Sequence[str]) -> None:
  """Runs the job that the flags describe."""
  if len(argv) > 1:
    raise app.UsageError(f'Unknown arguments: {" ".join(argv[1:])}')
  if logging.get_verbosity() == logging.INFO:  # absl's own choice
    logging.set_verbosity(logging.WARNING)  # --verbosity=1 shows it all
  branch = None
  if BRANCH_FROM_STEP.value or BRANCH_STEPS.value:
    if not (BRANCH_FROM_STEP.value and BRANCH_STEPS.value):
      raise app.UsageError('--branch_from_step and --branch_steps go together.')
    branch = plans.Branch(BRANCH_FROM_STEP.value, BRANCH_STEPS.value)
  train.train_and_evaluate(CONFIG.value, WORKDIR.value, branch)


if __name__ == '__main__':
  app.run(main)

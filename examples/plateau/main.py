"""Trains an autoencoder of handwritten digits. The work is in train.py."""

from collections.abc import Sequence
import pathlib

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags

from examples.plateau import train

ROOT = pathlib.Path(__file__).resolve().parents[2]

CONFIG = config_flags.DEFINE_config_file(
  'config', str(ROOT / 'configs' / 'plateau.py'), 'What to train.'
)
WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Where checkpoints, logs and results go.', required=True
)


def main(argv: Sequence[str]) -> None:
  """Runs the job that the flags describe."""
  if len(argv) > 1:
    raise app.UsageError(f'Unknown arguments: {" ".join(argv[1:])}')
  if logging.get_verbosity() == logging.INFO:  # absl's own choice
    logging.set_verbosity(logging.WARNING)  # --verbosity=1 shows it all
  train.train_and_evaluate(CONFIG.value, WORKDIR.value)


if __name__ == '__main__':
  app.run(main)

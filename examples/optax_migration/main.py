"""Hands a run of plain Optax over to flax_sched, and compares the endings."""

from collections.abc import Sequence
import pathlib

from absl import app
from absl import flags
from absl import logging

from examples.optax_migration import compare

WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'A new directory for checkpoints, logs and results.',
  required=True,
)
TOTAL_STEPS = flags.DEFINE_integer(
  'total_steps', 1000, 'Updates of the whole run.', lower_bound=20
)
SEED = flags.DEFINE_integer('seed', 0, 'Of parameters and order of the data.')


def main(argv: Sequence[str]) -> None:
  """Runs both halves, and the other endings of the second one."""
  if len(argv) > 1:
    raise app.UsageError(f'Unknown arguments: {" ".join(argv[1:])}')
  if logging.get_verbosity() == logging.INFO:  # absl's own choice
    logging.set_verbosity(logging.WARNING)  # --verbosity=1 shows it all
  directory = pathlib.Path(WORKDIR.value)
  compare.hand_over(directory, TOTAL_STEPS.value, SEED.value)


if __name__ == '__main__':
  app.run(main)

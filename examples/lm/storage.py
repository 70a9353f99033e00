"""The checkpoints of a run, and what it must have in common with a resume."""

import hashlib
import pathlib
from typing import Any

import orbax.checkpoint as ocp

from examples.lm.data import Data


def open_checkpoints(
  directory: pathlib.Path, create: bool = True
) -> ocp.CheckpointManager:
  """The checkpoints in a run's directory. All are kept, for branches."""
  options = ocp.CheckpointManagerOptions(create=create)
  return ocp.CheckpointManager(directory / 'checkpoints', options=options)


def identity_of(config: Any, data: Data) -> dict[str, Any]:
  """Which data a run sees, and which model it trains."""
  text = hashlib.sha256(data.train.tobytes() + data.validation.tobytes())
  return {
    'seed': config.seed,
    'batch_size': config.batch_size,
    'length': config.length,
    'model': config.model.to_dict(),
    'text': text.hexdigest(),
  }


def check_identity(
  manager: ocp.CheckpointManager, identity: dict[str, Any]
) -> None:
  """Raises ValueError if the checkpoints are of another run.

  That their schedules and their optimizer are the same, `checkpoint.restore`
  makes sure of.
  """
  step = manager.latest_step()
  if step is None:
    return
  args = ocp.args.Composite(run=ocp.args.JsonRestore())
  saved = manager.restore(step, args=args).run
  changes = [
    f'{key} from {identity[key]} to {saved[key]}'
    for key in identity
    if saved[key] != identity[key]
  ]
  if changes:
    raise ValueError(
      'train_and_evaluate: workdir must hold no run of other data or of '
      f'another model, got {manager.directory.parent}. Use another one, or go '
      f'back with {", ".join(changes)}. Another release of Python has another '
      'text.'
    )

"""What lies in a checkpoint's directory: its record, and arrays one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import functools
import json
import re
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from flax_sched import carry
from flax_sched import places

# The items of a checkpoint.
STATE = 'state'
RECORD = 'hyperparams'
# Orbax's name for an item that the user gave none.
_UNNAMED = 'default'


class DamagedError(Exception):
  """A checkpoint, or a part of it, can't be read."""


@contextlib.contextmanager
def _reading() -> Iterator[None]:
  try:
    yield
  except Exception as error:  # whatever Orbax, JSON or the disk raise
    raise DamagedError(f'{type(error).__name__}: {error}') from error


def steps(manager: ocp.CheckpointManager, step: int | None) -> list[int]:
  """The steps to choose from, newest first, from `step` on.

  Raises:
    FileNotFoundError: if there is no such step, or none at all.
  """
  known = sorted(manager.all_steps(), reverse=True)
  if step is not None and step not in known:
    raise FileNotFoundError(
      f'restore: step must be one of {known or "none yet"} in '
      f'{manager.directory}, got {step}.'
    )
  if not known:
    raise FileNotFoundError(
      f'restore: {manager.directory} holds no checkpoint. Start from a new '
      'state, if manager.latest_step() is None.'
    )
  return [s for s in known if step is None or s <= step]


def path_of(manager: ocp.CheckpointManager, step: int) -> Any:
  """The directory of a step, whatever prefix and zeros its name has.

  Raises:
    FileNotFoundError: if no directory has such a name.
  """
  for path in manager.directory.iterdir():
    number = re.fullmatch(r'(?:.*_)?0*(\d+)', path.name)
    if number and int(number[1]) == step:
      return path
  raise FileNotFoundError(
    f'restore: {manager.directory} holds no directory for step {step}. Use '
    "Orbax's own name format, a prefix and a number."
  )


class Saved:
  """A checkpoint on disk.

  Attributes:
    path: its directory, as Orbax's path.
    step: the step it is of.
  """

  def __init__(self, path: Any, step: int):
    self.path = path
    self.step = step

  @functools.cached_property
  def record(self) -> dict[str, Any] | None:
    """What `save` wrote beside the state; None in one that Orbax alone wrote.

    Raises:
      DamagedError: if it can't be read.
    """
    path = self.path / RECORD
    if not path.exists() and not self._had_record():
      return None
    with _reading():
      read = ocp.JsonCheckpointHandler().restore(path)
      read['hyperparams'].items()
      return dict(read)

  def _had_record(self) -> bool:
    # Orbax notes the items of a checkpoint beside them.
    notes = self.path / '_CHECKPOINT_METADATA'
    if not notes.exists():
      return False
    with _reading():
      return RECORD in json.loads(notes.read_text())['item_handlers']

  @functools.cached_property
  def _state(self) -> Any:
    path = self.path / STATE
    return path if path.exists() else self.path / _UNNAMED

  @functools.cached_property
  def _tree(self) -> Any:
    with _reading():
      return ocp.PyTreeCheckpointHandler().metadata(self._state).tree

  @functools.cached_property
  def leaves(self) -> dict[carry.Path, Any]:
    """Orbax's metadata of each array of the state, by path.

    Raises:
      DamagedError: if they can't be read.
    """
    return carry.flatten(self._tree)

  def read(self, targets: Mapping[carry.Path, Any]) -> dict[carry.Path, Any]:
    """Reads some of the arrays; the others are not touched.

    Args:
      targets: by path, what the array is to be like: its sharding, and whether
        it is one of JAX or NumPy or a Python number.

    Raises:
      DamagedError: if one can't be read.
    """
    structure = jax.tree_util.tree_structure(self._tree)

    def tree_of(values: list[Any]) -> Any:
      return jax.tree_util.tree_unflatten(structure, values)

    args = ocp.args.PyTreeRestore(
      item=tree_of(
        [targets.get(path, ocp.PLACEHOLDER) for path in self.leaves]
      ),
      restore_args=tree_of(
        [
          _how(targets.get(path), metadata)
          for path, metadata in self.leaves.items()
        ]
      ),
    )
    with _reading(), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
      read = carry.flatten(reader.restore(self._state, args=args))
    return {
      path: _as(read[path], like, self.leaves[path])
      for path, like in targets.items()
    }


def is_number(metadata: Any) -> bool:
  """Whether a leaf was saved as a Python number, which has no dtype."""
  return isinstance(metadata, ocp.metadata.ScalarMetadata)


def _how(like: Any, metadata: Any) -> ocp.RestoreArgs:
  """How Orbax is to read an array."""
  if is_number(metadata):
    return ocp.RestoreArgs()
  if isinstance(like, jax.Array | jax.ShapeDtypeStruct):
    return ocp.ArrayRestoreArgs(sharding=like.sharding)
  return ocp.RestoreArgs(restore_type=np.ndarray)


def _as(value: Any, like: Any, metadata: Any) -> Any:
  """What was read, in the type that the target has."""
  if isinstance(like, bool | int | float):
    # A `TrainState` starts with the integer 0 as its step, and after a jitted
    # step that is an array: it comes back as what it has been.
    return type(like)(value) if is_number(metadata) else jnp.asarray(value)
  on_device = isinstance(like, jax.Array | jax.ShapeDtypeStruct)
  if on_device and not isinstance(value, jax.Array):
    return places.put(np.asarray(value, like.dtype), like.sharding)
  return value

"""Orbax checkpoints that remember the schedules, and resumes that compare them.

The manager is Orbax's own and stays the user's; a checkpoint has the items
`state`, which plain Orbax reads too, and `hyperparams`, a JSON file that says
what each hyperparameter follows (see `flax_sched.record`).

>>> import tempfile
>>> import flax_sched as fs
>>> from flax_sched import checkpoint
>>> from flax.training.train_state import TrainState
>>> import jax.numpy as jnp, optax
>>> import orbax.checkpoint as ocp
>>> def state_with(lr):
...   tx = fs.inject_hyperparams(optax.sgd, learning_rate=lr)
...   return TrainState.create(apply_fn=None, params={'w': jnp.ones(2)}, tx=tx)
>>> state = state_with(fs.cosine_decay_schedule(0.5, 100))
>>> manager = ocp.CheckpointManager(tempfile.mkdtemp())
>>> checkpoint.save(manager, 0, state)
True
>>> restored = checkpoint.restore(manager, state)
>>> other = state_with(fs.cosine_decay_schedule(0.5, 200))
>>> try:
...   checkpoint.restore(manager, other)
... except checkpoint.ScheduleMismatchError as error:
...   print(*error.differences)
learning_rate.decay_steps: checkpoint 100 -> config 200
>>> restored = checkpoint.restore(manager, other, on_change='config')
>>> manager.close()
"""

from __future__ import annotations

from collections.abc import Mapping
import logging
from typing import Any
import weakref

from flax import nnx
import jax
import orbax.checkpoint as ocp

from flax_sched import record
from flax_sched import resume
from flax_sched import storage
from flax_sched.resume import ScheduleMismatchError

__all__ = ['ScheduleMismatchError', 'restore', 'save']

_log = logging.getLogger(__name__)


def save(
  manager: ocp.CheckpointManager,
  step: int,
  state: Any,
  *,
  metrics: Mapping[str, Any] | None = None,
  force: bool = False,
  **other_items: Any,
) -> bool:
  """Saves a state, and beside it what its hyperparameters follow.

  Every process calls it. Like the manager's own `save`, it returns while the
  arrays are still being written; close the manager, or use it in a `with`
  block, so that a program does not end before.

  Args:
    manager: Orbax's manager; which steps it saves and keeps is its business.
    step: the step to save it as, such as the completed updates.
    state: a `TrainState`, or another pytree with injected states in it, such as
      `{'model': model, 'optimizer': optimizer}` of nnx.
    metrics: what the manager chooses the best checkpoints by.
    force: whether to save a step that the manager would pass over.
    **other_items: more items for the checkpoint by name, as Orbax's arguments:
      `run=ocp.args.JsonSave({...})`.

  Returns:
    Whether the manager saves this step. Orbax saves none up to the latest that
    there is, as after a restore of an earlier one: a warning says so.

  Raises:
    ValueError: if there is no injected state in `state`.
  """
  if not force and not manager.should_save(step):
    _warn_of_latest(manager, step)
    return False
  items = ocp.args.Composite(
    **{
      storage.STATE: ocp.args.StandardSave(_without_objects(state)),
      storage.RECORD: ocp.args.JsonSave(record.for_checkpoint(state)),
    },
    **other_items,
  )
  return bool(manager.save(step, args=items, metrics=metrics, force=force))


# Of which latest step a manager's user was warned: once is enough where a loop
# leaves the choice of steps to the manager.
_warned: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def _warn_of_latest(manager: ocp.CheckpointManager, step: int) -> None:
  latest = manager.latest_step()
  # The latest itself may have been saved just now.
  if latest is None or step >= latest or _warned.get(manager) == latest:
    return
  _warned[manager] = latest
  _log.warning(
    'save, step %d: not saved, since %s holds step %d, and Orbax saves none up '
    'to the latest. If the run went back to before it, remove it by '
    'manager.delete(%d).',
    step,
    manager.directory,
    latest,
    latest,
  )


def _without_objects(state: Any) -> Any:
  """The state with the states of nnx objects: Orbax knows no such object."""

  def is_object(x: Any) -> bool:
    return isinstance(x, nnx.Module | nnx.Optimizer)

  return jax.tree_util.tree_map(
    lambda x: nnx.state(x) if is_object(x) else x, state, is_leaf=is_object
  )


def restore(
  manager: ocp.CheckpointManager,
  target: Any,
  *,
  step: int | None = None,
  on_change: str | Mapping[str, str] = 'error',
  rebase_steps: int | None = None,
  allow_previous: bool = False,
) -> Any:
  """Restores a state, and compares the schedules of then and now.

  The checkpoint's are those that `save` wrote; the config's are those of the
  target. Where they differ, `on_change` decides:

  - 'error': a `ScheduleMismatchError` that lists every difference, by the
    fields that `repr` of a schedule shows, with the values before and after;
  - 'config': the config's are followed;
  - 'checkpoint': those of the checkpoint are followed, as far as it has them;
  - 'rebase': from the value by the checkpoint, the hyperparameter moves to the
    config's curve over the next `rebase_steps` updates, without a jump. On a
    later resume with the same config this is no difference.

  Differences that are accepted are logged as warnings. What the optimizer has
  stored is carried over where it belongs, also if a hyperparameter was added,
  the wrapper or the chain changed, or the checkpoint is of plain Optax; what is
  new starts as in the target. Counts always are the checkpoint's.

  Checkpoints later than the one taken stay, and a warning names them: Orbax
  saves no step up to the latest, until they are removed by `manager.delete`.

  Args:
    manager: Orbax's manager. What it is still writing is waited for.
    target: a state like the one to get, by the config of now: concrete, or of
      `jax.ShapeDtypeStruct`s with the shardings to restore to. An abstract one
      must be a `TrainState` where something starts as in the target.
    step: which checkpoint; None: the latest.
    on_change: what to do with differences, for all hyperparameters or by name
      (then 'error' for those not named).
    rebase_steps: the length of the move of 'rebase', in updates.
    allow_previous: whether to take the latest checkpoint before that can be
      read where this one can't (only with one process).

  Returns:
    The state, in the target's types and shardings.

  Raises:
    FileNotFoundError: if there is no such checkpoint.
    OSError: if it is damaged.
    ScheduleMismatchError: if schedules differ, or what the optimizer stores,
      and `on_change` does not say what to do; a `ValueError`.
    ValueError: if an argument is not as above, or the target differs from the
      checkpoint otherwise: in parameters, shapes or dtypes.
  """
  policy = resume.Policy(on_change, rebase_steps)
  if allow_previous and jax.process_count() > 1:
    raise ValueError(
      'restore: allow_previous must be False with several processes, which '
      'might each take another step. Pass step=... to all of them.'
    )
  manager.wait_until_finished()
  steps = storage.steps(manager, step)
  for previous in steps if allow_previous else steps[:1]:
    path = storage.path_of(manager, previous)
    try:
      state = resume.resume(storage.Saved(path, previous), target, policy)
    except storage.DamagedError as error:
      rest = [s for s in steps if s < previous]
      if not (allow_previous and rest):
        raise OSError(_damage(error, path, rest)) from error
      _log.warning('%s Trying step %d.', _damage(error, path, []), rest[0])
    else:
      _warn_of_later(manager, previous)
      return state
  raise AssertionError  # the last one returned or raised


def _warn_of_later(manager: ocp.CheckpointManager, step: int) -> None:
  later = sorted(s for s in manager.all_steps() if s > step)
  if later:
    _log.warning(
      'restore, step %d: %s also holds the later %s. To train on from step %d, '
      'remove each by manager.delete(...): Orbax saves no step up to the '
      'latest, and the next restore takes that.',
      step,
      manager.directory,
      ', '.join(map(str, later)),
      step,
    )


def _damage(error: Exception, path: Any, rest: list[int]) -> str:
  advice = f' Pass allow_previous=True to take step {rest[0]}.' if rest else ''
  return f'restore: {path} is damaged or incomplete: {error}.{advice}'

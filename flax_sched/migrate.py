"""Carries the optimizer state of a run with plain Optax over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np
import optax

from flax_sched import access
from flax_sched import injected
from flax_sched.injected import is_injected
from flax_sched.schedule import Constant

_CALLER = 'from_optax_state'


def from_optax_state(
  tx: optax.GradientTransformation,
  optax_opt_state: Any,
  *,
  params: Any = None,
  count: int | None = None,
) -> Any:
  """The state of a run with plain Optax, as the state of `tx`.

  The run goes on as it would have: moments and counts are those of the old
  state, bit for bit. What was scheduled follows the schedules of `tx`, from the
  old count on; a constant has the value that the old state holds.

  `optax.inject_hyperparams` injects every number of its factory, named or not.
  Name them here as well for the same arithmetic, such as b2=0.999: as a float32
  array, 1 - b2 is off by 3e-6, which as a Python constant it is not.

  Args:
    tx: the transformation with injected hyperparameters that is to go on. But
      for the injection, it is built as the old one was.
    optax_opt_state: the old state, from `optax.inject_hyperparams` or from an
      optimizer with a schedule or a constant, in Optax's own types: restore it
      with the old optimizer's state as the target.
    params: the parameters; only needed where the transformation depends on
      their names, as `optax.partition` does.
    count: the completed updates; only needed where the old state holds none, as
      that of plain `optax.sgd(0.1)`.

  Returns:
    The state, to be used with `tx`.

  Raises:
    ValueError: if the old state is of an optimizer built otherwise, or holds no
      count.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> old = optax.adam(optax.linear_schedule(0.1, 0.0, 10)).init(jnp.ones(3))
  >>> lr = fs.linear_schedule(0.1, 0.0, 10)
  >>> state = from_optax_state(
  ...   fs.inject_hyperparams(optax.adam, learning_rate=lr), old
  ... )
  >>> state.hyperparams
  {'learning_rate': Array(0.1, dtype=float32)}
  """
  new = tx.init(jnp.zeros(()) if params is None else params)
  counts = [] if count is None else [jnp.asarray(count, np.int32)]
  return _convert(new, optax_opt_state, counts, path='')


def _convert(new: Any, old: Any, counts: list[Any], path: str) -> Any:
  """The old state in the structure of the new one.

  Args:
    new: a state of the new transformation.
    old: the old state in its place.
    counts: known counts of updates. Those of schedules are added.
    path: the way to the two, for messages.
  """
  if is_injected(new):
    return _convert_injected(new, old, counts, path)
  if _is_count(old) and isinstance(new, optax.EmptyState):
    counts.append(old.count)  # here, the injected state's
    return new
  if isinstance(new, jax.Array):  # of the shape of other parameters
    return old
  if type(new) is not type(old):
    raise _mismatch(type(new).__name__, type(old).__name__, path)
  plain = isinstance(new, dict | list) or type(new) is tuple
  if not plain and not _holds(new, is_injected) and not _holds(old, _is_count):
    return old
  return _rebuild(new, old, counts, path)


def _rebuild(new: Any, old: Any, counts: list[Any], path: str) -> Any:
  """The new node, each of its children converted."""
  by_key, old_by_key = _children(new), _children(old)
  if by_key.keys() != old_by_key.keys():
    raise _mismatch(f'{len(new)} states', f'{len(old)} states', path)
  done = {
    key: _convert(child, old_by_key[key], counts, f'{path}/{key}')
    for key, child in by_key.items()
  }
  if isinstance(new, dict):
    return type(new)(done)
  named = hasattr(new, '_fields')
  return type(new)(*done.values()) if named else type(new)(done.values())


def _children(node: Any) -> dict[Any, Any]:
  if isinstance(node, dict):
    return node
  return dict(
    zip(getattr(node, '_fields', range(len(node))), node, strict=True)
  )


def _is_count(x: Any) -> bool:
  return isinstance(x, optax.ScaleByScheduleState)


def _holds(tree: Any, is_kind: Callable[[Any], bool]) -> bool:
  return any(map(is_kind, jax.tree_util.tree_leaves(tree, is_leaf=is_kind)))


def _mismatch(new: str, old: str, path: str) -> ValueError:
  return ValueError(
    f'{_CALLER}: {path or "the state"} is {old} in the Optax state, and {new} '
    'in that of tx. Build tx as the old optimizer was, but for the injection, '
    'and pass the old state in its own types.'
  )


def _convert_injected(new: Any, old: Any, counts: list[Any], path: str) -> Any:
  values: dict[str, Any] = {}
  counts = [*counts]
  if hasattr(old, 'hyperparams'):  # of optax.inject_hyperparams
    counts.append(old.count)
    old, values = old.inner_state, old.hyperparams
  inner = _convert(new.inner_state, old, counts, path)
  counts += _counts(inner)
  if not counts:
    raise ValueError(
      f'{_CALLER}: {path or "the state"} holds no count of updates. Pass '
      'count=..., such as the step of its TrainState.'
    )
  # A copy: a donated state may not hold one buffer twice.
  count = jnp.array(counts[0], copy=True)
  return _with_values(new.replace(count=count, inner_state=inner), values)


def _counts(state: Any) -> list[Any]:
  """The counts of updates in an optimizer's state."""
  return [
    leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    if path and getattr(path[-1], 'name', None) == 'count'
  ]


def _with_values(state: Any, old: dict[str, Any]) -> Any:
  """With constants as the old state has them, and the values last used."""
  schedules = injected.schedules(state)
  values = dict(state.hyperparams)
  for name, value in state.hyperparams.items():
    schedule = schedules.get(name)
    if name in old:
      values[name] = jnp.asarray(old[name], value.dtype)
      if isinstance(schedule, Constant):
        state = access.set_schedules(state, **{name: values[name]})
    elif schedule is not None:
      last = injected.last_value(schedule, state.count)
      values[name] = jnp.asarray(last, value.dtype)
  return state.replace(hyperparams=values)

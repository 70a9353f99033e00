"""Reading and changing hyperparameters, wherever they are in a state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import difflib
import json
from typing import Any, TypeVar

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import arguments
from flax_sched import inject
from flax_sched.inject import InjectHyperparamsState
from flax_sched.inject import InjectStatefulHyperparamsState
from flax_sched.inject import is_injected
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.stateful import ScheduleStates

_State = InjectHyperparamsState | InjectStatefulHyperparamsState
_T = TypeVar('_T')


def hyperparams(x: Any) -> dict[str, jax.Array]:
  """The hyperparameters that the last update used.

  Args:
    x: a `TrainState`, an `nnx.Optimizer`, or an optimizer state, in which the
      injected states may sit inside `optax.chain`, `partition`, `MultiSteps`
      and the like.

  Returns:
    The values by name, float32 of shape (): before the first update, those at
    count 0. Where two states have a hyperparameter of one name, each gets the
    labels on the way to it: 'encoder/learning_rate'; or, without labels, the
    positions: '0/learning_rate'.

  Raises:
    ValueError: if there is no injected state in `x`.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> tx = optax.chain(
  ...   optax.clip_by_global_norm(1.0),
  ...   fs.inject_hyperparams(optax.adamw, learning_rate=1, weight_decay=0.25),
  ... )
  >>> hyperparams(tx.init(jnp.ones(3)))['weight_decay']
  Array(0.25, dtype=float32)
  """
  found = _injected('hyperparams', x)
  names = _names([(path, name) for path, s in found for name in s.hyperparams])
  values = [_unwrap(v) for _, s in found for v in s.hyperparams.values()]
  return dict(zip(names, values, strict=True))


def set_hyperparams(state: _T, **values: Any) -> _T:
  """A copy of a state in which hyperparameters have new values.

  A scheduled hyperparameter stops following its schedule. With
  `inject_stateful_hyperparams` nothing recompiles, and None takes the schedule
  up again; with `inject_hyperparams` a constant changes without recompiling,
  and a schedule becomes a constant, which recompiles once.

  Args:
    state: a `TrainState` or an optimizer state; an `nnx.Optimizer` is changed
      in place and returned.
    **values: the new value of each hyperparameter, by the name that
      `hyperparams` gives it. `**{'encoder/learning_rate': 3e-4}` passes a name
      that is no Python identifier.

  Returns:
    The new state.

  Raises:
    TypeError: if a value is not a number.
    ValueError: if a name is unknown, or a value is not finite.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> tx = fs.inject_hyperparams(optax.sgd, learning_rate=0.5)
  >>> state = set_hyperparams(tx.init(jnp.ones(3)), learning_rate=0.25)
  >>> hyperparams(state)
  {'learning_rate': Array(0.25, dtype=float32)}
  """
  caller = 'set_hyperparams'

  def change(s: _State, name: str, value: Any) -> _State:
    if value is None:
      if isinstance(s, InjectHyperparamsState):
        raise ValueError(
          f'{caller}: {name} must be a number, got None. Only a state of '
          'inject_stateful_hyperparams keeps the schedule to go back to; here, '
          f'use set_schedules(state, {name}=...).'
        )
      return _override(s, name, np.nan)
    value = arguments.value(caller, name, value)
    s = s.replace(hyperparams=_put(s.hyperparams, name, value))
    if isinstance(s, InjectHyperparamsState):
      return s.replace(spec=_edit_spec(s.spec, name, inject.CONSTANT))
    return _override(s, name, value)

  return _edit(caller, state, values, change)


def set_schedules(state: _T, **schedules: Any) -> _T:
  """A copy of a state in which hyperparameters follow new schedules.

  The count goes on. With `inject_stateful_hyperparams` nothing recompiles where
  the new schedule is of the kind of the old one (the same function built both);
  with `inject_hyperparams` the step recompiles once.

  Args:
    state: a `TrainState` or an optimizer state; an `nnx.Optimizer` is changed
      in place and returned.
    **schedules: the new schedule of each hyperparameter, by the name that
      `hyperparams` gives it; a number is a constant schedule.

  Returns:
    The new state.

  Raises:
    TypeError: if a schedule is none, or holds a function, which a state of
      `inject_hyperparams` can't.
    ValueError: if a name is unknown.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> lr = fs.linear_schedule(0.5, 0.0, 10)
  >>> tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=lr)
  >>> state = tx.init(jnp.ones(3))
  >>> new = fs.linear_schedule(1.0, 0.0, 5)
  >>> state = set_schedules(state, learning_rate=new)
  >>> _, state = tx.update(jnp.ones(3), state)
  >>> hyperparams(state)
  {'learning_rate': Array(1., dtype=float32)}
  """
  caller = 'set_schedules'

  def change(s: _State, name: str, value: Any) -> _State:
    schedule = as_schedule(value)
    if isinstance(s, InjectHyperparamsState):
      if isinstance(schedule, Constant):
        constant = _put(s.hyperparams, name, schedule.constant)
        s = s.replace(hyperparams=constant)
      return s.replace(
        spec=_edit_spec(s.spec, name, inject.describe(schedule, strict=True))
      )
    states = s.hyperparams_states
    if name in states.stateful:
      raise TypeError(
        f'{caller}: {name} follows a stateful schedule, whose state '
        f'{type(states[name]).__name__} cannot hold {schedule!r}.'
      )
    new = ScheduleStates.pack({**states, name: schedule})
    parameters = {
      dtype: _like(array, states.parameters.get(dtype, s.overrides))
      for dtype, array in new.parameters.items()
    }
    s = s.replace(hyperparams_states=new.replace(parameters=parameters))
    return _override(s, name, np.nan)

  return _edit(caller, state, schedules, change)


# ---------------------------------------------------------------------------
# Finding injected states.


def _map_injected(
  f: Callable[[tuple[Any, ...], _State], _State],
  tree: Any,
  path: tuple[Any, ...] = (),
) -> Any:
  """Applies f(path, state) to each injected state, outer ones first."""
  found, treedef = jax.tree_util.tree_flatten_with_path(tree, is_injected)
  leaves = []
  for way, leaf in found:
    if is_injected(leaf):
      leaf = f(path + way, leaf)
      inner = _map_injected(f, leaf.inner_state, path + way)
      leaf = leaf.replace(inner_state=inner)
    leaves.append(leaf)
  return jax.tree_util.tree_unflatten(treedef, leaves)


def _injected(caller: str, x: Any) -> list[tuple[tuple[Any, ...], _State]]:
  """The injected states in `x` with the ways to them, outer ones first."""
  found: list[tuple[tuple[Any, ...], _State]] = []

  def search(tree: Any, path: tuple[Any, ...]) -> None:
    # Without the paths first: it is run at every step that is logged.
    if not any(map(is_injected, jax.tree_util.tree_leaves(tree, is_injected))):
      return
    for way, leaf in jax.tree_util.tree_leaves_with_path(tree, is_injected):
      if is_injected(leaf):
        found.append((path + way, leaf))
        search(leaf.inner_state, path + way)

  search(getattr(x, 'opt_state', x), ())
  if not found:
    raise ValueError(
      f'{caller}: {type(x).__name__} holds no injected hyperparameters. Build '
      'the optimizer with flax_sched.inject_hyperparams(optax.adamw, '
      'learning_rate=...).'
    )
  return found


def _names(places: list[tuple[tuple[Any, ...], str]]) -> list[str]:
  """A stable name for each hyperparameter: short, and unique."""

  def label(key: Any) -> list[str]:
    name = getattr(key, 'key', None)
    return [name] if isinstance(name, str) else []

  def position(key: Any) -> list[str]:
    index = getattr(key, 'idx', None)
    return label(key) if index is None else [str(index)]

  def spell(path: tuple[Any, ...], name: str, part: Any) -> str:
    return '/'.join([*(p for key in path for p in part(key)), name])

  names = [name for _, name in places]
  for part in (label, position):
    times = Counter(names)
    names = [
      spell(path, base, part) if times[name] > 1 else name
      for name, (path, base) in zip(names, places, strict=True)
    ]
  return names


def _edit(
  caller: str,
  x: Any,
  changes: dict[str, Any],
  change: Callable[[_State, str, Any], _State],
) -> Any:
  found = _injected(caller, x)
  places = [(path, name) for path, s in found for name in s.hyperparams]
  names = dict(zip(_names(places), places, strict=True))
  for name in changes:
    if name not in names:
      near = difflib.get_close_matches(name, names, 1)
      hint = f' Did you mean {near[0]!r}?' if near else ''
      raise ValueError(
        f'{caller}: {name!r} is no hyperparameter of this state.{hint} It has '
        f'{", ".join(names)}.'
      )

  def apply(path: tuple[Any, ...], state: _State) -> _State:
    for name, value in changes.items():
      where, short = names[name]
      if where == path:
        state = change(state, short, value)
    return state

  if not hasattr(x, 'opt_state'):
    return _map_injected(apply, x)
  opt_state = _map_injected(apply, x.opt_state)
  if hasattr(x, 'replace'):
    return x.replace(opt_state=opt_state)
  x.opt_state = opt_state  # nnx.Optimizer
  return x


# ---------------------------------------------------------------------------
# Leaves.


def _unwrap(leaf: Any) -> Any:
  """The array in a leaf: `nnx.Optimizer` wraps each in a variable."""
  return leaf[...] if hasattr(leaf, 'get_metadata') else leaf


def _like(new: Any, old: Any) -> Any:
  """An array where another is."""
  if hasattr(old, 'get_metadata'):
    return old.replace(_like(new, old[...]))
  if isinstance(old, jax.core.Tracer) or isinstance(new, jax.core.Tracer):
    return jnp.asarray(new)
  new = jnp.array(new, copy=True)
  if isinstance(old, jax.Array) and old.committed:
    return jax.device_put(new, old.sharding)
  return new


def _put(mapping: Any, name: str, value: Any) -> Any:
  old = mapping[name]
  return {**mapping, name: _like(jnp.asarray(value, old.dtype), old)}


def _override(s: Any, name: str, value: Any) -> Any:
  index = sorted(s.hyperparams).index(name)
  overrides = jnp.asarray(_unwrap(s.overrides)).at[index].set(value)
  return s.replace(overrides=_like(overrides, s.overrides))


def _edit_spec(spec: str, name: str, entry: Any) -> str:
  return json.dumps({**json.loads(spec), name: entry})

"""Carries the optimizer state of a run with plain Optax over."""

from __future__ import annotations

import ast
import contextlib
import inspect
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np
import optax

from flax_sched import access
from flax_sched import injected
from flax_sched import places
from flax_sched import stateful
from flax_sched import ways
from flax_sched.injected import InjectStatefulHyperparamsState
from flax_sched.injected import is_injected
from flax_sched.injected import State
from flax_sched.schedule import Constant

_CALLER = 'from_optax_state'

_Count = optax.ScaleByScheduleState


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
  old count on, plain ones in products too; a constant has the value that the
  old state holds.

  `optax.inject_hyperparams` injects every number of its factory, named or not.
  Those that `tx` does not name must be as in its factory, if it is of Optax.
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
      that of plain `optax.sgd(0.1)`. `optax.MultiSteps` around it holds one.

  Returns:
    The state, to be used with `tx`.

  Raises:
    ValueError: if the old state is of an optimizer built otherwise, holds no
      count, or another value of what `tx` does not name.

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
  return _convert(new, optax_opt_state, counts, path='', around=[])


def _convert(
  new: Any, old: Any, counts: list[Any], path: str, around: list[Any]
) -> Any:
  """The old state in the structure of the new one.

  Args:
    new: a state of the new transformation.
    old: the old state in its place.
    counts: known counts of updates. Those of schedules are added.
    path: the way to the two, for messages.
    around: the count of the wrapper around that holds updates back, if any.
  """
  if is_injected(new):
    return _convert_injected(new, old, counts, path, around)
  if isinstance(old, _Count) and isinstance(new, optax.EmptyState):
    counts.append(old.count)  # here, the injected state's
    return new
  if isinstance(new, jax.Array):  # of the shape of other parameters
    return old
  if type(new) is not type(old):
    raise _mismatch(type(new).__name__, type(old).__name__, path)
  plain = isinstance(new, dict | list) or type(new) is tuple
  if not (plain or ways.holds(new, State) or ways.holds(old, _Count)):
    return old
  if isinstance(old, optax.MultiStepsState):
    around = [old.gradient_step]
  return _rebuild(new, old, counts, path, around)


def _rebuild(
  new: Any, old: Any, counts: list[Any], path: str, around: list[Any]
) -> Any:
  """The new node, each of its children converted."""
  by_key, old_by_key = _children(new), _children(old)
  if by_key.keys() != old_by_key.keys():
    raise _mismatch(f'{len(new)} states', f'{len(old)} states', path)
  done = {
    key: _convert(child, old_by_key[key], counts, f'{path}/{key}', around)
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


def _mismatch(new: str, old: str, path: str) -> ValueError:
  return ValueError(
    f'{_CALLER}: {path or "the state"} is {old} in the Optax state, and {new} '
    'in that of tx. Build tx as the old optimizer was, but for the injection, '
    'and pass the old state in its own types.'
  )


def _convert_injected(
  new: Any, old: Any, counts: list[Any], path: str, around: list[Any]
) -> Any:
  values: dict[str, Any] = {}
  counts = [*counts]
  if hasattr(old, 'hyperparams'):  # of optax.inject_hyperparams
    counts.append(old.count)
    old, values = old.inner_state, old.hyperparams
    _check_unnamed(new, values)
  inner = _convert(new.inner_state, old, counts, path, around)
  counts += [*_counts(inner), *around]
  if not counts:
    raise ValueError(
      f'{_CALLER}: {path or "the state"} holds no count of updates. Pass '
      'count=..., such as the step of its TrainState.'
    )
  # A copy: a donated state may not hold one buffer twice.
  count = jnp.array(counts[0], copy=True)
  new = new.replace(count=count, inner_state=inner)
  if isinstance(new, InjectStatefulHyperparamsState):
    states = stateful.with_counts(
      new.hyperparams_states.states, lambda old: places.filled(count, old)
    )
    new = new.replace(
      hyperparams_states=new.hyperparams_states.replace(states=states)
    )
  return _with_values(new, values)


def _check_unnamed(new: Any, values: dict[str, Any]) -> None:
  """Raises if a value would be lost, since the new state has no such name."""
  for name in sorted(values.keys() - new.hyperparams.keys()):
    other = other_number(new.transformation, name, values[name])
    if other is not None:
      raise ValueError(
        f'{_CALLER}: tx must name {name}, which is {values[name]} in the Optax '
        f'state and {other} in tx. Pass {name}=... where it is injected.'
      )


def other_number(transformation: str, name: str, value: Any) -> Any:
  """What a transformation has for an argument, if it is another number.

  Args:
    transformation: what an injected state says of it: 'adam(nesterov=True)'.
    name: an argument that is not injected there.
    value: a number that Optax has injected, in its dtype.

  Returns:
    The number there; None if it is this one, or nobody knows it.
  """
  other: Any = None
  with contextlib.suppress(SyntaxError, ValueError):
    call = ast.parse(transformation, mode='eval').body
    named: dict[str | None, ast.expr] = {}
    if isinstance(call, ast.Call):
      named, call = {k.arg: k.value for k in call.keywords}, call.func
    if name in named:
      other = ast.literal_eval(named[name])
    elif isinstance(call, ast.Name):
      other = _default(call.id, name)
  if isinstance(other, bool) or not isinstance(other, int | float):
    return None
  # Rounded as Optax has done it, at most twice.
  dtype = jnp.result_type(value)
  there, here = (np.asarray(x, dtype).astype(float) for x in (other, value))
  eps = 0.0
  if jnp.issubdtype(dtype, np.inexact):
    eps = float(jnp.finfo(dtype).eps)  # type: ignore[no-untyped-call]
  return None if np.allclose(here, there, 2 * eps, 0.0) else other


def _default(factory: str, argument: str) -> Any:
  """The default of an argument of a factory of Optax, None if there is none."""
  for module in (optax, optax.contrib):
    if callable(found := getattr(module, factory, None)):
      parameter = inspect.signature(found).parameters.get(argument)
      return None if parameter is None else parameter.default
  return None


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

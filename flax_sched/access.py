"""Reading and changing hyperparameters, wherever they are in a state."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import arguments
from flax_sched import injected
from flax_sched import places
from flax_sched.injected import InjectHyperparamsState
from flax_sched.injected import InjectStatefulHyperparamsState
from flax_sched.injected import State
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.stateful import ScheduleStates

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
    positions: '0/learning_rate'; or the fields: 'generator/learning_rate'. One
    outside of the `opt_state` of `x` always has the field: 'aux/learning_rate'.

  Raises:
    ValueError: if there is no injected state in `x`, or two hyperparameters
      can't be told apart by such names.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> tx = optax.chain(
  ...   optax.clip_by_global_norm(1.0),
  ...   fs.inject_hyperparams(optax.adamw, learning_rate=1, weight_decay=0.25),
  ... )
  >>> hyperparams(tx.init(jnp.ones(3)))['weight_decay']
  Array(0.25, dtype=float32)
  """
  found = places.find('hyperparams', x)
  return {
    name: places.unwrap(place.state.hyperparams[place.key])
    for name, place in found.items()
  }


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
      `hyperparams` gives it; in a population, one number for all members, or an
      array with one for each. `**{'encoder/learning_rate': 3e-4}` passes a name
      that is no Python identifier.

  Returns:
    The new state.

  Raises:
    TypeError: if a value is not a number.
    ValueError: if a name is unknown, or a value is not finite or of another
      shape.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> tx = fs.inject_hyperparams(optax.sgd, learning_rate=0.5)
  >>> state = set_hyperparams(tx.init(jnp.ones(3)), learning_rate=0.25)
  >>> hyperparams(state)
  {'learning_rate': Array(0.25, dtype=float32)}
  """
  caller = 'set_hyperparams'

  def change(s: State, name: str, value: Any) -> State:
    if value is None:
      if isinstance(s, InjectHyperparamsState):
        raise ValueError(
          f'{caller}: {name} must be a number, got None. Only a state of '
          'inject_stateful_hyperparams keeps the schedule to go back to; here, '
          f'use set_schedules(state, {name}=...).'
        )
      return with_override(s, name, np.nan)
    value = arguments.value(caller, name, value)
    shape = places.unwrap(s.hyperparams[name]).shape
    if np.shape(value) not in ((), shape):
      members = f', or one for each member, of shape {shape}' if shape else ''
      raise ValueError(
        f'{caller}: {name} must be one number{members}, got an array of shape '
        f'{np.shape(value)}.'
      )
    s = s.replace(hyperparams=_put(s.hyperparams, name, value))
    if isinstance(s, InjectHyperparamsState):
      return s.replace(spec=_edit_spec(s.spec, name, injected.CONSTANT))
    return with_override(s, name, value)

  return places.edit(caller, state, values, change)


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

  def change(s: State, key: str, value: Any) -> State:
    schedule = as_schedule(value)
    if isinstance(s, InjectStatefulHyperparamsState):
      states = s.hyperparams_states
      if key in states.stateful:
        raise TypeError(
          f'{caller}: {key} follows a stateful schedule, whose state '
          f'{type(states[key]).__name__} cannot hold {schedule!r}.'
        )
    return with_schedule(s, key, schedule)

  return places.edit(caller, state, schedules, change)


# ---------------------------------------------------------------------------
# Parts of a state.


def with_schedule(s: State, key: str, schedule: Schedule) -> State:
  """An injected state in which one hyperparameter follows a plain schedule."""
  if isinstance(s, InjectHyperparamsState):
    if isinstance(schedule, Constant):
      constant = _put(s.hyperparams, key, schedule.constant)
      s = s.replace(hyperparams=constant)
    entry = injected.describe(schedule, strict=True)
    return s.replace(spec=_edit_spec(s.spec, key, entry))
  states = s.hyperparams_states
  s = with_states(s, states.put(key, schedule, batch=s.count.shape))
  return with_override(s, key, np.nan)


def with_states(
  s: InjectStatefulHyperparamsState, states: ScheduleStates
) -> InjectStatefulHyperparamsState:
  """An injected state with other schedules, placed as its own are."""
  own = s.hyperparams_states.parameters
  parameters = {
    dtype: places.like(array, own.get(dtype, s.overrides))
    for dtype, array in states.parameters.items()
  }
  states = states.replace(parameters=parameters)
  return s.replace(hyperparams_states=states)


def with_override(s: Any, key: str, value: Any) -> Any:
  """An injected state that uses a value in place of a schedule's; NaN: none."""
  index = sorted(s.hyperparams).index(key)
  overrides = jnp.asarray(places.unwrap(s.overrides))
  value = jnp.asarray(value, overrides.dtype)
  overrides = overrides.at[..., index].set(value)
  return s.replace(overrides=places.like(overrides, s.overrides))


def _put(mapping: Any, name: str, value: Any) -> Any:
  return {**mapping, name: places.filled(value, mapping[name])}


def _edit_spec(spec: str, name: str, entry: Any) -> str:
  return json.dumps({**json.loads(spec), name: entry})

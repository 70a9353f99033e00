"""The same state at another point of its schedules: fine-tuning, cooldowns."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import access
from flax_sched import arguments
from flax_sched import curves
from flax_sched import inject
from flax_sched import places
from flax_sched.compose import Join
from flax_sched.compose import Shift
from flax_sched.inject import InjectStatefulHyperparamsState
from flax_sched.places import State
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.stateful import WrappedScheduleState

_T = TypeVar('_T')


def reset_count(
  state: _T, count: int = 0, *, only: str | Collection[str] | None = None
) -> _T:
  """A copy of a state whose schedules start again.

  For fine-tuning: moments, their own counts (those of Adam's bias correction)
  and a `TrainState`'s step stay as they are. A stateful schedule, such as
  `reduce_on_plateau`, forgets what it has seen.

  Args:
    state: a `TrainState` or an optimizer state; an `nnx.Optimizer` is changed
      in place and returned. Its counts are concrete.
    count: the number of completed updates from which the schedules go on.
    only: the hyperparameters to start again, one name or several, by the names
      that `hyperparams` gives; None: all. One that shares its transformation's
      count with others that go on follows its schedule with a delay, which a
      checkpoint then remembers.

  Returns:
    The new state.

  Raises:
    ValueError: if a name is unknown, or the count negative; if a count would
      jump ahead for some of a transformation's hyperparameters only, or one of
      them is a function or stateful.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> lr = fs.linear_schedule(0.5, 0.0, 10)
  >>> tx = fs.inject_hyperparams(optax.adam, learning_rate=lr)
  >>> params = jnp.ones(3)
  >>> _, state = tx.update(params, tx.init(params), params)
  >>> state = reset_count(state)
  >>> _, state = tx.update(params, state, params)
  >>> hyperparams = fs.hyperparams(state)
  >>> hyperparams['learning_rate']
  Array(0.5, dtype=float32)
  """
  caller = 'reset_count'
  start = int(arguments.steps(caller, 'count', count, zero=True))
  found = places.find(caller, state)
  names = [only] if isinstance(only, str) else found if only is None else only
  for name in names:
    places.check_known(caller, name, found)

  def reset(path: tuple[Any, ...], s: State) -> State:
    keys = {found[n].key: n for n in names if found[n].path == path}
    if len(keys) == len(s.hyperparams):
      for key in keys:
        s = _start_again(s, key, start)
      return s.replace(count=places.like(jnp.int32(start), s.count))
    for key, name in keys.items():
      s = _delay(caller, s, key, name, start)
    return s

  return places.map_injected(reset, state)


def _start_again(s: State, key: str, count: int) -> State:
  """With a stateful schedule as it is before its first loss."""
  if not isinstance(s, InjectStatefulHyperparamsState):
    return s
  states = s.hyperparams_states
  if key not in states.stateful:
    return s
  index = states.stateful.index(key)
  schedule = inject.parse_entry(states.specs[index])
  if schedule is None:
    raise ValueError(
      f'reset_count: {key} follows a stateful schedule that only its '
      'transformation knows, so that it cannot start again here. Put '
      'schedule.init() in its place in the state.'
    )

  def with_count(x: Any) -> Any:
    wrapped = isinstance(x, WrappedScheduleState)
    return x.replace(count=jnp.int32(count)) if wrapped else x

  new = jax.tree_util.tree_map(
    with_count,
    schedule.init(),
    is_leaf=lambda x: isinstance(x, WrappedScheduleState),
  )
  new = jax.tree_util.tree_map(places.like, new, states.states[index])
  after = (*states.states[:index], new, *states.states[index + 1 :])
  return s.replace(hyperparams_states=states.replace(states=after))


def _delay(caller: str, s: State, key: str, name: str, count: int) -> State:
  """With the schedule of one hyperparameter begun later."""
  schedule = _schedule(caller, s, key, name)
  late = int(places.unwrap(s.count)) - count
  if late < 0:
    raise ValueError(
      f'{caller}: count must be at most {late + count}, the count of the '
      f'transformation, to start {name} alone again, got {count}. Reset all '
      'of its hyperparameters.'
    )
  delayed = Shift(schedule=schedule, begin=np.int32(late))
  return access.with_schedule(s, key, delayed)


def branch_cooldown(
  state: _T,
  steps: int,
  shape: str = 'linear',
  *,
  end_value: float = 0.0,
  name: str = 'learning_rate',
) -> _T:
  """A copy of a state in which a hyperparameter decays from now on.

  From any checkpoint of the stable phase of a warmup-stable-decay run, it makes
  a finished model of the length that is wanted. The schedule goes on as the old
  one up to now, and then from its value down: with p from 0 to 1 over `steps`,

  - 'linear': 1 - p,
  - 'cosine': (1 + cos(pi p)) / 2,
  - '1-sqrt': 1 - sqrt(p),
  - 'square': 1 - p**2

  of the way from `end_value` up. A checkpoint remembers all of it: the schedule
  before, where the branch begins, and the decay.

  Args:
    state: a `TrainState` or an optimizer state; an `nnx.Optimizer` is changed
      in place and returned. Its counts are concrete.
    steps: the length of the decay, in updates.
    shape: its shape, as above.
    end_value: the value at its end, held from there on.
    name: the hyperparameter, by the name that `hyperparams` gives it.

  Returns:
    The new state.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if the shape or the name is unknown, an argument is out of
      range, or the hyperparameter follows a function or a stateful schedule.

  Source: Hägele et al. (2024), Scaling Laws and Compute-Optimal Training Beyond
  Fixed Training Durations, arXiv:2405.18392.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> tx = fs.inject_hyperparams(optax.sgd, learning_rate=0.5)
  >>> params = jnp.ones(3)
  >>> state = branch_cooldown(tx.init(params), 4)
  >>> for _ in range(4):
  ...   _, state = tx.update(params, state, params)
  >>> fs.hyperparams(state)
  {'learning_rate': Array(0.125, dtype=float32)}
  """
  caller = 'branch_cooldown'
  length = arguments.steps(caller, 'steps', steps)
  end = arguments.value(caller, 'end_value', end_value)
  if shape not in _SHAPES:
    raise ValueError(
      f'{caller}: shape must be one of {", ".join(map(repr, _SHAPES))}, got '
      f'{shape!r}.'
    )

  def branch(s: State, key: str, _: Any) -> State:
    old = _schedule(caller, s, key, name)
    count = int(places.unwrap(s.count))
    value = np.asarray(old(count))
    if value.ndim:
      raise ValueError(
        f'{caller}: {name} must be one schedule, got {value.size} of them. '
        'Branch each member of a population by itself.'
      )
    decay = _SHAPES[shape](value[()], end, length)
    joined = Join(
      schedules=(old, decay), boundaries=np.array([count], np.int32)
    )
    return access.with_schedule(s, key, joined)

  return places.edit(caller, state, {name: None}, branch)


_SHAPES: dict[str, Callable[[Any, Any, Any], Schedule]] = {
  'linear': lambda init, end, steps: curves.Linear(
    init_value=init, end_value=end, transition_steps=steps
  ),
  'cosine': lambda init, end, steps: curves.Cosine(
    init_value=init, end_value=end, decay_steps=steps
  ),
  '1-sqrt': lambda init, end, steps: curves.OneMinusPower(
    init_value=init,
    end_value=end,
    power=np.float32(0.5),
    transition_steps=steps,
  ),
  'square': lambda init, end, steps: curves.OneMinusPower(
    init_value=init,
    end_value=end,
    power=np.float32(2.0),
    transition_steps=steps,
  ),
}


def _schedule(caller: str, s: State, key: str, name: str) -> Schedule:
  """The plain schedule that a hyperparameter follows, on the host."""
  schedule = inject.schedules(s).get(key)
  if schedule is None:
    raise ValueError(
      f'{caller}: {name} must follow a schedule of numbers, and follows a '
      f'function or a stateful schedule. Use set_schedules(state, {name}=...).'
    )
  override = places.override(s, key)
  if override is not None:
    return Constant(constant=override)
  return places.on_host(schedule)

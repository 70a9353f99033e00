"""The same state at another point of its schedules: fine-tuning, cooldowns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import jax
import numpy as np

from flax_sched import access
from flax_sched import arguments
from flax_sched import injected
from flax_sched import places
from flax_sched import stateful
from flax_sched import ways
from flax_sched.compose import Crossfade
from flax_sched.forms import shaped
from flax_sched.injected import InjectStatefulHyperparamsState
from flax_sched.injected import State
from flax_sched.schedule import Constant
from flax_sched.schedule import Join
from flax_sched.schedule import Schedule
from flax_sched.schedule import Shift

_T = TypeVar('_T')


def reset_count(
  state: _T, count: int = 0, *, only: str | Collection[str] | None = None
) -> _T:
  """A copy of a state whose schedules start again.

  For fine-tuning: moments, their own counts (those of Adam's bias correction)
  and a `TrainState`'s step stay as they are, and so do constants and what
  `set_hyperparams` has put in place of a schedule. A stateful schedule, such as
  `reduce_on_plateau`, forgets what it has seen. Of a rebase (see
  `checkpoint.restore`) that is over, the new schedule alone starts again; one
  that is not starts as a whole, with the old schedule up to where it began.

  Args:
    state: a `TrainState` or an optimizer state; an `nnx.Optimizer` is changed
      in place and returned. Its counts are concrete.
    count: the number of completed updates from which the schedules go on.
    only: the hyperparameters to start again, one name or several, by the names
      that `hyperparams` gives; None: all. Where other schedules share the
      transformation's count and go on, these follow theirs with a delay, which
      a checkpoint then remembers.

  Returns:
    The new state.

  Raises:
    TypeError: if the count is not a number.
    ValueError: if a name is unknown, or the count is negative or beyond int32;
      if a count would jump ahead for some of the schedules that share it only,
      or one of them is a function; if a stateful schedule is of a class that
      the state does not describe.

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
  start = int(arguments.int32_steps(caller, 'count', _read(count), zero=True))
  found = places.find(caller, state)
  names = [only] if isinstance(only, str) else found if only is None else only
  for name in names:
    places.check_known(caller, name, found)

  def reset(path: tuple[Any, ...], s: State) -> State:
    keys = {found[n].key: n for n in names if found[n].path == path}
    counting = _counting(s)
    # Those that do not count are no reason to delay the others.
    whole = counting <= keys.keys() and (only is None or bool(keys))
    for key, name in keys.items():
      if key in _stateful(s):
        s = _start_again(caller, s, key, name, start)
      elif key in counting:
        late = 0 if whole else _late(caller, s, key, name, start)
        s = _with_delay(s, key, late)
    return s.replace(count=places.filled(start, s.count)) if whole else s

  return ways.map_injected(reset, state)


def _stateful(s: State) -> tuple[str, ...]:
  """The hyperparameters that follow stateful schedules."""
  if isinstance(s, InjectStatefulHyperparamsState):
    return s.hyperparams_states.stateful
  return ()


def _counting(s: State) -> set[str]:
  """The hyperparameters whose value depends on the state's count."""
  constant = {
    key
    for key, schedule in injected.schedules(s).items()
    if isinstance(schedule, Constant)
  }
  return s.hyperparams.keys() - constant - set(_stateful(s))


def _start_again(caller: str, s: Any, key: str, name: str, count: int) -> State:
  """With a stateful schedule as it is before its first loss."""
  states = s.hyperparams_states
  index = states.stateful.index(key)
  schedule = injected.parse_entry(states.specs[index])
  if schedule is None:
    raise ValueError(
      f'{caller}: {name} must follow a schedule that the state describes, got '
      f'{places.described(s, key)}. Pass only=... with the other names, and '
      'take the state of this one from a new tx.init(params).'
    )

  is_wrapped = stateful.is_wrapped
  new = jax.tree_util.tree_map(
    lambda new, old: old if is_wrapped(new) else places.filled(new, old),
    schedule.init(),
    states.states[index],
    is_leaf=is_wrapped,
  )
  new = stateful.with_counts(new, lambda old: places.filled(count, old))
  after = (*states.states[:index], new, *states.states[index + 1 :])
  return s.replace(hyperparams_states=states.replace(states=after))


def _late(caller: str, s: State, key: str, name: str, count: int) -> int:
  """By how much a schedule begun again is late."""
  remedy = 'Reset all hyperparameters of its transformation.'
  places.plain_schedule(caller, s, key, name, remedy)
  now = places.single_count(caller, s, key, name, remedy)
  if count > now:
    raise ValueError(
      f'{caller}: count must be at most {now}, that of the transformation, to '
      f'start {name} again and not the others, got {count}. {remedy}'
    )
  return now - count


def _with_delay(s: State, key: str, late: int) -> State:
  """With the schedule of a hyperparameter delayed by this, and no more."""
  schedule: Any = injected.schedules(s).get(key)
  own = _undelayed(schedule)
  count = places.on_host(s.count)
  if own is not schedule:
    count = count - places.on_host(schedule.begin)
  own = arrived(own, count)
  if late == 0 and own is schedule:
    return s
  own = places.on_host(own)
  if late:
    inner = own if isinstance(own, Shift) else _shifted(own, 0)
    own = _shifted(inner, late)
  override = places.override(s, key)
  s = access.with_schedule(s, key, own)
  return s if override is None else access.with_override(s, key, override)


def arrived(schedule: Any, count: Any) -> Any:
  """What is followed from a count on: of a rebase that is over, its end."""
  if isinstance(schedule, Crossfade):
    begin, steps = places.on_host((schedule.begin, schedule.transition_steps))
    if np.all(begin + steps <= count):
      return arrived(schedule.new, count)
  return schedule


# A delay is a shift of a shift: the inner one, perhaps by 0, is the schedule's
# own, so that starting it once more takes the delay away and nothing else.


def _shifted(schedule: Schedule, begin: int) -> Schedule:
  return Shift(schedule=schedule, begin=np.int32(begin))


def _undelayed(schedule: Schedule | None) -> Schedule | None:
  if not isinstance(schedule, Shift) or not isinstance(
    schedule.schedule, Shift
  ):
    return schedule
  own = schedule.schedule
  return own if places.on_host(own.begin) else own.schedule


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

  of the way from `end_value` up, and 'exponential': a straight line in the
  logarithm, for values above 0. A checkpoint remembers all of it: the schedule
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
      range, the state is of a population, or the hyperparameter follows a
      function or a stateful schedule, unless `set_hyperparams` has set it.

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
  length = arguments.steps(caller, 'steps', _read(steps))
  end = arguments.value(caller, 'end_value', _read(end_value))
  if np.ndim(end):
    raise TypeError(
      f'{caller}: end_value must be one number, got {end_value!r}.'
    )

  def branch(s: State, key: str, _: Any) -> State:
    remedy = (
      'Branch each member by itself: jax.tree.map(lambda x: x[i], state).'
    )
    count = places.single_count(caller, s, key, name, remedy)
    old = _followed(caller, s, key, name)
    now = np.float32(old(count))
    decay = shaped(caller, 'shape', shape, now, end, length)
    joined = Join(
      schedules=(old, decay), boundaries=np.array([count], np.int32)
    )
    return access.with_schedule(s, key, joined)

  return places.edit(caller, state, {name: None}, branch)


def _followed(caller: str, s: State, key: str, name: str) -> Schedule:
  """The plain schedule, or what is used in its place, on the host."""
  override = places.override(s, key)
  if override is not None:
    return Constant(constant=np.float32(override))
  keyword = f'{name}=...' if name.isidentifier() else f'**{{{name!r}: ...}}'
  remedy = f'Set its value first, by set_hyperparams(state, {keyword}).'
  schedule = places.plain_schedule(caller, s, key, name, remedy)
  return arrived(schedule, places.on_host(s.count))


def _read(x: Any) -> Any:
  """An argument on the host, where its value can be checked."""
  return np.asarray(x)[()] if isinstance(x, jax.Array) else x

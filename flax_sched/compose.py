"""Schedules made of schedules, by functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flax_sched import arguments
from flax_sched import parts
from flax_sched import spans
from flax_sched.numerics import number
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Join
from flax_sched.schedule import Maximum
from flax_sched.schedule import Minimum
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


def join_schedules(
  schedules: Sequence[Schedule | Callable[[Any], Any] | float],
  boundaries: Sequence[Steps],
) -> Schedule:
  """One schedule after another, each counting from its own start.

  schedules[i] gets n - boundaries[i - 1], from boundaries[i - 1] on.

  Args:
    schedules: the schedules; other callables of the count and numbers are
      taken as schedules too.
    boundaries: the steps at which the next one takes over, strictly increasing:
      one fewer than there are schedules.

  Returns:
    The schedule.

  Raises:
    TypeError: if a schedule or a boundary is of another type.
    ValueError: if there is no schedule, the number of boundaries is wrong, or
      they are not non-negative integers in increasing order.

  >>> import flax_sched as fs
  >>> parts = [fs.constant_schedule(1.0), fs.linear_schedule(1.0, 0.0, 1000)]
  >>> join_schedules(parts, [1000])(1500)
  np.float32(0.5)
  """
  name = 'join_schedules'
  schedules, boundaries = tuple(schedules), tuple(boundaries)
  if not schedules:
    raise ValueError(f'{name}: schedules must not be empty.')
  if len(boundaries) != len(schedules) - 1:
    raise ValueError(
      f'{name}: boundaries must be one fewer than schedules, got '
      f'{len(boundaries)} boundaries for {len(schedules)} schedules. A '
      'boundary is the step at which the next schedule takes over.'
    )
  return Join(
    schedules=tuple(
      as_schedule(schedule)
      if callable(schedule)
      else Constant(constant=arguments.value(name, f'schedules[{i}]', schedule))
      for i, schedule in enumerate(schedules)
    ),
    boundaries=arguments.boundaries(name, 'boundaries', boundaries),
  )


def minimum(*schedules: Any) -> Schedule:
  """The smallest of several schedules, at each count.

  Args:
    *schedules: schedules, other callables of the count, or numbers.

  Returns:
    The schedule.

  Raises:
    TypeError: if one is none of these.
    ValueError: if there is none.

  >>> import flax_sched as fs
  >>> lr = minimum(fs.linear_schedule(0.0, 1.0, 10), 0.5)
  >>> lr(2), lr(8)
  (np.float32(0.2), np.float32(0.5))
  """
  return _several('minimum', Minimum, schedules)


def maximum(*schedules: Any) -> Schedule:
  """The largest of several schedules, at each count.

  Args:
    *schedules: schedules, other callables of the count, or numbers.

  Returns:
    The schedule.

  Raises:
    TypeError: if one is none of these.
    ValueError: if there is none.

  >>> import flax_sched as fs
  >>> lr = maximum(fs.linear_schedule(1.0, 0.0, 10), 0.25)
  >>> lr(2), lr(8)
  (np.float32(0.8), np.float32(0.25))
  """
  return _several('maximum', Maximum, schedules)


def _several(name: str, kind: Any, schedules: Sequence[Any]) -> Schedule:
  if not schedules:
    raise ValueError(f'{name}: schedules must not be empty.')
  items = tuple(map(as_schedule, schedules))
  made: Schedule = kind(schedules=items) if len(items) > 1 else items[0]
  return made


class Crossfade(Schedule):
  """A gradual change from one schedule to another.

  Up to `begin` it is the old one, from begin + T on the new one; between, at
  begin + m, it is (1 - m / T) old(n) + (m / T) new(n). Both count from 0 on.

  Attributes:
    old: the schedule to leave.
    new: the schedule to arrive at.
    begin: the last step of the old one alone.
    transition_steps: T, in steps.
  """

  old: Schedule
  new: Schedule
  begin: Steps
  transition_steps: Steps

  def value(self, count: Any) -> Any:
    done = spans.after(count, self.begin)
    return spans.mix(
      number(self.old.value(count)),
      number(self.new.value(count)),
      spans.span(done, self.transition_steps),
    )


def stack_schedules(schedules: Sequence[Schedule]) -> Schedule:
  """The schedules of a population as one, to be mapped over by `jax.vmap`.

  Args:
    schedules: one for each member, all built by the same function.

  Returns:
    A schedule like each of them, whose numbers have a leading axis: the
    members. It has values only under `jax.vmap`, such as in the `init` and
    `update` of `inject_stateful_hyperparams`.

  Raises:
    ValueError: if there are none, or one is of another kind than the first.

  >>> import flax_sched as fs
  >>> import jax
  >>> population = stack_schedules(
  ...   [fs.linear_schedule(peak, 0.0, 10) for peak in (1.0, 0.5, 0.25)]
  ... )
  >>> jax.vmap(lambda schedule: schedule(5))(population)
  Array([0.5  , 0.25 , 0.125], dtype=float32)
  """
  schedules = [as_schedule(schedule) for schedule in schedules]
  if not schedules:
    raise ValueError('stack_schedules: schedules must not be empty.')
  kinds = parts.kinds(schedules)
  if len(kinds) > 1:
    other = kinds[1][0]
    raise ValueError(
      'stack_schedules: schedules must be alike, with equally many parts, '
      f'got {schedules[0]!r} and, at {other}, {schedules[other]!r}. Build '
      'all of them by the same function.'
    )
  stacked: Schedule = parts.stack(schedules)
  return stacked

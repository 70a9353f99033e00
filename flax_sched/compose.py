"""Schedules made of schedules, by functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flax import struct
from jax import lax
from jax import numpy as jnp
import numpy as np

from flax_sched import arguments
from flax_sched import numerics
from flax_sched import parts
from flax_sched import segments
from flax_sched import spans
from flax_sched import twofloat
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


def follow(
  schedule: Any, function: Mapping[Any, Any] | Callable[[Any], Any]
) -> Schedule:
  """A value that is a function of another schedule's value.

  For weight decay that follows the learning rate, or momentum that mirrors it.
  A multiple of a schedule needs no function: `0.1 * lr`.

  Args:
    schedule: the schedule that is followed.
    function: maps values of the schedule to values of this one, with straight
      lines in between and the first and last one held beyond; or a callable of
      the value, in NumPy's and JAX's common operators, which no checkpoint can
      hold.

  Returns:
    The schedule.

  Raises:
    TypeError: if `function` is neither, or an argument is not a number.
    ValueError: if the mapping is empty.

  >>> import flax_sched as fs
  >>> lr = fs.linear_onecycle_schedule(100, peak_value=1.0)
  >>> momentum = follow(lr, {0.04: 0.95, 1.0: 0.85})
  >>> momentum(0), momentum(30), momentum(100)
  (np.float32(0.95), np.float32(0.85), np.float32(0.95))
  """
  name = 'follow'
  leader = as_schedule(schedule)
  if not hasattr(function, 'items'):
    if not callable(function):
      raise TypeError(
        f'{name}: function must be a mapping of values, such as {{0.0: 0.95, '
        f'0.1: 0.85}}, or a callable of the value, got {function!r}.'
      )
    return FollowFunction(schedule=leader, function=function)
  pairs = {
    _point(name, point): arguments.value(name, f'function[{point!r}]', x)
    for point, x in function.items()
  }
  if not pairs:
    raise ValueError(f'{name}: function must not be empty, got {function!r}.')
  points = sorted(pairs)
  return Follow(
    schedule=leader,
    points=np.asarray(points, np.float32),
    values=arguments.stack([pairs[point] for point in points]),
  )


def _point(name: str, key: Any) -> Any:
  """A key of the mapping: a config's are strings."""
  try:
    point = float(key) if isinstance(key, str) else key
  except ValueError:
    point = key
  return arguments.value(name, f'function key {key!r}', point)


class Follow(Schedule):
  """A function of another schedule's value: straight lines between points.

  Attributes:
    schedule: the schedule that is followed.
    points: increasing values of it, float32 of shape (k,).
    values: the values at these points, float32 of shape (k,).
  """

  schedule: Schedule
  points: Any
  values: Any

  def value(self, count: Any) -> Any:
    last = self.points.shape[0] - 1
    x = number(self.schedule.value(count))
    x = numerics.maximum(x, number(segments.look_up(self.points, 0)))
    x = numerics.minimum(x, number(segments.look_up(self.points, last)))
    left = segments.clip_index(_interval(self.points, x), max(last - 1, 0))
    right = segments.clip_index(left + 1, last)
    low = number(segments.look_up(self.points, left))
    high = number(segments.look_up(self.points, right))
    a = number(segments.look_up(self.values, left))
    b = number(segments.look_up(self.values, right))
    wide = numerics.where(numerics.less(low, high), high - low, 1.0)
    weight = (x - low) / wide
    return a * (1.0 - weight) + b * weight


def _interval(points: Any, x: Any) -> Any:
  """The last of the increasing points that is not above x."""
  if twofloat.is_host(points) and twofloat.is_host(x):
    return np.maximum(points.searchsorted(x, side='right') - 1, 0)
  passed = jnp.asarray(points) <= twofloat.two_float(x).hi
  return jnp.maximum(jnp.sum(passed, dtype=np.int32) - 1, 0)


class FollowFunction(Schedule):
  """Any callable of another schedule's value.

  Attributes:
    schedule: the schedule that is followed.
    function: takes its value, float32, and returns the value.
  """

  schedule: Schedule
  function: Callable[[Any], Any] = struct.field(pytree_node=False)

  def value(self, count: Any) -> Any:
    value = self.function(numerics.to_float32(self.schedule.value(count)))
    if not twofloat.is_host(value):
      value = lax.optimization_barrier(value)  # it may be a constant to XLA
    return number(value)


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

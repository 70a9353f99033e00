"""Schedules that are a function of another one's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flax import struct
from jax import lax
from jax import numpy as jnp
import numpy as np

from flax_sched import arguments
from flax_sched import numerics
from flax_sched import segments
from flax_sched import twofloat
from flax_sched.numerics import number
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Schedule


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

"""The schedules whose numbers are tables, looked up by the count n."""

from __future__ import annotations

from typing import Any

from flax import struct
import numpy as np

from flax_sched import segments
from flax_sched import spans
from flax_sched import twofloat
from flax_sched.numerics import number
from flax_sched.schedule import Every
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


class PiecewiseConstant(Schedule):
  """init_value times the scale of the interval that n is in.

  Attributes:
    init_value: what the scales are relative to.
    boundaries: k increasing steps, int32 of shape (k,).
    scales: k + 1 factors: `scales[i]` holds before `boundaries[i]`, the last
      one from the last boundary on. Shape (k + 1,).
  """

  init_value: Any
  boundaries: Steps
  scales: Any

  def value(self, count: Any) -> Any:
    index = segments.segment(self.boundaries, count)
    return _scaled(self.init_value, segments.look_up(self.scales, index))


class PiecewiseInterpolate(Schedule):
  """init_value times a factor that is interpolated between knots.

  Attributes:
    init_value: what the scales are relative to.
    boundaries: the knots after the one at count 0: k increasing steps, int32 of
      shape (k,).
    scales: the factors at the k + 1 knots; the last one holds on. Shape
      (k + 1,).
    interpolate_type: 'linear', or 'cosine' for half a cosine wave between
      neighbouring knots.
  """

  init_value: Any
  boundaries: Steps
  scales: Any
  interpolate_type: str = struct.field(pytree_node=False)

  def value(self, count: Any) -> Any:
    last = self.scales.shape[0] - 2
    left = segments.clip_index(segments.segment(self.boundaries, count), last)
    start = segments.look_up(segments.prepend_zero(self.boundaries), left)
    end = segments.look_up(self.boundaries, left)
    span = spans.span(spans.after(count, start), end - start)
    init = number(self.init_value)
    a = init * number(segments.look_up(self.scales, left))
    b = init * number(segments.look_up(self.scales, left + 1))
    if self.interpolate_type == 'linear':
      return spans.mix(a, b, span)
    weight, other = spans.cosine_weights(span)
    return a * weight + b * other


class Table(Schedule):
  """values[n]; the last one holds on.

  Attributes:
    values: a value for each step, float32 of shape (k,).
  """

  values: Any

  def value(self, count: Any) -> Any:
    index = segments.clip_index(count, self.values.shape[0] - 1)
    return number(segments.look_up(self.values, index))

  def _stretched(self, factor: float) -> Schedule:
    if factor != int(factor):
      raise ValueError(
        f'stretch: factor must be whole for a table of values, got {factor!r}.'
      )
    return Every(schedule=self, steps=np.int32(factor))


def _scaled(parameter: Any, factor: Any) -> Any:
  """The product of two parameters, rounded to float32."""
  if twofloat.is_host(parameter) and twofloat.is_host(factor):
    return number(parameter) * number(factor)
  return twofloat.f32(parameter) * twofloat.f32(factor)

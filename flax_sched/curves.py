"""The curves: one class per formula.

Here, n is the count, T the number of steps of a span, and p = min(n / T, 1)
how much of it is done. The functions of `flax_sched.functions` check their
arguments and build these.
"""

from __future__ import annotations

import abc
from typing import Any

from flax import struct

from flax_sched import numerics
from flax_sched import spans
from flax_sched.numerics import number
from flax_sched.schedule import Schedule


class Curve(Schedule):
  """A schedule over a span of steps, that holds its end value afterwards."""

  @abc.abstractmethod
  def between(self, span: spans.Span) -> Any:
    """The value where some of a span is done and the rest remains.

    Args:
      span: the span. Only the ratio of its parts matters, so that a curve can
        be stretched to a span of another length.
    """


class Linear(Curve):
  """init_value (1 - p) + end_value p.

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `transition_steps` on.
    transition_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  transition_steps: Any

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    return spans.mix(init, end, span)

  def value(self, count: Any) -> Any:
    return self.between(spans.span(count, self.transition_steps))


class Polynomial(Curve):
  """end_value + (init_value - end_value) (1 - p)**power.

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `transition_steps` on.
    power: the exponent, above 0.
    transition_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  power: Any
  transition_steps: Any

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    weight, other = spans.power(span, number(self.power))
    return init * weight + end * other

  def value(self, count: Any) -> Any:
    return self.between(spans.span(count, self.transition_steps))


class OneMinusPower(Curve):
  """end_value + (init_value - end_value) (1 - p**power).

  With a power of 1/2, the cooldown "1 - sqrt".

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `transition_steps` on.
    power: the exponent, above 0.
    transition_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  power: Any
  transition_steps: Any

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    turned = spans.Span(span.remaining, span.done, span.whole)
    other, weight = spans.power(turned, number(self.power))
    return init * weight + end * other

  def value(self, count: Any) -> Any:
    return self.between(spans.span(count, self.transition_steps))


class Cosine(Curve):
  """end_value + (init_value - end_value) (1 + cos(pi p)) / 2.

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `decay_steps` on.
    decay_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  decay_steps: Any

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    weight, other = spans.cosine_weights(span)
    return init * weight + end * other

  def value(self, count: Any) -> Any:
    return self.between(spans.span(count, self.decay_steps))


class CosinePower(Curve):
  """end_value + (init_value - end_value) ((1 + cos(pi p)) / 2)**exponent.

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `decay_steps` on.
    exponent: the exponent, above 0.
    decay_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  exponent: Any
  decay_steps: Any

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    weight, other = spans.cosine_weights(span)
    turned = spans.Span(other, weight, numerics.number(1.0))
    weight, other = spans.power(turned, number(self.exponent))
    return init * weight + end * other

  def value(self, count: Any) -> Any:
    return self.between(spans.span(count, self.decay_steps))


class Exponential(Schedule):
  """init_value decay_rate**(n / T), bounded by end_value.

  Attributes:
    init_value: the value at count 0.
    decay_rate: the factor for each `transition_steps`, above 0.
    transition_steps: T, in steps.
    end_value: where the curve stops: the lowest value for a rate below 1, the
      highest for one above. None: nowhere.
    staircase: whether n / T is rounded down, so that the value falls in steps.
  """

  init_value: Any
  decay_rate: Any
  transition_steps: Any
  end_value: Any = None
  staircase: bool = struct.field(pytree_node=False, default=False)

  def value(self, count: Any) -> Any:
    rate = number(self.decay_rate)
    if self.staircase:
      turns = number(spans.floor_divide(count, self.transition_steps))
    else:
      turns = number(count) / number(self.transition_steps)
    exponent = turns * numerics.log2(rate)
    value = numerics.scaled_exp2(number(self.init_value), exponent)
    if self.end_value is None:
      return value
    end = number(self.end_value)
    return numerics.where(
      numerics.less(rate, 1.0),
      numerics.maximum(value, end),
      numerics.minimum(value, end),
    )


class PiecewiseConstant(Schedule):
  """init_value times the scale of the interval that n is in.

  Attributes:
    init_value: what the scales are relative to.
    boundaries: k increasing steps, int32 of shape (k,).
    scales: k + 1 factors: `scales[i]` holds before `boundaries[i]`, the last
      one from the last boundary on. Shape (k + 1,).
  """

  init_value: Any
  boundaries: Any
  scales: Any

  def value(self, count: Any) -> Any:
    index = spans.segment(self.boundaries, count)
    return numerics.scale(self.init_value, spans.look_up(self.scales, index))


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
  boundaries: Any
  scales: Any
  interpolate_type: str = struct.field(pytree_node=False)

  def value(self, count: Any) -> Any:
    last = self.scales.shape[0] - 2
    left = spans.clip_index(spans.segment(self.boundaries, count), last)
    start = spans.look_up(spans.prepend_zero(self.boundaries), left)
    end = spans.look_up(self.boundaries, left)
    span = spans.span(spans.after(count, start), end - start)
    init = number(self.init_value)
    a = init * number(spans.look_up(self.scales, left))
    b = init * number(spans.look_up(self.scales, left + 1))
    if self.interpolate_type == 'linear':
      return spans.mix(a, b, span)
    weight, other = spans.cosine_weights(span)
    return a * weight + b * other

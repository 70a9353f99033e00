"""The curves over a span of steps: one class per formula.

Here, n is the count, T the number of steps of a span, and p = min(n / T, 1)
how much of it is done. `flax_sched.shapes` and its neighbours check the
arguments and build these.
"""

from __future__ import annotations

import abc
import math
from typing import Any

import jax
import numpy as np

from flax_sched import numerics
from flax_sched import spans
from flax_sched import twofloat
from flax_sched.numerics import number
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


class Curve(Schedule):
  """A schedule over a span of steps, that holds its end value afterwards."""

  # The parameter that is the span's length.
  _length = 'transition_steps'

  @property
  def steps(self) -> Any:
    """The length of the span, in steps."""
    return getattr(self, self._length)

  @abc.abstractmethod
  def between(self, span: spans.Span) -> Any:
    """The value where some of a span is done and the rest remains.

    Args:
      span: the span. Only the ratio of its parts matters, so that a curve can
        be stretched to a span of another length.
    """

  def value(self, count: Any) -> Any:
    return self.between(spans.span(count, self.steps))

  def _repeated(self, period: Any, t_mult: Any) -> Schedule:
    if twofloat.is_host(t_mult) and t_mult == 1:
      return super()._repeated(period, t_mult)
    lengths = (self.steps, period)
    traced = any(isinstance(length, jax.core.Tracer) for length in lengths)
    if traced or not np.array_equal(*lengths):
      raise ValueError(
        f'repeat: period must be the length of the curve, {self.steps}, where '
        f't_mult is not 1, got {period} for {self!r}. sgdr_schedule takes any, '
        'and stretches the curve to it.'
      )
    return WarmRestarts(curve=self, period=period, t_mult=t_mult)


class Linear(Curve):
  """init_value (1 - p) + end_value p.

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `transition_steps` on.
    transition_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  transition_steps: Steps

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    return spans.mix(init, end, span)


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
  transition_steps: Steps

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    weight, other = spans.power(span, number(self.power))
    return init * weight + end * other


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
  transition_steps: Steps

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    turned = spans.Span(span.remaining, span.done, span.whole)
    other, weight = spans.power(turned, number(self.power))
    return init * weight + end * other


class Cosine(Curve):
  """end_value + (init_value - end_value) (1 + cos(pi p)) / 2.

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `decay_steps` on.
    decay_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  decay_steps: Steps

  _length = 'decay_steps'

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    weight, other = spans.cosine_weights(span)
    return init * weight + end * other


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
  decay_steps: Steps

  _length = 'decay_steps'

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    weight, other = spans.cosine_weights(span)
    turned = spans.Span(other, weight, numerics.number(1.0))
    weight, other = spans.power(turned, number(self.exponent))
    return init * weight + end * other


class Rational(Curve):
  """end_value + (init_value - end_value) (1 - p) / (1 - p + beta p).

  With a beta of 1/2, REX; with init_value / end_value, the inverse of a line.

  Attributes:
    init_value: the value at count 0.
    end_value: the value from `transition_steps` on.
    beta: below 1 the decay begins slowly, above 1 fast; 1 is a straight line.
    transition_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  beta: Any
  transition_steps: Steps

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    done, remaining, _ = map(number, span)
    done = number(self.beta) * done
    return (init * remaining + end * done) / (remaining + done)


class Tanh(Curve):
  """end_value + (init_value - end_value) (1 - tanh(x)) / 2.

  Here, x goes from `start` to `stop` as p goes from 0 to 1.

  Attributes:
    init_value: the value that the curve comes from.
    end_value: the value that it goes to.
    start: where on the tangent it begins.
    stop: where on the tangent it ends.
    transition_steps: T, in steps.
  """

  init_value: Any
  end_value: Any
  start: Any
  stop: Any
  transition_steps: Steps

  def between(self, span: spans.Span) -> Any:
    init, end = number(self.init_value), number(self.end_value)
    x = spans.mix(number(self.start), number(self.stop), span)
    # (1 - tanh(x)) / 2 = 1 / (1 + exp(2 x)), and exp(x) = 2**(x / ln(2)).
    grown = numerics.scaled_exp2(np.float64(1.0), x * (2 / math.log(2)))
    return (init + end * grown) / (1.0 + grown)


class KDecay(Curve):
  """Another curve, with p**k in place of p.

  Attributes:
    curve: the curve.
    k: the exponent, above 0.
  """

  curve: Curve
  k: Any

  @property
  def steps(self) -> Any:
    """The length of the curve's span, in steps."""
    return self.curve.steps

  def between(self, span: spans.Span) -> Any:
    turned = spans.Span(span.remaining, span.done, span.whole)
    done, remaining = spans.power(turned, number(self.k))
    return self.curve.between(spans.Span(done, remaining, np.float64(1.0)))


class WarmRestarts(Schedule):
  """A curve that starts again and again: SGDR.

  Cycle i lasts period * t_mult**i steps, and the curve is stretched to fill it.

  Attributes:
    curve: what each cycle goes through.
    period: the length of the first cycle, in steps.
    t_mult: each cycle is this many times as long as the one before; at least 1.
  """

  curve: Curve
  period: Steps
  t_mult: Any

  def value(self, count: Any) -> Any:
    span, _ = spans.cycle(count, self.period, number(self.t_mult))
    return self.curve.between(span)

"""The decays that have no end: one class per formula. n is the count."""

from __future__ import annotations

from typing import Any

from flax import struct

from flax_sched import numerics
from flax_sched import spans
from flax_sched import twofloat
from flax_sched.numerics import number
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


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
  transition_steps: Steps
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


class PowerLaw(Schedule):
  """init_value max((n + offset) / timescale, 1)**power.

  Attributes:
    init_value: the value where (n + offset) / timescale is 1, and before.
    power: the exponent, of either sign.
    timescale: in steps, above 0.
    offset: in steps, at least 0.
  """

  init_value: Any
  power: Any
  timescale: Steps
  offset: Steps

  def value(self, count: Any) -> Any:
    whole = twofloat.settle(number(self.timescale))
    done = numerics.maximum(number(count) + number(self.offset), whole)
    done = twofloat.settle(done)
    log = number(self.power) * numerics.log2_ratio(done, whole, whole - done)
    return numerics.scaled_exp2(number(self.init_value), log)

  def _stretched(self, factor: float) -> Schedule:
    # Not rounded: neither need be whole, and the timescale of Adafactor is 1.
    return self.replace(
      **{
        name: spans.stretched(
          getattr(self, name), factor, f'stretch: {name}', rounded=False
        )
        for name in ('timescale', 'offset')
      }
    )

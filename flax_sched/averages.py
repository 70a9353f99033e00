"""The decay rates of moving averages: of weights, and of moments.

In the formulas, n is the count of completed updates, from 0. Every function
checks its arguments and returns a `Schedule` whose numbers are float32 and
int32 leaves; each argument may also be a JAX array or a tracer, which is taken
unchecked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flax_sched import arguments
from flax_sched.compose import minimum
from flax_sched.decays import Exponential
from flax_sched.decays import PowerLaw
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


def ema_decay_schedule(decay: Any = 0.9999, offset: Steps = 10) -> Schedule:
  """The decay of an average of weights that forgets its beginnings.

  min(decay, (1 + n) / (offset + n))

  Args:
    decay: the highest decay, from 0 to 1.
    offset: the first decay is 1 / offset; in steps, at least 1.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay` is outside 0 to 1, or `offset` is not a positive
      integer.

  Source: `tf.train.ExponentialMovingAverage`, with `num_updates`.

  >>> schedule = ema_decay_schedule(0.999)
  >>> schedule(0), schedule(90), schedule(100_000)
  (np.float32(0.1), np.float32(0.91), np.float32(0.999))
  """
  name = 'ema_decay_schedule'
  steps = arguments.int32_steps(name, 'offset', offset)
  # (1 + n) / (offset + n) = 1 - (offset - 1) / (offset + n)
  rest = PowerLaw(
    init_value=(steps - np.int32(1)).astype(np.float32),
    power=np.float32(-1.0),
    timescale=np.int32(1),
    offset=steps,
  )
  highest = arguments.value(name, 'decay', decay, low=0.0, high=1.0)
  return minimum(highest, 1.0 - rest)


def bias_corrected_decay_schedule(decay: Any) -> Schedule:
  """The decay of an average that needs no correction of its bias.

  decay (1 - decay**n) / (1 - decay**(n + 1))

  An average m = b(n) m + (1 - b(n)) x with this decay is the bias-corrected one
  of Adam.

  Args:
    decay: the decay that it tends to, above 0 and below 1.

  Returns:
    The schedule: 0 at count 0.

  Raises:
    TypeError: if `decay` is not a number.
    ValueError: if it is not between 0 and 1.

  Source: D. P. Kingma, J. Ba, "Adam", 2014, arXiv:1412.6980; N. Shazeer, M.
  Stern, "Adafactor", 2018, arXiv:1804.04235, section 7.

  >>> schedule = bias_corrected_decay_schedule(0.5)
  >>> schedule(0), schedule(1), schedule(50)
  (np.float32(0.0), np.float32(0.33333334), np.float32(0.5))
  """
  name = 'bias_corrected_decay_schedule'
  rate = arguments.value(name, 'decay', decay, positive=True)
  below_1 = float(np.nextafter(np.float32(1), np.float32(0)))
  rate = arguments.value(name, 'decay', rate, high=below_1)
  left = Exponential(
    init_value=rate, decay_rate=rate, transition_steps=np.int32(1)
  )
  return (rate - left) / (1.0 - left)


def adafactor_decay_schedule(decay_rate: Any = 0.8) -> Schedule:
  """Adafactor's decay of the second moment: 1 - (n + 1)**-decay_rate.

  Args:
    decay_rate: the exponent, above 0.

  Returns:
    The schedule: 0 at count 0.

  Raises:
    TypeError: if `decay_rate` is not a number.
    ValueError: if it is not positive.

  Source: N. Shazeer, M. Stern, "Adafactor", 2018, arXiv:1804.04235.

  >>> schedule = adafactor_decay_schedule(0.5)
  >>> schedule(0), schedule(3), schedule(99)
  (np.float32(0.0), np.float32(0.5), np.float32(0.9))
  """
  name = 'adafactor_decay_schedule'
  power = arguments.value(name, 'decay_rate', decay_rate, positive=True)
  return 1.0 - PowerLaw(
    init_value=np.float32(1.0),
    power=-power,
    timescale=np.int32(1),
    offset=np.int32(1),
  )

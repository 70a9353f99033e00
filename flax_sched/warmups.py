"""Schedules that begin with a warm-up.

In the formulas, n is the count of completed updates, from 0. Every function
checks its arguments and returns a `Schedule` whose numbers are float32 and
int32 leaves; each argument may also be a JAX array or a tracer, which is taken
unchecked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flax_sched import arguments
from flax_sched import twofloat
from flax_sched.curves import Linear
from flax_sched.curves import Polynomial
from flax_sched.decays import PowerLaw
from flax_sched.forms import begin as begin_at
from flax_sched.forms import cosine
from flax_sched.forms import exponential
from flax_sched.forms import length
from flax_sched.forms import warm_up
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


def warmup_constant_schedule(
  init_value: Any, peak_value: Any, warmup_steps: Steps
) -> Schedule:
  """A straight line up to a value, which then holds.

  init_value + (peak_value - init_value) min(n / warmup_steps, 1)

  Args:
    init_value: the value at count 0.
    peak_value: the value from `warmup_steps` on.
    warmup_steps: the length of the warm-up, in steps; 0 for none.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `warmup_steps` is not an integer of at least 0, or a value is
      not finite.

  >>> warmup_constant_schedule(0.0, 0.001, 500)(250)
  np.float32(0.0005)
  """
  name = 'warmup_constant_schedule'
  peak_value = arguments.value(name, 'peak_value', peak_value)
  return warm_up(
    name, init_value, peak_value, warmup_steps, Constant(constant=peak_value)
  )


def warmup_cosine_decay_schedule(
  init_value: Any,
  peak_value: Any,
  warmup_steps: Steps,
  decay_steps: Steps,
  end_value: Any = 0.0,
  exponent: Any = 1.0,
) -> Schedule:
  """A straight line up to the peak, then half a cosine wave down.

  After the warm-up, with p = min((n - warmup_steps) / decay_steps, 1):
  end_value + (peak_value - end_value) ((1 + cos(pi p)) / 2)**exponent.

  In Optax, `decay_steps` includes the warm-up; here it counts from the peak.

  Args:
    init_value: the value at count 0.
    peak_value: the value at the end of the warm-up.
    warmup_steps: the length of the warm-up, in steps; 0 for none.
    decay_steps: the length of the decay after the warm-up, in steps.
    end_value: the value at the end of the decay, which then holds.
    exponent: the power that the cosine is raised to, above 0.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if a step count is not a positive integer (`warmup_steps` may be
      0), `exponent` is not positive, or a value is not finite.

  >>> schedule = warmup_cosine_decay_schedule(0.0, 0.001, 1000, 9000, 1e-05)
  >>> schedule(500), schedule(1000), schedule(10_000)
  (np.float32(0.0005), np.float32(0.001), np.float32(1e-05))
  """
  name = 'warmup_cosine_decay_schedule'
  peak_value = arguments.value(name, 'peak_value', peak_value)
  decay = cosine(
    name,
    peak_value,
    arguments.value(name, 'end_value', end_value),
    arguments.steps(name, 'decay_steps', decay_steps),
    exponent,
  )
  return warm_up(name, init_value, peak_value, warmup_steps, decay)


def warmup_exponential_decay_schedule(
  init_value: Any,
  peak_value: Any,
  warmup_steps: Steps,
  transition_steps: Steps,
  decay_rate: Any,
  transition_begin: Steps = 0,
  staircase: bool = False,
  end_value: Any = None,
) -> Schedule:
  """A straight line up to the peak, then an exponential decay.

  After the warm-up, with m = max(n - warmup_steps - transition_begin, 0):
  peak_value decay_rate**(m / transition_steps).

  Args:
    init_value: the value at count 0.
    peak_value: the value at the end of the warm-up.
    warmup_steps: the length of the warm-up, in steps; 0 for none.
    transition_steps: the steps between two applications of the rate.
    decay_rate: the factor for each `transition_steps`, above 0.
    transition_begin: how many steps after the warm-up the decay begins.
    staircase: whether the rate applies all at once, at the end of each
      `transition_steps`.
    end_value: the value to stop at: the lowest for a rate below 1, the highest
      for a rate above 1. None: no bound.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay_rate` is not positive, a step count is not a positive
      integer (`warmup_steps` and `transition_begin` may be 0), or a value is
      not finite.

  >>> schedule = warmup_exponential_decay_schedule(0.0, 1.0, 100, 10, 0.5)
  >>> schedule(50), schedule(100), schedule(120)
  (np.float32(0.5), np.float32(1.0), np.float32(0.25))
  """
  name = 'warmup_exponential_decay_schedule'
  peak_value = arguments.value(name, 'peak_value', peak_value)
  decay = exponential(
    name, peak_value, decay_rate, transition_steps, staircase, end_value
  )
  decay = begin_at(name, 'transition_begin', transition_begin, decay)
  return warm_up(name, init_value, peak_value, warmup_steps, decay)


def warmup_polynomial_decay_schedule(
  init_value: Any,
  peak_value: Any,
  warmup_steps: Steps,
  decay_steps: Steps,
  end_value: Any = 0.0,
  power: Any = 1.0,
) -> Schedule:
  """A straight line up to the peak, then a polynomial down: linear by default.

  After the warm-up, with p = min((n - warmup_steps) / decay_steps, 1):
  end_value + (peak_value - end_value) (1 - p)**power.

  Args:
    init_value: the value at count 0.
    peak_value: the value at the end of the warm-up.
    warmup_steps: the length of the warm-up, in steps; 0 for none.
    decay_steps: the length of the decay after the warm-up, in steps.
    end_value: the value at the end of the decay, which then holds.
    power: the exponent, above 0; 1 is a straight line.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if a step count is not a positive integer (`warmup_steps` may be
      0), `power` is not positive, or a value is not finite.

  >>> schedule = warmup_polynomial_decay_schedule(0.0, 1.0, 100, 900)
  >>> schedule(50), schedule(100), schedule(550)
  (np.float32(0.5), np.float32(1.0), np.float32(0.5))
  """
  name = 'warmup_polynomial_decay_schedule'
  peak_value = arguments.value(name, 'peak_value', peak_value)
  end = arguments.value(name, 'end_value', end_value)
  steps = arguments.steps(name, 'decay_steps', decay_steps)
  power = arguments.value(name, 'power', power, positive=True)
  decay: Schedule
  if twofloat.is_host(power) and power == 1:
    decay = Linear(init_value=peak_value, end_value=end, transition_steps=steps)
  else:
    decay = Polynomial(
      init_value=peak_value, end_value=end, power=power, transition_steps=steps
    )
  return warm_up(name, init_value, peak_value, warmup_steps, decay)


def inverse_sqrt_schedule(
  peak_value: Any,
  warmup_steps: Steps,
  timescale: Steps | None = None,
  init_value: Any = 0.0,
) -> Schedule:
  """A straight line up to the peak, then an inverse square root.

  After the warm-up, with m = n - warmup_steps:
  peak_value / sqrt(1 + m / timescale).

  With the default timescale, that is peak_value sqrt(warmup_steps / n), as in
  T5; with a peak of (model_dim warmup_steps)**-0.5, it is that of Vaswani et
  al. A timescale shifted by s, as big_vision has it, is one of timescale + s
  with the peak times sqrt(timescale / (timescale + s)).

  Args:
    peak_value: the value at the end of the warm-up.
    warmup_steps: the length of the warm-up, in steps; 0 for none.
    timescale: how fast it decays: three of them halve the value; in steps,
      above 0, not rounded. None: `warmup_steps`.
    init_value: the value at count 0.

  Returns:
    The schedule. It has no end; `.then` gives it a cooldown.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `warmup_steps` is not an integer of at least 0, `timescale`
      is not positive, or a value is not finite.

  Source: A. Vaswani et al., "Attention Is All You Need", 2017,
  arXiv:1706.03762; C. Raffel et al. (T5), 2019, arXiv:1910.10683; X. Zhai et
  al., "Scaling Vision Transformers", 2021, arXiv:2106.04560.

  >>> schedule = inverse_sqrt_schedule(0.01, 1000)
  >>> schedule(500), schedule(1000), schedule(4000)
  (np.float32(0.005), np.float32(0.01), np.float32(0.005))
  """
  name = 'inverse_sqrt_schedule'
  if timescale is None:
    hint = 'Without a warm-up, pass timescale.'
    timescale = arguments.steps(name, 'warmup_steps', warmup_steps, hint=hint)
  scale = length(name, 'timescale', timescale, positive=True)
  peak_value = arguments.value(name, 'peak_value', peak_value)
  decay = PowerLaw(
    init_value=peak_value, power=np.float32(-0.5), timescale=scale, offset=scale
  )
  return warm_up(name, init_value, peak_value, warmup_steps, decay)


def warmup_schedule(
  schedule: Any,
  warmup_steps: Steps,
  init_value: Any = 0.0,
  warmup_shape: str = 'linear',
) -> Schedule:
  """Any schedule after a warm-up that ends where it begins.

  From init_value to schedule(0) in `warmup_steps`, then
  schedule(n - warmup_steps).

  Args:
    schedule: what follows: a schedule, another callable of the count, a number.
    warmup_steps: the length of the warm-up, in steps; 0 for none.
    init_value: the value at count 0.
    warmup_shape: 'linear', 'cosine', '1-sqrt', 'square' or 'exponential', each
      the mirror image of the decay of `wsd_schedule`.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is of another type.
    ValueError: if `warmup_steps` is not an integer of at least 0, the shape is
      unknown, or a value is not finite, or not positive where the shape is
      exponential.

  Source: P. Goyal et al., "Accurate, Large Minibatch SGD", 2017,
  arXiv:1706.02677.

  >>> import flax_sched as fs
  >>> schedule = warmup_schedule(fs.exponential_decay(1.0, 0.5, 100), 10)
  >>> schedule(5), schedule(10), schedule(110)
  (np.float32(0.5), np.float32(1.0), np.float32(0.5))
  """
  name = 'warmup_schedule'
  then = as_schedule(schedule)
  return warm_up(
    name, init_value, then(0), warmup_steps, then, shape=warmup_shape
  )

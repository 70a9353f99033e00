"""Schedules of one formula.

In the formulas, n is the count of completed updates, from 0. Every function
checks its arguments and returns a `Schedule` whose numbers are float32 and
int32 leaves; each argument may also be a JAX array or a tracer, which is taken
unchecked.
"""

from __future__ import annotations

from collections.abc import Callable
import math
from typing import Any

import jax
import numpy as np

from flax_sched import arguments
from flax_sched import spans
from flax_sched import twofloat
from flax_sched.curves import Cosine
from flax_sched.curves import CosinePower
from flax_sched.curves import Curve
from flax_sched.curves import KDecay
from flax_sched.curves import Linear
from flax_sched.curves import OneMinusPower
from flax_sched.curves import Polynomial
from flax_sched.curves import Rational
from flax_sched.curves import Tanh
from flax_sched.decays import Exponential
from flax_sched.decays import PowerLaw
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.schedule import Shift
from flax_sched.spans import Steps


def constant_schedule(value: Any) -> Schedule:
  """The same value at every step.

  Args:
    value: the value.

  Returns:
    The schedule.

  Raises:
    TypeError: if `value` is not a number.
    ValueError: if it is not finite.

  >>> constant_schedule(0.001)(1000)
  np.float32(0.001)
  """
  name = 'constant_schedule'
  return Constant(constant=arguments.value(name, 'value', value))


def linear_schedule(
  init_value: Any,
  end_value: Any,
  transition_steps: Steps,
  transition_begin: Steps = 0,
) -> Schedule:
  """A straight line from one value to another.

  init_value + (end_value - init_value) min(n / transition_steps, 1)

  Args:
    init_value: the value at count 0.
    end_value: the value from the end of the transition on.
    transition_steps: how long the transition takes, in steps.
    transition_begin: the step at which it begins; `init_value` before.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if a step count is not a positive integer (`transition_begin`
      may be 0), or a value is not finite.

  >>> linear_schedule(0.001, 0.0001, 1000)(500)
  np.float32(0.00055)
  """
  name = 'linear_schedule'
  curve = Linear(
    init_value=arguments.value(name, 'init_value', init_value),
    end_value=arguments.value(name, 'end_value', end_value),
    transition_steps=arguments.steps(
      name, 'transition_steps', transition_steps
    ),
  )
  return begin(name, 'transition_begin', transition_begin, curve)


def polynomial_schedule(
  init_value: Any,
  end_value: Any,
  power: Any,
  transition_steps: Steps,
  transition_begin: Steps = 0,
) -> Schedule:
  """A polynomial from one value to another.

  end_value + (init_value - end_value) (1 - min(n / transition_steps, 1))**power

  Args:
    init_value: the value at count 0.
    end_value: the value from the end of the transition on.
    power: the exponent, above 0; 1 is a straight line.
    transition_steps: how long the transition takes, in steps.
    transition_begin: the step at which it begins; `init_value` before.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `power` is not positive, a step count is not a positive
      integer (`transition_begin` may be 0), or a value is not finite.

  >>> polynomial_schedule(1.0, 0.0, 2.0, 100)(50)
  np.float32(0.25)
  """
  name = 'polynomial_schedule'
  curve = Polynomial(
    init_value=arguments.value(name, 'init_value', init_value),
    end_value=arguments.value(name, 'end_value', end_value),
    power=arguments.value(name, 'power', power, positive=True),
    transition_steps=arguments.steps(
      name, 'transition_steps', transition_steps
    ),
  )
  return begin(name, 'transition_begin', transition_begin, curve)


def exponential_decay(
  init_value: Any,
  decay_rate: Any,
  transition_steps: Steps,
  transition_begin: Steps = 0,
  staircase: bool = False,
  end_value: Any = None,
) -> Schedule:
  """A value that is multiplied by a rate every so many steps.

  init_value decay_rate**(n / transition_steps)

  A rate close to 1 is kept as the rate of ten, a hundred... times as many
  steps, since a float32 of it would be off by a percent in the long run.

  Optax takes `transition_steps` before `decay_rate`. Swapped by habit, they are
  an error here, since step counts are positive integers.

  Args:
    init_value: the value at count 0.
    decay_rate: the factor for each `transition_steps`, above 0: 0.96 decays by
      4%, a rate above 1 grows.
    transition_steps: the steps between two applications of the rate.
    transition_begin: the step at which the decay begins; `init_value` before.
    staircase: whether the rate applies all at once, at the end of each
      `transition_steps` (n / transition_steps is rounded down).
    end_value: the value to stop at: the lowest for a rate below 1, the highest
      for a rate above 1. None: no bound.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay_rate` is not positive, a step count is not a positive
      integer (`transition_begin` may be 0), or a value is not finite.

  >>> exponential_decay(0.1, 0.5, 1000)(2000)
  np.float32(0.025)
  """
  name = 'exponential_decay'
  curve = exponential(
    name, init_value, decay_rate, transition_steps, staircase, end_value
  )
  return begin(name, 'transition_begin', transition_begin, curve)


def cosine_decay_schedule(
  init_value: Any,
  decay_steps: Steps,
  alpha: Any = 0.0,
  exponent: Any = 1.0,
  end_value: Any = None,
) -> Schedule:
  """Half a cosine wave from a value down to a fraction of it.

  init_value ((1 - alpha) ((1 + cos(pi p)) / 2)**exponent + alpha),
  where p = min(n / decay_steps, 1).

  Args:
    init_value: the value at count 0.
    decay_steps: how long the decay takes, in steps; the end value holds after.
    alpha: the end value as a fraction of `init_value`, at least 0.
    exponent: the power that the cosine is raised to, above 0.
    end_value: the end value itself, instead of `alpha`.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay_steps` is not a positive integer, `alpha` is negative
      or given beside `end_value`, `exponent` is not positive, or a value is not
      finite.

  Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
  Restarts", ICLR 2017.

  >>> cosine_decay_schedule(0.001, 1000)(500)
  np.float32(0.0005)
  """
  name = 'cosine_decay_schedule'
  init_value = arguments.value(name, 'init_value', init_value)
  end = init_value * arguments.value(name, 'alpha', alpha, low=0.0)
  if end_value is not None:
    if not twofloat.is_host(alpha) or alpha != 0:
      raise ValueError(
        f'{name}: alpha must not be given beside end_value, got '
        f'alpha={alpha!r} and end_value={end_value!r}.'
      )
    end = arguments.value(name, 'end_value', end_value)
  decay_steps = arguments.steps(name, 'decay_steps', decay_steps)
  return cosine(name, init_value, end, decay_steps, exponent)


def inverse_time_decay(
  init_value: Any, decay_rate: Any, transition_steps: Steps
) -> Schedule:
  """A value divided by a line that rises.

  init_value / (1 + decay_rate n / transition_steps)

  Args:
    init_value: the value at count 0.
    decay_rate: how much the divisor grows in `transition_steps`, above 0.
    transition_steps: the steps in which it does.

  Returns:
    The schedule. It has no end. `.every(...)` makes a staircase of it.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay_rate` is not positive, `transition_steps` is not a
      positive integer, or a value is not finite.

  Source: H. Robbins, S. Monro, "A Stochastic Approximation Method", 1951;
  `keras.optimizers.schedules.InverseTimeDecay`.

  >>> schedule = inverse_time_decay(0.1, 0.5, 1000)
  >>> schedule(0), schedule(2000)
  (np.float32(0.1), np.float32(0.05))
  """
  name = 'inverse_time_decay'
  rate = arguments.value(name, 'decay_rate', decay_rate, positive=True)
  steps = arguments.steps(name, 'transition_steps', transition_steps)
  timescale = np.float64(1.0) * steps / rate
  timescale = spans.whole(timescale.astype(np.float32))
  return PowerLaw(
    init_value=arguments.value(name, 'init_value', init_value),
    power=np.float32(-1.0),
    timescale=timescale,
    offset=timescale,
  )


def power_schedule(
  init_value: Any, power: Any, timescale: Steps, offset: Steps | None = None
) -> Schedule:
  """A power of the number of steps.

  init_value max((n + offset) / timescale, 1)**power

  With the offset left out, it falls from count 0 on. With an offset of 0, it
  holds `init_value` for `timescale` steps first, as the power scheduler does.

  Args:
    init_value: the value at count 0, and as long as the power is of 1.
    power: the exponent; -0.5 is an inverse square root.
    timescale: in how many steps the base grows by 1, above 0; not rounded.
    offset: in steps, at least 0; None: `timescale`.

  Returns:
    The schedule. It has no end.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `timescale` is not positive, `offset` is negative, or a value
      is not finite.

  Source: Y. Shen et al., "Power Scheduler: A Batch Size and Token Number
  Agnostic Learning Rate Scheduler", 2024, arXiv:2408.13359.

  >>> schedule = power_schedule(0.5, -0.5, timescale=100)
  >>> schedule(0), schedule(300)
  (np.float32(0.5), np.float32(0.25))
  >>> flat_first = power_schedule(0.5, -0.5, timescale=100, offset=0)
  >>> flat_first(100), flat_first(400)
  (np.float32(0.5), np.float32(0.25))
  """
  name = 'power_schedule'
  scale = length(name, 'timescale', timescale, positive=True)
  return PowerLaw(
    init_value=arguments.value(name, 'init_value', init_value),
    power=arguments.value(name, 'power', power),
    timescale=scale,
    offset=scale if offset is None else length(name, 'offset', offset, low=0),
  )


def rex_schedule(
  init_value: Any,
  end_value: Any,
  transition_steps: Steps,
  beta: Any = 0.5,
) -> Schedule:
  """REX: a decay that holds back at first, and falls fast in the end.

  end_value + (init_value - end_value) (1 - p) / (1 - p + beta p),
  where p = min(n / transition_steps, 1).

  Args:
    init_value: the value at count 0.
    end_value: the value from the end of the decay on.
    transition_steps: how long the decay takes, in steps.
    beta: below 1 the decay begins slowly, above 1 fast; 1 is a straight line,
      and init_value / end_value the inverse of one. Above 0.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `beta` is not positive, `transition_steps` is not a positive
      integer, or a value is not finite.

  Source: J. Chen, C. Wolfe, A. Kyrillidis, "REX: Revisiting Budgeted Training
  with an Improved Schedule", MLSys 2022, arXiv:2107.04197.

  >>> schedule = rex_schedule(1.0, 0.0, 100)
  >>> schedule(50), schedule(100)
  (np.float32(0.6666667), np.float32(0.0))
  """
  name = 'rex_schedule'
  return Rational(
    init_value=arguments.value(name, 'init_value', init_value),
    end_value=arguments.value(name, 'end_value', end_value),
    beta=arguments.value(name, 'beta', beta, positive=True),
    transition_steps=arguments.steps(
      name, 'transition_steps', transition_steps
    ),
  )


def tanh_decay_schedule(
  init_value: Any,
  end_value: Any,
  transition_steps: Steps,
  lower: Any = -6.0,
  upper: Any = 3.0,
) -> Schedule:
  """A part of a hyperbolic tangent: flat, steep, flat.

  end_value + (init_value - end_value) (1 - tanh(x)) / 2,
  where x goes from `lower` to `upper` in `transition_steps`.

  Args:
    init_value: the value that the curve comes from, far below 0.
    end_value: the value that the curve goes to, far above 0.
    transition_steps: how long the decay takes, in steps; the value there, a
      little above `end_value`, is held.
    lower: where on the tangent the decay begins, from -20 to 20.
    upper: where it ends, above `lower`.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `transition_steps` is not a positive integer, `lower` and
      `upper` are out of order or range, or a value is not finite.

  Source: B.-Y. Hsueh, W. Li, I.-C. Wu, "Stochastic Gradient Descent with
  Hyperbolic-Tangent Decay on Classification", WACV 2019, arXiv:1806.01593.

  >>> schedule = tanh_decay_schedule(1.0, 0.0, 90)
  >>> schedule(60), schedule(90)
  (np.float32(0.5), np.float32(0.0024726233))
  """
  name = 'tanh_decay_schedule'
  low = arguments.value(name, 'lower', lower, low=-20.0, high=20.0)
  high = arguments.value(name, 'upper', upper, low=-20.0, high=20.0)
  if twofloat.is_host(low) and twofloat.is_host(high) and not low < high:
    raise ValueError(
      f'{name}: upper must be above lower, got lower={lower!r} and '
      f'upper={upper!r}.'
    )
  return Tanh(
    init_value=arguments.value(name, 'init_value', init_value),
    end_value=arguments.value(name, 'end_value', end_value),
    start=low,
    stop=high,
    transition_steps=arguments.steps(
      name, 'transition_steps', transition_steps
    ),
  )


def k_decay_schedule(schedule: Schedule, k: Any) -> Schedule:
  """A curve, with the power p**k of its progress in place of p.

  Args:
    schedule: a curve over a span of steps: a cosine, linear or polynomial
      decay.
    k: the exponent: above 1 the decay begins later, below 1 sooner. Above 0.

  Returns:
    The schedule.

  Raises:
    TypeError: if `schedule` is not such a curve, or `k` is not a number.
    ValueError: if `k` is not positive.

  Source: T. Zhang, W. Li, "k-decay: A New Method for Learning Rate Schedule",
  2020, arXiv:2004.05909.

  >>> import flax_sched as fs
  >>> k_decay_schedule(fs.linear_schedule(1.0, 0.0, 100), k=2.0)(50)
  np.float32(0.75)
  """
  name = 'k_decay_schedule'
  return KDecay(
    curve=curve(name, 'schedule', schedule),
    k=arguments.value(name, 'k', k, positive=True),
  )


# ---------------------------------------------------------------------------
# What several functions share.


def curve(function: str, name: str, schedule: Any) -> Curve:
  """An argument that must be a curve, which can be stretched."""
  if not isinstance(schedule, Curve):
    raise TypeError(
      f'{function}: {name} must be a curve that can be stretched, such as '
      f'cosine_decay_schedule(0.001, 1000) of flax_sched, got {schedule!r}.'
    )
  return schedule


def begin(name: str, argument: str, steps: Any, schedule: Schedule) -> Schedule:
  """A schedule that begins at a step, where that is not the first."""
  steps = arguments.int32_steps(name, argument, steps, zero=True)
  if twofloat.is_host(steps) and steps == 0:
    return schedule
  return Shift(schedule=schedule, begin=steps)


def length(name: str, argument: str, x: Any, **limits: Any) -> Any:
  """A number of steps that need not be whole, a positive one by default."""
  if arguments.is_real(x) and np.ndim(x) == 0 and x == int(x):
    zero = 'low' in limits
    return arguments.int32_steps(name, argument, x, zero=zero)
  return arguments.value(name, argument, x, **limits)


def cosine(
  name: str, init_value: Any, end_value: Any, decay_steps: Steps, exponent: Any
) -> Curve:
  """Half a cosine wave to a power, from checked values."""
  exponent = arguments.value(name, 'exponent', exponent, positive=True)
  if twofloat.is_host(exponent) and exponent == 1:
    return Cosine(
      init_value=init_value, end_value=end_value, decay_steps=decay_steps
    )
  return CosinePower(
    init_value=init_value,
    end_value=end_value,
    exponent=exponent,
    decay_steps=decay_steps,
  )


def exponential(
  name: str,
  init_value: Any,
  decay_rate: Any,
  transition_steps: Steps,
  staircase: bool,
  end_value: Any,
) -> Schedule:
  """An exponential decay from an initial value that is checked or not."""
  hint = ''
  if name == 'exponential_decay':
    hint = (
      'The order is (init_value, decay_rate, transition_steps); '
      'optax.exponential_decay takes (init_value, transition_steps, '
      'decay_rate).'
    )
  if not isinstance(staircase, (bool, np.bool_)):
    raise TypeError(f'{name}: staircase must be a bool, got {staircase!r}.')
  steps = arguments.steps(name, 'transition_steps', transition_steps, hint=hint)
  rate = arguments.value(name, 'decay_rate', decay_rate, positive=True)
  if not isinstance(decay_rate, jax.Array) and (not staircase or steps == 1):
    rate, steps = _longer(float(decay_rate), steps)
  if end_value is not None:
    end_value = arguments.value(name, 'end_value', end_value)
  return Exponential(
    init_value=arguments.value(name, 'init_value', init_value),
    decay_rate=rate,
    transition_steps=steps,
    end_value=end_value,
    staircase=bool(staircase),
  )


def _longer(rate: float, steps: Any) -> tuple[Any, Any]:
  """The same decay by rates over longer times, where a rate is close to 1.

  A float32 of 0.999999 is off by 1e-8: after a million steps, by 1%.
  """
  while abs(math.log(rate)) < 0.02 and rate != 1 and steps < 10**8:
    rate, steps = rate**10, np.int32(steps * 10)
  return np.float32(rate), steps


_POWERS = {'1-sqrt': np.float32(0.5), 'square': np.float32(2.0)}


def _one_minus(shape: str) -> Callable[..., Schedule]:
  return lambda init, end, steps: OneMinusPower(
    init_value=init,
    end_value=end,
    power=_POWERS[shape],
    transition_steps=steps,
  )


def _geometric(init: Any, end: Any, steps: Any) -> Schedule:
  rate = end / init
  if twofloat.is_host(rate) and np.ndim(rate) == 0:
    # Rounded away from 1, so that it arrives, and the end value is held.
    arrives = np.float64(init) * np.float64(rate)
    short = arrives > end if rate < 1 else arrives < end
    beyond = np.float32(0.0 if rate < 1 else np.inf)
    rate = np.nextafter(rate, beyond) if short else rate
  return Exponential(
    init_value=init, decay_rate=rate, transition_steps=steps, end_value=end
  )


DECAY_SHAPES: dict[str, Callable[..., Schedule]] = {
  'linear': lambda init, end, steps: Linear(
    init_value=init, end_value=end, transition_steps=steps
  ),
  'cosine': lambda init, end, steps: Cosine(
    init_value=init, end_value=end, decay_steps=steps
  ),
  '1-sqrt': _one_minus('1-sqrt'),
  'square': _one_minus('square'),
  'exponential': _geometric,
}


def shaped(
  function: str,
  argument: str,
  shape: str,
  init: Any,
  end: Any,
  steps: Any,
  *,
  mirrored: bool = False,
) -> Schedule:
  """A decay of a named shape, or its mirror image in time: a warm-up.

  Args:
    function: the function to name in errors.
    argument: the argument to name in errors.
    shape: one of `DECAY_SHAPES`.
    init: the value at count 0, checked.
    end: the value from `steps` on, checked.
    steps: the length, checked.
    mirrored: whether it is a warm-up.

  Raises:
    ValueError: if the shape is unknown, or an exponential one meets a value
      that is not positive.
  """
  if shape not in DECAY_SHAPES:
    raise ValueError(
      f'{function}: {argument} must be one of '
      f'{", ".join(map(repr, DECAY_SHAPES))}, got {shape!r}.'
    )
  if shape == 'exponential':
    for x in (init, end):
      if twofloat.is_host(x) and not np.all(x > 0):
        raise ValueError(
          f'{function}: the values must be positive where {argument} is '
          f"'exponential', got {init!r} and {end!r}."
        )
  if mirrored and shape in _POWERS:
    return Polynomial(
      init_value=init,
      end_value=end,
      power=_POWERS[shape],
      transition_steps=steps,
    )
  return DECAY_SHAPES[shape](init, end, steps)

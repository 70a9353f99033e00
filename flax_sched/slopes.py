"""Further decays, of one formula each.

In the formulas, n is the count of completed updates, from 0. Every function
checks its arguments and returns a `Schedule` whose numbers are float32 and
int32 leaves; each argument may also be a JAX array or a tracer, which is taken
unchecked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flax_sched import arguments
from flax_sched import spans
from flax_sched import twofloat
from flax_sched.curves import KDecay
from flax_sched.curves import Rational
from flax_sched.curves import Tanh
from flax_sched.decays import PowerLaw
from flax_sched.forms import curve
from flax_sched.forms import length
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


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

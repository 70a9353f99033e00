"""The functions that build schedules: they check their arguments first.

In the formulas, n is the count of completed updates, from 0. Every function
returns a `Schedule` whose numbers are float32 and int32 leaves; each argument
may also be a JAX array or a tracer, which is taken unchecked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flax_sched import arguments
from flax_sched import twofloat
from flax_sched.compose import Join
from flax_sched.compose import Shift
from flax_sched.compose import WarmRestarts
from flax_sched.curves import Cosine
from flax_sched.curves import CosinePower
from flax_sched.curves import Curve
from flax_sched.curves import Exponential
from flax_sched.curves import Linear
from flax_sched.curves import PiecewiseConstant
from flax_sched.curves import PiecewiseInterpolate
from flax_sched.curves import Polynomial
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule


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
  transition_steps: Any,
  transition_begin: Any = 0,
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
  return _begin(name, 'transition_begin', transition_begin, curve)


def polynomial_schedule(
  init_value: Any,
  end_value: Any,
  power: Any,
  transition_steps: Any,
  transition_begin: Any = 0,
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
  return _begin(name, 'transition_begin', transition_begin, curve)


def exponential_decay(
  init_value: Any,
  decay_rate: Any,
  transition_steps: Any,
  transition_begin: Any = 0,
  staircase: bool = False,
  end_value: Any = None,
) -> Schedule:
  """A value that is multiplied by a rate every so many steps.

  init_value decay_rate**(n / transition_steps)

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
  curve = _exponential(
    name, init_value, decay_rate, transition_steps, staircase, end_value
  )
  return _begin(name, 'transition_begin', transition_begin, curve)


def cosine_decay_schedule(
  init_value: Any,
  decay_steps: Any,
  alpha: Any = 0.0,
  exponent: Any = 1.0,
) -> Schedule:
  """Half a cosine wave from a value down to a fraction of it.

  init_value ((1 - alpha) ((1 + cos(pi p)) / 2)**exponent + alpha),
  where p = min(n / decay_steps, 1).

  Args:
    init_value: the value at count 0.
    decay_steps: how long the decay takes, in steps; the end value holds after.
    alpha: the end value as a fraction of `init_value`, at least 0.
    exponent: the power that the cosine is raised to, above 0.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay_steps` is not a positive integer, `alpha` is negative,
      `exponent` is not positive, or a value is not finite.

  Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
  Restarts", ICLR 2017.

  >>> cosine_decay_schedule(0.001, 1000)(500)
  np.float32(0.0005)
  """
  name = 'cosine_decay_schedule'
  init_value = arguments.value(name, 'init_value', init_value)
  alpha = arguments.value(name, 'alpha', alpha, low=0.0)
  decay_steps = arguments.steps(name, 'decay_steps', decay_steps)
  return _cosine(name, init_value, init_value * alpha, decay_steps, exponent)


def cosine_onecycle_schedule(
  transition_steps: Any,
  peak_value: Any,
  pct_start: Any = 0.3,
  pct_final: Any = 0.85,
  final_div_factor: Any = 1e4,
  div_factor: Any = 25.0,
) -> Schedule:
  """One cycle in three phases, each half a cosine wave.

  From peak_value / div_factor up to the peak at pct_start, back down at
  pct_final, and on to peak_value / (div_factor final_div_factor) at the end.

  Args:
    transition_steps: the length of the whole cycle, in steps.
    peak_value: the highest value.
    pct_start: the fraction of the cycle (0 to 1) at which the peak is reached.
    pct_final: the fraction of the cycle at which the first value is reached
      again; above `pct_start`, at most 1.
    final_div_factor: the first value over the last one, above 0.
    div_factor: the peak over the first value, above 0.

  Returns:
    The schedule. However short the cycle is, the peak is one of its values.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `transition_steps` is not a positive integer, a fraction is
      outside 0 to 1 or out of order, or a factor is not positive.

  Source: L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of
  Neural Networks Using Large Learning Rates", 2018, arXiv:1708.07120.

  >>> schedule = cosine_onecycle_schedule(5000, peak_value=0.01)
  >>> schedule(1500), schedule(4250), schedule(5000)
  (np.float32(0.01), np.float32(0.0004), np.float32(4e-08))
  """
  return _onecycle(
    'cosine_onecycle_schedule',
    'cosine',
    transition_steps,
    peak_value,
    pct_start,
    pct_final,
    final_div_factor,
    div_factor,
  )


def piecewise_constant_schedule(
  boundaries_and_scales: Mapping[Any, Any], init_value: Any = 1.0
) -> Schedule:
  """A value for each interval of steps.

  init_value times the scale of the first boundary above n; the last scale holds
  on. In Optax, scales multiply up, and each applies from its boundary on.

  Args:
    boundaries_and_scales: maps each boundary, in steps, to the scale that holds
      until it. Scales are relative to `init_value`.
    init_value: the value of scale 1.

  Returns:
    The schedule.

  Raises:
    TypeError: if `boundaries_and_scales` is not a mapping from steps to
      numbers.
    ValueError: if it is empty, a boundary is not a positive integer, or a scale
      is negative or not finite.

  >>> schedule = piecewise_constant_schedule({500: 1.0, 1000: 0.5, 1500: 0.1})
  >>> schedule(499), schedule(500), schedule(2000)
  (np.float32(1.0), np.float32(0.5), np.float32(0.1))
  """
  name = 'piecewise_constant_schedule'
  boundaries, scales = arguments.boundaries_and_scales(
    name, boundaries_and_scales
  )
  return PiecewiseConstant(
    init_value=arguments.value(name, 'init_value', init_value),
    boundaries=boundaries[:-1],  # nothing changes at the last one
    scales=scales,
  )


def piecewise_interpolate_schedule(
  interpolate_type: str,
  init_value: Any,
  boundaries_and_scales: Mapping[Any, Any],
) -> Schedule:
  """Values at given steps, and a smooth way from each to the next.

  The knots are init_value at count 0 and init_value times the scale at each
  boundary; the last one holds on. In Optax, scales multiply up.

  Args:
    interpolate_type: 'linear', or 'cosine' for half a cosine wave between
      neighbouring knots.
    init_value: the value at count 0, and of scale 1.
    boundaries_and_scales: maps each boundary, in steps, to the scale there.

  Returns:
    The schedule.

  Raises:
    TypeError: if `boundaries_and_scales` is not a mapping from steps to
      numbers.
    ValueError: if `interpolate_type` is another, the mapping is empty, a
      boundary is not a positive integer, or a scale is negative or not finite.

  >>> schedule = piecewise_interpolate_schedule('linear', 0.5, {100: 1, 200: 0})
  >>> schedule(100), schedule(150), schedule(200)
  (np.float32(0.5), np.float32(0.25), np.float32(0.0))
  """
  name = 'piecewise_interpolate_schedule'
  if interpolate_type not in ('linear', 'cosine'):
    raise ValueError(
      f"{name}: interpolate_type must be 'linear' or 'cosine', got "
      f'{interpolate_type!r}.'
    )
  boundaries, scales = arguments.boundaries_and_scales(
    name, boundaries_and_scales
  )
  return PiecewiseInterpolate(
    init_value=arguments.value(name, 'init_value', init_value),
    boundaries=boundaries,
    scales=arguments.stack([np.float32(1.0), *scales]),
    interpolate_type=interpolate_type,
  )


def warmup_constant_schedule(
  init_value: Any, peak_value: Any, warmup_steps: Any
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
  return _warm_up(
    name, init_value, peak_value, warmup_steps, Constant(constant=peak_value)
  )


def warmup_cosine_decay_schedule(
  init_value: Any,
  peak_value: Any,
  warmup_steps: Any,
  decay_steps: Any,
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
  decay = _cosine(
    name,
    peak_value,
    arguments.value(name, 'end_value', end_value),
    arguments.steps(name, 'decay_steps', decay_steps),
    exponent,
  )
  return _warm_up(name, init_value, peak_value, warmup_steps, decay)


def warmup_exponential_decay_schedule(
  init_value: Any,
  peak_value: Any,
  warmup_steps: Any,
  transition_steps: Any,
  decay_rate: Any,
  transition_begin: Any = 0,
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
  decay = _exponential(
    name, peak_value, decay_rate, transition_steps, staircase, end_value
  )
  decay = _begin(name, 'transition_begin', transition_begin, decay)
  return _warm_up(name, init_value, peak_value, warmup_steps, decay)


def linear_onecycle_schedule(
  transition_steps: Any,
  peak_value: Any,
  pct_start: Any = 0.3,
  pct_final: Any = 0.85,
  final_div_factor: Any = 1e4,
  div_factor: Any = 25.0,
) -> Schedule:
  """One cycle in three phases, each a straight line.

  From peak_value / div_factor up to the peak at pct_start, back down at
  pct_final, and on to peak_value / (div_factor final_div_factor) at the end.

  Args:
    transition_steps: the length of the whole cycle, in steps.
    peak_value: the highest value.
    pct_start: the fraction of the cycle (0 to 1) at which the peak is reached.
    pct_final: the fraction of the cycle at which the first value is reached
      again; above `pct_start`, at most 1.
    final_div_factor: the first value over the last one, above 0.
    div_factor: the peak over the first value, above 0.

  Returns:
    The schedule. However short the cycle is, the peak is one of its values.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `transition_steps` is not a positive integer, a fraction is
      outside 0 to 1 or out of order, or a factor is not positive.

  Source: L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of
  Neural Networks Using Large Learning Rates", 2018, arXiv:1708.07120.

  >>> schedule = linear_onecycle_schedule(transition_steps=100, peak_value=1.0)
  >>> schedule(30), schedule(85), schedule(100)
  (np.float32(1.0), np.float32(0.04), np.float32(4e-06))
  """
  return _onecycle(
    'linear_onecycle_schedule',
    'linear',
    transition_steps,
    peak_value,
    pct_start,
    pct_final,
    final_div_factor,
    div_factor,
  )


def sgdr_schedule(
  cosine_decay_schedule: Schedule, restart_period: Any, t_mult: Any = 1.0
) -> Schedule:
  """Warm restarts: a curve again and again, each time over a longer cycle.

  Cycle i lasts restart_period t_mult**i steps, and the curve is stretched to
  fill it, whatever its own length.

  Args:
    cosine_decay_schedule: what each cycle goes through: a cosine decay, or
      another curve over a span of steps (linear, polynomial).
    restart_period: the length of the first cycle, in steps.
    t_mult: each cycle is this many times as long as the one before; at least 1.

  Returns:
    The schedule.

  Raises:
    TypeError: if `cosine_decay_schedule` is not such a curve.
    ValueError: if `restart_period` is not a positive integer, or `t_mult` is
      below 1.

  Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
  Restarts", ICLR 2017.

  >>> import flax_sched as fs
  >>> schedule = sgdr_schedule(fs.cosine_decay_schedule(0.001, 1000), 1000, 2.0)
  >>> schedule(1000), schedule(2000), schedule(3000)
  (np.float32(0.001), np.float32(0.0005), np.float32(0.001))
  """
  name = 'sgdr_schedule'
  if not isinstance(cosine_decay_schedule, Curve):
    raise TypeError(
      f'{name}: cosine_decay_schedule must be a curve that can be stretched, '
      'such as cosine_decay_schedule(0.001, 1000) of flax_sched, got '
      f'{cosine_decay_schedule!r}.'
    )
  return WarmRestarts(
    curve=cosine_decay_schedule,
    period=arguments.int32_steps(name, 'restart_period', restart_period),
    t_mult=arguments.value(name, 't_mult', t_mult, low=1.0),
  )


def join_schedules(
  schedules: Sequence[Schedule | Callable[[Any], Any] | float],
  boundaries: Sequence[Any],
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


# ---------------------------------------------------------------------------
# What several of them share.


def _begin(
  name: str, argument: str, begin: Any, schedule: Schedule
) -> Schedule:
  begin = arguments.int32_steps(name, argument, begin, zero=True)
  if twofloat.is_host(begin) and begin == 0:
    return schedule
  return Shift(schedule=schedule, begin=begin)


def _warm_up(
  name: str, init_value: Any, peak_value: Any, warmup_steps: Any, then: Schedule
) -> Schedule:
  steps = arguments.int32_steps(name, 'warmup_steps', warmup_steps, zero=True)
  warmup = Linear(
    init_value=arguments.value(name, 'init_value', init_value),
    end_value=peak_value,
    transition_steps=steps,
  )
  return Join(
    schedules=(warmup, then), boundaries=arguments.stack([steps], np.int32)
  )


def _cosine(
  name: str, init_value: Any, end_value: Any, decay_steps: Any, exponent: Any
) -> Schedule:
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


def _exponential(
  name: str,
  init_value: Any,
  decay_rate: Any,
  transition_steps: Any,
  staircase: bool,
  end_value: Any,
) -> Schedule:
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
  if end_value is not None:
    end_value = arguments.value(name, 'end_value', end_value)
  return Exponential(
    init_value=arguments.value(name, 'init_value', init_value),
    decay_rate=rate,
    transition_steps=steps,
    end_value=end_value,
    staircase=bool(staircase),
  )


def _onecycle(
  name: str,
  interpolate_type: str,
  transition_steps: Any,
  peak_value: Any,
  pct_start: Any,
  pct_final: Any,
  final_div_factor: Any,
  div_factor: Any,
) -> Schedule:
  steps = arguments.int32_steps(name, 'transition_steps', transition_steps)
  boundaries = arguments.fractions(
    name, {'pct_start': pct_start, 'pct_final': pct_final}, steps
  )
  div = arguments.value(name, 'div_factor', div_factor, positive=True)
  final_div = arguments.value(
    name, 'final_div_factor', final_div_factor, positive=True
  )
  scales = [1 / div, np.float32(1.0), 1 / div, 1 / div / final_div]
  return PiecewiseInterpolate(
    init_value=arguments.value(name, 'peak_value', peak_value),
    boundaries=boundaries,
    scales=arguments.stack(scales),
    interpolate_type=interpolate_type,
  )

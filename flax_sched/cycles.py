"""Schedules that go up and down: one cycle, or many.

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
from flax_sched.curves import WarmRestarts
from flax_sched.forms import curve
from flax_sched.forms import exponential
from flax_sched.forms import total
from flax_sched.pieces import interpolation
from flax_sched.schedule import Constant
from flax_sched.schedule import PerCycle
from flax_sched.schedule import Repeat
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps
from flax_sched.tables import PiecewiseInterpolate


def cosine_onecycle_schedule(
  transition_steps: Steps,
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
      again; above `pct_start`, at most 1. None: two phases, from the peak to
      the last value at once.
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


def linear_onecycle_schedule(
  transition_steps: Steps,
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
      again; above `pct_start`, at most 1. None: two phases, from the peak to
      the last value at once.
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


def onecycle_momentum_schedule(
  transition_steps: Steps,
  base_momentum: Any = 0.85,
  max_momentum: Any = 0.95,
  pct_start: Any = 0.3,
  pct_final: Any = 0.85,
  interpolate_type: str = 'cosine',
) -> Schedule:
  """The momentum to go with a one-cycle learning rate: low where that is high.

  From max_momentum down to base_momentum at pct_start, back up at pct_final,
  and on at max_momentum.

  Args:
    transition_steps: the length of the whole cycle, in steps.
    base_momentum: the lowest value.
    max_momentum: the highest value.
    pct_start: the fraction of the cycle (0 to 1) at which the lowest value is
      reached.
    pct_final: the fraction at which the highest is reached again; above
      `pct_start`, at most 1. None: at the end.
    interpolate_type: 'cosine' or 'linear', as the learning rate's.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `transition_steps` is not a positive integer, a fraction is
      outside 0 to 1 or out of order, or `interpolate_type` is another.

  Source: L. N. Smith, "A disciplined approach to neural network
  hyper-parameters: Part 1", 2018, arXiv:1803.09820.

  >>> schedule = onecycle_momentum_schedule(100)
  >>> schedule(0), schedule(30), schedule(85)
  (np.float32(0.95), np.float32(0.85), np.float32(0.95))
  """
  name = 'onecycle_momentum_schedule'
  low = arguments.value(name, 'base_momentum', base_momentum)
  high = arguments.value(name, 'max_momentum', max_momentum)
  return _three_phases(
    name,
    interpolate_type,
    transition_steps,
    np.float32(1.0),
    {'pct_start': pct_start, 'pct_final': pct_final},
    [high, low, high, high],
  )


def cyclic_schedule(
  init_value: Any,
  peak_value: Any,
  up_steps: Steps,
  down_steps: Steps | None = None,
  mode: str = 'triangular',
  gamma: Any = 1.0,
) -> Schedule:
  """Up and down in straight lines, again and again.

  init_value + (peak_value - init_value) x(n) scale(n), where x goes from 0 to 1
  in `up_steps` and back in `down_steps`, and scale is 1 ('triangular'), halved
  from each cycle to the next ('triangular2'), or gamma**n ('exp_range').

  Args:
    init_value: the lowest value.
    peak_value: the highest value of the first cycle.
    up_steps: how long it rises, in steps.
    down_steps: how long it falls, in steps; None: as long as it rises.
    mode: 'triangular', 'triangular2' or 'exp_range'.
    gamma: the factor per step of 'exp_range', above 0.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if a step count is not a positive integer, `mode` is another,
      `gamma` is not positive or given to another mode, or a value is not
      finite.

  Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks",
  WACV 2017, arXiv:1506.01186.

  >>> schedule = cyclic_schedule(0.1, 0.5, 10, mode='triangular2')
  >>> schedule(0), schedule(10), schedule(30)
  (np.float32(0.1), np.float32(0.5), np.float32(0.3))
  """
  name = 'cyclic_schedule'
  if mode not in ('triangular', 'triangular2', 'exp_range'):
    raise ValueError(
      f"{name}: mode must be 'triangular', 'triangular2' or 'exp_range', got "
      f'{mode!r}.'
    )
  if mode != 'exp_range' and not (twofloat.is_host(gamma) and gamma == 1):
    raise ValueError(
      f"{name}: gamma is for mode='exp_range', got gamma={gamma!r} with "
      f'mode={mode!r}.'
    )
  low = arguments.value(name, 'init_value', init_value)
  high = arguments.value(name, 'peak_value', peak_value)
  up = arguments.int32_steps(name, 'up_steps', up_steps)
  down = up
  if down_steps is not None:
    down = arguments.int32_steps(name, 'down_steps', down_steps)
  period = total(name, 'up_steps + down_steps', up, down)
  plain = mode == 'triangular'
  triangle = PiecewiseInterpolate(
    init_value=np.float32(1.0),
    boundaries=arguments.stack([up, period], np.int32),
    scales=arguments.stack([low, high, low] if plain else [0.0, 1.0, 0.0]),
    interpolate_type='linear',
  )
  cycle = Repeat(schedule=triangle, period=period)
  if plain:
    return cycle
  if mode == 'triangular2':
    scale: Schedule = PerCycle(
      factor=np.float32(0.5), period=period, t_mult=np.float32(1.0)
    )
  else:
    arguments.value(name, 'gamma', gamma, positive=True)
    scale = exponential(name, 1.0, gamma, 1, False, None)
  return low + (Constant(constant=high) - low) * cycle * scale


def sgdr_schedule(
  cosine_decay_schedule: Schedule, restart_period: Steps, t_mult: Any = 1.0
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
  return WarmRestarts(
    curve=curve(name, 'cosine_decay_schedule', cosine_decay_schedule),
    period=arguments.int32_steps(name, 'restart_period', restart_period),
    t_mult=arguments.value(name, 't_mult', t_mult, low=1.0),
  )


def _onecycle(
  name: str,
  interpolate_type: str,
  transition_steps: Steps,
  peak_value: Any,
  pct_start: Any,
  pct_final: Any,
  final_div_factor: Any,
  div_factor: Any,
) -> Schedule:
  div = arguments.value(name, 'div_factor', div_factor, positive=True)
  final_div = arguments.value(
    name, 'final_div_factor', final_div_factor, positive=True
  )
  return _three_phases(
    name,
    interpolate_type,
    transition_steps,
    arguments.value(name, 'peak_value', peak_value),
    {'pct_start': pct_start, 'pct_final': pct_final},
    [1 / div, np.float32(1.0), 1 / div, 1 / div / final_div],
  )


def _three_phases(
  name: str,
  interpolate_type: str,
  transition_steps: Steps,
  value: Any,
  pct: dict[str, Any],
  scales: list[Any],
) -> Schedule:
  steps = arguments.int32_steps(name, 'transition_steps', transition_steps)
  if pct['pct_final'] is None:
    pct, scales = {'pct_start': pct['pct_start']}, [*scales[:2], scales[3]]
  boundaries = arguments.fractions(name, pct, steps)
  return PiecewiseInterpolate(
    init_value=value,
    boundaries=boundaries,
    scales=arguments.stack(scales),
    interpolate_type=interpolation(name, interpolate_type),
  )

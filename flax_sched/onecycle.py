"""Schedules of one cycle: up, and down again.

In the formulas, n is the count of completed updates, from 0. Every function
checks its arguments and returns a `Schedule` whose numbers are float32 and
int32 leaves; each argument may also be a JAX array or a tracer, which is taken
unchecked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flax_sched import arguments
from flax_sched.pieces import interpolation
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

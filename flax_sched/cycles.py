"""Schedules that go up and down again and again.

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
from flax_sched.schedule import Constant
from flax_sched.schedule import PerCycle
from flax_sched.schedule import Repeat
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps
from flax_sched.tables import PiecewiseInterpolate


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

"""Schedules of given values at given steps.

In the formulas, n is the count of completed updates, from 0. Every function
checks its arguments and returns a `Schedule` whose numbers are float32 and
int32 leaves; each argument may also be a JAX array or a tracer, which is taken
unchecked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from flax_sched import arguments
from flax_sched import twofloat
from flax_sched.decays import Exponential
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps
from flax_sched.tables import PiecewiseConstant
from flax_sched.tables import PiecewiseInterpolate
from flax_sched.tables import Table


def piecewise_constant_schedule(
  boundaries_and_scales: Mapping[Steps, Any], init_value: Any = 1.0
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
  boundaries_and_scales: Mapping[Steps, Any],
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
  boundaries, scales = arguments.boundaries_and_scales(
    name, boundaries_and_scales
  )
  return PiecewiseInterpolate(
    init_value=arguments.value(name, 'init_value', init_value),
    boundaries=boundaries,
    scales=arguments.stack([np.float32(1.0), *scales]),
    interpolate_type=interpolation(name, interpolate_type),
  )


def multistep_schedule(
  init_value: Any, boundaries: Sequence[Steps], gamma: Any = 0.1
) -> Schedule:
  """A value that is multiplied by a factor at each of several steps.

  init_value gamma**k, where k of the boundaries are at most n.

  Args:
    init_value: the value before the first boundary.
    boundaries: the steps from which another factor applies, strictly
      increasing.
    gamma: the factor, above 0.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if the boundaries are not non-negative integers in increasing
      order, or `gamma` is not positive.

  Source: K. He et al., "Deep Residual Learning for Image Recognition", 2015,
  arXiv:1512.03385; `torch.optim.lr_scheduler.MultiStepLR`.

  >>> schedule = multistep_schedule(0.1, [300, 600], gamma=0.5)
  >>> schedule(299), schedule(300), schedule(600)
  (np.float32(0.1), np.float32(0.05), np.float32(0.025))
  """
  name = 'multistep_schedule'
  steps = arguments.boundaries(name, 'boundaries', tuple(boundaries))
  rate = arguments.value(name, 'gamma', gamma, positive=True)
  exponents = np.arange(len(steps) + 1)
  if twofloat.is_host(rate):
    scales = (np.float64(rate) ** exponents).astype(np.float32)
  else:
    scales = rate ** exponents.astype(np.float32)
  return PiecewiseConstant(
    init_value=arguments.value(name, 'init_value', init_value),
    boundaries=steps,
    scales=scales,
  )


def step_schedule(
  init_value: Any, step_size: Steps, gamma: Any = 0.1
) -> Schedule:
  """A value that is multiplied by a factor every so many steps.

  init_value gamma**floor(n / step_size)

  Args:
    init_value: the first value.
    step_size: how many steps each value holds.
    gamma: the factor, above 0.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `step_size` is not a positive integer, or `gamma` is not
      positive.

  Source: `torch.optim.lr_scheduler.StepLR`.

  >>> schedule = step_schedule(0.1, 30, gamma=0.5)
  >>> schedule(29), schedule(30), schedule(60)
  (np.float32(0.1), np.float32(0.05), np.float32(0.025))
  """
  name = 'step_schedule'
  return Exponential(
    init_value=arguments.value(name, 'init_value', init_value),
    decay_rate=arguments.value(name, 'gamma', gamma, positive=True),
    transition_steps=arguments.steps(name, 'step_size', step_size),
    staircase=True,
  )


def table_schedule(values: Sequence[Any]) -> Schedule:
  """The values of a table: one for each step, or `.every(k)` for k steps.

  values[n]; the last one holds on.

  Args:
    values: the values, one or more.

  Returns:
    The schedule.

  Raises:
    TypeError: if a value is not a number.
    ValueError: if there is none, or one is not finite.

  >>> schedule = table_schedule([0.1, 0.3, 0.2]).every(100)
  >>> schedule(99), schedule(100), schedule(1000)
  (np.float32(0.1), np.float32(0.3), np.float32(0.2))
  """
  name = 'table_schedule'
  if isinstance(values, (jax.Array, np.ndarray)):
    if np.ndim(values) != 1 or not len(values):
      raise ValueError(
        f'{name}: values must be a sequence of numbers, got an array of shape '
        f'{np.shape(values)}.'
      )
    return Table(values=arguments.value(name, 'values', values))
  if not len(values):
    raise ValueError(f'{name}: values must not be empty, got {values!r}.')
  return Table(
    values=arguments.stack(
      [arguments.value(name, f'values[{i}]', x) for i, x in enumerate(values)]
    )
  )


def interpolation(function: str, interpolate_type: str) -> str:
  """The argument `interpolate_type`, checked."""
  if interpolate_type not in ('linear', 'cosine'):
    raise ValueError(
      f"{function}: interpolate_type must be 'linear' or 'cosine', got "
      f'{interpolate_type!r}.'
    )
  return interpolate_type

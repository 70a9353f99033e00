"""The names of `optax.schedules`, with Optax's own signatures.

`from flax_sched import optax_compat` does where `from optax import schedules`
did: the program trains the same. What the functions return are this library's
schedules: pytrees, exact, with a cost that does not grow with their pieces.

Each function first asks Optax's: for its errors and log messages, and for the
schedule itself where the arguments are beyond what the classes here describe (a
negative decay rate, a tracer as a number of steps, boundaries out of order).
There, the result is a `Function` of Optax's schedule.

One thing is stricter: a count is an integer. A fraction of one is a TypeError,
where Optax interpolates.

>>> from flax_sched import optax_compat
>>> optax_compat.exponential_decay(0.1, transition_steps=10, decay_rate=0.5)
Exponential(init_value=0.1, decay_rate=0.5, transition_steps=10, ...)
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import inspect
import math
from typing import Any, cast, TypeVar

import numpy as np
from optax import schedules
from optax.schedules import inject_hyperparams
from optax.schedules import inject_stateful_hyperparams
from optax.schedules import InjectHyperparamsState
from optax.schedules import InjectStatefulHyperparamsState
from optax.schedules import Schedule
from optax.schedules import StatefulSchedule
from optax.schedules import WrappedSchedule

from flax_sched import arguments
from flax_sched import compose
from flax_sched import numerics
from flax_sched import schedule as schedule_lib
from flax_sched import shapes
from flax_sched import twofloat
from flax_sched import warmups
from flax_sched.schedule import as_schedule
from flax_sched.tables import PiecewiseConstant
from flax_sched.tables import PiecewiseInterpolate

__all__ = [
  'InjectHyperparamsState',
  'InjectStatefulHyperparamsState',
  'Schedule',
  'StatefulSchedule',
  'WrappedSchedule',
  'constant_schedule',
  'cosine_decay_schedule',
  'cosine_onecycle_schedule',
  'exponential_decay',
  'inject_hyperparams',
  'inject_stateful_hyperparams',
  'join_schedules',
  'linear_onecycle_schedule',
  'linear_schedule',
  'piecewise_constant_schedule',
  'piecewise_interpolate_schedule',
  'polynomial_schedule',
  'sgdr_schedule',
  'warmup_constant_schedule',
  'warmup_cosine_decay_schedule',
  'warmup_exponential_decay_schedule',
]


class AsGiven(schedule_lib.Schedule):
  """A constant that comes back as it was given: an integer stays one.

  Attributes:
    constant: the value.
  """

  constant: Any

  def value(self, count: Any) -> Any:
    return numerics.number(self.constant)

  def __call__(self, count: Any) -> Any:
    return self.constant


_Builder = TypeVar('_Builder', bound=Callable[..., Any])


def _as_in_optax(build: _Builder) -> _Builder:
  """Optax's function of that name, returning what `build` makes of it."""
  theirs = getattr(schedules, build.__name__)

  @functools.wraps(build)
  def function(*args: Any, **kwargs: Any) -> Any:
    schedule = theirs(*args, **kwargs)
    try:
      return build(*args, **kwargs)
    except (TypeError, ValueError):
      return as_schedule(schedule)

  return _sign(cast(_Builder, function))


def _sign(function: _Builder) -> _Builder:
  """With the parameters' names, order and defaults that Optax's has."""
  theirs = getattr(schedules, function.__name__)
  vars(function)['__signature__'] = inspect.signature(theirs)
  return function


@_as_in_optax
def constant_schedule(value: Any) -> Any:
  """As `optax.constant_schedule`."""
  return AsGiven(constant=value)


@_as_in_optax
def linear_schedule(
  init_value: Any,
  end_value: Any,
  transition_steps: Any,
  transition_begin: Any = 0,
) -> Any:
  """As `optax.linear_schedule`: constant for a non-positive transition."""
  if transition_steps <= 0:
    return AsGiven(constant=init_value)
  begin = max(transition_begin, 0)
  return shapes.linear_schedule(init_value, end_value, transition_steps, begin)


@_as_in_optax
def polynomial_schedule(
  init_value: Any,
  end_value: Any,
  power: Any,
  transition_steps: Any,
  transition_begin: Any = 0,
) -> Any:
  """As `optax.polynomial_schedule`: constant for a non-positive transition."""
  if transition_steps <= 0:
    return AsGiven(constant=init_value)
  begin = max(transition_begin, 0)
  return shapes.polynomial_schedule(
    init_value, end_value, power, transition_steps, begin
  )


@_as_in_optax
def exponential_decay(
  init_value: Any,
  transition_steps: Any,
  decay_rate: Any,
  transition_begin: Any = 0,
  staircase: bool = False,
  end_value: Any = None,
) -> Any:
  """As `optax.exponential_decay`: constant for no transition or rate."""
  if (transition_steps is not None and transition_steps <= 0) or not decay_rate:
    return AsGiven(constant=init_value)
  begin = max(transition_begin, 0)
  return shapes.exponential_decay(
    init_value, decay_rate, transition_steps, begin, staircase, end_value
  )


@_as_in_optax
def cosine_decay_schedule(
  init_value: Any, decay_steps: Any, alpha: Any = 0.0, exponent: Any = 1.0
) -> Any:
  """As `optax.cosine_decay_schedule`."""
  return shapes.cosine_decay_schedule(init_value, decay_steps, alpha, exponent)


@_as_in_optax
def piecewise_constant_schedule(
  init_value: Any, boundaries_and_scales: Any = None
) -> Any:
  """As `optax.piecewise_constant_schedule`: from each boundary on, one more."""
  name = 'piecewise_constant_schedule'
  boundaries, scales = _running_products(name, boundaries_and_scales)
  return PiecewiseConstant(
    init_value=arguments.value(name, 'init_value', init_value),
    boundaries=boundaries,
    scales=scales,
  )


@_as_in_optax
def piecewise_interpolate_schedule(
  interpolate_type: str, init_value: Any, boundaries_and_scales: Any = None
) -> Any:
  """As `optax.piecewise_interpolate_schedule`: knots at running products."""
  return _interpolate(
    'piecewise_interpolate_schedule',
    interpolate_type,
    init_value,
    boundaries_and_scales,
  )


@_as_in_optax
def linear_onecycle_schedule(
  transition_steps: Any,
  peak_value: Any,
  pct_start: Any = 0.3,
  pct_final: Any = 0.85,
  div_factor: Any = 25.0,
  final_div_factor: Any = 1e4,
) -> Any:
  """As `optax.linear_onecycle_schedule`."""
  return _interpolate(
    'linear_onecycle_schedule',
    'linear',
    peak_value / div_factor,
    {
      int(pct_start * transition_steps): div_factor,
      int(pct_final * transition_steps): 1.0 / div_factor,
      transition_steps: 1.0 / final_div_factor,
    },
  )


@_as_in_optax
def cosine_onecycle_schedule(
  transition_steps: Any,
  peak_value: Any,
  pct_start: Any = 0.3,
  div_factor: Any = 25.0,
  final_div_factor: Any = 1e4,
) -> Any:
  """As `optax.cosine_onecycle_schedule`, of two phases."""
  return _interpolate(
    'cosine_onecycle_schedule',
    'cosine',
    peak_value / div_factor,
    {
      int(pct_start * transition_steps): div_factor,
      int(transition_steps): 1.0 / (div_factor * final_div_factor),
    },
  )


@_as_in_optax
def warmup_constant_schedule(
  init_value: Any, peak_value: Any, warmup_steps: Any
) -> Any:
  """As `optax.warmup_constant_schedule`: no warm-up stays at `init_value`."""
  return linear_schedule(init_value, peak_value, warmup_steps)


@_as_in_optax
def warmup_cosine_decay_schedule(
  init_value: Any,
  peak_value: Any,
  warmup_steps: Any,
  decay_steps: Any,
  end_value: Any = 0.0,
  exponent: Any = 1.0,
) -> Any:
  """As `optax.warmup_cosine_decay_schedule`: `decay_steps` is the whole."""
  return warmups.warmup_cosine_decay_schedule(
    init_value,
    peak_value,
    warmup_steps,
    decay_steps - warmup_steps,
    end_value if peak_value else 0.0,
    exponent,
  )


@_as_in_optax
def warmup_exponential_decay_schedule(
  init_value: Any,
  peak_value: Any,
  warmup_steps: Any,
  transition_steps: Any,
  decay_rate: Any,
  transition_begin: Any = 0,
  staircase: bool = False,
  end_value: Any = None,
) -> Any:
  """As `optax.warmup_exponential_decay_schedule`."""
  decay = exponential_decay(
    peak_value,
    transition_steps,
    decay_rate,
    transition_begin,
    staircase,
    end_value,
  )
  warmup = linear_schedule(init_value, peak_value, warmup_steps)
  return compose.join_schedules([warmup, decay], [warmup_steps])


@_as_in_optax
def join_schedules(schedules: Any, boundaries: Any) -> Any:
  """As `optax.join_schedules`."""
  return compose.join_schedules(
    [_function(schedule) for schedule in schedules], boundaries
  )


@_sign
def sgdr_schedule(cosine_kwargs: Any) -> Any:
  """As `optax.sgdr_schedule`: warm-up cosine cycles, one after another."""
  cycles = list(cosine_kwargs)
  lengths = [kwargs['decay_steps'] for kwargs in cycles]
  boundaries = [sum(lengths[: i + 1]) for i in range(len(cycles) - 1)]
  parts = [warmup_cosine_decay_schedule(**kwargs) for kwargs in cycles]
  return join_schedules(parts, boundaries)


def _function(schedule: Any) -> Any:
  if not callable(schedule):
    raise TypeError(f'join_schedules: {schedule!r} is no schedule.')
  return as_schedule(schedule)


def _running_products(name: str, mapping: Any) -> tuple[Any, Any]:
  """The boundaries, and the product of the scales up to each of them."""
  pairs = sorted((mapping or {}).items())
  scales = [1.0, *(scale for _, scale in pairs)]
  if not all(twofloat.is_host(x) and math.isfinite(x) for x in scales):
    raise TypeError(f'{name}: scales must be numbers.')
  boundaries = [boundary for boundary, _ in pairs]
  products = np.cumprod(np.asarray(scales, np.float64)).astype(np.float32)
  return arguments.boundaries(name, 'boundaries', boundaries), products


def _interpolate(
  name: str, interpolate_type: str, init_value: Any, mapping: Any
) -> Any:
  boundaries, scales = _running_products(name, mapping)
  if not boundaries.size:
    return AsGiven(constant=init_value)
  if boundaries[0] == 0:
    raise ValueError(f'{name}: two knots at 0.')
  return PiecewiseInterpolate(
    init_value=arguments.value(name, 'init_value', init_value),
    boundaries=boundaries,
    scales=scales,
    interpolate_type=interpolate_type,
  )

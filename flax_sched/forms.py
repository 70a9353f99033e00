"""Curves from checked numbers: what several schedule functions share."""

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
from flax_sched.curves import Linear
from flax_sched.curves import OneMinusPower
from flax_sched.curves import Polynomial
from flax_sched.decays import Exponential
from flax_sched.schedule import Join
from flax_sched.schedule import Schedule
from flax_sched.schedule import Shift
from flax_sched.spans import Steps


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
  """A number of steps that need not be whole."""
  checked = arguments.value(name, argument, x, **limits)
  if twofloat.is_host(checked) and x == int(x) and x <= spans.MAX_COUNT:
    return np.int32(x)
  return checked


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


def warm_up(
  name: str,
  init_value: Any,
  peak_value: Any,
  warmup_steps: Steps,
  then: Schedule,
  last: Schedule | None = None,
  *,
  at: Any = 0,
  shape: str = 'linear',
) -> Schedule:
  """A warm-up before a schedule, and before another one after it.

  Args:
    name: the function to name in errors.
    init_value: the value at count 0.
    peak_value: the value at the end of the warm-up, checked.
    warmup_steps: the length of the warm-up.
    then: the schedule.
    last: the other one.
    at: how long `then` lasts, where there is another one; checked.
    shape: the shape of the warm-up.
  """
  steps = arguments.int32_steps(name, 'warmup_steps', warmup_steps, zero=True)
  init = arguments.value(name, 'init_value', init_value)
  rise = shaped(
    name, 'warmup_shape', shape, init, peak_value, steps, mirrored=True
  )
  if last is None:
    return Join(
      schedules=(rise, then), boundaries=arguments.stack([steps], np.int32)
    )
  end = total(name, 'warmup_steps and what follows', steps, at)
  return Join(
    schedules=(rise, then, last),
    boundaries=arguments.stack([steps, end], np.int32),
  )


def total(name: str, argument: str, *lengths: Any) -> Any:
  """The sum of lengths, an int32: checked where they are concrete."""
  if all(map(twofloat.is_host, lengths)):
    whole = sum(map(int, lengths))
    return arguments.int32_steps(name, argument, whole, zero=True)
  return sum(lengths)

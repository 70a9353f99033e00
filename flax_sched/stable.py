"""Warmup-stable-decay: its schedules, its cycles, cooldowns of others.

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
from flax_sched.forms import shaped
from flax_sched.forms import total
from flax_sched.forms import warm_up
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Join
from flax_sched.schedule import Repeat
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


def wsd_schedule(
  peak_value: Any,
  warmup_steps: Steps,
  stable_steps: Steps,
  decay_steps: Steps,
  init_value: Any = 0.0,
  end_value: Any = 0.0,
  decay_shape: str = 'linear',
  warmup_shape: str = 'linear',
) -> Schedule:
  """Warmup-stable-decay: up to the peak, along it, and down in the end.

  A run that is still in the stable phase can be made longer without a change of
  the past, and `branch_cooldown` ends one early. With p from 0 to 1 over the
  decay, the shapes are

  - 'linear': 1 - p,
  - 'cosine': (1 + cos(pi p)) / 2,
  - '1-sqrt': 1 - sqrt(p),
  - 'square': 1 - p**2

  of the way from `end_value` up to the peak, and 'exponential': a straight line
  in the logarithm, for values above 0. A warm-up is the mirror image in time.

  Args:
    peak_value: the value of the stable phase.
    warmup_steps: the length of the warm-up, in steps; 0 for none.
    stable_steps: the length of the stable phase, in steps; may be 0.
    decay_steps: the length of the decay, in steps.
    init_value: the value at count 0.
    end_value: the value at the end of the decay, which then holds.
    decay_shape: the shape of the decay, as above.
    warmup_shape: the shape of the warm-up.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if a step count is not a positive integer (`warmup_steps` and
      `stable_steps` may be 0), a shape is unknown, or a value is not finite, or
      not positive where the shape is exponential.

  Source: S. Hu et al., "MiniCPM", 2024, arXiv:2404.06395; A. Hägele et al.,
  "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations",
  2024, arXiv:2405.18392.

  >>> schedule = wsd_schedule(0.01, 100, 800, 100)
  >>> schedule(50), schedule(500), schedule(950), schedule(1000)
  (np.float32(0.005), np.float32(0.01), np.float32(0.005), np.float32(0.0))
  """
  name = 'wsd_schedule'
  peak = arguments.value(name, 'peak_value', peak_value)
  end = arguments.value(name, 'end_value', end_value)
  stable = arguments.int32_steps(name, 'stable_steps', stable_steps, zero=True)
  steps = arguments.steps(name, 'decay_steps', decay_steps)
  decay = shaped(name, 'decay_shape', decay_shape, peak, end, steps)
  return warm_up(
    name,
    init_value,
    peak,
    warmup_steps,
    Constant(constant=peak),
    decay,
    at=stable,
    shape=warmup_shape,
  )


def cyclic_wsd_schedule(
  peak_value: Any,
  warmup_steps: Steps,
  stable_steps: Steps,
  decay_steps: Steps,
  num_cycles: int | None = None,
  init_value: Any = 0.0,
  end_value: Any = 0.0,
  decay_shape: str = 'linear',
) -> Schedule:
  """Warmup-stable-decay with several decays: back to the peak after each.

  The end of each decay is a finished model; the next cycle goes on from there.
  Cycles of different lengths are joined: `a.then(b, at)`.

  Args:
    peak_value: the value of the stable phases.
    warmup_steps: the length of the warm-up, in steps; 0 for none.
    stable_steps: the length of each stable phase, in steps; may be 0.
    decay_steps: the length of each decay, in steps.
    num_cycles: how many cycles there are, after which `end_value` holds; None:
      no end.
    init_value: the value at count 0.
    end_value: the value at which each decay arrives.
    decay_shape: the shape of the decays, one of those of `wsd_schedule`.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if a step count is not a positive integer (`warmup_steps` and
      `stable_steps` may be 0), the shape is unknown, or a value is not finite,
      or not positive where the shape is exponential.

  Source: K. Wen et al., "Understanding Warmup-Stable-Decay Learning Rates: A
  River Valley Loss Landscape Perspective" (WSD-S), 2024, arXiv:2410.05192.

  >>> schedule = cyclic_wsd_schedule(1.0, 10, 60, 40, num_cycles=2)
  >>> schedule(90), schedule(110), schedule(210)
  (np.float32(0.5), np.float32(1.0), np.float32(0.0))
  """
  name = 'cyclic_wsd_schedule'
  peak = arguments.value(name, 'peak_value', peak_value)
  end = arguments.value(name, 'end_value', end_value)
  stable = arguments.int32_steps(name, 'stable_steps', stable_steps, zero=True)
  steps = arguments.int32_steps(name, 'decay_steps', decay_steps)
  period = total(name, 'stable_steps + decay_steps', stable, steps)
  decay = shaped(name, 'decay_shape', decay_shape, peak, end, steps)
  cycle = Join(
    schedules=(Constant(constant=peak), decay),
    boundaries=arguments.stack([stable], np.int32),
  )
  cycles = Repeat(schedule=cycle, period=period)
  if num_cycles is None:
    return warm_up(name, init_value, peak, warmup_steps, cycles)
  count = arguments.int32_steps(name, 'num_cycles', num_cycles)
  if twofloat.is_host(count) and twofloat.is_host(period):
    length = arguments.int32_steps(
      name, 'num_cycles (stable_steps + decay_steps)', int(count) * int(period)
    )
  else:
    length = count * period
  return warm_up(
    name,
    init_value,
    peak,
    warmup_steps,
    cycles,
    Constant(constant=end),
    at=length,
  )


def cooldown_schedule(
  schedule: Any,
  cooldown_begin: Steps,
  cooldown_steps: Steps,
  end_value: Any = 0.0,
  decay_shape: str = 'linear',
) -> Schedule:
  """Any schedule up to a step, and from its value there down to another.

  `branch_cooldown` does it to the state of a run on its way.

  Args:
    schedule: a schedule, another callable of the count, a number.
    cooldown_begin: the step at which the decay begins.
    cooldown_steps: the length of the decay, in steps.
    end_value: the value at its end, which then holds.
    decay_shape: the shape of the decay, one of those of `wsd_schedule`.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is of another type.
    ValueError: if a step count is not a positive integer (`cooldown_begin` may
      be 0), the shape is unknown, or a value is not finite, or not positive
      where the shape is exponential.

  Source: X. Zhai et al., "Scaling Vision Transformers", 2021, arXiv:2106.04560.

  >>> import flax_sched as fs
  >>> schedule = cooldown_schedule(fs.inverse_sqrt_schedule(0.1, 10), 40, 20)
  >>> schedule(40), schedule(50), schedule(60)
  (np.float32(0.05), np.float32(0.025), np.float32(0.0))
  """
  name = 'cooldown_schedule'
  first = as_schedule(schedule)
  begin = arguments.int32_steps(
    name, 'cooldown_begin', cooldown_begin, zero=True
  )
  decay = shaped(
    name,
    'decay_shape',
    decay_shape,
    first(begin),
    arguments.value(name, 'end_value', end_value),
    arguments.steps(name, 'cooldown_steps', cooldown_steps),
  )
  return first.then(decay, begin)

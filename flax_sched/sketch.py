"""Small pictures of schedules, drawn without any other package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from flax_sched import arguments
from flax_sched import drawing
from flax_sched.schedule import as_schedule
from flax_sched.stateful import is_stateful


def svg(
  schedules: Any, total_steps: int, *, width: int = 360, height: int = 150
) -> str:
  """A picture of schedules, from step 0 to `total_steps`, as text in SVG.

  Step n of T lies n / T of the way from left to right, and a value x lies
  (x - low) / (high - low) of the way up, where low and high, the two labels,
  are the lowest and the highest value in the picture. A change that is much
  larger than those one step before and after is a vertical line. A run of more
  than 2048 steps is sampled.

  The picture needs no other file, takes the colour of the text around it, and
  is the same text on every machine.

  Args:
    schedules: a schedule, a number or another callable of the count; or up to 4
      of them by name, which get a legend.
    total_steps: the number of updates of the run.
    width: in pixels, at least 120. Pictures scale without loss.
    height: in pixels, at least 60.

  Returns:
    An `<svg>` element.

  Raises:
    TypeError: if a schedule is of another type, or stateful.
    ValueError: if there are no schedules or too many, a number is not a
      positive integer or too small, or a value is not finite.

  >>> import flax_sched as fs
  >>> svg(fs.linear_schedule(0.001, 0.0, 100), 100)[:34]
  '<svg xmlns="http://www.w3.org/2000'
  >>> pair = {'lr': fs.cosine_decay_schedule(1e-3, 100), 'fixed': 3e-4}
  >>> svg(pair, 100).count('<polyline')
  2
  """
  named = isinstance(schedules, Mapping)
  curves = schedules if named else {'': schedules}
  most = len(drawing.DASHES)
  if not curves or len(curves) > most:
    raise ValueError(
      f'svg: schedules must be at least 1 and at most {most} in one picture, '
      f'got {len(curves)}.'
    )
  steps = _integer('svg', 'total_steps', total_steps)
  width = _integer('svg', 'width', width, 120)
  height = _integer('svg', 'height', height, 60)
  counts = np.unique(drawing.spread(steps, drawing.SAMPLES + 1))
  return drawing.svg(
    [_values('svg', curve, counts) for curve in curves.values()],
    counts,
    steps,
    names=list(map(str, curves)) if named else None,
    width=width,
    height=height,
  )


def sparkline(schedule: Any, total_steps: int, width: int = 24) -> str:
  """A picture of a schedule in one line of text.

  Character i stands for the step nearest to i / (width - 1) of the run, and has
  the one of eight heights that is nearest to (x - low) / (high - low), where x
  is the value there. Half height is a constant.

  Args:
    schedule: a schedule, a number or another callable of the count.
    total_steps: the number of updates of the run.
    width: the number of characters.

  Returns:
    The line.

  Raises:
    TypeError: if `schedule` is of another type, or stateful.
    ValueError: if a number is not a positive integer, or a value not finite.

  >>> import flax_sched as fs
  >>> sparkline(fs.warmup_cosine_decay_schedule(0.0, 1e-3, 20, 80), 100)
  '▁▂▄▆▇███▇▇▇▆▆▅▄▄▃▃▂▂▁▁▁▁'
  """
  steps = _integer('sparkline', 'total_steps', total_steps)
  points = _integer('sparkline', 'width', width)
  counts = drawing.spread(steps, points)
  values = _values('sparkline', schedule, counts)
  low, high = values.min(), values.max()
  if low == high:
    return '▄' * points
  heights = np.floor((values - low) / (high - low) * 7 + 0.501).astype(int)
  return ''.join('▁▂▃▄▅▆▇█'[i] for i in heights)


# ---------------------------------------------------------------------------
# Arguments and values.


def _integer(caller: str, name: str, x: Any, low: int = 1) -> int:
  number = int(arguments.int32_steps(caller, name, x))
  if number < low:
    raise ValueError(f'{caller}: {name} must be at least {low}, got {x!r}.')
  return number


def _values(caller: str, schedule: Any, counts: Any) -> Any:
  """The values at the counts, as float64."""
  if is_stateful(schedule):
    raise TypeError(
      f'{caller}: schedules must not be stateful, got {schedule!r}. Its values '
      'depend on the run: draw what was logged, with flax_sched.plot.'
    )
  # With its parameters on the host, a schedule computes there too.
  schedule = jax.device_get(as_schedule(schedule))
  values = drawing.evaluate(schedule, counts)
  for count in counts[~np.isfinite(values)][:1]:
    raise ValueError(
      f'{caller}: values must be finite, got {schedule(count)} at step {count}.'
    )
  return values

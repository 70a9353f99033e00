"""Small pictures of schedules, drawn without any other package."""

from __future__ import annotations

from collections.abc import Mapping
import html
from typing import Any

import jax
import numpy as np

from flax_sched import arguments
from flax_sched.schedule import as_schedule
from flax_sched.stateful import is_stateful

_SAMPLES = 2**11  # of a curve: several for each column of a picture
# One colour, which is seen on white and on black, and a dash for each curve.
_ACCENT, _DASHES = '#1f82c0', ('none', '6 3', '2 2', '9 3 2 3')
_LETTER, _LEGEND = 6.4, 18  # the width of a letter, the height of the legend
_JUMP, _TOLERANCE = 10, 1.5  # in tenths of a pixel, as all coordinates are
_MAX_POINTS, _COLUMNS = 160, 80  # of a curve with more points than that


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
  if not curves or len(curves) > len(_DASHES):
    raise ValueError(
      f'svg: schedules must be at least 1 and at most {len(_DASHES)} in one '
      f'picture, got {len(curves)}.'
    )
  steps = _integer('svg', 'total_steps', total_steps)
  width = _integer('svg', 'width', width, 120)
  height = _integer('svg', 'height', height, 60)
  counts = np.unique(_spread(steps, _SAMPLES + 1))
  values = [_values('svg', curve, counts) for curve in curves.values()]
  low, high = float(np.min(values)), float(np.max(values))
  top, bottom = 10 + _LEGEND * named, height - 20
  if low == high:
    labels = {_short(low): (top + bottom) / 2}
    low, high = low - 1 - abs(low), high + 1 + abs(high)
  else:
    digits = next(n for n in range(4, 18) if _short(low, n) != _short(high, n))
    labels = {_short(low, digits): bottom - 4, _short(high, digits): top + 4}
  left, right = round(_LETTER * max(map(len, labels)) + 10), width - 10

  def up(value: Any) -> Any:
    return _tenths(bottom + (top - bottom) * ((value - low) / (high - low)))

  drawn = [_text(left - 5, y + 4, 'end', label) for label, y in labels.items()]
  drawn.append(_text(left, height - 6, 'start', '0'))
  drawn.append(_text(right, height - 6, 'end', f'{steps:,}'))
  if low < 0 < high and len(labels) > 1:
    zero = f'M{left} {up(0.0) / 10:g}H{right}'
    drawn.append(f'<path d="{zero}" stroke-opacity=".3"/>')
  titles, place = [], (width - 20) // len(curves)
  across = _tenths(left + (right - left) * (counts / steps))
  for i, (name, curve) in enumerate(zip(map(str, curves), values, strict=True)):
    outline = _outline(across, up(curve))
    points = ' '.join(f'{x / 10:g},{y / 10:g}' for x, y in outline)
    pen = f'stroke="{_ACCENT}" stroke-width="1.6"'
    pen += f' stroke-dasharray="{_DASHES[i]}"' if i else ''
    drawn.append(f'<polyline points="{points}" {pen}/>')
    title = f'{_short(curve[0])} at step 0, {_short(curve[-1])} at {steps:,}'
    titles.append(f'{name}: {title}' if named else title)
    if named:
      x, room = 10 + place * i, int((place - 30) / _LETTER)
      shown = name if len(name) <= room else f'{name[: room - 1]}…'
      drawn.append(f'<path d="M{x} 11h20" {pen}/>')
      drawn.append(_text(x + 25, 15, 'start', shown))
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    f'width="{width}" height="{height}" role="img" fill="none" '
    'stroke="currentColor" stroke-linejoin="round" font-size="11" '
    f'font-family="sans-serif"><title>{_escaped("; ".join(titles))}</title>'
    f'<path d="M{left} {top}V{bottom}H{right}" stroke-opacity=".5"/>'
    f'{"".join(drawn)}</svg>'
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
  counts = _spread(steps, points)
  values = _values('sparkline', schedule, counts)
  low, high = values.min(), values.max()
  if low == high:
    return '▄' * points
  heights = np.floor((values - low) / (high - low) * 7 + 0.501).astype(int)
  return ''.join('▁▂▃▄▅▆▇█'[i] for i in heights)


# ---------------------------------------------------------------------------
# Values, points and labels.


def _integer(caller: str, name: str, x: Any, low: int = 1) -> int:
  number = int(arguments.int32_steps(caller, name, x))
  if number < low:
    raise ValueError(f'{caller}: {name} must be at least {low}, got {x!r}.')
  return number


def _spread(steps: int, points: int) -> Any:
  return np.linspace(0, steps, points).round().astype(np.int64)


def _values(caller: str, schedule: Any, counts: Any) -> Any:
  """The values at the counts, as float64."""
  if is_stateful(schedule):
    raise TypeError(
      f'{caller}: schedules must not be stateful, got {schedule!r}. Its values '
      'depend on the run: draw what was logged, with flax_sched.plot.'
    )
  # With its parameters on the host, a schedule computes there too.
  schedule = jax.device_get(as_schedule(schedule))
  try:
    values = np.asarray(schedule(counts), np.float64)
  except (TypeError, ValueError):  # a function of one count
    values = np.asarray([schedule(count) for count in counts], np.float64)
  for count in counts[~np.isfinite(values)][:1]:
    raise ValueError(
      f'{caller}: values must be finite, got {schedule(count)} at step {count}.'
    )
  return values


def _tenths(x: Any) -> Any:
  """In tenths of a pixel; what lies between two goes up, on every machine."""
  return np.floor(10 * np.asarray(x) + 0.501).astype(np.int64)


def _outline(x: Any, y: Any) -> Any:
  """The points of a curve that are needed to draw it, of shape (k, 2)."""
  size = np.abs(np.diff(y))
  beside = np.pad(size, 1)
  jump = (size >= _JUMP) & (size > 3 * np.maximum(beside[:-2], beside[2:]))
  (i,) = np.nonzero(jump & (len(size) > 1))
  x, y = np.insert(x, i + 1, x[i + 1]), np.insert(y, i + 1, y[i])
  points = np.stack([x, y], axis=1)
  kept = _simplified(points)
  if len(kept) <= _MAX_POINTS:
    return points[kept]
  # Up and down too often: the lowest and the highest point of each column.
  column = (x - x[0]) * _COLUMNS // (x[-1] - x[0] + 1)
  _, starts = np.unique(column, return_index=True)
  upwards = np.lexsort((y, column))
  extremes = upwards[starts], upwards[np.append(starts[1:], len(x)) - 1]
  return points[np.unique([0, *np.concatenate(extremes), len(x) - 1])]


def _simplified(points: Any) -> list[int]:
  """Indices of points whose polyline is near all points (Douglas, Peucker)."""
  kept, spans = {0, len(points) - 1}, [(0, len(points) - 1)]
  while spans:
    first, last = spans.pop()
    inside = points[first + 1 : last] - points[first]
    if not len(inside):
      continue
    chord = points[last] - points[first]
    along = np.clip(inside @ chord / max(chord @ chord, 1), 0.0, 1.0)
    squares = np.sum((inside - along[:, None] * chord) ** 2, axis=1)
    if squares.max() > _TOLERANCE**2:
      farthest = first + 1 + int(squares.argmax())
      kept.add(farthest)
      spans += [(first, farthest), (farthest, last)]
  return sorted(kept)


def _short(x: float, digits: int = 4) -> str:
  """A number as a person would write it: 0.001, 3e-4, 1500."""
  rounded = f'{x:.{digits - 1}e}'
  if x == 0 or 1e-3 <= abs(float(rounded)) < 1e4:
    return f'{float(rounded):.{digits}g}'
  mantissa, _, exponent = rounded.partition('e')
  if '.' in mantissa:
    mantissa = mantissa.rstrip('0').rstrip('.')
  return f'{mantissa}e{int(exponent)}'


def _text(x: Any, y: float, anchor: str, text: str) -> str:
  at = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
  return f'<text {at} fill="currentColor" stroke="none">{_escaped(text)}</text>'


def _escaped(text: str) -> str:
  return html.escape(''.join(c if c.isprintable() else '\ufffd' for c in text))

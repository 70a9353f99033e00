"""Small pictures of values, drawn without any other package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import html
import math
from typing import Any

import jax
import numpy as np

from flax_sched import spans

SAMPLES = 2**11  # of a curve: several for each column of a picture
# One colour, which is seen on white and on black, and a dash for each curve.
ACCENT, DASHES = '#1f82c0', ('none', '6 3', '2 2', '9 3 2 3')
_LETTER, _LEGEND = 6.4, 18  # the width of a letter, the height of the legend
_JUMP, _TOLERANCE = 10, 1.5  # in tenths of a pixel, as all coordinates are
_MAX_POINTS, _COLUMNS = 160, 80  # of a curve with more points than that
_LONGEST_CAPTION = 600  # letters
_ROUNDING = 1e-6  # a logged value that is off by a larger share is not planned
# A curve whose bulk spans three decades gets a logarithmic axis; the float32
# 0.1**3 is a bit less.
_LOG_RATIO, _BULK = 999.0, (0.1, 0.9)
_LOOKS = 1500  # at a schedule, from step 0 to the last one there is


def spread(steps: int, points: int) -> Any:
  """Counts from 0 to `steps`, evenly spaced, of shape (points,)."""
  return np.linspace(0, steps, points).round().astype(np.int64)


def evaluate(schedule: Callable[[Any], Any], counts: Any) -> Any:
  """The values of a callable at the counts, float64 of their shape."""
  try:
    return np.asarray(schedule(counts), np.float64)
  except (TypeError, ValueError):  # a function of one count
    return np.asarray([schedule(count) for count in counts], np.float64)


def off_plan(values: Any, planned: Any) -> Any:
  """Which values are not the planned ones, rounding aside: booleans.

  What is not finite is neither on nor off the plan.
  """
  with np.errstate(invalid='ignore'):
    largest = np.maximum(np.abs(values), np.abs(planned))
    return np.abs(values - planned) > _ROUNDING * largest


def many_decades(curves: Any, lowest: float) -> float | None:
  """Where a logarithmic axis should begin; None if a linear one is better.

  Args:
    curves: the finite values of what is drawn, of shape (n,).
    lowest: the lowest of all values, also of those that are drawn as dots.

  Returns:
    The lower end of the bulk of the curves: what is far below it, and 0, would
    stretch the axis over decades that hold nothing else.
  """
  above = curves[curves > 0]
  if lowest >= 0 and above.size > len(curves) / 2:
    low, high = np.quantile(above, _BULK)
    if high > _LOG_RATIO * low:
      return float(low)
  return None


def svg(
  curves: Sequence[Any],
  counts: Any,
  steps: int,
  *,
  names: Sequence[str] | None = None,
  width: int = 360,
  height: int = 150,
) -> str:
  """A picture of values at counts, as text in SVG.

  Args:
    curves: up to 4 arrays of finite values, each of the shape of `counts`.
    counts: ascending, from 0 to `steps`.
    steps: the number of updates of the run.
    names: of the curves, for a legend; None: no legend.
    width: in pixels.
    height: in pixels.

  Returns:
    An `<svg>` element.

  >>> svg([np.array([1.0, 0.0])], np.array([0, 9]), 9).count('<polyline')
  1
  """
  named = names is not None
  low, high = float(np.min(curves)), float(np.max(curves))
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
  for i, (name, curve) in enumerate(
    zip(names or [''] * len(curves), curves, strict=True)
  ):
    outline = _outline(across, up(curve))
    points = ' '.join(f'{x / 10:g},{y / 10:g}' for x, y in outline)
    pen = f'stroke="{ACCENT}" stroke-width="1.6"'
    pen += f' stroke-dasharray="{DASHES[i]}"' if i else ''
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


def page(schedule: Any) -> str:
  """A schedule for notebooks: its picture, and how it is written below.

  Args:
    schedule: a pytree that is called with counts, its numbers concrete.

  Returns:
    HTML that needs no other file: less than 6 KB, whatever the schedule.

  Raises:
    Exception: if it has no finite value at each count; of any type, since what
      is inside may be a user's function.
  """
  # With its parameters on the host, a schedule computes there too.
  on_host = jax.device_get(schedule)
  on_host(0)  # a population has no value, whatever it would do with an array
  steps = _horizon(on_host)
  counts = np.unique(spread(steps, SAMPLES + 1))
  values = evaluate(on_host, counts)
  if not np.all(np.isfinite(values)):
    raise ValueError(f'page: values must be finite, got those of {schedule!r}.')
  caption = repr(schedule)
  if len(caption) > _LONGEST_CAPTION:
    caption = f'{caption[: _LONGEST_CAPTION - 1]}…'
  return (
    f'<figure style="margin:0">{svg([values], counts, steps)}<figcaption>'
    f'<code>{_escaped(caption)}</code></figcaption></figure>'
  )


def _horizon(schedule: Any) -> int:
  """How many steps show all that a schedule does, and a bit of what follows."""
  leaves = map(np.asarray, jax.tree_util.tree_leaves(schedule))
  lengths = [leaf.ravel() for leaf in leaves if leaf.dtype.kind == 'i']
  inside = np.concatenate([[0], *lengths]).clip(0, spans.MAX_COUNT)
  looks = np.geomspace(1, spans.MAX_COUNT, _LOOKS).round()
  counts = np.unique(np.concatenate([looks, inside]).astype(np.int64))
  values = evaluate(schedule, counts)
  height = np.ptp(values)

  def settled(share: float) -> int:
    """From where on the value is within a share of the height of the last."""
    far = np.flatnonzero(np.abs(values - values[-1]) > share * height)
    return int(counts[far[-1] + 1]) if far.size else 0

  end = settled(0.0)
  if end > sum(inside) and end > 4 * settled(0.01):
    end = max(settled(0.2), 10)  # a decay with no end but that of float32
  if end > spans.MAX_COUNT // 10:  # it grows, or it goes up and down for ever
    low, high = np.minimum.accumulate(values), np.maximum.accumulate(values)
    seen = counts[np.argmax(high - low >= 0.9 * height)]
    end = 4 * int(max(inside) or seen)
  steps = min(math.ceil(1.08 * end) or 100, spans.MAX_COUNT)
  unit = 10 ** max(len(str(steps)) - 2, 0)  # two digits are enough
  return min(-(-steps // unit) * unit, spans.MAX_COUNT)


# ---------------------------------------------------------------------------
# Points and labels.


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

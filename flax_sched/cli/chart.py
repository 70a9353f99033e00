"""Pictures of hyperparameters: of characters, or in a file."""

from __future__ import annotations

from collections.abc import Mapping
import html
import importlib.util
import pathlib
from typing import Any

import numpy as np

from flax_sched import plot
from flax_sched import sketch
from flax_sched import timeline

_COLUMNS, _ROWS = 64, 12  # of characters
_SAMPLES = 2**14  # of a long run
_MARKS = '*o+x'  # of curves in one picture
# The dots of a character of braille, by row and column.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])

FORMATS = ('.png', '.pdf', '.svg', '.html')
MOST = len(_MARKS)

# By hyperparameter, its schedules by the name of the config.
Curves = Mapping[str, Mapping[str, Any]]


def text(curves: Mapping[str, Any], total_steps: int) -> str:
  """A picture of characters, from step 0 to `total_steps`.

  One curve is drawn in dots of braille, 2 by 4 to a character; several by a
  mark each, of which the first lies on top. A column shows all that the values
  do between its steps.

  Args:
    curves: up to 4 schedules by name.
    total_steps: the number of updates of the run.

  Returns:
    12 lines with the lowest and the highest value on the left, an axis, and for
    several curves a line that names them.

  Raises:
    ValueError: if a value is not finite.

  >>> import flax_sched as fs
  >>> print(text({'': fs.linear_schedule(1.0, 0.0, 100)}, 100)[:10])
    1 ┤⠉⠒⠤⢄⣀
  """
  counts = np.unique(
    np.linspace(0, total_steps, min(total_steps, _SAMPLES) + 1).round()
  ).astype(np.int64)
  values = [_finite(curve, counts) for curve in curves.values()]
  low, high = float(np.min(values)), float(np.max(values))
  labels = {0: f'{high:.6g}', _ROWS - 1: f'{low:.6g}'}
  if low == high:
    labels = {_ROWS // 2: f'{low:.6g}'}
    low, high = low - 1 - abs(low), high + 1 + abs(high)
  across = counts / total_steps
  drawn = np.full((_ROWS, _COLUMNS), ' ')
  if len(values) == 1:
    up = (values[0] - low) / (high - low)
    drawn = _braille(_raster(across, up, 2 * _COLUMNS, 4 * _ROWS))
  for curve, mark in list(zip(values, _MARKS, strict=False))[::-1]:
    if len(values) > 1:
      up = (curve - low) / (high - low)
      drawn[_raster(across, up, _COLUMNS, _ROWS)] = mark
  width = max(map(len, labels.values())) + 2
  lines = [
    f'{labels.get(i, ""):>{width}} {"┤" if i in labels else "│"}'
    f'{"".join(row)}'.rstrip()
    for i, row in enumerate(drawn)
  ]
  last = f'{total_steps:,}'
  lines.append(f'{"":{width}} └{"─" * _COLUMNS}')
  lines.append(f'{"":{width}}  0{last:>{_COLUMNS - 1}}')
  if len(values) > 1:
    key = '   '.join(
      f'{mark} {name}' for mark, name in zip(_MARKS, curves, strict=False)
    )
    lines.append(f'{"":{width}}  {key}')
  return '\n'.join(lines)


def _finite(curve: Any, counts: Any) -> Any:
  values = timeline.values(curve, counts).astype(np.float64)
  for i in np.flatnonzero(~np.isfinite(values))[:1]:
    raise ValueError(
      f'the value is {values[i]} at step {counts[i]:,}: it must be finite to '
      'be drawn.'
    )
  return values


def _raster(across: Any, up: Any, columns: int, rows: int) -> Any:
  """Which cells a curve is in: booleans of shape (rows, columns)."""
  # A little off the middle, where machines may round otherwise.
  place = np.floor((1 - up) * (rows - 1) + 0.501).astype(int)
  column = np.minimum((across * columns).astype(int), columns - 1)
  cells = np.zeros((rows, columns), bool)
  last = None
  for i in range(columns):
    inside = place[column == i]
    if not inside.size:  # fewer steps than columns
      inside = np.array([_between(across, place, (i + 0.5) / columns)])
    top, bottom = int(inside.min()), int(inside.max())
    if last is not None:  # up or down to where the column before has ended
      top = min(top, last + 1) if last < top else top
      bottom = max(bottom, last - 1) if last > bottom else bottom
    cells[top : bottom + 1, i] = True
    last = int(inside[-1])
  return cells


def _between(across: Any, place: Any, x: float) -> int:
  return int(np.floor(np.interp(x, across, place) + 0.501))


def _braille(dots: Any) -> Any:
  """Dots as characters."""
  rows, columns = dots.shape
  blocks = dots.reshape(rows // 4, 4, columns // 2, 2)
  codes = np.einsum('rycx,yx->rc', blocks.astype(int), _DOTS)
  return np.vectorize(lambda code: chr(0x2800 + code) if code else ' ')(codes)


# ---------------------------------------------------------------------------
# Files.


def save(curves: Curves, total_steps: int, path: str, title: str) -> None:
  """Writes a picture, its format by the file's suffix.

  Args:
    curves: by hyperparameter, up to 4 schedules by the name of the config; in
      PNG and PDF, 2.
    total_steps: the number of updates of the run.
    path: the file, of one of `FORMATS`. PNG and PDF need matplotlib, and SVG
      uses it.
    title: a title for the whole.

  Raises:
    ImportError: if matplotlib is missing.
    ValueError: if a value is not finite.
  """
  suffix = pathlib.Path(path).suffix.lower()
  configs = list(dict.fromkeys(key for each in curves.values() for key in each))
  if suffix == '.html':
    page = _page(curves, total_steps, title)
    pathlib.Path(path).write_text(page, encoding='utf-8')
  elif suffix == '.svg' and (len(configs) > 2 or not _has_matplotlib()):
    picture = _svg(curves, total_steps)
    pathlib.Path(path).write_text(picture, encoding='utf-8')
  else:
    first, *others = (
      {name: each[key] for name, each in curves.items() if key in each}
      for key in configs
    )
    several: dict[str, Any] = {}
    if others:
      several = {'other': others[0], 'labels': configs}
    plot.plot_schedules(
      first, total_steps=total_steps, path=path, title=title, **several
    )


def _has_matplotlib() -> bool:
  try:
    return importlib.util.find_spec('matplotlib') is not None
  except ValueError:  # sys.modules says that there is none
    return False


def _panels(curves: Curves, total_steps: int) -> dict[str, str]:
  """An `<svg>` element for each hyperparameter."""
  several = len({key for each in curves.values() for key in each}) > 1
  return {
    name: sketch.svg(
      dict(each) if several else next(iter(each.values())),
      total_steps,
      width=640,
      height=180,
    )
    for name, each in curves.items()
  }


def _svg(curves: Curves, total_steps: int) -> str:
  """All panels, one below the other, as one element."""
  drawn = []
  for i, (name, panel) in enumerate(_panels(curves, total_steps).items()):
    drawn.append(
      f'<g transform="translate(0 {210 * i})"><text x="10" y="18" '
      f'font-family="sans-serif" font-size="13">{html.escape(name)}</text>'
      f'<g transform="translate(0 24)">{panel}</g></g>'
    )
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 '
    f'{210 * len(drawn)}" width="640" height="{210 * len(drawn)}">'
    f'{"".join(drawn)}</svg>\n'
  )


def _page(curves: Curves, total_steps: int, title: str) -> str:
  """A page that needs no other file, light or dark as its reader likes."""
  figures = ''.join(
    f'<h2>{html.escape(name)}</h2>\n{panel}\n'
    for name, panel in _panels(curves, total_steps).items()
  )
  return (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
    f'<title>{html.escape(title)}</title>\n'
    '<style>:root{color-scheme:light dark}body{font:16px sans-serif;'
    'max-width:640px;margin:2em auto}h1{font-size:1.3em}h2{font-size:1em}'
    'svg{max-width:100%;height:auto}</style>\n'
    f'<h1>{html.escape(title)}</h1>\n{figures}</html>\n'
  )

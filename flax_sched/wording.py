"""Numbers, tables and long lines, for a person to read."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from flax_sched import timeline

_MOST = 20  # phases in a table


def shown(x: Any) -> str:
  """A value, or those of a population, as a person would write it.

  >>> shown(0.1), shown([0.5, 0.25]), shown(None)
  ('0.1', '0.5, 0.25', 'unknown')
  """
  if x is None:
    return 'unknown'
  if isinstance(x, list):
    more = ', ...' if len(x) > 4 else ''
    return ', '.join(map(shown, x[:4])) + more
  return f'{x:.6g}'


def written(schedule: Any) -> str:
  """A schedule as a person would write it.

  >>> import flax_sched as fs
  >>> written(fs.reduce_on_plateau(0.5))[:46]
  'ReduceOnPlateau(init_value=0.5, factor=0.1, pa'
  """
  return re.sub(r'np\.\w+\(([^()]*)\)', r'\1', repr(schedule))


def wrapped(text: str, indent: str = '  ', most: int = 1000) -> str:
  """A text, or its beginning, in lines of up to 80 characters."""
  return textwrap.fill(
    text if len(text) <= most else f'{text[: most - 3]}...',
    80,
    subsequent_indent=indent,
    break_long_words=False,
    break_on_hyphens=False,
  )


def aligned(rows: list[list[str]]) -> list[str]:
  """Lines with the cells of each column below each other.

  >>> aligned([['a', 'b'], ['long', 'c']])
  ['a     b', 'long  c']
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]


def phase_table(rows: list[dict[str, Any]]) -> str:
  """A line for each phase, of what `timeline.rows` returns."""
  cells = [['  phase', 'steps', 'shape', 'first', 'last']]
  for row in rows[:_MOST]:
    steps = f'{row["start"]:,} to {row["end"] - 1:,}'
    ends = [shown(row[key]) for key in ('first', 'last')]
    cells.append([f'  {row["name"]}', steps, row['shape'], *ends])
  more = len(rows) - _MOST
  note = [f'  and {more:,} more'] if more > 0 else []
  return '\n'.join([*aligned(cells), *note])


def value_table(schedules: dict[str, Any], steps: list[int], total: int) -> str:
  """A line for each step, a column for each schedule."""
  columns = [timeline.values(s, steps) for s in schedules.values()]
  notes = {0: 'first', total - 1: 'last', total: 'end'}
  rows = [['step', '', *schedules]]
  for step, *values in zip(steps, *columns, strict=True):
    note = notes.get(step, f'{100 * step / total:.3g}%')
    rows.append([f'{step:,}', note, *(f'{x:.6g}' for x in values)])
  return '\n'.join(aligned(rows))

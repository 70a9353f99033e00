"""The page of a report: HTML that needs no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import html
import importlib.resources
import json
from typing import Any


def page(title: str, parts: Iterable[str], figures: Mapping[str, Any]) -> str:
  """The whole page.

  Args:
    title: that of the page.
    parts: what it shows, as HTML.
    figures: by the id of the element that shows it: see `figures.figure`.

  Raises:
    ImportError: if Plotly is missing.
  """
  try:
    from plotly import io
    from plotly import offline
  except ImportError as error:
    raise ImportError(
      'write_report: the page needs plotly. Install it by `pip install '
      'flax-sched[report]`.'
    ) from error
  # Plotly's own JSON checks each figure.
  known = {
    key: {
      **json.loads(io.to_json({k: each[k] for k in ('data', 'layout')})),
      'phases': each['phases'],
    }
    for key, each in figures.items()
  }
  files = importlib.resources.files('flax_sched.report')
  style, script = (
    (files / name).read_text(encoding='utf-8')
    for name in ('page.css', 'page.js')
  )
  # The page asks for nothing, and its reader's browser makes sure of that.
  policy = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src "
    "'unsafe-inline'; img-src data: blob:; form-action 'none'"
  )
  return ''.join(
    [
      '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
      f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
      '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
      f'<title>{escaped(title)}</title>\n<style>\n{style}</style>\n',
      f'</head>\n<body>\n{"".join(parts)}',
      '<script type="application/json" id="figures">',
      f'{_inline(known)}</script>\n',
      f'<script>{offline.get_plotlyjs() if known else ""}</script>\n',
      f'<script>\n{script}</script>\n</body>\n</html>\n',
    ]
  )


def _inline(data: Any) -> str:
  """JSON that ends no script element."""
  text = json.dumps(data, separators=(',', ':'), allow_nan=False)
  return text.replace('<', '\\u003c')


def escaped(text: Any) -> str:
  """A text as HTML shows it.

  >>> escaped('a<b')
  'a&lt;b'
  """
  return html.escape(str(text))


def table(
  head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: str = ''
) -> str:
  """A table.

  Args:
    head: the names of its columns.
    rows: of each row the cells, as HTML.
    numbers: the names of the columns that hold numbers, parted by commas.
  """

  def line(kind: str, cells: Sequence[str]) -> str:
    marks = [' class="n"' if h in numbers.split(',') else '' for h in head]
    drawn = [
      f'<{kind}{mark}>{cell}</{kind}>'
      for mark, cell in zip(marks, cells, strict=True)
    ]
    return f'<tr>{"".join(drawn)}</tr>\n'

  body = ''.join(line('td', row) for row in rows)
  top = line('th', [escaped(name) for name in head])
  return f'<div class="wide"><table>\n{top}{body}</table></div>\n'


def details(summary: str, content: str) -> str:
  """Something that opens on demand; both as HTML."""
  return f'<details><summary>{summary}</summary>\n{content}</details>\n'


def section(title: str, content: str) -> str:
  """A section with a heading, if it has any content, which is HTML."""
  return f'<section>\n<h2>{escaped(title)}</h2>\n{content}</section>\n' * bool(
    content
  )

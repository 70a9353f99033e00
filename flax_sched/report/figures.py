"""The figures of a report, as Plotly takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flax_sched import drawing
from flax_sched import timeline
from flax_sched.event_files import Series
from flax_sched.report.curves import Curve
from flax_sched.report.curves import thinned

# Colours that colour-blind people tell apart (Okabe, Ito, 2008), and that are
# seen on white and on black.
_PLANNED, _LOGGED, _OFF = '#3a8fc8', '#e0701e', '#d43d51'
_GREY, _SHADE = 'rgba(128,128,128,.9)', 'rgba(128,128,128,.09)'
_FEW = 60  # points that are seen one by one
_MOST_OFF = 200  # dots that are off the plan
_STEP, _VALUE = ',d', '.9~g'  # nine digits tell all float32 apart


def figure(curve: Curve, total: int, resumed: list[int]) -> dict[str, Any]:
  """A figure.

  Args:
    curve: what is drawn.
    total: the last step on the axis.
    resumed: the steps at which there are vertical lines.

  Returns:
    Plotly's `data` and `layout`, and `phases`: what to write above.
  """
  data = []
  if curve.dropped:
    look = {'color': _PLANNED, 'width': 1.5, 'dash': 'dot'}
    data.append(_line('planned before', curve.dropped, look, opacity=0.7))
  if curve.planned:
    look = {'color': _PLANNED, 'width': 5}
    data.append(_line('planned', curve.planned, look, opacity=0.45))
  steps, values = curve.logged
  if len(steps):
    few = thinned(values)
    mode = 'lines+markers' if len(few) <= _FEW else 'lines'
    look = {'color': _LOGGED, 'width': 1.5}
    logged = steps[few], values[few]
    data.append(_line('logged', [logged], look, mode=mode))
  if len(curve.off):
    some = curve.off[: _MOST_OFF // 2], curve.off[-_MOST_OFF // 2 :]
    off = np.unique(np.concatenate(some))
    dots = {
      'color': _OFF,
      'size': 8,
      'symbol': 'circle-open',
      'line': {'width': 2},
    }
    data.append(
      _trace('off the plan', [(steps[off], values[off])])
      | {'mode': 'markers', 'marker': dots}
    )
  return {
    'data': data,
    'layout': _layout(curve, total, resumed, len(data)),
    'phases': [list(phase) for phase in curve.phases if len(curve.phases) > 1],
  }


def _line(
  name: str, pieces: list[Series], look: dict[str, Any], **more: Any
) -> dict[str, Any]:
  return {**_trace(name, pieces), 'mode': 'lines', 'line': look, **more}


def _trace(name: str, pieces: list[Series]) -> dict[str, Any]:
  """Points; between two pieces that are apart, there is a gap."""
  x: list[Any] = []
  y: list[Any] = []
  for steps, values in pieces:
    if x and steps[0] != x[-1] + 1:
      x.append(None)
      y.append(None)
    x += steps.tolist()
    y += map(timeline.number, values)
  return {
    'type': 'scatter',
    'name': name,
    'x': x,
    'y': y,
    'hovertemplate': f'%{{y:{_VALUE}}}',
  }


def _layout(
  curve: Curve, total: int, resumed: list[int], traces: int
) -> dict[str, Any]:
  shapes: list[dict[str, Any]] = [
    {
      **_upright(phase.start, phase.end),
      'type': 'rect',
      'fillcolor': _SHADE,
      'line': {'width': 0},
      'layer': 'below',
    }
    for phase in curve.phases[1::2]
  ]
  shapes += [
    {
      **_upright(step, step),
      'type': 'line',
      'line': {'color': _GREY, 'width': 1, 'dash': 'dot'},
    }
    for step in resumed
  ]
  return {
    'hovermode': 'x unified',
    'showlegend': traces > 1,
    'legend': {'orientation': 'h', 'x': 0, 'y': -0.26, 'yanchor': 'top'},
    'margin': {'l': 64, 'r': 28, 'b': 48, 'pad': 4},
    'height': 320,
    'shapes': shapes,
    'xaxis': {
      'range': [0, total],
      'title': {'text': 'step', 'standoff': 6},
      'hoverformat': _STEP,
      'tickformat': _STEP,
    },
    'yaxis': {
      'hoverformat': _VALUE,
      'exponentformat': 'power',
      **_scale(curve),
    },
  }


def _upright(start: int, end: int) -> dict[str, Any]:
  """Where a shape is that is as high as the plot."""
  return {'x0': start, 'x1': end, 'y0': 0, 'y1': 1, 'yref': 'paper'}


def _scale(curve: Curve) -> dict[str, Any]:
  """The vertical axis: linear, or logarithmic from where that is worth it."""
  pieces = [*curve.planned, *curve.dropped] or [curve.logged]
  planned = np.concatenate([values for _, values in pieces])
  values = np.append(planned, curve.logged[1][thinned(curve.logged[1])])
  planned, values = planned[np.isfinite(planned)], values[np.isfinite(values)]
  low = drawing.many_decades(planned, values.min()) if len(planned) else None
  if low is None:
    return {'type': 'linear'}
  above = values[values > 0].min()
  bottom = np.log10(max(above, 0.1 * low)) - 0.1
  return {'type': 'log', 'range': [bottom, np.log10(values.max()) + 0.1]}

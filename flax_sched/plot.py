"""Pictures of schedules, planned against logged."""

from __future__ import annotations

from collections.abc import Mapping
import os
from typing import Any, TYPE_CHECKING

import numpy as np

from flax_sched.schedule import as_schedule

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_MAX_POINTS = 4096  # of a curve: more than a picture has columns
_MAX_DOTS = 40
_LOG_RATIO = 1e3  # a positive curve that spans more gets a logarithmic axis
_STEPS = [1, 2, 2.5, 3, 4, 5, 10]  # between two ticks, times a power of ten

# A blue and an orange that colour-blind people tell apart (Okabe, Ito, 2008).
_PLANNED, _LOGGED = '#0072b2', '#d55e00'
_INK, _PALE = '#333333', '#e4e4e4'


def plot_schedules(
  schedules: Mapping[str, Any],
  *,
  total_steps: int,
  logged: Mapping[str, tuple[Any, Any]] | None = None,
  path: str | os.PathLike[str] | None = None,
  title: str | None = None,
) -> Figure:
  """Draws hyperparameters over the steps of training, one panel for each.

  A panel's axis is logarithmic where its curve is positive and spans more than
  three decades.

  Args:
    schedules: by name, a schedule, a number or another callable of the count.
    total_steps: how many steps to draw.
    logged: what training logged, by the same names: the steps, and the values
      there, of which a few are drawn as dots over the line.
      `flax_sched.tensorboard.read_scalars` gives it.
    path: where to save the picture; its suffix is the format: .png, .svg, .pdf.
    title: a title above all panels.

  Returns:
    The figure, which belongs to no global state of matplotlib.

  Raises:
    ImportError: if matplotlib is missing.
    ValueError: if there is no schedule, `total_steps` is not a positive
      integer, or `logged` has a name that `schedules` lacks.

  >>> import flax_sched as fs
  >>> lr = fs.warmup_cosine_decay_schedule(0.0, 0.003, 100, 900)
  >>> figure = plot_schedules({'learning_rate': lr}, total_steps=1000)
  >>> len(figure.axes)
  1
  """
  caller = 'plot_schedules'
  try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
  except ImportError as error:
    raise ImportError(
      f'{caller}: pictures need matplotlib. Install it by `pip install '
      'flax-sched[plot]`.'
    ) from error
  logged = logged or {}
  if not schedules:
    raise ValueError(f'{caller}: schedules must not be empty.')
  if not isinstance(total_steps, (int, np.integer)) or total_steps < 1:
    raise ValueError(
      f'{caller}: total_steps must be a positive integer, got {total_steps!r}.'
    )
  for name in logged:
    if name not in schedules:
      raise ValueError(
        f'{caller}: logged must have the names of schedules, got {name!r}. '
        f'They are {", ".join(schedules)}.'
      )
  points = min(int(total_steps), _MAX_POINTS)
  steps = np.linspace(0, total_steps - 1, points).round().astype(np.int64)
  figure = Figure(
    figsize=(7.0, 0.7 + 1.6 * len(schedules)),
    dpi=160,
    layout=ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07),
  )
  FigureCanvasAgg(figure)
  panels = figure.subplots(len(schedules), 1, sharex=True, squeeze=False)[:, 0]
  for panel, (name, schedule) in zip(panels, schedules.items(), strict=True):
    curve = np.asarray(as_schedule(schedule)(steps), np.float64)
    _draw(panel, name, steps, curve, logged.get(name))
  panels[-1].set_xlim(0, total_steps)
  panels[-1].set_xlabel('step (completed updates)', color=_INK, fontsize=9)
  if title:
    figure.suptitle(
      title, x=0.01, ha='left', color=_INK, fontsize=11, fontweight='bold'
    )
  if logged:
    from matplotlib.lines import Line2D

    figure.legend(
      handles=[
        Line2D([], [], label='planned', **_LINE),
        Line2D([], [], label='logged', **_DOTS),
      ],
      loc='outside upper right' if not title else 'upper right',
      ncols=2,
      frameon=False,
      labelcolor=_INK,
      fontsize=9,
    )
  if path is not None:
    figure.savefig(os.fspath(path))
  return figure


_LINE: dict[str, Any] = {'color': _PLANNED, 'linewidth': 1.4}
_DOTS: dict[str, Any] = {
  'linestyle': '',
  'marker': 'o',
  'markersize': 3.4,
  'markerfacecolor': 'white',
  'markeredgecolor': _LOGGED,
  'markeredgewidth': 0.9,
}


def _draw(
  panel: Axes,
  name: str,
  steps: np.ndarray,
  curve: np.ndarray,
  logged: tuple[Any, Any] | None,
) -> None:
  from matplotlib import ticker

  panel.plot(steps, curve, **_LINE)
  values = curve
  if logged is not None and len(logged[0]):
    at, dots = np.asarray(logged[0]), np.asarray(logged[1])
    few = np.linspace(0, len(at) - 1, min(len(at), _MAX_DOTS)).round()
    # Half of a dot at either end lies outside the panel.
    panel.plot(
      at[few.astype(int)],
      dots[few.astype(int)],
      clip_on=False,
      zorder=3,
      **_DOTS,
    )
    values = np.concatenate([curve, dots])
  low, high = float(np.min(values)), float(np.max(values))
  if low > 0 and high / low > _LOG_RATIO:
    panel.set_yscale('log')
  else:
    panel.set_ylim(*_limits(low, high))
    panel.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=_STEPS))
    panel.yaxis.set_major_formatter(lambda y, _: f'{y:,.6g}')
  panel.xaxis.set_major_locator(
    ticker.MaxNLocator(6, integer=True, steps=_STEPS)
  )
  panel.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
  panel.set_title(name.replace('_', ' '), loc='left', color=_INK, fontsize=9.5)
  panel.tick_params(labelsize=8.5, color=_PALE, labelcolor=_INK)
  panel.tick_params(which='minor', left=False)
  panel.grid(color=_PALE, linewidth=0.6)
  panel.set_axisbelow(True)
  for side in ('top', 'right'):
    panel.spines[side].set_visible(False)
  for side in ('bottom', 'left'):
    panel.spines[side].set_color('#bbbbbb')


def _limits(low: float, high: float) -> tuple[float, float]:
  """A vertical range: from 0 where that costs little, never of no height."""
  if low == high:
    room = abs(high) or 1.0
    return low - room, high + room
  room = (high - low) * 0.08
  return (0.0 if 0 <= low < high / 2 else low - room), high + room

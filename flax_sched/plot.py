"""Pictures of schedules, planned against logged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import math
import os
import pathlib
import struct
from typing import Any, TYPE_CHECKING

import numpy as np

from flax_sched.schedule import as_schedule

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_MAX_POINTS = 4096  # of a curve: more than a picture has columns
_MAX_MARKERS = 40
_LOG_RATIO = 1e3  # a positive curve that spans more gets a logarithmic axis

# Blue and orange that colour-blind people tell apart (Okabe and Ito, 2008).
_PLANNED, _LOGGED = '#0072b2', '#d55e00'
_INK, _GRID = '#333333', '#e6e6e6'


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
    logged: what training logged, by the same names: the steps and the values
      there, drawn as dots on the planned line. `read_scalars` gives it.
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
  try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
  except ImportError as error:
    raise ImportError(
      'plot_schedules: pictures need matplotlib. Install it by `pip install '
      'flax-sched[plot]`.'
    ) from error
  logged = logged or {}
  if not schedules:
    raise ValueError('plot_schedules: schedules must not be empty.')
  if isinstance(total_steps, bool) or total_steps != int(total_steps) or (
    total_steps < 1
  ):
    raise ValueError(
      'plot_schedules: total_steps must be a positive integer, got '
      f'{total_steps!r}.'
    )
  for name in logged:
    if name not in schedules:
      raise ValueError(
        f'plot_schedules: logged has {name!r}, which schedules lacks. It has '
        f'{", ".join(schedules)}.'
      )
  steps = _sample(int(total_steps))
  figure = Figure(figsize=(7.2, 0.5 + 1.75 * len(schedules)), dpi=150,
                  layout='constrained')
  FigureCanvasAgg(figure)
  panels = figure.subplots(len(schedules), 1, sharex=True, squeeze=False)[:, 0]
  for panel, (name, schedule) in zip(panels, schedules.items(), strict=True):
    curve = np.asarray(as_schedule(schedule)(steps), np.float64)
    _draw(panel, name, steps, curve, logged.get(name))
  panels[-1].set_xlabel('step (completed updates)', color=_INK)
  panels[-1].set_xlim(0, max(int(total_steps), 1))
  if logged:
    figure.legend(
      *panels[0].get_legend_handles_labels(),
      loc='outside upper right', ncols=2, frameon=False, labelcolor=_INK,
    )
  if title:
    figure.suptitle(title, x=0.01, ha='left', color=_INK)
  if path is not None:
    figure.savefig(os.fspath(path))
  return figure


def _sample(total_steps: int) -> np.ndarray:
  """The steps to draw: all, or evenly spaced ones with both ends."""
  points = min(total_steps, _MAX_POINTS)
  return np.unique(np.linspace(0, total_steps - 1, points).round().astype(int))


def _draw(
  panel: Axes,
  name: str,
  steps: np.ndarray,
  curve: np.ndarray,
  logged: tuple[Any, Any] | None,
) -> None:
  panel.plot(steps, curve, color=_PLANNED, linewidth=1.5, label='planned')
  if logged is not None:
    at, values = np.asarray(logged[0]), np.asarray(logged[1])
    every = max(1, math.ceil(len(at) / _MAX_MARKERS))
    panel.plot(
      at[::every], values[::every], linestyle='', marker='o', markersize=3.5,
      markerfacecolor='white', markeredgecolor=_LOGGED, markeredgewidth=1.0,
      label='logged',
    )
  _style(panel)

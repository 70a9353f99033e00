"""Pictures of schedules: planned against logged, or against another plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from typing import Any, TYPE_CHECKING

import jax
import numpy as np

from flax_sched import panels
from flax_sched import tensorboard
from flax_sched.schedule import as_schedule

if TYPE_CHECKING:
  from matplotlib.figure import Figure

_WIDTH = 7.0  # inches


def plot_schedules(
  schedules: Mapping[str, Any],
  *,
  total_steps: int,
  logged: Mapping[str, tuple[Any, Any]] | str | os.PathLike[str] | None = None,
  other: Mapping[str, Any] | None = None,
  labels: Sequence[str] = ('planned', 'before'),
  resumed_at: int | None = None,
  path: str | os.PathLike[str] | None = None,
  title: str | None = None,
) -> Figure:
  """Draws hyperparameters over the steps of training, one panel for each.

  Phases are shaded by turns and named; small numbers below a panel are the
  steps at which they, pieces and cycles begin, where there is room for them.

  A panel's axis is logarithmic where its curve is not negative and its bulk,
  without the lowest and the highest tenth, spans three decades. So neither a
  warm-up from 0 nor the end of a decay makes it so. A 0 on it lies at the
  bottom, below a short linear part.

  Args:
    schedules: by name, a schedule, a number or another callable of the count.
    total_steps: how many steps to draw.
    logged: what training logged, by the same names: the steps, and the values
      there, of which a few are drawn as dots over the line; filled ones are off
      the plan. Or the directory of event files that has it; what it has of
      other names is left out.
    other: a second plan, by name: that of another config, which is dashed, or
      with `resumed_at` the one before. A name may be in one of them only.
    labels: what the legend calls `schedules` and `other`.
    resumed_at: the step at which `schedules` took over from `other`: there is
      a vertical line, and what was not followed is pale.
    path: where to save the picture; its suffix is the format: .png, .svg, .pdf.
    title: a title above all panels.

  Returns:
    The figure, which belongs to no global state of matplotlib.

  Raises:
    ImportError: if matplotlib is missing, or what reads event files.
    FileNotFoundError: if `logged` is no directory.
    TypeError: if `schedules` or `other` is no mapping.
    ValueError: if there is no schedule, `total_steps` is not a positive
      integer, `resumed_at` is not one of its steps, `labels` are not two, or
      `logged` has a name that no schedule has, or none that one has.

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
  other = {} if other is None else other
  for argument, each in (('schedules', schedules), ('other', other)):
    if not isinstance(each, Mapping):
      raise TypeError(
        f'{caller}: {argument} must be a mapping from names to schedules, got '
        f"{each!r}. Give it a name: {{'learning_rate': schedule}}."
      )
  names = list(dict.fromkeys([*schedules, *other]))
  if not names:
    raise ValueError(f'{caller}: schedules must not be empty.')
  for name, number, low, kind in (
    ('total_steps', total_steps, 1, 'a positive integer'),
    ('resumed_at', resumed_at or 0, 0, 'a step of the run'),
  ):
    high = np.inf if name == 'total_steps' else total_steps
    if not isinstance(number, (int, np.integer)) or not low <= number <= high:
      raise ValueError(f'{caller}: {name} must be {kind}, got {number!r}.')
  if isinstance(labels, str) or len(labels) != 2:
    raise ValueError(f'{caller}: labels must be two, got {labels!r}.')
  values = _logged(caller, names, logged)
  figure = Figure(
    figsize=(_WIDTH, 0.8 + 1.75 * len(names)),
    dpi=160,
    layout=ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07),
  )
  FigureCanvasAgg(figure)
  axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
  axes[-1].set_xlim(0, total_steps)
  axes[-1].set_xlabel('step (completed updates)', color=panels.INK, fontsize=9)
  off = False
  for panel, name in zip(axes, names, strict=True):
    planned, instead = (
      jax.device_get(as_schedule(each[name])) if name in each else None
      for each in (schedules, other)
    )
    plan = panels.Plan(
      planned, instead, int(total_steps), resumed_at if other else None
    )
    off |= panels.draw(panel, plan, values.get(name))
    panels.mark(panel, name, plan, resumed_at, numbered=panel is axes[-1])
  if title:
    figure.suptitle(
      title, x=0.01, ha='left', color=panels.INK, fontsize=11, fontweight='bold'
    )
  entries = [(labels[0], panels.LINE)]
  if other:
    solid = {**panels.DASHED, 'linestyle': '-'}
    entries.append((labels[1], panels.DASHED if resumed_at is None else solid))
  if values:
    entries.append(('logged', panels.DOTS))
  if off:
    entries.append(('off the plan', panels.OFF))
  if resumed_at is not None:
    entries.append((f'resumed at {resumed_at:,}', panels.RULE))
  if len(entries) > 1:
    _legend(figure, entries, bool(title))
  if path is not None:
    figure.savefig(os.fspath(path))
  return figure


def _legend(
  figure: Figure, entries: list[tuple[str, dict[str, Any]]], titled: bool
) -> None:
  from matplotlib.lines import Line2D

  place: Any = 'outside upper right'
  if titled:  # beside it, there is room for two
    place = 'upper right' if len(entries) <= 2 else 'outside lower right'
  figure.legend(
    handles=[Line2D([], [], label=label, **look) for label, look in entries],
    loc=place,
    ncols=len(entries),
    frameon=False,
    labelcolor=panels.INK,
    fontsize=9,
  )


def _logged(
  caller: str, names: list[str], logged: Any
) -> dict[str, tuple[Any, Any]]:
  """What was logged, by name: steps and values."""
  known = f'They are {", ".join(names)}.'
  if isinstance(logged, (str, os.PathLike)):
    found = tensorboard.read_scalars(logged)
    if not found.keys() & set(names):
      raise ValueError(
        f'{caller}: logged must have the names of schedules, got a directory '
        f'with {", ".join(found) or "none"}: {os.fspath(logged)}. {known}'
      )
    return {name: found[name] for name in names if name in found}
  logged = logged or {}
  for name in logged:
    if name not in names:
      raise ValueError(
        f'{caller}: logged must have the names of schedules, got {name!r}. '
        f'{known}'
      )
  return {
    name: (np.asarray(steps).astype(np.int64), np.asarray(values, np.float64))
    for name, (steps, values) in logged.items()
  }

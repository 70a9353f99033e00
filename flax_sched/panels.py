"""A panel of a picture: a hyperparameter over the steps of training."""

from __future__ import annotations

from typing import Any, NamedTuple, TYPE_CHECKING

import numpy as np

from flax_sched import drawing
from flax_sched import phases as phases_lib
from flax_sched.phases import Phase

if TYPE_CHECKING:
  from matplotlib.axes import Axes

_MAX_POINTS = 4096  # of a curve: more than a picture has columns
_MAX_DOTS = 40
_MOST_BOUNDARIES = 8  # of pieces and cycles, in a panel
_STEPS = [1, 2, 2.5, 3, 4, 5, 10]  # between two ticks, times a power of ten
_WIDTH = 6.0  # inches: about that of a panel
_LARGE, _SMALL = 8.5, 7.0  # points, of letters

# A blue, an orange and a green that colour-blind people tell apart (Okabe, Ito,
# 2008).
_PLANNED, _LOGGED, _OTHER = '#0072b2', '#d55e00', '#009e73'
INK, _GREY, _PALE, _SHADE = '#333333', '#777777', '#e4e4e4', '#f4f4f4'

LINE: dict[str, Any] = {'color': _PLANNED, 'linewidth': 1.4}
DASHED: dict[str, Any] = {
  'color': _OTHER,
  'linewidth': 1.4,
  'linestyle': (0, (4, 2)),
}
_PALER: dict[str, Any] = {'alpha': 0.4, 'linewidth': 1.0}
DOTS: dict[str, Any] = {
  'linestyle': '',
  'marker': 'o',
  'markersize': 3.4,
  'markerfacecolor': 'white',
  'markeredgecolor': _LOGGED,
  'markeredgewidth': 0.9,
}
OFF: dict[str, Any] = {**DOTS, 'markerfacecolor': _LOGGED}
RULE: dict[str, Any] = {'color': INK, 'linewidth': 0.9, 'linestyle': ':'}


class Plan(NamedTuple):
  """What is planned for a hyperparameter."""

  schedule: Any  # or None
  other: Any
  total_steps: int
  resumed_at: int | None  # None: `schedule` is followed all the time

  def followed(self) -> list[tuple[Any, int, int]]:
    """The schedules that are followed, and from where to where."""
    at, end = self.resumed_at, self.total_steps
    if at is None:
      first = self.other if self.schedule is None else self.schedule
      return [(first, 0, end)]
    parts = [(self.other, 0, at), (self.schedule, at, end)]
    return [part for part in parts if part[0] is not None and part[1] < part[2]]

  def values(self, steps: Any) -> Any:
    """What is followed at the steps; NaN where there is nothing."""
    values = np.full(len(steps), np.nan)
    for schedule, start, end in self.followed():
      inside = (steps >= start) & (steps < end)
      if np.any(inside):
        values[inside] = drawing.evaluate(schedule, steps[inside])
    return values

  def phases(self) -> list[Phase]:
    """The phases of what is followed."""
    return [
      phase._replace(start=max(phase.start, start))
      for schedule, start, end in self.followed()
      for phase in phases_lib.phases(schedule, end)
      if phase.end > start
    ]

  def boundaries(self) -> list[int]:
    """Where pieces and cycles of it begin, unless there are too many."""
    steps = [
      step
      for schedule, start, end in self.followed()
      for step in phases_lib.boundaries(schedule, end)
      if step > start
    ]
    return steps if len(steps) <= _MOST_BOUNDARIES else []


def draw(panel: Axes, plan: Plan, logged: Any) -> bool:
  """Draws curves and dots.

  Args:
    panel: where to.
    plan: the curves.
    logged: the steps and the values of dots, both NumPy arrays; or None.

  Returns:
    Whether a dot is off the plan.
  """
  points = min(plan.total_steps, _MAX_POINTS)
  steps = np.linspace(0, plan.total_steps - 1, points).round().astype(np.int64)
  curves, off = [], np.zeros(0, bool)
  resumed = np.inf if plan.resumed_at is None else plan.resumed_at
  for schedule, look, followed in (
    (plan.schedule, LINE, steps >= (plan.resumed_at or 0)),
    (plan.other, DASHED, steps < resumed),
  ):
    if schedule is None:
      continue
    curves.append(drawing.evaluate(schedule, steps))
    if plan.resumed_at is not None:
      look = {**look, 'linestyle': '-'}
    panel.plot(steps[followed], curves[-1][followed], **look)
    if not np.all(followed):
      panel.plot(steps[~followed], curves[-1][~followed], **{**look, **_PALER})
  bulk = dots = np.concatenate(curves)
  if logged is not None:
    at, dots = logged
    inside = (at >= 0) & (at <= plan.total_steps) & np.isfinite(dots)
    at, dots = at[inside], dots[inside]
    off = drawing.off_plan(dots, plan.values(at))
    # Half of a dot at either end lies outside the panel.
    around = {'clip_on': False, 'zorder': 3}
    if len(at):
      few = _few(np.arange(len(at)))
      panel.plot(at[few], dots[few], **{**DOTS, **around})
    if np.any(off):  # where a few of all would seldom be
      few = _few(np.flatnonzero(off))
      panel.plot(at[few], dots[few], **{**OFF, **around})
  _scale(panel, bulk, np.append(bulk, dots))
  panel.tick_params(labelsize=_LARGE, color=_PALE, labelcolor=INK)
  panel.tick_params(which='minor', left=False)
  panel.grid(color=_PALE, linewidth=0.6)
  panel.set_axisbelow(True)
  for side in ('top', 'right'):
    panel.spines[side].set_visible(False)
  for side in ('bottom', 'left'):
    panel.spines[side].set_color('#bbbbbb')
  return bool(np.any(off))


def _few(indices: Any) -> Any:
  """Some of the indices, evenly spaced: the first and the last too."""
  picked = np.linspace(0, len(indices) - 1, min(len(indices), _MAX_DOTS))
  return indices[picked.round().astype(int)]


def _scale(panel: Axes, curves: Any, values: Any) -> None:
  """The vertical axis, for the curves, and for all values."""
  from matplotlib import ticker

  curves, values = curves[np.isfinite(curves)], values[np.isfinite(values)]
  if not values.size:
    return
  lowest, highest = float(np.min(values)), float(np.max(values))
  low = drawing.many_decades(curves, lowest)
  if low is not None:
    if lowest > 0.01 * low:
      panel.set_yscale('log')
      return
    # What lies far below the bulk, and 0, which has no logarithm.
    linear = 10.0 ** np.floor(np.log10(low))
    panel.set_yscale('symlog', linthresh=linear)
    panel.yaxis.set_major_locator(
      ticker.FixedLocator(_decades(linear, highest))
    )
    panel.set_ylim(0.0, 2 * highest)
    return
  panel.set_ylim(*_limits(lowest, highest))
  panel.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=_STEPS))
  panel.yaxis.set_major_formatter(lambda y, _: f'{y:,.6g}')


def _decades(low: float, high: float) -> list[float]:
  """Ticks from 0 to `high` on an axis that is linear up to `low`."""
  powers = np.arange(np.log10(low).round(), np.log10(high) + 0.01)
  return [0.0, *10.0 ** powers[:: -(-len(powers) // 5)]]


def _limits(low: float, high: float) -> tuple[float, float]:
  """A vertical range: from 0 where that costs little, never of no height."""
  if low == high:
    room = abs(high) or 1.0
    return low - room, high + room
  room = (high - low) * 0.08
  return (0.0 if 0 <= low < high / 2 else low - room), high + room


def mark(
  panel: Axes, name: str, plan: Plan, resumed_at: int | None, *, numbered: bool
) -> None:
  """Writes a panel's title, and shows where phases, pieces and cycles begin.

  Args:
    panel: where to.
    name: the hyperparameter.
    plan: the curves.
    resumed_at: where to draw a vertical line; None: nowhere.
    numbered: whether the numbers of the axis are below this panel.
  """
  from matplotlib import ticker

  total, phases = plan.total_steps, plan.phases()
  locator = ticker.MaxNLocator(6, integer=True, steps=_STEPS)
  panel.xaxis.set_major_locator(locator)
  panel.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
  upright = panel.get_xaxis_transform()
  inch = total / _WIDTH
  small: dict[str, Any] = {
    'xycoords': upright,
    'textcoords': 'offset points',
    'ha': 'center',
    'color': _GREY,
    'fontsize': _SMALL,
    'annotation_clip': False,
  }
  named = phases if len(phases) > 1 else []
  panel.set_title(
    name.replace('_', ' '),
    loc='left',
    color=INK,
    fontsize=9.5,
    pad=13 if named else 5,
  )
  for phase in named[1::2]:
    panel.axvspan(phase.start, phase.end, color=_SHADE, lw=0, zorder=0)
  # Names above the panel, the longest phase's first, where there is room.
  taken: list[tuple[float, float]] = []
  for phase in sorted(named, key=lambda phase: phase.start - phase.end):
    half = inch * _wide(phase.name, _SMALL) / 2
    x = (phase.start + phase.end) / 2
    x = min(max(x, half), total - half)
    if _free(x, half, taken):
      panel.annotate(phase.name, (x, 1), xytext=(0, 3), **small)
  begins = [phase.start for phase in phases if phase.start]
  begins += [step for step in plan.boundaries() if step not in begins]
  panel.vlines(begins, 0, 0.06, transform=upright, color=_GREY, linewidth=0.9)
  if resumed_at is not None:
    panel.vlines([resumed_at], 0, 1, transform=upright, **RULE)
  # Their numbers below it, beside those of the axis.
  taken = []
  for x in locator.tick_values(0, total) if numbered else []:
    taken.append((x, inch * _wide(f'{x:,.0f}', _LARGE) / 2))
  for step in begins:
    if _free(step, inch * _wide(f'{step:,}', _SMALL) / 2, taken):
      below = (0, -7 if numbered else -3)
      panel.annotate(f'{step:,}', (step, 0), xytext=below, va='top', **small)


def _free(x: float, half: float, taken: list[tuple[float, float]]) -> bool:
  """Takes the place from x - half to x + half, if it is free."""
  free = all(abs(x - center) >= half + other for center, other in taken)
  if free:
    taken.append((x, half))
  return free


def _wide(text: str, size: float) -> float:
  """About how wide a text is, with some room around it, in inches."""
  return (0.62 * len(text) + 0.8) * size / 72

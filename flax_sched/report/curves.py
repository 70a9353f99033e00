"""The curves of a run: what was planned for each step, and what was logged."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import Any

import numpy as np

from flax_sched import drawing
from flax_sched import phases as phases_lib
from flax_sched import spans
from flax_sched import timeline
from flax_sched.event_files import Series
from flax_sched.phases import Phase
from flax_sched.report.counts import Part
from flax_sched.report.history import Run

MOST_POINTS = 2000  # of a curve on the page
_SAMPLES = 2**14  # of a plan
_ENDLESS = spans.MAX_COUNT // 100  # beyond it, cycles go on for ever


# ---------------------------------------------------------------------------
# The run.


def total_steps(run: Run, planned: dict[str, list[Part]]) -> int:
  """How long a run is, as far as it says: see `write_report`."""
  end = run.last_step + 1
  for each in planned.values():
    for part in each[-1:]:
      with contextlib.suppress(Exception):  # of a user's class
        last = phases_lib.phases(part.schedule, spans.MAX_COUNT)[-1].start
        for piece in phases_lib.boundaries(part.schedule, spans.MAX_COUNT)[-1:]:
          last = max(last, piece if piece < _ENDLESS else 0)
        if part.counts and last:
          end = max(end, part.counts.step_of(last))
  return min(end, spans.MAX_COUNT)


@dataclasses.dataclass(frozen=True)
class Curve:
  """A hyperparameter over the steps of a run, or another scalar.

  Attributes:
    name: what it is called.
    logged: all that was logged.
    parts: what was planned.
    planned: of the plan, the points to draw.
    dropped: of each plan that was not followed to the end, the rest.
    off: the indices of the logged values that are off the plan.
    phases: what the plan does, in steps.
  """

  name: str
  logged: Series
  parts: list[Part]
  planned: list[Series]
  dropped: list[Series]
  off: Any
  phases: list[Phase]

  @property
  def constant(self) -> float | None:
    """The value that it has all the time; None if it has several."""
    values = np.concatenate([self.logged[1], *(v for _, v in self.planned)])
    same = len(values) and np.all(values == values[0])
    return timeline.number(values[0]) if same and not self.dropped else None

  def followed(self, steps: Any) -> Any:
    """The planned values of what is followed at the steps; NaN for none."""
    return _followed(self.parts, steps)


def curve(run: Run, tag: str, each: list[Part], total: int) -> Curve:
  """A hyperparameter, or another scalar.

  Args:
    run: the run.
    tag: that of the scalar.
    each: what was planned for it; of another scalar, nothing.
    total: the steps of the run.
  """
  steps, values = run.scalars.get(tag, (np.zeros(0, np.int64), np.zeros(0)))
  expected = _followed(each, steps)
  followed = [part for part in each if part.start < min(part.end, total)]
  planned = [_drawn(p, p.start, min(p.end, total)) for p in followed]
  dropped = []
  for i, part in enumerate(each):
    at, rest = _drawn(part, max(part.start, min(part.end, total)), total)
    # A session that went on as planned, or whose plan is drawn already, adds
    # nothing.
    earlier = (p.values(at) for p in each[:i])
    known = itertools.chain((_followed(each, at),), earlier)
    if all(np.any(drawing.off_plan(rest, other)) for other in known):
      dropped.append((at, rest))
  return Curve(
    name=run.names.get(tag, tag),
    logged=(steps, values),
    parts=each,
    planned=[p for p in planned if np.any(np.isfinite(p[1]))],
    dropped=dropped,
    off=np.flatnonzero(drawing.off_plan(values, expected)),
    phases=_phases(followed, total),
  )


def _followed(each: list[Part], steps: Any) -> Any:
  """The planned values of the parts that are followed at the steps."""
  values = np.full(len(steps), np.nan)
  for part in each:
    inside = (steps >= part.start) & (steps < part.end)
    if np.any(inside):  # there may be many plans
      values[inside] = part.values(steps[inside])
  return values


def _drawn(part: Part, start: int, end: int) -> Series:
  """A part of a plan from one step to before another, as points to draw."""
  if start >= end or part.counts is None:
    return np.zeros(0, np.int64), np.zeros(0, np.float32)
  steps = np.linspace(start, end - 1, min(end - start, _SAMPLES))
  steps = np.unique(steps.round().astype(np.int64))
  kept = thinned(part.values(steps))
  edges: list[int] = []
  with contextlib.suppress(Exception):  # of a user's class
    last = int(part.counts.used(end - 1)) + 1
    for count in phases_lib.boundaries(part.schedule, last)[
      -MOST_POINTS // 4 :
    ]:
      step = part.counts.step_of(count)
      edges += [step - 1, step]
  inside = [step for step in edges if start <= step < end]
  steps = np.unique([*steps[kept], *inside])
  return steps, part.values(steps)


def thinned(values: Any, most: int = MOST_POINTS) -> Any:
  """The indices of some values: the lowest and the highest of each stretch.

  >>> thinned(np.array([0.0, 3.0, 1.0, 2.0]), 4)
  array([0, 1, 2, 3])
  """
  if len(values) <= most:
    return np.arange(len(values))
  size = -(-len(values) // (most // 2))
  padded = np.append(values, np.full(-len(values) % size, np.nan))
  rows = padded.reshape(-1, size)
  lost = ~np.isfinite(rows)
  lows = np.where(lost, np.inf, rows).argmin(axis=1)
  highs = np.where(lost, -np.inf, rows).argmax(axis=1)
  begins = size * np.arange(len(rows))
  return np.unique([0, *(begins + lows), *(begins + highs), len(values) - 1])


def _phases(followed: list[Part], total: int) -> list[Phase]:
  """The phases of what is followed, in steps."""
  found: list[Phase] = []
  for part in followed:
    end = min(part.end, total)
    with contextlib.suppress(Exception):  # of a user's class
      assert part.counts is not None
      # Those of the whole plan, as far as it is followed.
      last = int(part.counts.used(total - 1)) + 1
      for phase in phases_lib.phases(part.schedule, last):
        first = max(part.counts.step_of(phase.start), part.start)
        stop = min(part.counts.step_of(phase.end), end)
        if found and found[-1].name == phase.name and found[-1].end == first:
          first = found.pop().start
        if first < stop:
          found.append(Phase(first, stop, phase.name))
  return found

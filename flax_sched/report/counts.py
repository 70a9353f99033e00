"""What was planned for each step: by which schedule, at which count."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import itertools
from typing import Any, NamedTuple

import numpy as np

from flax_sched import drawing
from flax_sched import record
from flax_sched import spans
from flax_sched import spec as spec_lib
from flax_sched import timeline
from flax_sched.event_files import Series
from flax_sched.report.changes import Plan
from flax_sched.report.history import Run
from flax_sched.schedule import Constant

_CHUNK = 2**18  # counts at a time, of very long runs
_MOST_EVERY = 256  # steps from one update to the next that are tried
_SAMPLE = 64  # logged steps by which most of these are ruled out
_UNEVEN = (
  'its count does not advance with the steps, as where updates are held back '
  'or skipped'
)


class Counts(NamedTuple):
  """Which count the update of each step used.

  Attributes:
    step: a step, after which
    done: so many updates were completed.
    every: the steps from one update to the next.
    update: the step of some update.
  """

  step: int
  done: int
  every: int = 1
  update: int = 0

  def completed(self, steps: Any) -> Any:
    """The updates that were completed after the steps, of their shape."""
    return self.done + self._updates(steps) - self._updates(self.step)

  def used(self, steps: Any) -> Any:
    """The counts that the last updates used, of the shape of the steps."""
    # Before the first update, the values are those of count 0.
    return np.clip(self.completed(steps) - 1, 0, spans.MAX_COUNT)

  def step_of(self, count: int) -> int:
    """The first step that used a count."""
    updates = count - (self.done - 1) + self._updates(self.step)
    return int(self.update + self.every * updates)

  def _updates(self, steps: Any) -> Any:
    steps = np.asarray(steps, np.int64)
    return (steps - self.update) // self.every


@dataclasses.dataclass(frozen=True)
class Part:
  """What one plan says of one hyperparameter.

  Attributes:
    start: the first step at which it is followed.
    end: the first step at which it is not any more.
    entry: of the record.
    schedule: what is followed; None if only a run can tell its values.
    counts: which counts its updates used; None if that is not known.
    why: why it has no curve; empty if it has one.
  """

  start: int
  end: int
  entry: record.Entry
  schedule: Any
  counts: Counts | None
  why: str = ''

  def values(self, steps: Any) -> Any:
    """The planned values, float32 of the shape of the steps."""
    if self.schedule is None or self.counts is None:
      return np.full(len(steps), np.nan, np.float32)
    counts = self.counts.used(steps)
    pieces = np.split(counts, range(_CHUNK, len(counts), _CHUNK))
    values = [timeline.values(self.schedule, piece) for piece in pieces]
    return np.concatenate(values)


def parts(run: Run) -> dict[str, list[Part]]:
  """What is planned for each hyperparameter by its tag, plan by plan."""
  found: dict[str, list[Part]] = {tag: [] for tag in run.names}
  starts = [plan.start for plan in run.plans]
  for i, plan in enumerate(run.plans):
    end = min(starts[i + 1 :], default=spans.MAX_COUNT)
    together: dict[int, dict[str, Part]] = {}
    for tag, entry in plan.entries.items():
      schedule, why = _schedule(entry)
      part = Part(plan.start, end, entry, schedule, None, why)
      together.setdefault(entry['count'], {})[tag] = part
    # Those of one count have one transformation, or two in step.
    for count, each in together.items():
      evidence = _Evidence(run, plan, count, each)
      counts = _counts(evidence, [p for tag in each for p in found[tag][-1:]])
      for tag, part in each.items():
        if isinstance(part.schedule, Constant):  # at whatever count
          part = dataclasses.replace(part, counts=Counts(plan.step, count))
        elif part.schedule is not None:
          why = '' if counts else _UNEVEN
          part = dataclasses.replace(part, counts=counts, why=why)
        found[tag].append(part)
  return found


def _schedule(entry: record.Entry) -> tuple[Any, str]:
  """What an entry follows, or why that can't be told."""
  spec = entry['schedule']
  if 'override' in entry:
    return Constant(constant=np.float32(entry['override'])), ''
  if spec_lib.is_fingerprint(spec):
    return None, f'it follows the function {spec["function"]}'
  if 'memory' in entry:
    return None, 'it reacts to what the run passes to it'
  try:
    return spec_lib.from_spec(spec), ''
  except Exception as error:  # its class is not here, or is another one
    return None, f'it cannot be built here: {type(error).__name__}: {error}'


# ---------------------------------------------------------------------------
# Steps and counts.


class _Evidence:
  """What tells how the counts advance with the steps, while a plan is followed.

  Attributes:
    step: that of the plan's record.
    count: that of the record.
    near: steps and counts of the records before and after, of the same.
    moving: schedules, each with what was logged where it changes.
    every: candidates for the steps from one update to the next, each with a
      step at which there is one.
  """

  def __init__(
    self, run: Run, plan: Plan, count: int, each: dict[str, Part]
  ) -> None:
    self.step, self.count = plan.step, count
    some = next(iter(each))
    known = [p for p in run.plans if some in p.entries]
    i = known.index(plan)
    self.near = [
      (p.step, p.entries[some]['count'])
      for p in known[max(i - 1, 0) : i + 2]
      # Where steps go on and counts do not, these started again.
      if (p.step - plan.step) * (p.entries[some]['count'] - count) >= 0
      and p.step != plan.step
    ]
    self.moving: list[tuple[Part, Series]] = []
    changes = [np.zeros(0, np.int64)]
    for tag, part in each.items():
      steps, values = run.scalars.get(tag, (changes[0], np.zeros(0)))
      inside = slice(*np.searchsorted(steps, [part.start, part.end]))
      steps, values = steps[inside], values[inside]
      changes.append(steps[1:][values[1:] != values[:-1]])
      if part.schedule is not None and len(changes[-1]):
        self.moving.append((part, (steps, values)))
    # A value changes only where there was an update.
    updates = np.unique(np.concatenate(changes))
    self.every = []
    if len(updates) > 1:
      every = int(np.gcd.reduce(np.diff(updates)))
      # Where not every step is logged, the update may have come before.
      self.every.append((every, every - 1))
      self.every.append((every, int(updates[0])))
    for s, c in [*self.near, (-1, 0)]:  # before step 0, none was completed
      if c != count:
        every = max(round((s - plan.step) / (c - count)), 1)
        self.every.append((every, every - 1))

  def accumulations(self) -> Iterator[tuple[int, int]]:
    """Further candidates: an update every so many steps, from step 0 on.

    Where few steps are logged, what was logged does not say of itself when
    there were updates. Those that give a sample of it are worth a closer look.
    """
    each = [(every, every - 1) for every in range(2, _MOST_EVERY + 1)]
    for part, (steps, values) in self.moving:
      some = np.linspace(0, len(steps) - 1, min(len(steps), _SAMPLE))
      some = some.astype(np.int64)
      used = [
        Counts(self.step, self.count, *one).used(steps[some]) for one in each
      ]
      planned = timeline.values(part.schedule, np.concatenate(used))
      rows = planned.reshape(len(each), -1)
      for one, row in zip(each, rows, strict=True):
        if not np.any(drawing.off_plan(values[some], row)):
          yield one

  def fitting(self, counts: Counts) -> int:
    """How many of the schedules give all that was logged."""
    found = 0
    for part, (steps, values) in self.moving:
      planned = dataclasses.replace(part, counts=counts).values(steps)
      found += not np.any(drawing.off_plan(values, planned))
    return found

  def agreeing(self, counts: Counts) -> int:
    """How many of the records nearby have the count that is to be expected."""
    return sum(counts.completed(s) == c for s, c in self.near)


def _counts(evidence: _Evidence, before: list[Part]) -> Counts | None:
  """How the counts advance with the steps; None if that can't be told.

  Args:
    evidence: what tells it.
    before: what was found for the plan before, where nothing else speaks.
  """
  known = [
    (part.counts.every, part.counts.update)
    for part in before
    if part.counts and not isinstance(part.schedule, Constant)
  ]
  best, fitting, most = Counts(evidence.step, evidence.count), 0, -1
  told = dict.fromkeys([*known, (1, 0), *evidence.every])
  for every, update in itertools.chain(told, evidence.accumulations()):
    counts = Counts(evidence.step, evidence.count, every, update)
    fits, agrees = evidence.fitting(counts), evidence.agreeing(counts)
    if fits + agrees > most:
      best, fitting, most = counts, fits, fits + agrees
    if most == len(evidence.moving) + len(evidence.near):
      break
  if fitting:
    return best
  if evidence.moving:  # off the plan, if the counts are those of the steps
    best = Counts(evidence.step, evidence.count)
  # Where updates are held back, the first record may be before the first one.
  even = evidence.count > 0 and evidence.agreeing(best) == len(evidence.near)
  return best if even else None

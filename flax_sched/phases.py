"""The phases of a schedule: where they are, and what one calls them."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import enum
from typing import Any, NamedTuple

import jax
import numpy as np

from flax_sched import drawing
from flax_sched.compose import Crossfade
from flax_sched.curves import Curve
from flax_sched.curves import WarmRestarts
from flax_sched.decays import Exponential
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Every
from flax_sched.schedule import Join
from flax_sched.schedule import PerCycle
from flax_sched.schedule import Repeat
from flax_sched.schedule import Schedule
from flax_sched.schedule import Shift
from flax_sched.tables import PiecewiseConstant
from flax_sched.tables import PiecewiseInterpolate

_SAMPLES = 2**8  # of a phase
_ROUNDING = 1e-6  # of the largest value: differences below it are rounding
_MOST_CYCLES = 1000  # beyond that, no boundaries of cycles


class Phase(NamedTuple):
  """A part of a run in which a schedule does one thing.

  Attributes:
    start: its first step.
    end: the first step after it.
    name: 'warm-up', 'stable', 'decay', 'cooldown' (a decay that follows one),
      'end' (what a decay holds afterwards), 'rise', 'cycles', 'up and down', or
      'constant', where that is all.
  """

  start: int
  end: int
  name: str


def phases(schedule: Any, total_steps: int) -> tuple[Phase, ...]:
  """The phases of a schedule in a run.

  They are where it is joined, where a curve or a line begins or ends; their
  names are those of what the values do there.

  Args:
    schedule: a schedule, a number or another callable of the count, whose
      numbers are concrete.
    total_steps: the number of updates of the run.

  Returns:
    The phases, in order, one beside the other, from 0 to `total_steps`.

  Raises:
    ValueError: if `total_steps` is not a positive integer.

  >>> import flax_sched as fs
  >>> for phase in phases(fs.wsd_schedule(0.01, 100, 800, 100), 1000):
  ...   print(phase)
  Phase(start=0, end=100, name='warm-up')
  Phase(start=100, end=900, name='stable')
  Phase(start=900, end=1000, name='decay')
  """
  schedule, found = _found('phases', schedule, total_steps)
  edges = [step for step, kind in sorted(found.items()) if kind != _Edge.INNER]
  starts, ends = [0, *edges], [*edges, int(total_steps)]
  counts = np.linspace(starts, np.subtract(ends, 1), _SAMPLES, axis=1)
  values = drawing.evaluate(schedule, counts.round().astype(np.int64).ravel())
  parts: list[Phase] = []
  for start, end, part in zip(
    starts, ends, values.reshape(counts.shape), strict=True
  ):
    name = _direction(part)
    # A knot between two lines that both fall is not where a phase ends.
    if parts and parts[-1].name == name and found[start] == _Edge.KNOT:
      parts[-1] = parts[-1]._replace(end=end)
    else:
      parts.append(Phase(start, end, name))
  return tuple(
    part._replace(name=_name(i, [part.name for part in parts]))
    for i, part in enumerate(parts)
  )


def boundaries(schedule: Any, total_steps: int) -> tuple[int, ...]:
  """The steps of a run at which a schedule's formula changes.

  Args:
    schedule: as in `phases`.
    total_steps: the number of updates of the run.

  Returns:
    The steps, ascending, above 0 and below `total_steps`: where phases, pieces
    and cycles begin.

  Raises:
    ValueError: if `total_steps` is not a positive integer.

  >>> import flax_sched as fs
  >>> boundaries(fs.multistep_schedule(0.1, [300, 600]), 500)
  (300,)
  """
  return tuple(sorted(_found('boundaries', schedule, total_steps)[1]))


class _Edge(enum.IntEnum):
  """What a boundary divides."""

  INNER = 0  # pieces and cycles, inside of a phase
  KNOT = 1  # phases, where the direction changes
  JOIN = 2  # phases


def _found(
  caller: str, schedule: Any, total_steps: int
) -> tuple[Schedule, dict[int, _Edge]]:
  """The schedule, on the host, and its boundaries."""
  if not isinstance(total_steps, (int, np.integer)) or total_steps < 1:
    raise ValueError(
      f'{caller}: total_steps must be a positive integer, got {total_steps!r}.'
    )
  on_host: Schedule = jax.device_get(as_schedule(schedule))
  found: dict[int, _Edge] = {}
  for step, kind in _edges(on_host, int(total_steps)):
    if 0 < step < total_steps:
      found[step] = max(kind, found.get(step, kind))
  return on_host, found


def _edges(schedule: Schedule, end: int) -> Iterator[tuple[int, _Edge]]:
  """Boundaries of a schedule; those outside 0 to `end` do not count."""
  match schedule:
    case Join():
      starts = [0, *map(int, schedule.boundaries)]
      ends = [*starts[1:], end]
      for part, start, stop in zip(
        schedule.schedules, starts, ends, strict=True
      ):
        yield start, _Edge.JOIN
        yield from _within(part, start, min(stop, end))
    case Crossfade():
      begin = int(schedule.begin)
      after = begin + int(schedule.transition_steps)
      yield from [(begin, _Edge.JOIN), (after, _Edge.JOIN)]
      for step, kind in _edges(schedule.old, end):
        if step < after:
          yield step, kind
      for step, kind in _edges(schedule.new, end):
        if step > begin:
          yield step, kind
    case Shift():
      begin = int(schedule.begin)
      yield begin, _Edge.KNOT
      yield from _within(schedule.schedule, begin, end)
    case Every():
      unit = int(schedule.steps)
      for step, kind in _edges(schedule.schedule, -(-end // unit)):
        yield step * unit, kind
    case Repeat() | WarmRestarts() | PerCycle():
      yield from _cycles(schedule, end)
      if isinstance(schedule, Repeat) and end <= schedule.period:
        yield from _edges(schedule.schedule, end)
    case Exponential(staircase=True):
      yield from _cycles(schedule, end)
    case Curve():
      yield int(schedule.steps), _Edge.KNOT
    case PiecewiseInterpolate():
      for step in map(int, schedule.boundaries):
        yield step, _Edge.KNOT
    case PiecewiseConstant():
      for step in map(int, schedule.boundaries):
        yield step, _Edge.INNER
    case _:
      for field in dataclasses.fields(schedule):
        inside = getattr(schedule, field.name)
        for part in inside if isinstance(inside, tuple) else [inside]:
          if isinstance(part, Schedule):
            yield from _edges(part, end)


def _within(
  part: Schedule, start: int, end: int
) -> Iterator[tuple[int, _Edge]]:
  """The boundaries of a schedule that counts from `start`, before `end`."""
  for step, kind in _edges(part, max(end - start, 0)):
    if step > 0 and start + step < end:
      yield start + step, kind


def _cycles(schedule: Any, end: int) -> Iterator[tuple[int, _Edge]]:
  """Where cycles begin, unless there are very many."""
  length = getattr(schedule, 'period', None) or schedule.transition_steps
  length, growth = float(length), float(getattr(schedule, 't_mult', 1.0))
  starts: list[int] = []
  start = length
  while start < end:
    if len(starts) == _MOST_CYCLES:
      return
    starts.append(round(start))
    length *= growth
    start += length
  for start in starts:
    yield start, _Edge.INNER


# ---------------------------------------------------------------------------
# Names.

_FLAT, _RISING, _FALLING = 'flat', 'rising', 'falling'
_TURNING, _CYCLES = 'up and down', 'cycles'


def _direction(values: Any) -> str:
  """What values do, in order."""
  rounding = _ROUNDING * np.max(np.abs(values))
  rises = np.max(values - np.minimum.accumulate(values)) > rounding
  falls = np.max(np.maximum.accumulate(values) - values) > rounding
  if not (rises and falls):
    return _RISING if rises else _FALLING if falls else _FLAT
  changes = np.diff(values)
  signs = np.sign(changes[np.abs(changes) > rounding])
  return _TURNING if np.sum(signs[1:] != signs[:-1]) < 2 else _CYCLES


def _name(i: int, directions: list[str]) -> str:
  """The name of a phase, which depends on what is around it."""
  direction, before = directions[i], directions[:i]
  last = i == len(directions) - 1
  if direction == _FLAT:
    if last and not before:
      return 'constant'
    return 'end' if last and before[-1] not in (_RISING, _FLAT) else 'stable'
  if direction == _RISING:
    return 'rise' if last or set(before) - {_FLAT} else 'warm-up'
  if direction == _FALLING:
    return 'cooldown' if before[-1:] == [_FALLING] else 'decay'
  return direction

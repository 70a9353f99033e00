"""A schedule over a run, for a table: its phases, key steps and values."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from flax_sched import compose
from flax_sched import curves
from flax_sched import drawing
from flax_sched import following
from flax_sched import phases as phases_lib
from flax_sched import schedule as schedule_lib
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Function
from flax_sched.schedule import Join

_MOST = 20  # boundaries among the key steps


def values(schedule: Any, counts: Any) -> Any:
  """The values at the counts, float32, computed on the host.

  Args:
    schedule: a schedule, or another callable of the count.
    counts: integers.

  >>> import flax_sched as fs
  >>> values(fs.linear_schedule(1.0, 0.0, 4), [0, 1, 4])
  array([1.  , 0.75, 0.  ], dtype=float32)
  """
  # With its parameters on the host, a schedule computes there too.
  schedule = jax.device_get(as_schedule(schedule))
  counts = np.asarray(counts, np.int64)
  return np.asarray(drawing.evaluate(schedule, counts), np.float32)


def number(x: Any) -> float | None:
  """A float32 as the shortest number that is the same; None if not finite.

  >>> number(np.float32(0.1)), number(np.float32('inf'))
  (0.1, None)
  """
  return float(str(np.float32(x))) if np.isfinite(x) else None


def rows(schedule: Any, total_steps: int) -> list[dict[str, Any]]:
  """The phases of a schedule in a run, with their values, as plain data.

  Args:
    schedule: a schedule whose numbers are concrete.
    total_steps: the updates of the run.

  Returns:
    Of each phase the first step, the first step after it, its name, what the
    value follows there (see `shape`), and the first and the last value.

  >>> import flax_sched as fs
  >>> rows(fs.linear_schedule(1.0, 0.5, 10), 10)
  [{'start': 0, 'end': 10, 'name': 'decay', 'shape': 'Linear', 'first': 1.0, \
'last': 0.55}]
  """
  found = phases_lib.phases(schedule, total_steps)
  first = values(schedule, [phase.start for phase in found])
  last = values(schedule, [phase.end - 1 for phase in found])
  return [
    {
      **phase._asdict(),
      'shape': shape(schedule, phase.start),
      'first': number(a),
      'last': number(b),
    }
    for phase, a, b in zip(found, first, last, strict=True)
  ]


def key_steps(schedule: Any, total_steps: int) -> list[int]:
  """The steps whose values say most of a run.

  Args:
    schedule: a schedule whose numbers are concrete.
    total_steps: the updates of the run.

  Returns:
    0, 1, where the formula changes (of very many such steps the first ones),
    the quarters, the last step, and the step after it, in order.

  >>> import flax_sched as fs
  >>> key_steps(fs.linear_schedule(1.0, 0.0, 10), 100)
  [0, 1, 10, 25, 50, 75, 99, 100]
  """
  changes = phases_lib.boundaries(schedule, total_steps)[:_MOST]
  quarters = [total_steps * i // 4 for i in range(5)]
  return sorted({0, 1, *changes, *quarters, total_steps - 1})


def shape(schedule: Any, count: int) -> str:
  """What the value of a schedule follows at a count.

  Args:
    schedule: a schedule whose numbers are concrete.
    count: the step.

  Returns:
    The class of a curve, the name of a function, 'held' where a curve has
    ended, or several of them, as they are combined.

  >>> import flax_sched as fs
  >>> lr = 0.5 * fs.warmup_cosine_decay_schedule(0.0, 1.0, 10, 80)
  >>> shape(lr, 0), shape(lr, 10), shape(lr, 90)
  ('Linear', 'Cosine', 'held')
  """
  match schedule:
    case Join():
      i = int(np.searchsorted(schedule.boundaries, count, side='right'))
      start = int(schedule.boundaries[i - 1]) if i else 0
      return shape(schedule.schedules[i], count - start)
    case schedule_lib.Shift():
      return shape(schedule.schedule, max(count - int(schedule.begin), 0))
    case schedule_lib.Every():
      return shape(schedule.schedule, count // int(schedule.steps))
    case schedule_lib.Repeat():
      return shape(schedule.schedule, count % int(schedule.period))
    case schedule_lib.Combination():
      moving = [s for s in schedule.schedules if not isinstance(s, Constant)]
      shapes = [shape(s, count) for s in moving or schedule.schedules[:1]]
      if schedule._sign or len(shapes) == 1:
        return f' {schedule._sign} '.join(shapes)
      return f'{type(schedule).__name__.lower()}({", ".join(shapes)})'
    case following.Follow() | following.FollowFunction():
      return shape(schedule.schedule, count)
    case compose.Crossfade():
      done = count - int(schedule.begin)
      if 0 < done < schedule.transition_steps:
        return 'Crossfade'
      return shape(schedule.old if done <= 0 else schedule.new, count)
    case curves.WarmRestarts():
      return type(schedule.curve).__name__
    case curves.Curve() if count >= schedule.steps:
      return 'held'
    case Function():
      name = getattr(schedule.function, '__name__', None)
      return name or type(schedule.function).__name__
  return type(schedule).__name__

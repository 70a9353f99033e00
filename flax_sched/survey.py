"""The values of a schedule over a run: all, or a sample that is refined.

A long run is looked at where it is sampled, dense at both ends, and between two
samples by bisection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from flax_sched.numerics import MAX_FLOAT32
from flax_sched.schedule import as_schedule
from flax_sched.spans import MAX_COUNT

FOREVER = int(0.9 * MAX_COUNT)  # what changes later than this never ends
HUGE = 1e36  # beyond it, and below _TINY, a curve ends because float32 does
_TINY = 1e-36
ROUNDING = 1e-6  # of the largest value: differences below it are rounding
_SAMPLES = 2**20  # a run of more steps is sampled, at a quarter as many
_SLOW_SAMPLES = 2**10  # of a function that takes one count at a time


class Samples(NamedTuple):
  """Values at ascending counts, and the schedule for those between."""

  at: Callable[[Any], Any]
  counts: Any
  values: Any

  def bisect(self, i: int, holds: Callable[[Any], Any]) -> int:
    """The first step where `holds`: true at counts[i], not at the one before.

    Where there is none before, or it holds there too, that is counts[i].
    """
    high = int(self.counts[i])
    low = int(self.counts[i - 1]) if i else high - 1
    while high - low > 1:
      middle = (low + high) // 2
      if holds(self.at(np.array([middle])))[0]:
        high = middle
      else:
        low = middle
    return high

  def first(self, holds: Callable[[Any], Any]) -> int | None:
    """The first step where `holds`, if there is one."""
    found = np.flatnonzero(holds(self.values))
    return self.bisect(int(found[0]), holds) if found.size else None

  def peak(self) -> tuple[float, int]:
    """The largest value, and the first step where it is; NaN is the largest."""
    counts, values = self.counts, self.values
    while True:
      i = int(np.argmax(values))
      low, high = counts[max(i - 1, 0)], counts[min(i + 1, len(counts) - 1)]
      if high - low <= 2:
        return float(values[i]), int(counts[i])
      # Always of one shape, for which JAX compiles a user's function once.
      counts = np.linspace(low, high, 1025).round().astype(np.int64)
      values = self.at(counts)

  def fades(self, start: int, stop: int) -> bool:
    """Whether it is only float32 that ends the change from `start` at `stop`.

    What fades for ever has half-way at most the geometric mean of what is left
    at `start` and of the last bit: an exponential has that, others have less.
    """
    counts = np.array([start, (start + stop) // 2, stop])
    first, middle, last = self.at(counts)
    bit = float(np.spacing(np.abs(np.float32(last))))
    return bool((middle - last) ** 2 <= abs(first - last) * bit)


class Survey(NamedTuple):
  """What the warnings look at."""

  run: Samples
  after: Samples  # from total_steps on
  total_steps: int
  peak: float
  peak_step: int
  size: float  # the largest absolute value in the run
  rounding: float  # a difference that means nothing
  flat: bool  # whether the run has one value for several steps
  end: float
  settled: int | None  # the first step of those that stay at the end
  peak_value: float | None


def survey(schedule: Any, total_steps: int, peak_value: float | None) -> Survey:
  """Looks at a schedule.

  Args:
    schedule: a schedule, a number or another callable of the count.
    total_steps: how many updates the run has.
    peak_value: the largest value that is meant, if that is known.
  """
  at, limit = _evaluator(schedule, total_steps)
  if total_steps <= limit:
    inside = np.arange(total_steps)
  else:
    inside = _spread(0, total_steps - 1, limit // 4)
  outside = _spread(total_steps, MAX_COUNT, min(limit, 2**12))
  counts = np.append(inside, outside)
  whole = Samples(at, counts, at(counts))
  run, after = (
    Samples(at, counts[part], whole.values[part])
    for part in (slice(len(inside)), slice(len(inside), None))
  )
  peak, peak_step = run.peak()
  size = float(np.max(np.abs(run.values)))
  return Survey(
    run=run,
    after=after,
    total_steps=total_steps,
    peak=peak,
    peak_step=peak_step,
    size=size,
    rounding=ROUNDING * size,
    flat=total_steps > 1 and bool(np.all(run.values == run.values[0])),
    end=float(whole.values[-1]),
    settled=_settled(whole),
    peak_value=peak_value,
  )


def _evaluator(schedule: Any, total_steps: int) -> tuple[Any, int]:
  """The values at an array of counts, and for how many that is fast."""
  # With its parameters on the host, a schedule computes there too.
  schedule = jax.device_get(as_schedule(schedule))

  def together(counts: Any) -> Any:
    try:
      return np.asarray(schedule(counts), np.float64)
    except Exception:
      one_by_one(counts[counts >= total_steps])  # whose error names the count
      raise

  def one(count: Any) -> float:
    try:
      return float(schedule(count))
    except OverflowError:  # of Python's floats
      return MAX_FLOAT32
    except Exception as error:
      if count < total_steps:
        raise
      raise ValueError(
        f'check: schedule failed at count {count:,}, past the end of the run '
        f'of {total_steps:,} steps, where check looks too: {error!r}. Let it '
        f'hold its last value, as table[min(n, {total_steps - 1})] does.'
      ) from error

  def one_by_one(counts: Any) -> Any:
    values = [one(count) for count in counts.ravel()]
    return np.reshape(np.asarray(values, np.float64), counts.shape)

  probe = np.array([0, total_steps - 1, total_steps])
  try:
    expected = one_by_one(probe)
    rounding = ROUNDING * np.max(np.abs(expected))
    if np.allclose(together(probe), expected, rtol=0, atol=rounding):
      return together, _SAMPLES
  except Exception:  # whatever an array does to a function of one count
    pass
  return one_by_one, _SLOW_SAMPLES


def _spread(low: int, high: int, points: int) -> Any:
  """Counts from `low` to `high`, evenly spaced, and denser towards both."""
  steps = np.geomspace(1, max(high - low, 1), points // 4)
  even = np.linspace(low, high, points // 2)
  counts = np.concatenate([low + steps, even, high - steps])
  return np.unique(np.clip(counts.round().astype(np.int64), low, high))


def _settled(whole: Samples) -> int | None:
  """The first step from which on the value is the last one."""
  end = whole.values[-1]
  if not abs(end) < HUGE:
    return None
  moving = np.flatnonzero(whole.values != end)
  if not moving.size:
    return 0
  step = whole.bisect(int(moving[-1]) + 1, lambda values: values == end)
  before = whole.at(np.array([step - 1]))[0]
  vanished = end == 0 and abs(before) < _TINY
  return None if vanished or step > FOREVER else step

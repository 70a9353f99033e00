"""What looks wrong in the values of a schedule over a run."""

from __future__ import annotations

from collections.abc import Callable, Collection
import dataclasses

import numpy as np

from flax_sched.numerics import MAX_FLOAT32
from flax_sched.survey import FOREVER
from flax_sched.survey import HUGE
from flax_sched.survey import ROUNDING
from flax_sched.survey import Survey

_JUMP = 0.05  # of the largest value, and
_SHARP = 4  # times as much as one step before, and one step after
_SHORT_RUN = 30  # the steps of a shorter run are all large


@dataclasses.dataclass(frozen=True)
class Finding:
  """Something that looks wrong.

  Attributes:
    name: the warning's name, which `ignore` takes.
    message: what was found, and the remedy.
    step: where.
  """

  name: str
  message: str
  step: int

  def __str__(self) -> str:
    return f'{self.name}: {self.message}'


def of(curve: Survey, ignored: Collection[str]) -> tuple[Finding, ...]:
  """The findings of a run, but for those whose names are ignored."""
  found = []
  for name in ['not_finite'] if _not_finite(curve) else WARNINGS:
    seen = None if name in ignored else WARNINGS[name](curve)
    if seen:
      step, message = seen
      found.append(Finding(name, message, int(step)))
  return tuple(found)


# ---------------------------------------------------------------------------
# The warnings: each gives a step and a message, or nothing.

_Found = tuple[int, str] | None


def _not_finite(curve: Survey) -> _Found:
  # Written so that NaN is not finite either.
  step = curve.run.first(lambda values: ~(np.abs(values) < MAX_FLOAT32))
  if step is None:
    return None
  value = curve.run.at(np.array([step]))[0]
  return step, (
    f'the value is {value:.6g} at step {step:,}, which is NaN or beyond '
    'float32. Keep the function finite there.'
  )


def _zero_at_start(curve: Survey) -> _Found:
  if curve.run.values[0] != 0 or curve.size == 0:
    return None
  return 0, (
    'the value is 0 at step 0, so the first update does nothing. Start the '
    'warm-up above 0, or count from 1.'
  )


def _zero_for_long(curve: Survey) -> _Found:
  zero = curve.run.values == 0
  edges = np.flatnonzero(np.diff(np.concatenate([[False], zero, [False]])))
  if not edges.size:
    return None
  begins, ends = edges[::2], edges[1::2]
  counts = np.append(curve.run.counts, curve.total_steps)
  longest = int(np.argmax(counts[ends] - counts[begins]))
  begin = curve.run.bisect(int(begins[longest]), lambda values: values == 0)
  end = curve.total_steps
  if ends[longest] < len(zero):
    end = curve.run.bisect(int(ends[longest]), lambda values: values != 0)
  if end - begin < 2 or end - begin <= 0.01 * curve.total_steps:
    return None
  if _ends_early(curve) and begin == curve.settled:  # says it better
    return None
  return begin, (
    f'the value is 0 for {end - begin:,} of {curve.total_steps:,} steps, from '
    f'step {begin:,} on: they train nothing. Leave them out, or raise them.'
  )


def _negative(curve: Survey) -> _Found:
  step = curve.run.first(lambda values: values < 0)
  if step is None:
    return None
  value = curve.run.at(np.array([step]))[0]
  return step, (
    f'the value is {value:.6g} at step {step:,}. Raise the end values to 0 or '
    'more.'
  )


def _above_peak(curve: Survey) -> _Found:
  limit = curve.peak_value
  if limit is None or curve.peak <= limit + ROUNDING * abs(limit):
    return None
  return curve.peak_step, (
    f'the value is {curve.peak:.6g} at step {curve.peak_step:,}, above '
    f'peak_value={limit:.6g}. Lower the schedule, or raise peak_value.'
  )


def _warmup_too_long(curve: Survey) -> _Found:
  run, rounding = curve.run, curve.rounding
  way_up = run.values[: np.searchsorted(run.counts, curve.peak_step) + 1]
  if way_up[0] >= curve.peak - rounding or np.any(np.diff(way_up) < -rounding):
    return None
  if run.values[-1] < curve.peak - rounding:
    if curve.peak_step <= curve.total_steps / 2:
      return None
    return curve.peak_step, (
      f'the value rises up to step {curve.peak_step:,}, for '
      f'{curve.peak_step / curve.total_steps:.0%} of the run. Shorten the '
      'warm-up, or train longer.'
    )
  later, step = curve.after.peak()
  if later <= curve.peak + rounding or later > HUGE or step > FOREVER:
    return None
  if step == curve.total_steps:  # the rise ends with the run,
    if curve.end >= later - rounding:  # to stay there
      return None
  elif curve.after.fades(curve.total_steps, step):
    return None
  return curve.total_steps - 1, (
    f'the value still rises at the last step: to {later:.6g} at step {step:,}, '
    f'after the run. Shorten the warm-up to well below {curve.total_steps:,} '
    'steps, or train longer.'
  )


def _flat(curve: Survey) -> _Found:
  first = curve.run.values[0]
  step = curve.after.first(lambda values: values != first)
  if not curve.flat or step is None:
    return None
  return step, (
    f'all {curve.total_steps:,} steps have the value {first:.6g}, and the '
    f'first change is at step {step:,}. Let the schedule begin earlier.'
  )


def _end_not_reached(curve: Survey) -> _Found:
  stop, step = curve.after.values[0], curve.settled
  if step is None or curve.flat:  # for which there is a better warning
    return None
  if step <= curve.total_steps or abs(curve.end - stop) <= curve.rounding:
    return None
  if curve.after.fades(curve.total_steps, step):
    return None
  return step, (
    f'the run stops at {stop:.6g}, and the schedule changes up to step '
    f'{step:,}, to {curve.end:.6g}. Train for {step:,} steps, or let the '
    f'schedule end at {curve.total_steps:,}.'
  )


def _ends_early(curve: Survey) -> _Found:
  step, total = curve.settled, curve.total_steps
  if step is None or curve.end >= curve.peak - curve.rounding:
    return None  # it has no end, or stays at the end of the warm-up
  if total - step <= 0.05 * total:
    return None
  before, last, _ = curve.run.at(np.array([step - 2, step - 1, step]))
  if before == last and abs(curve.end - last) > curve.rounding:
    return None  # a stage after a stage
  return step, (
    f'the value stays at {curve.end:.6g} from step {step:,} on, for the last '
    f'{total - step:,} of {total:,} steps. Let the schedule end at {total:,}, '
    f'or train for {step:,} steps.'
  )


def _jump(curve: Survey) -> _Found:
  run, least = curve.run, _JUMP * curve.size
  large = np.flatnonzero(np.abs(np.diff(run.values)) > least)
  large = large[: len(run.counts) // 16 + 16]  # enough, and fast
  low, high = run.counts[large], run.counts[large + 1]
  sampled = len(run.counts) < curve.total_steps
  while np.any(high - low > 1):  # keep the half that changes more
    middle = (low + high) // 2
    a, b, c = run.at(np.stack([low, middle, high]))
    left = np.abs(b - a) > np.abs(c - b)
    low, high = np.where(left, low, middle), np.where(left, middle, high)
  around = run.at(low + np.arange(-1, 4)[:, np.newaxis])
  before, change, after, beyond = np.abs(np.diff(around, axis=0))
  back = np.abs(around[3] - around[1])  # after a spike of one step
  rest = np.maximum(before, np.minimum(after, np.maximum(back, beyond)))
  sharp = (change > least) & (change > _SHARP * rest)
  # A rise from step 0 to 1 is a warm-up of one step.
  warmup = (low == 0) & (around[2] > around[1]) & (after < back)
  steps = high[sharp & ~warmup]
  if not steps.size or curve.total_steps < _SHORT_RUN:
    return None
  old, new = run.at(np.array([steps[0] - 1, steps[0]]))
  number = f'{"at least " if sampled else ""}{len(steps):,}'
  listing = ', '.join(f'{step:,}' for step in steps[:3])
  return steps[0], (
    f'{number} of the steps {"jump" if len(steps) > 1 else "jumps"}: '
    f'{listing}{", ..." if len(steps) > 3 else ""}, first from {old:.6g} to '
    f'{new:.6g}. Join parts where their values meet, or ignore it if it is '
    'meant.'
  )


WARNINGS: dict[str, Callable[[Survey], _Found]] = {
  'not_finite': _not_finite,
  'zero_at_start': _zero_at_start,
  'zero_for_long': _zero_for_long,
  'negative': _negative,
  'above_peak': _above_peak,
  'warmup_too_long': _warmup_too_long,
  'flat': _flat,
  'end_not_reached': _end_not_reached,
  'ends_early': _ends_early,
  'jump': _jump,
}

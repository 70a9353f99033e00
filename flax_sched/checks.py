"""A report on a schedule before a launch: its values, and what looks wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import difflib
from typing import Any

import numpy as np

from flax_sched import config
from flax_sched import reading
from flax_sched.arguments import is_real
from flax_sched.durations import Run
from flax_sched.numerics import MAX_FLOAT32
from flax_sched.spans import MAX_COUNT
from flax_sched.survey import FOREVER
from flax_sched.survey import HUGE
from flax_sched.survey import ROUNDING
from flax_sched.survey import Survey
from flax_sched.survey import survey

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


@dataclasses.dataclass(frozen=True)
class Report:
  """What `check` found. `str(report)` is a short table and the warnings.

  Attributes:
    total_steps: the updates of the run.
    first: the value of the first update.
    peak: the largest value in the run.
    peak_step: the first step at which it is reached.
    last: the value of the last update, at step total_steps - 1.
    end: the value long after the run, at step 2**31 - 1.
    warnings: what looks wrong.
  """

  total_steps: int
  first: float
  peak: float
  peak_step: int
  last: float
  end: float
  warnings: tuple[Finding, ...]

  @property
  def ok(self) -> bool:
    """Whether there are no warnings."""
    return not self.warnings

  def __str__(self) -> str:
    rows = [
      ('first', self.first, '0'),
      ('peak', self.peak, f'{self.peak_step:,}'),
      ('last', self.last, f'{self.total_steps - 1:,}'),
      ('end', self.end, 'for ever'),
    ]
    table = [f'{name:5}  {x:<11.6g}  {step}' for name, x, step in rows]
    warnings = [str(finding) for finding in self.warnings]
    return '\n'.join(['       value        step', *table, *warnings])


def check(
  schedule: Any,
  total_steps: int,
  *,
  run: Run | Mapping[str, Any] | None = None,
  peak_value: float | None = None,
  ignore: Iterable[str] = (),
) -> Report:
  """Reports on a schedule before a launch, as in a test of a configuration.

  The run is steps 0 to total_steps - 1. Up to 2**20 of them are all looked at;
  of a longer run a sample, dense at both ends, that is then refined to the
  exact steps. The warnings, each of which `ignore` can name:

  * `not_finite`: a value is NaN or beyond float32, where schedules give its
    largest number. It hides the other warnings.
  * `zero_at_start`: the first update has the value 0, others have not.
  * `zero_for_long`: the value is 0 for over 1% of the run, and 2 steps or more,
    other than after an early end.
  * `negative`: a value is below 0.
  * `above_peak`: a value is above `peak_value`.
  * `warmup_too_long`: the value only rises, for more than half of the run, and
    falls after; or for all of it, with its peak after the run. A rise that
    never ends is none.
  * `flat`: all values of the run are equal, and others follow after it.
  * `end_not_reached`: the schedule becomes constant after the run, at another
    value. A decay that never ends is none.
  * `ends_early`: the last value, below the peak, is held for over 5% of the
    run, and a curve leads to it. The last of several stages is none.
  * `jump`: from one step to the next, except the first, the value changes by
    over 5% of the largest, and over 4 times as much as one step before and one
    after. Runs below 30 steps have none.

  Args:
    schedule: a schedule, a number or another callable of the count; or the
      config of a schedule, see `flax_sched.config`.
    total_steps: how many updates the run has, at most 2**31 - 1.
    run: what a config's durations are resolved by; None: `total_steps` alone.
    peak_value: the largest value that is meant; None: the `peak_value` of a
      config, if it has one.
    ignore: names of warnings to leave out, since they are meant.

  Returns:
    The report. Its `ok` says whether there are no warnings.

  Raises:
    TypeError: if `schedule` is none of these.
    ValueError: if `total_steps` is not a positive integer up to 2**31 - 1,
      `peak_value` is not finite, or `ignore` has an unknown name.

  >>> import flax_sched as fs
  >>> lr = fs.warmup_cosine_decay_schedule(0.0, 0.003, 100, 1000)
  >>> print(check(lr, 1000, ignore=['zero_at_start']))
         value        step
  first  0            0
  peak   0.003        100
  last   7.48785e-05  999
  end    0            for ever
  end_not_reached: the run stops at 7.34152e-05, and the schedule changes up \
to step 1,100, to 0. Train for 1,100 steps, or let the schedule end at 1,000.
  """
  whole = isinstance(total_steps, (int, np.integer))
  whole = whole and not isinstance(total_steps, bool)
  if not whole or not 1 <= total_steps <= MAX_COUNT:
    raise ValueError(
      'check: total_steps must be a positive integer, at most 2**31 - 1 where '
      f'counts end, got {total_steps!r}. Pass the number of updates.'
    )
  if reading.is_mapping(schedule):
    if peak_value is None and is_real(schedule.get('peak_value')):
      peak_value = schedule.get('peak_value')
    schedule = config.build_schedule(
      schedule, run=run or Run(total_steps=int(total_steps))
    )
  if peak_value is not None and not np.isfinite(peak_value):
    raise ValueError(
      f'check: peak_value must be finite, got {peak_value!r}. Leave it out to '
      'allow any.'
    )
  ignored = {ignore} if isinstance(ignore, str) else set(ignore)
  for name in sorted(ignored - set(_WARNINGS)):
    near = difflib.get_close_matches(name, _WARNINGS, 1)
    hint = f' Did you mean {near[0]!r}?' if near else ''
    raise ValueError(
      f'check: ignore must name warnings, got {name!r}.{hint} They are '
      f'{", ".join(_WARNINGS)}.'
    )
  with np.errstate(all='ignore'):  # a function may overflow after the run
    curve = survey(schedule, int(total_steps), peak_value)
    warnings = []
    for name in ['not_finite'] if _not_finite(curve) else _WARNINGS:
      found = None if name in ignored else _WARNINGS[name](curve)
      if found:
        step, message = found
        warnings.append(Finding(name, message, int(step)))
  return Report(
    total_steps=int(total_steps),
    first=float(curve.run.values[0]),
    peak=curve.peak,
    peak_step=curve.peak_step,
    last=float(curve.run.values[-1]),
    end=curve.end,
    warnings=tuple(warnings),
  )


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
  # At total_steps a rise has just ended; one that goes on for ever is no
  # warm-up.
  if later <= curve.peak + rounding or later > HUGE:
    return None
  if not curve.total_steps < step <= FOREVER:
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
  around = run.at(low + np.arange(-1, 3)[:, np.newaxis])
  before, change, after = np.abs(np.diff(around, axis=0))
  sharp = (change > least) & (change > _SHARP * np.maximum(before, after))
  # From step 0 to 1 it is a warm-up of one step.
  steps = high[sharp & (low > 0)]
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


_WARNINGS: dict[str, Callable[[Survey], _Found]] = {
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

"""A report on a schedule before a launch: its values, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any

import numpy as np

from flax_sched import config
from flax_sched import findings
from flax_sched import keys
from flax_sched.arguments import is_real
from flax_sched.findings import Finding
from flax_sched.hints import did_you_mean
from flax_sched.runs import as_run
from flax_sched.runs import Run
from flax_sched.spans import MAX_COUNT
from flax_sched.survey import survey


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
    ends with the run, to stay there, or never ends is none.
  * `flat`: all values of the run are equal, and others follow after it.
  * `end_not_reached`: the schedule becomes constant after the run, at another
    value. A decay that never ends is none.
  * `ends_early`: the last value, below the peak, is held for over 5% of the
    run, and a curve leads to it. The last of several stages is none.
  * `jump`: from one step to the next, the value changes by over 5% of the
    largest, and over 4 times as much as one step before and one after, or after
    a spike or dip of one step. A rise from the first step is none, nor is there
    one in runs below 30 steps.

  Args:
    schedule: a schedule, a number or another callable of the count; or the
      config of a schedule, see `flax_sched.config`.
    total_steps: how many updates the run has, at most 2**31 - 1.
    run: what a config's durations are resolved by. Where it has no
      `total_steps`, they are these updates.
    peak_value: the largest value that is meant; None: the `peak_value` of a
      config, if it has one.
    ignore: names of warnings to leave out, since they are meant.

  Returns:
    The report. Its `ok` says whether there are no warnings.

  Raises:
    TypeError: if `schedule` is none of these.
    ValueError: if `total_steps` is not a positive integer up to 2**31 - 1,
      `peak_value` is not finite, `ignore` has an unknown name, or a callable
      fails after the run.

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
  if keys.is_mapping(schedule):
    if peak_value is None and is_real(schedule.get('peak_value')):
      peak_value = schedule.get('peak_value')
    run = as_run(run)
    if run.total_steps is None:
      steps = int(total_steps) * run.gradient_accumulation
      run = dataclasses.replace(run, total_steps=steps)
    schedule = config.build_schedule(schedule, run=run)
  if peak_value is not None and not np.isfinite(peak_value):
    raise ValueError(
      f'check: peak_value must be finite, got {peak_value!r}. Leave it out to '
      'allow any.'
    )
  ignored = {ignore} if isinstance(ignore, str) else set(ignore)
  for name in sorted(ignored - set(findings.WARNINGS)):
    raise ValueError(
      f'check: ignore must name warnings, got {name!r}.'
      f'{did_you_mean(name, findings.WARNINGS)} They are '
      f'{", ".join(findings.WARNINGS)}.'
    )
  with np.errstate(all='ignore'):  # a function may overflow after the run
    curve = survey(schedule, int(total_steps), peak_value)
    found = findings.of(curve, ignored)
  return Report(
    total_steps=int(total_steps),
    first=float(curve.run.values[0]),
    peak=curve.peak,
    peak_step=curve.peak_step,
    last=float(curve.run.values[-1]),
    end=curve.end,
    warnings=found,
  )

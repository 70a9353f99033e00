"""Durations: steps, shares of the run, epochs, examples or tokens, as steps.

A duration is resolved once, before training, and exactly: in fractions, which
are rounded to a whole update at the end. `Run` says what a run is made of.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from fractions import Fraction
import itertools
import math
import numbers
import re
from typing import Any

from flax_sched import hints
from flax_sched import runs
from flax_sched.runs import as_start
from flax_sched.runs import Run
from flax_sched.runs import Start

_TERM = re.compile(
  rf'\s*([+-]?)\s*({runs.NUMBER})\s*([^\s\d+.-]*)\s*', re.ASCII
)
_UNITS = ('', 'step', 'steps', '%', 'ep', 'ex', 'tok')
_WORDS = {'percent': '%', 'epochs': 'ep', 'examples': 'ex', 'tokens': 'tok'}
_FORMS = (
  "Write steps as 500 or '500 steps', a share of the run as '5%', epochs as "
  "'10ep', examples as '1.28e6ex', tokens as '3e9tok', or a sum of these as "
  "'100% - 500'."
)


def resolve(
  duration: Any, run: Any, *, path: str, start: Start | int = 0
) -> Any:
  """The number of updates of a duration.

  Args:
    duration: an integer or integral float: updates. A string: the sum of one or
      more of `'500'` or `'500 steps'` (updates), `'5%'` (of the run), `'10ep'`
      (epochs), `'1.28e6ex'` (examples), `'3e9tok'` (tokens), such as
      `'100% - 500'`. What else there is, such as an array, is returned as it
      is.
    run: a `Run`, or what `as_run` takes.
    path: where the duration is in a config, for errors.
    start: where the duration begins. A whole update matters under a ramp only:
      there the terms of a sum follow each other, and `'100% - 10ep'` is where
      the last ten epochs of the run begin.

  Returns:
    The nearest whole number of updates (halves up; under a ramp by examples or
    tokens), but no less than 1 for a positive duration.

  Raises:
    ValueError: if the duration cannot be read, is a negative string, or needs
      a number that `run` does not have.

  >>> resolve('100% - 500', Run(total_steps=9000), path='decay_steps')
  8500
  >>> run = Run(steps_per_epoch=1251, gradient_accumulation=4)
  >>> resolve('10ep', run, path='decay_steps')
  3128
  """
  return phases({'': duration}, run, path=path, start=start)['']


def after(
  duration: Any, run: Any, *, path: str, start: Start | int = 0
) -> Start:
  """Where something ends, and what follows it begins.

  Args:
    duration: how long it is: see `resolve`.
    run: a `Run`, or what `as_run` takes.
    path: where the duration is in a config, for errors.
    start: where it begins.

  Returns:
    Its end. Of what is no duration, it is not known: the start stands for it.

  Raises:
    ValueError: as `resolve`.

  >>> after('33%', Run(total_steps=50), path='warmup_steps')
  Start(update=17, exact=Fraction(33, 2), unknown='')
  """
  run, start = runs.as_run(run), as_start(start)
  terms = _parse(duration, path)
  if terms is None:
    unknown = start.unknown or f'{path}={duration!r}'
    return start.rounded()._replace(unknown=unknown)
  length = resolve(duration, run, path=path, start=start)
  exact = _end(start.exact, terms, run, f'{path}: {duration!r}', start.unknown)
  return Start(start.update + length, exact, start.unknown)


def phases(
  durations: Mapping[str, Any], run: Any, *, path: str, start: Start | int = 0
) -> dict[str, Any]:
  """The numbers of updates of durations that follow one another.

  Their ends are rounded, not their lengths: phases that make up a run do so
  exactly, as long as it has an update for each.

  Args:
    durations: the durations by their names, in order; see `resolve`. One that
      is returned as it is changes no other one.
    run: a `Run`, or what `as_run` takes.
    path: where the durations are in a config, for errors.
    start: where the first one begins.

  Returns:
    The updates of each. Plain steps stay what they are, and no positive
    duration becomes 0.

  Raises:
    ValueError: as `resolve`; also if a ramp makes a length depend on where it
      begins, after one that is not known.

  >>> thirds = {'warmup': '33.3%', 'stable': '33.3%', 'decay': '33.4%'}
  >>> phases(thirds, Run(total_steps=100), path='learning_rate')
  {'warmup': 33, 'stable': 34, 'decay': 33}
  """
  run, lengths = runs.as_run(run), dict(durations.items())
  update, end, unknown = as_start(start)
  least: dict[str, int] = {}
  ends = [update]  # less the least lengths up to there
  for name, duration in lengths.items():
    where = '.'.join(part for part in (path, name) if part) or 'duration'
    terms = _parse(duration, where)
    if terms is None:
      unknown = unknown or f'{name}={duration!r}'
      continue
    begin = end
    end = _end(begin, terms, run, f'{where}: {duration!r}', unknown)
    if end < begin and isinstance(duration, str):
      raise ValueError(
        f'{where}: {duration!r} must not be negative, but is '
        f'{float(end - begin):g} steps in this run. Subtract less.'
      )
    fixed = all(unit == 'steps' for _, unit in terms)
    least[name] = int(end - begin) if fixed else int(end > begin)
    ends.append(math.floor(end + Fraction(1, 2)) - sum(least.values()))
  # An end makes way for the least lengths: those before it push it up, and
  # those after it push it down where the last end leaves them no room.
  ends = [min(end, ends[-1]) for end in itertools.accumulate(ends, max)]
  for name, (a, b) in zip(least, itertools.pairwise(ends), strict=True):
    lengths[name] = least[name] + b - a
  return lengths


# ---------------------------------------------------------------------------
# Reading.


def _parse(duration: Any, path: str) -> list[tuple[Fraction, str]] | None:
  """The amounts of a duration with their units; None if it is no duration."""
  if not isinstance(duration, str):
    if isinstance(duration, bool) or not isinstance(duration, numbers.Real):
      return None
    return [(_whole(runs.number(duration), duration, path), 'steps')]
  terms: list[tuple[Fraction, str]] = []
  place = 0
  while place < len(duration) or not terms:
    match = _TERM.match(duration, place)
    if not match or (terms and not match[1]):
      at = f' at {duration[place:]!r}' if place else ''
      raise ValueError(f'{path}: cannot read {duration!r}{at}. {_FORMS}')
    sign, digits, unit = match.groups()
    if unit not in _UNITS:
      near = hints.nearest(unit.lower(), (*_UNITS, *_WORDS))
      hint = f' Did you mean {_WORDS.get(near, near)!r}?' if near else ''
      raise ValueError(
        f'{path}: {duration!r} has the unknown unit {unit!r}.{hint} {_FORMS}'
      )
    amount = Fraction(digits)
    if unit in ('', 'step', 'steps'):
      amount, unit = _whole(amount, duration, path), 'steps'
    terms.append((-amount if sign == '-' else amount, unit))
    place = match.end()
  return terms


def _whole(amount: Fraction | None, duration: Any, path: str) -> Fraction:
  """An amount of steps, if it is a whole number."""
  if amount is not None and amount.denominator == 1:
    return amount
  hint = _FORMS
  if amount is not None and 0 < amount < 1:
    hint = f"Write '{float(100 * amount):g}%' for that share of the run."
  raise ValueError(
    f'{path}: a number of steps must be whole, got {duration!r}. {hint}'
  )


# ---------------------------------------------------------------------------
# Moving along the run. Positions are in updates, and exact.


def _end(
  position: Fraction,
  terms: list[tuple[Fraction, str]],
  run: Run,
  where: str,
  unknown: str,
) -> Fraction:
  """The position that is all terms of a duration after another one."""
  for amount, unit in terms:
    position = _move(position, amount, unit, run, where, unknown)
  return position


def _move(
  position: Fraction,
  amount: Fraction,
  unit: str,
  run: Run,
  where: str,
  unknown: str,
) -> Fraction:
  """The position that is an amount of a unit after another one."""

  def need(name: str, reason: str = '') -> Any:
    x = getattr(run, name)
    if x is None:
      raise ValueError(
        f'{where} needs {name}{reason}, which is not given. Pass '
        f'run=Run({name}=...).'
      )
    return x

  every = run.gradient_accumulation
  if unit == 'steps':
    return position + amount
  if unit == '%':
    return position + amount * need('total_steps') / (100 * every)
  if unit == 'ep':
    ramp = isinstance(run.batch_size, dict)
    if not ramp and (run.steps_per_epoch or not run.examples_per_epoch):
      reason = ' (or examples_per_epoch and batch_size)'
      return position + amount * need('steps_per_epoch', reason) / every
    amount *= need('examples_per_epoch', ' (as batch_size is a ramp)')
  name = 'tokens_per_batch' if unit == 'tok' else 'batch_size'
  sizes = need(name)
  if not isinstance(sizes, dict):
    return position + amount / (sizes * every)
  if unknown:
    raise ValueError(
      f'{where} depends on where it begins, as {name} is a ramp, and that is '
      f'not known after {unknown}. Give that as a number or a string.'
    )
  return _move_on_ramp(position, amount, sizes, every)


def _move_on_ramp(
  position: Fraction, amount: Fraction, ramp: dict[int, int], every: int
) -> Fraction:
  """As `_move`, where training steps have sizes, and updates `every` steps.

  What has been seen grows evenly within an update. So the update that is
  nearest to a position is also the one nearest to it by what has been seen.
  """
  growths = [b - a for a, b in itertools.pairwise([0, *ramp.values()])]

  def seen(update: int) -> int:
    return sum(
      growth * max(update * every - step, 0)
      for step, growth in zip(ramp, growths, strict=True)
    )

  # An update within which the size changes has a size of its own.
  firsts = sorted({u for s in ramp for u in (s // every, -(-s // every))})
  before = [seen(u) for u in firsts]
  sizes = [seen(u + 1) - seen(u) for u in firsts]
  i = max(bisect.bisect_right(firsts, position) - 1, 0)
  target = before[i] + (position - firsts[i]) * sizes[i] + amount
  i = max(bisect.bisect_right(before, target) - 1, 0)
  return firsts[i] + (target - before[i]) / sizes[i]

"""The laws of durations, over runs of every kind."""

from fractions import Fraction
import re

import hypothesis
from hypothesis import strategies as st

from flax_sched.durations import after
from flax_sched.durations import phases
from flax_sched.durations import resolve
from flax_sched.runs import as_start
from flax_sched.runs import Run

AMOUNTS = st.fractions(0, 50, max_denominator=1000).map(
  lambda x: Fraction(round(x * 1000), 1000)
)
RAMPS = st.dictionaries(st.integers(1, 40), st.integers(1, 9), max_size=5)


def decimal(x):
  """The number in digits."""
  return f'{x // 1}.{int(x % 1 * 1000):03d}' if x % 1 else str(x)


def seen(run, sizes, update):
  """What the updates before one see, a training step at a time."""
  return sum(
    sizes[max(key for key in sizes if key <= step)]
    for step in range(update * run.gradient_accumulation)
  )


@hypothesis.given(
  amount=AMOUNTS,
  ramp=RAMPS,
  first=st.integers(1, 9),
  every=st.integers(1, 5),
  start=st.integers(0, 30),
  unit=st.sampled_from(['ex', 'tok', 'ep']),
)
def test_a_simulated_run(amount, ramp, first, every, start, unit):
  """No other number of updates is nearer to what was asked for."""
  sizes = {0: first, **ramp}
  run = Run(
    examples_per_epoch=3,
    batch_size=sizes,
    tokens_per_batch=sizes,
    gradient_accumulation=every,
  )
  updates = resolve(f'{decimal(amount)}{unit}', run, path='', start=start)
  target = amount * (3 if unit == 'ep' else 1)
  begin = seen(run, sizes, start)
  off, best = None, 0
  while off is None or seen(run, sizes, start + best) - begin <= target:
    off = abs(seen(run, sizes, start + best) - begin - target)
    best += 1
  after = abs(seen(run, sizes, start + best) - begin - target)
  nearest = best if after <= off else best - 1
  assert updates == max(nearest, int(amount > 0))


@hypothesis.given(
  amount=AMOUNTS,
  ramp=RAMPS,
  first=st.integers(1, 9),
  every=st.integers(1, 5),
  total=st.integers(60, 90),
)
def test_back_from_the_end_on_a_ramp(amount, ramp, first, every, total):
  """'100% - Nex' is where what is left to see is nearest to N."""
  sizes = {0: first, **ramp}
  run = Run(
    total_steps=total * every, batch_size=sizes, gradient_accumulation=every
  )
  whole = seen(run, sizes, total)
  duration = f'100% - {decimal(amount)}ex'
  updates = resolve(duration, run, path='')
  left = [whole - seen(run, sizes, update) for update in range(total + 1)]
  assert abs(left[updates] - amount) == min(abs(x - amount) for x in left)


@hypothesis.given(
  amount=AMOUNTS,
  total=st.integers(1, 10**12),
  every=st.integers(1, 5),
  unit=st.sampled_from(['%', 'ep', 'ex', 'tok']),
)
def test_exactness_without_a_ramp(amount, total, every, unit):
  """At most half an update off, which no float is at these sizes."""
  run = Run(
    total_steps=total * 100,
    steps_per_epoch=total,
    batch_size=1,
    tokens_per_batch={0: 1, 7: 1},  # this is none
    gradient_accumulation=every,
  )
  exact = amount * (total if unit in ('%', 'ep') else 1) / every
  updates = resolve(f'{decimal(amount)}{unit}', run, path='', start=3)
  half = Fraction(1, 2)
  assert -half < updates - exact <= half or (updates == 1 and 0 < exact < half)


@hypothesis.given(
  parts=st.lists(st.integers(0, 1000), min_size=1, max_size=6),
  total=st.integers(1, 2000),
  every=st.integers(1, 5),
  start=st.integers(0, 10),
)
def test_phases_make_up_the_run(parts, total, every, start):
  """Shares that sum to all of the run do so in updates, in every run."""
  parts.append(100 * 1000 - sum(parts))
  durations = {
    str(i): f'{decimal(Fraction(x, 1000))}%' for i, x in enumerate(parts)
  }
  run = Run(total_steps=total, gradient_accumulation=every)
  lengths = phases(durations, run, path='', start=start).values()
  room = resolve('100%', run, path='')
  assert sum(lengths) == max(room, sum(x > 0 for x in parts))
  for length, x in zip(lengths, parts, strict=True):
    assert length >= (x > 0)


@hypothesis.given(
  phase=st.lists(
    st.one_of(
      st.integers(0, 20),
      AMOUNTS.map(lambda x: f'{decimal(x)}%'),
      AMOUNTS.map(lambda x: f'{decimal(x)}ex'),
    ),
    max_size=5,
  ),
  ramp=RAMPS,
  every=st.integers(1, 3),
)
def test_phases_keep_plain_steps_and_positive_phases(phase, ramp, every):
  """Whatever is around them."""
  run = Run(
    total_steps=40,
    batch_size={0: 3, **ramp},
    gradient_accumulation=every,
  )
  durations = {str(i): x for i, x in enumerate(phase)}
  lengths = phases(durations, run, path='')
  for name, duration in durations.items():
    if isinstance(duration, int):
      assert lengths[name] == duration
    else:
      positive = float(re.match(r'[\d.]+', duration).group()) > 0
      assert lengths[name] >= positive


@hypothesis.given(
  parts=st.lists(st.integers(10, 1000), min_size=1, max_size=6),
  total=st.integers(2000, 9000),
  every=st.integers(1, 5),
  first=st.integers(0, 10),
)
def test_schedules_one_after_the_other_make_up_the_run(
  parts, total, every, first
):
  """As phases do, where each has an update: none is rounded by itself."""
  parts.append(10_000 - sum(parts))
  run = Run(total_steps=total * every, gradient_accumulation=every)
  start = as_start(first)
  for i, x in enumerate(parts):
    begin = start
    duration = f'{decimal(Fraction(x, 100))}%'
    length = resolve(duration, run, path='', start=begin)
    start = after(duration, run, path=str(i), start=begin)
    assert start.update == begin.update + length
  assert start.update == first + total

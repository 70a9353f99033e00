"""Durations in configs: each becomes the steps that it has in the run."""

import re

from jax import numpy as jnp
import numpy as np
import pytest

from config_forms import FORMS
from config_forms import PIECEWISE
from config_forms import RUN
from config_forms import WARMUP
import flax_sched as fs
from flax_sched.config import build_optimizer
from flax_sched.config import build_schedule
from flax_sched.config import Run


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
  ('warmup', 'decay', 'steps'),
  [
    ('5%', '95%', (500, 9500)),
    (500, '100% - 500', (500, 9500)),
    ('2ep', '10ep', (250, 1250)),
    ('25600ex', 1e3, (100, 1000)),
    ('1e6tok', '0.5%', (488, 50)),
    ('33.3%', '66.7%', (3330, 6670)),
    ('500', '500 steps', (500, 500)),
  ],
)
def test_durations(form, warmup, decay, steps):
  """Shares of the run, epochs, examples, tokens and plain steps mix."""
  config = {**WARMUP, 'warmup_steps': warmup, 'decay_steps': decay}
  expected = fs.warmup_cosine_decay_schedule(0.0, 1e-3, *steps)
  assert build_schedule(form(config), run=form(RUN)) == expected
  assert build_schedule(form(config), run=Run(**RUN)) == expected


def test_durations_everywhere():
  """In boundaries, keys, parts of joins, classes, and optimizers."""
  steps = {
    'name': 'piecewise_constant_schedule',
    'boundaries_and_scales': {'10%': 1.0, '5000': 0.5, '100%': 0.1},
  }
  built = build_schedule(steps, run=RUN)
  assert built == fs.piecewise_constant_schedule(
    {1000: 1.0, 5000: 0.5, 10_000: 0.1}
  )
  pairs = {
    'name': 'piecewise_constant_schedule',
    'boundaries': ('10%', 5000, '100%'),
    'scales': (1.0, 0.5, 0.1),
  }
  assert build_schedule(pairs, run=RUN) == built
  multistep = {
    'name': 'multistep_schedule',
    'init_value': 0.1,
    'boundaries': ('30ep', '60ep', '80%'),
  }
  assert build_schedule(multistep, run=RUN) == fs.multistep_schedule(
    0.1, [3750, 7500, 8000]
  )
  shifted = {'name': 'Shift', 'schedule': WARMUP, 'begin': '1%'}
  assert build_schedule(shifted, run=RUN) == build_schedule(WARMUP).shift(100)
  joined = {
    'name': 'join_schedules',
    'schedules': {'s0': 1.0, 's1': {**WARMUP, 'decay_steps': '40%'}},
    'boundaries': ('50%',),
  }
  assert build_schedule(joined, run=RUN) == fs.join_schedules(
    [1.0, fs.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 4000)], [5000]
  )
  optimizer = {'name': 'sgd', 'learning_rate': {**WARMUP, 'decay_steps': '9%'}}
  state = build_optimizer(optimizer, run=RUN).init(jnp.ones(2))
  assert '"decay_steps": 900' in state.spec or '"decay_steps":900' in state.spec


def test_a_batch_size_ramp():
  """A phase of examples is as long as its place in the run makes it."""
  ramp = {**RUN, 'batch_size': {'0': 100, '1000': 200}}
  config = {
    'name': 'wsd_schedule',
    'peak_value': 1.0,
    'warmup_steps': '50_000ex',
    'stable_steps': '100_000ex',
    'decay_steps': '50_000ex',
  }
  # 500 steps of 100; then 500 of 100 and 250 of 200; then 250 of 200.
  assert build_schedule(config, run=ramp) == fs.wsd_schedule(1.0, 500, 750, 250)
  late = {
    'name': 'join_schedules',
    'schedules': (1.0, config),
    'boundaries': (1000,),
  }
  assert build_schedule(late, run=ramp) == fs.join_schedules(
    [1.0, fs.wsd_schedule(1.0, 250, 500, 250)], [1000]
  )
  warmed = {
    'name': 'warmup_schedule',
    'warmup_steps': 1000,
    'schedule': {**WARMUP, 'warmup_steps': '20_000ex'},
  }
  assert build_schedule(warmed, run=ramp) == fs.warmup_schedule(
    fs.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 90), 1000
  )


RAMP = {**RUN, 'batch_size': {0: 256, 1000: 512}}


def falling(length):
  """The config of a straight line down."""
  return {
    'name': 'linear_schedule',
    'init_value': 1.0,
    'end_value': 0.0,
    'transition_steps': length,
  }


@pytest.mark.parametrize(
  'thousand',
  [1000, '1000', '256_000ex', 1000.0, np.int64(1000)],
)
def test_a_ramp_after_a_number_of_any_kind(thousand):
  """Step 1000 is the same place, whatever it is written as."""

  def build(name, **arguments):
    return build_schedule({'name': name, **arguments}, run=RAMP)

  late = falling('512_000ex')
  parts = (0.5, late)
  for join in ('join_schedules', 'Join'):
    joined = build(join, schedules=parts, boundaries=[thousand])
    assert joined.schedules[1].transition_steps == 1000
  shifted = build('Shift', schedule=late, begin=thousand)
  assert shifted.schedule.transition_steps == 1000
  # Both count from step 0 on.
  faded = build(
    'Crossfade',
    old=late,
    new=late,
    begin=thousand,
    transition_steps='512_000ex',
  )
  assert faded.transition_steps == 1000
  assert faded.old.transition_steps == faded.new.transition_steps == 1500
  warmed = build('warmup_schedule', schedule=late, warmup_steps=thousand)
  assert warmed.schedules[1].transition_steps == 1000
  phases = build(
    'wsd_schedule',
    peak_value=1.0,
    warmup_steps=thousand,
    stable_steps='512_000ex',
    decay_steps=10,
  )
  assert list(phases.boundaries) == [1000, 2000]


@pytest.mark.parametrize('join', ['join_schedules', 'Join'])
def test_a_ramp_after_an_array_of_boundaries(join):
  """Its numbers are known as those of a list."""
  config = {
    'name': join,
    'schedules': (0.5, falling('512_000ex')),
    'boundaries': np.array([1000]),
  }
  built = build_schedule(config, run=RAMP)
  assert built == fs.join_schedules(
    [0.5, fs.linear_schedule(1.0, 0.0, 1000)], [1000]
  )


@pytest.mark.parametrize(
  ('config', 'unknown'),
  [
    (
      {'name': 'join_schedules', 'boundaries': jnp.array([1000])},
      'boundaries[0]',
    ),
    (
      {'name': 'join_schedules', 'boundaries': [jnp.int32(1000)]},
      'boundaries[0]',
    ),
    (
      {'name': 'warmup_schedule', 'warmup_steps': jnp.int32(5)},
      'warmup_steps',
    ),
    ({'name': 'Shift', 'begin': jnp.int32(5)}, 'begin'),
  ],
)
def test_a_ramp_after_what_is_not_known(config, unknown):
  """An error, where the length would be wrong without a word."""

  def build(length):
    late = falling(length)
    inner = (
      {'schedules': (0.5, late)}
      if 'boundaries' in config
      else {'schedule': late}
    )
    return build_schedule({**config, **inner}, run=RAMP, path='lr')

  message = f'that is not known after lr.{unknown}='
  with pytest.raises(ValueError, match=re.escape(message)):
    build('512_000ex')
  assert build('10%') == build(1000)


@pytest.mark.parametrize('total', [10, 50, 53, 150, 399])
def test_shares_across_schedules_make_the_whole_run(total):
  """Each part ends where the next one begins, and the last where the run does.

  Their lengths are not rounded by themselves: a half would become one twice.
  """
  run = {'total_steps': total}
  two = {'name': 'warmup_schedule', 'warmup_steps': '33%'}
  warmed = build_schedule({**two, 'schedule': falling('67%')}, run=run)
  assert warmed.boundaries[0] + warmed.schedules[1].transition_steps == total
  late = {'name': 'Shift', 'begin': '33%', 'schedule': falling('67%')}
  shifted = build_schedule(late, run=run)
  assert shifted.begin + shifted.schedule.transition_steps == total
  inner = {
    'name': 'join_schedules',
    'schedules': (falling('37.5%'), falling('50%')),
    'boundaries': ('37.5%',),
  }
  outer = {
    'name': 'Join',
    'schedules': (falling('12.5%'), inner),
    'boundaries': ('12.5%',),
  }
  joined = build_schedule(outer, run=run)
  first, (second, third) = joined.schedules[0], joined.schedules[1].schedules
  assert first.transition_steps == joined.boundaries[0]
  assert second.transition_steps == joined.schedules[1].boundaries[0]
  lengths = [part.transition_steps for part in (first, second, third)]
  assert sum(lengths) == total


def test_a_share_after_one_that_is_less_than_a_step():
  """That one is a step all the same, and what follows makes way for it."""
  config = {
    'name': 'warmup_schedule',
    'warmup_steps': '0.1%',
    'schedule': falling('99.9%'),
  }
  built = build_schedule(config, run={'total_steps': 100})
  assert built == build_schedule(
    {**config, 'warmup_steps': 1, 'schedule': falling(99)}
  )


def test_a_period_does_not_depend_on_where_it_begins():
  """It is rounded by itself: 10% of 53 steps are 5, at step 17.49 too."""
  config = {
    'name': 'warmup_schedule',
    'warmup_steps': '33%',
    'schedule': {'name': 'Repeat', 'schedule': falling(5), 'period': '10%'},
  }
  built = build_schedule(config, run={'total_steps': 53})
  assert built.schedules[1].period == 5


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    (
      {**WARMUP, 'warmup_steps': '5%'},
      r"^lr\.warmup_steps: '5%' needs total_steps, which is not given\. Pass",
    ),
    (
      {**WARMUP, 'warmup_steps': '5 epochs'},
      r"^lr\.warmup_steps: '5 epochs' has the unknown unit 'epochs'\. Did you",
    ),
    (
      {**WARMUP, 'warmup_steps': 0.05},
      r'^lr\.warmup_steps: a number of steps must be whole, got 0\.05\. Wr',
    ),
    (
      {**WARMUP, 'warmup_steps': None},
      r'^lr\.warmup_steps is missing \(None, or a placeholder that is not set',
    ),
    (
      {**PIECEWISE, 'boundaries': ('5%',), 'scales': (1.0,)},
      r"^lr\.boundaries_and_scales\.5%: '5%' needs total_steps",
    ),
    (
      {'name': 'multistep_schedule', 'init_value': 1, 'boundaries': (5, '1ep')},
      r"^lr\.boundaries\[1\]: '1ep' needs steps_per_epoch",
    ),
  ],
)
def test_what_cannot_be_resolved_says_where(config, message):
  """With the number that is missing."""
  with pytest.raises(ValueError, match=message):
    build_schedule(config, path='lr')

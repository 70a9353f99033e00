"""Durations in configs: each becomes the steps that it has in the run."""

from jax import numpy as jnp
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

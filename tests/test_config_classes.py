"""A class of schedules in a config: what it refuses, field by field."""

import re

import jax
from jax import numpy as jnp
import numpy as np
import pytest

import flax_sched as fs
from flax_sched import spec
from flax_sched.config import build_schedule
from flax_sched.config import to_config

LINE = {
  'name': 'Linear',
  'init_value': 1.0,
  'end_value': 0.0,
  'transition_steps': 5,
}
EXPONENTIAL = {
  'name': 'Exponential',
  'init_value': 1.0,
  'decay_rate': 0.5,
  'transition_steps': 5,
}
PIECES = {
  'name': 'PiecewiseConstant',
  'init_value': 1.0,
  'boundaries': [3, 5],
  'scales': [1.0, 0.5, 0.1],
}
INTERPOLATED = {
  **PIECES,
  'name': 'PiecewiseInterpolate',
  'interpolate_type': 'linear',
}
RESTARTS = {'name': 'WarmRestarts', 'curve': LINE, 'period': 5, 't_mult': 2.0}
PER_CYCLE = {'name': 'PerCycle', 'factor': 0.5, 'period': 5, 't_mult': 1.0}
FOLLOW = {
  'name': 'Follow',
  'schedule': LINE,
  'points': [0.0, 1.0],
  'values': [0.8, 0.9],
}
FADE = {'name': 'Crossfade', 'old': 1.0, 'new': LINE, 'begin': 2}
TANH = {**LINE, 'name': 'Tanh', 'start': -6.0, 'stop': 3.0}
POWER_LAW = {
  'name': 'PowerLaw',
  'init_value': 1.0,
  'power': -0.5,
  'timescale': 2,
  'offset': 0,
}
PLATEAU = to_config(fs.reduce_on_plateau(1.0))
# A right config of each class; the errors change one of its fields.
CONFIGS = {
  config['name']: config
  for config in (
    {'name': 'Constant', 'constant': 0.1},
    LINE,
    {**LINE, 'name': 'Polynomial', 'power': 2.0},
    {**LINE, 'name': 'OneMinusPower', 'power': 2.0},
    {'name': 'Cosine', 'init_value': 1.0, 'end_value': 0.0, 'decay_steps': 5},
    {
      'name': 'CosinePower',
      'init_value': 1.0,
      'end_value': 0.0,
      'exponent': 2.0,
      'decay_steps': 5,
    },
    {**LINE, 'name': 'Rational', 'beta': 0.5},
    TANH,
    {'name': 'KDecay', 'curve': LINE, 'k': 2.0},
    RESTARTS,
    EXPONENTIAL,
    POWER_LAW,
    PIECES,
    INTERPOLATED,
    {'name': 'Table', 'values': [0.1, 0.2]},
    {**FADE, 'transition_steps': 5},
    FOLLOW,
    {'name': 'Shift', 'schedule': LINE, 'begin': -2},
    {'name': 'Every', 'schedule': LINE, 'steps': 2},
    {'name': 'Repeat', 'schedule': LINE, 'period': 2},
    PER_CYCLE,
    {'name': 'Join', 'schedules': [0.1, LINE, 0.3], 'boundaries': [5, 5]},
    *(
      {'name': name, 'schedules': [LINE, 0.5]}
      for name in ('Add', 'Subtract', 'Multiply', 'Divide')
    ),
    *(
      {'name': name, 'schedules': [LINE, 0.5]}
      for name in ('Minimum', 'Maximum')
    ),
    {'name': 'Function', 'function': np.sqrt},
    {'name': 'FollowFunction', 'schedule': LINE, 'function': np.sqrt},
    {'name': 'WrappedSchedule', 'schedule_fn': LINE},
    {'name': 'Product', 'factors': [PLATEAU, LINE]},
    PLATEAU,
  )
}


def test_every_class_is_here():
  """All that a spec can name, but for those that are bases of others."""
  found = {
    name
    for module in spec._MODULES
    for name, cls in vars(module).items()
    if isinstance(cls, type)
    and issubclass(cls, spec.KINDS)
    and cls.__module__ == module.__name__
  }
  bases = {'Schedule', 'Curve', 'Combination', 'Reactive'}
  assert set(CONFIGS) == found - bases


@pytest.mark.parametrize('name', CONFIGS)
def test_right_fields_are_taken(name):
  """Built, and finite."""
  built = build_schedule(CONFIGS[name])
  if isinstance(built, fs.Schedule):
    assert all(np.isfinite(built(count)) for count in (0, 1, 3, 5, 100))
  else:
    assert np.isfinite(built(built.init()))


REFUSED = [
  ('Constant', 'constant', np.inf, 'be finite'),
  ('Linear', 'transition_steps', -1, 'be a non-negative integer'),
  ('Polynomial', 'power', 0.0, 'be positive'),
  ('Polynomial', 'power', -1.0, 'be positive'),
  ('OneMinusPower', 'power', 0.0, 'be positive'),
  ('Cosine', 'decay_steps', -1, 'be a non-negative integer'),
  ('CosinePower', 'exponent', 0.0, 'be positive'),
  ('Rational', 'beta', -0.5, 'be positive'),
  ('Tanh', 'start', -21.0, 'be at least -20.0'),
  ('Tanh', 'stop', 21.0, 'be at most 20.0'),
  ('Tanh', 'stop', -6.0, 'be above start=-6.0'),
  ('KDecay', 'k', 0.0, 'be positive'),
  ('WarmRestarts', 'period', 0, 'be a positive integer'),
  ('WarmRestarts', 't_mult', 0.5, 'be at least 1.0'),
  ('Exponential', 'decay_rate', -0.5, 'be positive'),
  (
    'Exponential',
    'transition_steps',
    0,
    'be positive without an end_value',
  ),
  ('PowerLaw', 'timescale', 0, 'be a positive integer'),
  ('PowerLaw', 'offset', -1, 'be a non-negative integer'),
  ('PiecewiseConstant', 'scales', [1.0], 'be one more than boundaries'),
  ('PiecewiseConstant', 'boundaries', [5, 3], 'be increasing'),
  ('PiecewiseConstant', 'boundaries', 5, 'be a sequence of numbers'),
  ('PiecewiseInterpolate', 'scales', [1.0, 2.0], 'be one more than bound'),
  ('PiecewiseInterpolate', 'interpolate_type', 'cubic', "be 'linear' or 'cos"),
  ('Table', 'values', [], 'not be empty'),
  ('Table', 'values', 0.5, 'be a sequence of numbers'),
  ('Crossfade', 'transition_steps', -1, 'be a non-negative integer'),
  ('Follow', 'points', [1.0, 0.0], 'be strictly increasing'),
  ('Follow', 'points', [1.0, 1.0], 'be strictly increasing'),
  ('Follow', 'values', [1.0], 'be as many as points'),
  ('Every', 'steps', 0, 'be a positive integer'),
  ('Every', 'steps', 1.5, 'be a positive integer'),
  ('Every', 'steps', np.inf, 'be a positive integer'),
  ('Repeat', 'period', 0, 'be a positive integer'),
  ('PerCycle', 'factor', 0.0, 'be positive'),
  ('PerCycle', 'factor', -0.5, 'be positive'),
  ('PerCycle', 'period', 0, 'be a positive integer'),
  ('PerCycle', 't_mult', 0.5, 'be at least 1.0'),
  ('Join', 'boundaries', [5], 'be one fewer than schedules'),
  ('Join', 'boundaries', [1, 2, 3], 'be one fewer than schedules'),
  ('Join', 'boundaries', [5, 3], 'be increasing'),
  ('ReduceOnPlateau', 'factor', 1.5, 'be below 1'),
  ('ReduceOnPlateau', 'patience', 0, 'be a positive integer'),
]


@pytest.mark.parametrize(('name', 'field', 'value', 'must'), REFUSED)
def test_a_field_out_of_range(name, field, value, must):
  """The class, the field and the value, and what it must be."""
  function = 'reduce_on_plateau' if name == 'ReduceOnPlateau' else name
  message = f'lr.x: {function}: {field} must {must}'
  with pytest.raises(ValueError, match=f'^{re.escape(message)}') as caught:
    build_schedule({**CONFIGS[name], field: value}, path='lr.x')
  assert f'got {value!r}' in str(caught.value)


@pytest.mark.parametrize(
  ('name', 'field', 'value', 'message'),
  [
    ('KDecay', 'curve', 1.0, 'curve must be a curve that can be stretched'),
    ('WarmRestarts', 'curve', 1.0, 'curve must be a curve that can be stretch'),
    ('Linear', 'init_value', LINE, 'init_value must be a real number, got Lin'),
    ('Exponential', 'staircase', 'no', "staircase must be a bool, got 'no'."),
    ('Function', 'function', 'sqrt', "function must be callable, got 'sqrt'."),
    ('FollowFunction', 'function', 2, 'function must be callable, got 2.'),
    ('WrappedSchedule', 'schedule_fn', 'x', 'value must be a real number'),
  ],
)
def test_a_field_of_another_type(name, field, value, message):
  """Refused before it is called."""
  with pytest.raises(TypeError, match=rf'^lr: \w+: {re.escape(message)}'):
    build_schedule({**CONFIGS[name], field: value}, path='lr')


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    (
      {'name': 'Follow', 'schedule': LINE, 'points': [], 'values': []},
      'Follow: values must not be empty, got [].',
    ),
    (
      {**INTERPOLATED, 'boundaries': [], 'scales': [1.0]},
      'PiecewiseInterpolate: boundaries must not be empty, got [].',
    ),
    (
      {'name': 'Divide', 'schedules': [1.0, LINE, 0.0]},
      'Divide: schedules must have no divisor that is 0, got ',
    ),
    *(
      ({'name': name, 'schedules': []}, f'{name}: schedules must not be empty.')
      for name in (
        'Add',
        'Subtract',
        'Multiply',
        'Divide',
        'Minimum',
        'Maximum',
      )
    ),
    (
      {'name': 'Product', 'factors': []},
      'Product: factors must not be empty.',
    ),
  ],
)
def test_what_is_empty_or_zero(config, message):
  """Refused when it is built, not when it is first called."""
  with pytest.raises(ValueError, match=f'^lr: {re.escape(message)}'):
    build_schedule(config, path='lr')


def test_lengths_say_how_many_there_are():
  """The remedy is a number to count up to."""
  config = {**CONFIGS['Join'], 'boundaries': [5]}
  message = (
    'Join: boundaries must be one fewer than schedules, got [5]. Give 2.'
  )
  with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
    build_schedule(config)


def test_parts_of_no_length_and_no_parts():
  """Such as functions build are taken."""
  warmed = fs.wsd_schedule(
    1.0, 0, 5, 5, init_value=0.1, warmup_shape='exponential'
  )
  never = fs.multistep_schedule(1.0, [])
  scaled = fs.power_schedule(1.0, -0.5, timescale=1.5, offset=0.5)
  for schedule in (warmed, never, scaled):
    assert build_schedule(to_config(schedule)) == schedule


def test_populations_and_tracers():
  """A leading axis is no length; what is traced is taken as it is."""
  line = build_schedule(LINE)
  population = fs.stack_schedules(
    [fs.follow(line, {0.0: x, 1.0: 0.9}) for x in (0.1, 0.2)]
  )
  assert build_schedule(to_config(population)) == population

  @jax.jit
  def value(rate, points):
    decay = build_schedule({**EXPONENTIAL, 'decay_rate': rate})
    return decay(5) + build_schedule({**FOLLOW, 'points': points})(0)

  assert value(jnp.float32(0.5), jnp.float32([0.0, 1.0])) == 1.4


def test_records_of_checkpoints_are_not_checked():
  """They were checked when the schedule was built, or are of older ones."""
  config = {**LINE, 'kind': 'Linear', 'transition_steps': 0}
  del config['name']
  every = {'kind': 'Every', 'schedule': config, 'steps': 0}
  assert spec.from_spec(every).steps == 0

"""The functions' signatures, what differs from Optax, and bad arguments."""

import inspect
import re

import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import catalog
from flax_sched import formula

# The specification's signatures: names, order, defaults.
_NO = inspect.Parameter.empty
SIGNATURES = {
  'constant_schedule': {'value': _NO},
  'linear_schedule': dict.fromkeys(
    ('init_value', 'end_value', 'transition_steps'), _NO
  ),
  'polynomial_schedule': dict.fromkeys(
    ('init_value', 'end_value', 'power', 'transition_steps'), _NO
  ),
  'exponential_decay': {
    'init_value': _NO,
    'decay_rate': _NO,
    'transition_steps': _NO,
    'transition_begin': 0,
    'staircase': False,
    'end_value': None,
  },
  'cosine_decay_schedule': {
    'init_value': _NO,
    'decay_steps': _NO,
    'alpha': 0.0,
  },
  'cosine_onecycle_schedule': {
    'transition_steps': _NO,
    'peak_value': _NO,
    'pct_start': 0.3,
    'pct_final': 0.85,
    'final_div_factor': 1e4,
  },
  'piecewise_constant_schedule': {'boundaries_and_scales': _NO},
  'piecewise_interpolate_schedule': dict.fromkeys(
    ('interpolate_type', 'init_value', 'boundaries_and_scales'), _NO
  ),
  'warmup_constant_schedule': dict.fromkeys(
    ('init_value', 'peak_value', 'warmup_steps'), _NO
  ),
  'warmup_cosine_decay_schedule': {
    'init_value': _NO,
    'peak_value': _NO,
    'warmup_steps': _NO,
    'decay_steps': _NO,
    'end_value': 0.0,
  },
  'warmup_exponential_decay_schedule': {
    'init_value': _NO,
    'peak_value': _NO,
    'warmup_steps': _NO,
    'transition_steps': _NO,
    'decay_rate': _NO,
    'transition_begin': 0,
    'staircase': False,
    'end_value': None,
  },
  'linear_onecycle_schedule': {
    'transition_steps': _NO,
    'peak_value': _NO,
    'pct_start': 0.3,
    'pct_final': 0.85,
    'final_div_factor': 1e4,
  },
  'sgdr_schedule': {
    'cosine_decay_schedule': _NO,
    'restart_period': _NO,
    't_mult': 1.0,
  },
  'join_schedules': dict.fromkeys(('schedules', 'boundaries'), _NO),
}


@pytest.mark.parametrize('name', SIGNATURES)
def test_signature_is_that_of_the_specification(name):
  """The specification's parameters come first; others have defaults."""
  parameters = inspect.signature(getattr(fs, name)).parameters
  expected = SIGNATURES[name]
  assert list(parameters)[: len(expected)] == list(expected)
  for parameter in parameters.values():
    assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    if parameter.name in expected:
      assert parameter.default == expected[parameter.name]
    else:
      assert parameter.default is not _NO


# ---------------------------------------------------------------------------
# The differences from Optax that the README's table lists.


def test_exponential_decay_takes_the_rate_first():
  """Optax takes the steps first."""
  ours = fs.exponential_decay(0.1, 0.5, 100)
  theirs = optax.exponential_decay(0.1, 100, 0.5)
  for n in (0, 50, 100, 1000):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=1e-6)


def test_decay_steps_do_not_include_the_warm_up():
  """Optax's do."""
  ours = fs.warmup_cosine_decay_schedule(0.0, 1.0, 100, 400)
  theirs = optax.warmup_cosine_decay_schedule(0.0, 1.0, 100, 500)
  for n in (0, 50, 100, 300, 400, 600):
    np.testing.assert_allclose(ours(n), theirs(n), atol=1e-6)


def test_piecewise_scales_hold_until_their_boundary():
  """In Optax they multiply up, and apply from their boundary on."""
  ours = fs.piecewise_constant_schedule({10: 1.0, 20: 0.5, 30: 0.25}, 2.0)
  theirs = optax.piecewise_constant_schedule(2.0, {10: 0.5, 20: 0.5})
  for n in (0, 9, 10, 11, 19, 20, 21, 29, 30, 31, 99):
    assert ours(n) == theirs(n)


def test_piecewise_knots_are_relative_to_the_first_value():
  """In Optax they are at the running product."""
  ours = fs.piecewise_interpolate_schedule('cosine', 2.0, {10: 0.5, 20: 0.25})
  theirs = optax.piecewise_interpolate_schedule(
    'cosine', 2.0, {10: 0.5, 20: 0.5}
  )
  for n in (0, 3, 10, 17, 20, 99):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=1e-5)


def test_linear_onecycle_is_optax_with_the_last_argument_last():
  """Three phases, the same knots."""
  ours = fs.linear_onecycle_schedule(100, 1.0, 0.3, 0.85, 1e4, 25.0)
  theirs = optax.linear_onecycle_schedule(100, 1.0, 0.3, 0.85, 25.0, 1e4)
  for n in (0, 10, 30, 60, 85, 90, 100, 200):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=2e-5, atol=1e-7)


def test_cosine_onecycle_has_three_phases():
  """The first and the last value are Optax's; in between is one more knot."""
  ours = fs.cosine_onecycle_schedule(100, 1.0)
  theirs = optax.cosine_onecycle_schedule(100, 1.0)
  for n in (0, 15, 30, 100):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=1e-5, atol=1e-7)
  assert ours(85) == np.float32(0.04)


def test_sgdr_stretches_one_curve():
  """Optax takes a list of keyword dicts."""
  ours = fs.sgdr_schedule(fs.cosine_decay_schedule(1.0, 7), 10, 2.0)
  cycles = [10, 20, 40]
  theirs = optax.sgdr_schedule(
    [
      {
        'init_value': 1.0,
        'peak_value': 1.0,
        'warmup_steps': 0,
        'decay_steps': steps,
      }
      for steps in cycles
    ]
  )
  for n in (0, 5, 9, 10, 20, 29, 30, 50, 69):
    np.testing.assert_allclose(ours(n), theirs(n), atol=1e-6)


# ---------------------------------------------------------------------------
# Bad arguments: the error names function, argument and value.

_COSINE = fs.cosine_decay_schedule(1.0, 10)
_LINE = (1.0, 0.0)

BAD = [
  # function, arguments, error, what the message must hold
  ('constant_schedule', (float('nan'),), ValueError, ('value', 'nan')),
  ('constant_schedule', (float('inf'),), ValueError, ('value', 'inf')),
  ('constant_schedule', (1e39,), ValueError, ('value', '1e+39')),
  ('constant_schedule', ('0.1',), TypeError, ('value', "'0.1'")),
  ('constant_schedule', (None,), TypeError, ('value', 'None')),
  ('constant_schedule', (True,), TypeError, ('value', 'True')),
  ('constant_schedule', (1j,), TypeError, ('value', '1j')),
  ('linear_schedule', (*_LINE, 0), ValueError, ('transition_steps', '0')),
  ('linear_schedule', (*_LINE, -5), ValueError, ('transition_steps', '-5')),
  ('linear_schedule', (*_LINE, 0.5), ValueError, ('transition_steps', '0.5')),
  ('linear_schedule', (*_LINE, '10'), TypeError, ('transition_steps', "'10'")),
  ('linear_schedule', (*_LINE, True), TypeError, ('transition_steps', 'True')),
  (
    'linear_schedule',
    (*_LINE, float('nan')),
    ValueError,
    ('transition_steps', 'nan'),
  ),
  (
    'linear_schedule',
    (*_LINE, 10, -1),
    ValueError,
    ('transition_begin', '-1'),
  ),
  (
    'linear_schedule',
    (*_LINE, 10, 2**31),
    ValueError,
    ('transition_begin', '2147483648', '2**31 - 1'),
  ),
  ('polynomial_schedule', (*_LINE, 0.0, 10), ValueError, ('power', '0.0')),
  ('polynomial_schedule', (*_LINE, -1, 10), ValueError, ('power', '-1')),
  ('polynomial_schedule', (*_LINE, 10, 0.5), ValueError, ('transition_steps',)),
  (
    'exponential_decay',
    (0.1, 1000, 0.96),
    ValueError,
    ('transition_steps', '0.96', 'optax.exponential_decay takes'),
  ),
  ('exponential_decay', (0.1, 0.0, 10), ValueError, ('decay_rate', '0.0')),
  ('exponential_decay', (0.1, -0.5, 10), ValueError, ('decay_rate', '-0.5')),
  (
    'exponential_decay',
    (0.1, 0.5, 10, 0, 'yes'),
    TypeError,
    ('staircase', "'yes'"),
  ),
  ('cosine_decay_schedule', (1.0, 0), ValueError, ('decay_steps', '0')),
  ('cosine_decay_schedule', (1.0, 10, -0.1), ValueError, ('alpha', '-0.1')),
  ('cosine_decay_schedule', (1.0, 10, 0, 0), ValueError, ('exponent', '0')),
  ('cosine_onecycle_schedule', (0, 1.0), ValueError, ('transition_steps', '0')),
  (
    'cosine_onecycle_schedule',
    (10, 1.0, -0.1),
    ValueError,
    ('pct_start', '-0.1'),
  ),
  (
    'cosine_onecycle_schedule',
    (10, 1.0, 0.3, 1.1),
    ValueError,
    ('pct_final', '1.1'),
  ),
  (
    'linear_onecycle_schedule',
    (10, 1.0, 0.9, 0.2),
    ValueError,
    ('pct_final=0.2', 'pct_start=0.9'),
  ),
  (
    'linear_onecycle_schedule',
    (10, 1.0, 0.3, 0.3),
    ValueError,
    ('pct_final', 'pct_start'),
  ),
  (
    'linear_onecycle_schedule',
    (10, 1.0, 0.3, 0.85, 0.0),
    ValueError,
    ('final_div_factor', '0.0'),
  ),
  (
    'piecewise_constant_schedule',
    ({},),
    ValueError,
    ('boundaries_and_scales',),
  ),
  ('piecewise_constant_schedule', ([1, 2],), TypeError, ('[1, 2]',)),
  ('piecewise_constant_schedule', ({0: 1.0},), ValueError, ('key', '0')),
  ('piecewise_constant_schedule', ({-3: 1.0},), ValueError, ('key', '-3')),
  ('piecewise_constant_schedule', ({1.5: 1.0},), ValueError, ('key', '1.5')),
  ('piecewise_constant_schedule', ({'a': 1.0},), TypeError, ('key', "'a'")),
  (
    'piecewise_constant_schedule',
    ({10: 1.0, '10': 0.5},),
    ValueError,
    ('10', 'twice'),
  ),
  ('piecewise_constant_schedule', ({10: -1.0},), ValueError, ('[10]', '-1.0')),
  (
    'piecewise_constant_schedule',
    ({10: float('nan')},),
    ValueError,
    ('[10]', 'nan'),
  ),
  # Optax's order.
  ('piecewise_constant_schedule', (0.1, {10: 1.0}), TypeError, ('0.1',)),
  (
    'piecewise_interpolate_schedule',
    ('cubic', 1.0, {10: 1.0}),
    ValueError,
    ('interpolate_type', "'cubic'", "'linear' or 'cosine'"),
  ),
  (
    'warmup_constant_schedule',
    (0.0, 1.0, -1),
    ValueError,
    ('warmup_steps', '-1'),
  ),
  (
    'warmup_cosine_decay_schedule',
    (0.0, 1.0, 10, 0),
    ValueError,
    ('decay_steps', '0'),
  ),
  (
    'warmup_cosine_decay_schedule',
    (0.0, float('nan'), 10, 10),
    ValueError,
    ('peak_value', 'nan'),
  ),
  (
    'warmup_exponential_decay_schedule',
    (0.0, 1.0, 10, 0.5, 100),
    ValueError,
    ('transition_steps', '0.5'),
  ),
  ('sgdr_schedule', (_COSINE, 0), ValueError, ('restart_period', '0')),
  ('sgdr_schedule', (_COSINE, 10, 0.5), ValueError, ('t_mult', '0.5')),
  (
    'sgdr_schedule',
    (fs.constant_schedule(1.0), 10),
    TypeError,
    ('cosine_decay_schedule', 'Constant(constant=1.0)'),
  ),
  ('sgdr_schedule', ([{}], 10), TypeError, ('cosine_decay_schedule', '[{}]')),
  ('join_schedules', ([], []), ValueError, ('schedules', 'empty')),
  (
    'join_schedules',
    ([_COSINE], [10]),
    ValueError,
    ('boundaries', '1 boundaries for 1 schedules'),
  ),
  (
    'join_schedules',
    ([_COSINE, _COSINE], []),
    ValueError,
    ('boundaries', '0 boundaries for 2 schedules'),
  ),
  (
    'join_schedules',
    ([_COSINE] * 3, [20, 10]),
    ValueError,
    ('boundaries', '[20, 10]', 'increasing'),
  ),
  (
    'join_schedules',
    ([_COSINE] * 3, [10, 10]),
    ValueError,
    ('boundaries', '[10, 10]', 'increasing'),
  ),
  ('join_schedules', ([_COSINE] * 2, [1.5]), ValueError, ('[0]', '1.5')),
  (
    'join_schedules',
    ([_COSINE, 'x'], [10]),
    TypeError,
    ('schedules[1]', "'x'"),
  ),
  ('join_schedules', ([_COSINE] * 2, [None]), TypeError, ('[0]', 'None')),
  ('join_schedules', ([_COSINE] * 2, [-1]), ValueError, ('[0]', '-1')),
  ('join_schedules', ([_COSINE] * 2, [2**31]), ValueError, ('2147483648',)),
  ('as_schedule', ('fast',), TypeError, ('value', "'fast'")),
]


@pytest.mark.parametrize(
  ('name', 'arguments', 'error', 'parts'),
  BAD,
  ids=[f'{row[0]}-{i}' for i, row in enumerate(BAD)],
)
def test_bad_arguments(name, arguments, error, parts):
  """The message names the function, the argument and its value."""
  with pytest.raises(error) as caught:
    getattr(fs, name)(*arguments)
  message = str(caught.value)
  for part in parts:
    assert part in message
  assert message.startswith(f'{name}: ')


# What each numeric argument may be, but for one.
VALID = {
  'constant_schedule': {'value': 1.0},
  'linear_schedule': {
    'init_value': 1.0,
    'end_value': 0.0,
    'transition_steps': 10,
    'transition_begin': 5,
  },
  'polynomial_schedule': {
    'init_value': 1.0,
    'end_value': 0.0,
    'power': 2.0,
    'transition_steps': 10,
    'transition_begin': 5,
  },
  'exponential_decay': {
    'init_value': 1.0,
    'decay_rate': 0.5,
    'transition_steps': 10,
    'transition_begin': 5,
    'end_value': 0.1,
  },
  'cosine_decay_schedule': {
    'init_value': 1.0,
    'decay_steps': 10,
    'alpha': 0.1,
    'exponent': 2.0,
  },
  'cosine_onecycle_schedule': {
    'transition_steps': 10,
    'peak_value': 1.0,
    'pct_start': 0.3,
    'pct_final': 0.8,
    'final_div_factor': 1e4,
    'div_factor': 25.0,
  },
  'warmup_constant_schedule': {
    'init_value': 0.0,
    'peak_value': 1.0,
    'warmup_steps': 10,
  },
  'warmup_cosine_decay_schedule': {
    'init_value': 0.0,
    'peak_value': 1.0,
    'warmup_steps': 10,
    'decay_steps': 10,
    'end_value': 0.1,
    'exponent': 2.0,
  },
  'warmup_exponential_decay_schedule': {
    'init_value': 0.0,
    'peak_value': 1.0,
    'warmup_steps': 10,
    'transition_steps': 10,
    'decay_rate': 0.5,
    'transition_begin': 5,
    'end_value': 0.1,
  },
  'sgdr_schedule': {'restart_period': 10, 't_mult': 2.0},
  'inverse_time_decay': {
    'init_value': 1.0,
    'decay_rate': 0.5,
    'transition_steps': 10,
  },
  'power_schedule': {
    'init_value': 1.0,
    'power': -0.5,
    'timescale': 10,
    'offset': 5,
  },
  'rex_schedule': {
    'init_value': 1.0,
    'end_value': 0.0,
    'transition_steps': 10,
    'beta': 0.5,
  },
  'tanh_decay_schedule': {
    'init_value': 1.0,
    'end_value': 0.0,
    'transition_steps': 10,
    'lower': -6.0,
    'upper': 3.0,
  },
  'k_decay_schedule': {'k': 1.5},
  'warmup_polynomial_decay_schedule': {
    'init_value': 0.0,
    'peak_value': 1.0,
    'warmup_steps': 10,
    'decay_steps': 10,
    'end_value': 0.1,
    'power': 2.0,
  },
  'inverse_sqrt_schedule': {
    'peak_value': 1.0,
    'warmup_steps': 10,
    'timescale': 20,
    'init_value': 0.1,
  },
  'warmup_schedule': {'warmup_steps': 10, 'init_value': 0.1},
  'wsd_schedule': {
    'peak_value': 1.0,
    'warmup_steps': 10,
    'stable_steps': 20,
    'decay_steps': 10,
    'init_value': 0.0,
    'end_value': 0.1,
  },
  'cyclic_wsd_schedule': {
    'peak_value': 1.0,
    'warmup_steps': 10,
    'stable_steps': 20,
    'decay_steps': 10,
    'num_cycles': 3,
    'init_value': 0.0,
    'end_value': 0.1,
  },
  'cooldown_schedule': {
    'cooldown_begin': 10,
    'cooldown_steps': 20,
    'end_value': 0.1,
  },
  'onecycle_momentum_schedule': {
    'transition_steps': 10,
    'base_momentum': 0.8,
    'max_momentum': 0.9,
    'pct_start': 0.3,
    'pct_final': 0.8,
  },
  'cyclic_schedule': {
    'init_value': 0.1,
    'peak_value': 1.0,
    'up_steps': 10,
    'down_steps': 20,
  },
  'step_schedule': {'init_value': 1.0, 'step_size': 10, 'gamma': 0.5},
  'multistep_schedule': {'init_value': 1.0, 'gamma': 0.5},
  'ema_decay_schedule': {'decay': 0.9, 'offset': 10},
  'bias_corrected_decay_schedule': {'decay': 0.9},
  'adafactor_decay_schedule': {'decay_rate': 0.8},
}
VALID['linear_onecycle_schedule'] = VALID['cosine_onecycle_schedule']
OTHERS = {
  'sgdr_schedule': {'cosine_decay_schedule': _COSINE},
  'k_decay_schedule': {'schedule': _COSINE},
  'warmup_schedule': {'schedule': _COSINE},
  'cooldown_schedule': {'schedule': _COSINE},
  'multistep_schedule': {'boundaries': [10, 20]},
}
MAY_BE_ZERO = (
  'transition_begin',
  'warmup_steps',
  'stable_steps',
  'cooldown_begin',
)

_NAN, _INF = float('nan'), float('inf')
BAD_TYPES = ['0.1', None, True, 1j, [0.5, 'a'], {}, object]
BAD_STEPS = [-1, 0.5, _NAN, _INF, -_INF, np.float32(2.5), -(10**30), 10**40]
BAD_VALUES = [_NAN, _INF, -_INF, 1e39, -1e39, np.float64('nan'), 10**400]


@pytest.mark.parametrize(
  ('name', 'argument'),
  [(name, argument) for name in VALID for argument in VALID[name]],
)
def test_every_argument_is_checked(name, argument):
  """Whatever is not a number, not finite, or not a whole number of steps."""
  is_steps = argument == 'num_cycles' or (
    argument in formula.step_names(getattr(fs, name))
    # These need not be whole.
    and argument != 'timescale'
    and (name, argument) != ('power_schedule', 'offset')
  )
  bad = [(TypeError, value) for value in BAD_TYPES]
  bad += [(ValueError, x) for x in (BAD_STEPS if is_steps else BAD_VALUES)]
  if is_steps and argument not in MAY_BE_ZERO:
    bad.append((ValueError, 0))
  for error, value in bad:
    default = inspect.signature(getattr(fs, name)).parameters[argument].default
    if value is None and (default is None or argument == 'pct_final'):
      continue
    arguments = {**VALID[name], **OTHERS.get(name, {}), argument: value}
    with pytest.raises(error) as caught:
      getattr(fs, name)(**arguments)
    message = str(caught.value)
    assert message.startswith(f'{name}: {argument} must be ')
    assert repr(value) in message
    assert message.endswith('.')


def test_numbers_of_steps_are_declared():
  """So that configs know which arguments may be durations."""
  for name, function in catalog.FUNCTIONS.items():
    lengths = {
      parameter
      for parameter in inspect.signature(function).parameters
      if parameter.endswith(('_steps', '_begin', '_period', '_size', 'ies'))
      or parameter in ('timescale', 'offset', 'boundaries_and_scales')
    }
    assert formula.step_names(function) == lengths, name


SHAPED = {
  'wsd_schedule': ('decay_shape', 'warmup_shape'),
  'cyclic_wsd_schedule': ('decay_shape',),
  'cooldown_schedule': ('decay_shape',),
  'warmup_schedule': ('warmup_shape',),
}


@pytest.mark.parametrize(
  ('name', 'argument'),
  [(name, argument) for name in SHAPED for argument in SHAPED[name]],
)
def test_shapes_are_named(name, argument):
  """Another one is an error that lists them; zero has no logarithm."""
  arguments = {**VALID[name], **OTHERS.get(name, {})}
  with pytest.raises(
    ValueError, match=f"{name}: {argument} must be one of 'li"
  ):
    getattr(fs, name)(**arguments, **{argument: 'linaer'})
  zero = 'init_value' if argument == 'warmup_shape' else 'end_value'
  with pytest.raises(ValueError, match=f'{name}: the values must be positive'):
    getattr(fs, name)(**{**arguments, zero: 0.0}, **{argument: 'exponential'})


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (
      lambda: fs.cosine_decay_schedule(1.0, 10, alpha=0.1, end_value=0.2),
      'cosine_decay_schedule: alpha must not be given beside end_value, got '
      'alpha=0.1 and end_value=0.2.',
    ),
    (
      lambda: fs.tanh_decay_schedule(1.0, 0.0, 10, 3.0, -3.0),
      'tanh_decay_schedule: upper must be above lower, got lower=3.0 and',
    ),
    (
      lambda: fs.k_decay_schedule(fs.constant_schedule(1.0), 2.0),
      'k_decay_schedule: schedule must be a curve that can be stretched, such',
    ),
    (
      lambda: fs.cyclic_schedule(0.1, 1.0, 10, mode='square'),
      "cyclic_schedule: mode must be 'triangular', 'triangular2' or 'exp_ra",
    ),
    (
      lambda: fs.cyclic_schedule(0.1, 1.0, 10, gamma=0.9),
      "cyclic_schedule: gamma is for mode='exp_range', got gamma=0.9",
    ),
    (
      lambda: fs.inverse_sqrt_schedule(1.0, 0),
      'inverse_sqrt_schedule: timescale must be positive, got 0.',
    ),
    (
      lambda: fs.wsd_schedule(1.0, 2**31 - 1, 10, 10),
      'wsd_schedule: warmup_steps and what follows must be at most 2**31 - 1',
    ),
    (
      lambda: fs.table_schedule([]),
      'table_schedule: values must not be empty, got [].',
    ),
    (
      lambda: fs.table_schedule(np.ones((2, 2))),
      'table_schedule: values must be a sequence of numbers, got an array of',
    ),
    (
      lambda: fs.table_schedule([0.1, float('nan')]),
      'table_schedule: values[1] must be finite, got nan.',
    ),
    (
      lambda: fs.multistep_schedule(1.0, [10, 10]),
      'multistep_schedule: boundaries must be strictly increasing, got [10, 10',
    ),
    (
      lambda: fs.bias_corrected_decay_schedule(1.0),
      'bias_corrected_decay_schedule: decay must be at most 0.99999994',
    ),
    (
      lambda: fs.onecycle_momentum_schedule(10, interpolate_type='cubic'),
      "onecycle_momentum_schedule: interpolate_type must be 'linear' or 'cos",
    ),
  ],
)
def test_what_else_is_an_error(call, message):
  """With the function, the argument, the value and the remedy."""
  with pytest.raises((TypeError, ValueError), match=re.escape(message)):
    call()


def test_rates_close_to_one_are_kept_exactly():
  """A float32 of the rate would be a percent off after a million steps."""
  schedule = fs.exponential_decay(1.0, 0.999999, 1)
  for n in (1, 1000, 10**6, 5 * 10**6):
    assert schedule(n) == pytest.approx(0.999999**n, rel=3e-6)
  growing = fs.exponential_decay(1.0, 1.0001, 2, end_value=3.0)
  assert growing(10**4) == pytest.approx(1.0001**5000, rel=1e-6)
  assert growing(10**6) == 3.0
  steps = fs.exponential_decay(1.0, 0.9999, 1, staircase=True)
  assert steps(30_000) == pytest.approx(0.9999**30_000, rel=1e-6)
  cyclic = fs.cyclic_schedule(0.0, 1.0, 1, mode='exp_range', gamma=0.99999)
  assert cyclic(100_001) == pytest.approx(0.99999**100_001, rel=1e-6)


@pytest.mark.parametrize('name', SIGNATURES)
def test_a_misspelt_keyword_is_an_error(name):
  """Nothing is swallowed."""
  with pytest.raises(TypeError, match='transition_stepz'):
    getattr(fs, name)(transition_stepz=3)


def test_what_is_accepted_too():
  """Integral floats, large integers, and the string keys that JSON makes."""
  assert fs.linear_schedule(0.0, 1.0, 10**18)(10**9) == np.float32(1e-9)
  assert fs.constant_schedule(10**30)(0) == np.float32(1e30)
  assert fs.linear_schedule(1.0, 0.0, 1e4) == fs.linear_schedule(1, 0, 10_000)
  by_string = fs.piecewise_constant_schedule({'500': 1.0, '1000': 0.5})
  assert by_string == fs.piecewise_constant_schedule({1000: 0.5, 500: 1.0})
  assert fs.warmup_constant_schedule(0.5, 1.0, 0)(0) == 1.0


def test_joins_of_functions_take_arrays_of_steps():
  """Such as Optax's schedules, which compute on the device."""
  theirs = optax.linear_schedule(1.0, 0.0, 10)
  joined = fs.join_schedules([theirs, fs.linear_schedule(0.5, 0.0, 10)], [4])
  steps = np.arange(12)
  values = joined(steps)
  assert isinstance(values, np.ndarray)
  np.testing.assert_allclose(values, [joined(int(n)) for n in steps])
  np.testing.assert_allclose(values[:6], [1.0, 0.9, 0.8, 0.7, 0.5, 0.45])

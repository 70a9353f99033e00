"""The signatures of the schedule functions, and what they accept."""

import inspect

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

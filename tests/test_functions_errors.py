"""Bad arguments: the error names the function, the argument and the value."""

import re

import numpy as np
import pytest

import flax_sched as fs

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
      'inverse_sqrt_schedule: warmup_steps must be a positive integer, got 0. '
      'Without a warm-up, pass timescale.',
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

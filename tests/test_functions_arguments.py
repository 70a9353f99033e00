"""Every numeric argument of every schedule function is checked."""

import inspect

import numpy as np
import pytest

import flax_sched as fs
from flax_sched import formula

_COSINE = fs.cosine_decay_schedule(1.0, 10)

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

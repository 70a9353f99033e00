"""Every public function accepts tracers, with the same values."""

import jax
import numpy as np
import pytest

import flax_sched as fs
import laws
import zoo

_JOINED = (fs.cosine_decay_schedule(1.0, 50), fs.constant_schedule(0.3))

_ONECYCLE = {
  'transition_steps': 100,
  'peak_value': 0.1,
  'pct_start': 0.25,
  'pct_final': 0.75,
  'final_div_factor': 1e3,
  'div_factor': 10.0,
}

# By function: what is traced, and what is not.
_TRACED = {
  'constant_schedule': ({'value': 0.3}, {}),
  'as_schedule': ({'value': 0.3}, {}),
  'linear_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'transition_steps': 100,
      'transition_begin': 10,
    },
    {},
  ),
  'polynomial_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'power': 1.7,
      'transition_steps': 100,
      'transition_begin': 10,
    },
    {},
  ),
  'exponential_decay': (
    {
      'init_value': 0.1,
      'decay_rate': 0.5,
      'transition_steps': 30,
      'transition_begin': 10,
      'end_value': 0.01,
    },
    {'staircase': True},
  ),
  'cosine_decay_schedule': (
    {'init_value': 0.1, 'decay_steps': 90, 'alpha': 0.1, 'exponent': 2.0},
    {},
  ),
  'cosine_onecycle_schedule': (_ONECYCLE, {}),
  'linear_onecycle_schedule': (_ONECYCLE, {}),
  'piecewise_constant_schedule': (
    {'boundaries_and_scales': {10: 1.0, 50: 0.5, 80: 0.1}, 'init_value': 0.3},
    {},
  ),
  'piecewise_interpolate_schedule': (
    {'boundaries_and_scales': {10: 1.0, 50: 0.5, 80: 0.1}, 'init_value': 0.3},
    {'interpolate_type': 'cosine'},
  ),
  'warmup_constant_schedule': (
    {'init_value': 0.1, 'peak_value': 0.7, 'warmup_steps': 40},
    {},
  ),
  'warmup_cosine_decay_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'warmup_steps': 40,
      'decay_steps': 50,
      'end_value': 0.05,
      'exponent': 1.5,
    },
    {},
  ),
  'warmup_exponential_decay_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'warmup_steps': 40,
      'transition_steps': 20,
      'decay_rate': 0.5,
      'transition_begin': 5,
      'end_value': 0.05,
    },
    {},
  ),
  'sgdr_schedule': (
    {
      'cosine_decay_schedule': _JOINED[0],
      'restart_period': 10,
      't_mult': 1.5,
    },
    {},
  ),
  'join_schedules': ({'schedules': _JOINED, 'boundaries': [40]}, {}),
  'inverse_time_decay': (
    {'init_value': 0.1, 'decay_rate': 0.5, 'transition_steps': 30},
    {},
  ),
  'power_schedule': (
    {'init_value': 0.1, 'power': -0.5, 'timescale': 30.5, 'offset': 10},
    {},
  ),
  'rex_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'transition_steps': 100,
      'beta': 0.5,
    },
    {},
  ),
  'tanh_decay_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'transition_steps': 100,
      'lower': -4.0,
      'upper': 2.0,
    },
    {},
  ),
  'k_decay_schedule': ({'schedule': _JOINED[0], 'k': 1.5}, {}),
  'warmup_polynomial_decay_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'warmup_steps': 40,
      'decay_steps': 50,
      'end_value': 0.05,
      'power': 1.5,
    },
    {},
  ),
  'inverse_sqrt_schedule': (
    {
      'peak_value': 0.7,
      'warmup_steps': 40,
      'timescale': 30.5,
      'init_value': 0.1,
    },
    {},
  ),
  'wsd_schedule': (
    {
      'peak_value': 0.7,
      'warmup_steps': 20,
      'stable_steps': 30,
      'decay_steps': 40,
      'init_value': 0.1,
      'end_value': 0.05,
    },
    {'decay_shape': 'exponential', 'warmup_shape': '1-sqrt'},
  ),
  'warmup_schedule': (
    {'schedule': _JOINED[0], 'warmup_steps': 20, 'init_value': 0.1},
    {'warmup_shape': 'square'},
  ),
  'cooldown_schedule': (
    {
      'schedule': _JOINED[0],
      'cooldown_begin': 20,
      'cooldown_steps': 30,
      'end_value': 0.1,
    },
    {'decay_shape': 'square'},
  ),
  'multistep_schedule': (
    {'init_value': 0.7, 'boundaries': [10, 50], 'gamma': 0.5},
    {},
  ),
  'step_schedule': ({'init_value': 0.7, 'step_size': 30, 'gamma': 0.5}, {}),
  'table_schedule': ({'values': [0.1, 0.7, 0.2]}, {}),
  'onecycle_momentum_schedule': (
    {
      'transition_steps': 100,
      'base_momentum': 0.8,
      'max_momentum': 0.9,
      'pct_start': 0.25,
      'pct_final': 0.75,
    },
    {},
  ),
  'cyclic_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'up_steps': 10,
      'down_steps': 20,
      'gamma': 0.95,
    },
    {'mode': 'exp_range'},
  ),
  'cyclic_wsd_schedule': (
    {
      'peak_value': 0.7,
      'warmup_steps': 10,
      'stable_steps': 20,
      'decay_steps': 15,
      'num_cycles': 2,
      'init_value': 0.1,
      'end_value': 0.05,
    },
    {},
  ),
  'ema_decay_schedule': ({'decay': 0.9, 'offset': 10}, {}),
  'bias_corrected_decay_schedule': ({'decay': 0.9}, {}),
  'adafactor_decay_schedule': ({'decay_rate': 0.8}, {}),
  'minimum': ({'schedules': _JOINED}, {}),
  'maximum': ({'schedules': _JOINED}, {}),
  'follow': ({'schedule': _JOINED[0]}, {'function': {0.1: 0.9, 0.9: 0.8}}),
}


# The others take long to compile.
_QUICK = {f for name in laws.FEW for f in zoo.known_entry(name).covers}


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in _QUICK))
    for name in sorted(_TRACED)
  ],
)
def test_arguments_may_be_tracers(name):
  """Built inside of jit from traced numbers: the same values."""
  traced, static = _TRACED[name]
  function = getattr(fs, name)
  if name in ('minimum', 'maximum'):
    function = lambda schedules: getattr(fs, name)(*schedules)  # noqa: E731
  counts = np.arange(0, 120, 3, dtype=np.int32)

  @jax.jit
  def build_and_evaluate(traced, counts):
    return function(**traced, **static)(counts)

  values = build_and_evaluate(traced, counts)
  assert values.dtype == np.float32
  assert laws.ulps_between(function(**traced, **static)(counts), values) <= 2


def test_every_public_function_accepts_tracers():
  """None is missing from the test above."""
  assert set(_TRACED) == {f for entry in zoo.ZOO for f in entry.covers}

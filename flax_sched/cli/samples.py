"""A config of every schedule function, for a run of any length."""

from __future__ import annotations

from typing import Any

_HALF: dict[str, Any] = {
  'name': 'cosine_decay_schedule',
  'init_value': 1e-3,
  'decay_steps': '100%',
}
_WARMUP: dict[str, Any] = {
  'name': 'warmup_constant_schedule',
  'init_value': 0.0,
  'peak_value': 1e-3,
  'warmup_steps': '25%',
}
_DOWN: dict[str, Any] = {
  'init_value': 1e-3,
  'end_value': 0.0,
  'transition_steps': '100%',
}
_UP: dict[str, Any] = {
  'init_value': 0.0,
  'peak_value': 1e-3,
  'warmup_steps': '15%',
}

_ARGUMENTS: dict[str, dict[str, Any]] = {
  'constant_schedule': {'value': 1e-3},
  'linear_schedule': _DOWN,
  'polynomial_schedule': {**_DOWN, 'power': 2.0},
  'exponential_decay': {
    'init_value': 1e-3,
    'decay_rate': 0.5,
    'transition_steps': '20%',
  },
  'cosine_decay_schedule': {'init_value': 1e-3, 'decay_steps': '100%'},
  'inverse_time_decay': {
    'init_value': 1e-3,
    'decay_rate': 1.0,
    'transition_steps': '10%',
  },
  'power_schedule': {'init_value': 1e-3, 'power': -0.5, 'timescale': '10%'},
  'rex_schedule': _DOWN,
  'tanh_decay_schedule': _DOWN,
  'k_decay_schedule': {'schedule': _HALF, 'k': 3.0},
  'warmup_constant_schedule': _UP,
  'warmup_cosine_decay_schedule': {**_UP, 'decay_steps': '85%'},
  'warmup_exponential_decay_schedule': {
    **_UP,
    'transition_steps': '20%',
    'decay_rate': 0.5,
  },
  'warmup_polynomial_decay_schedule': {**_UP, 'decay_steps': '85%'},
  'inverse_sqrt_schedule': {'peak_value': 1e-3, 'warmup_steps': '15%'},
  'warmup_schedule': {
    'schedule': {**_HALF, 'decay_steps': '85%'},
    'warmup_steps': '15%',
  },
  'wsd_schedule': {
    'peak_value': 1e-3,
    'warmup_steps': '10%',
    'stable_steps': '60%',
    'decay_steps': '30%',
  },
  'cyclic_wsd_schedule': {
    'peak_value': 1e-3,
    'warmup_steps': '10%',
    'stable_steps': '25%',
    'decay_steps': '10%',
    'end_value': 1e-4,
  },
  'cooldown_schedule': {
    'schedule': {
      'name': 'inverse_sqrt_schedule',
      'peak_value': 1e-3,
      'warmup_steps': '10%',
    },
    'cooldown_begin': '75%',
    'cooldown_steps': '25%',
  },
  'piecewise_constant_schedule': {
    'init_value': 1e-3,
    'boundaries': ['30%', '60%', '100%'],
    'scales': [1.0, 0.5, 0.1],
  },
  'piecewise_interpolate_schedule': {
    'interpolate_type': 'linear',
    'init_value': 1e-3,
    'boundaries': ['20%', '50%', '80%', '100%'],
    'scales': [1.0, 0.9, 0.2, 0.0],
  },
  'multistep_schedule': {
    'init_value': 0.1,
    'boundaries': ['30%', '60%', '90%'],
    'gamma': 0.3,
  },
  'step_schedule': {'init_value': 0.1, 'step_size': '22%', 'gamma': 0.5},
  # A value for each fifth of the run.
  'table_schedule': {
    'name': 'Every',
    'schedule': {
      'name': 'table_schedule',
      'values': [3e-4, 1e-3, 8e-4, 3e-4, 1e-4],
    },
    'steps': '20%',
  },
  'cosine_onecycle_schedule': {'transition_steps': '100%', 'peak_value': 0.01},
  'linear_onecycle_schedule': {'transition_steps': '100%', 'peak_value': 0.01},
  'onecycle_momentum_schedule': {'transition_steps': '100%'},
  'cyclic_schedule': {
    'init_value': 1e-4,
    'peak_value': 1e-3,
    'up_steps': '15%',
  },
  'sgdr_schedule': {
    'cosine_decay_schedule': {**_HALF, 'decay_steps': '15%'},
    'restart_period': '15%',
    't_mult': 2.0,
  },
  'ema_decay_schedule': {'decay': 0.99},
  'bias_corrected_decay_schedule': {'decay': 0.99},
  'adafactor_decay_schedule': {'decay_rate': 0.8},
  'join_schedules': {
    'schedules': {'s0': {**_WARMUP, 'warmup_steps': '15%'}, 's1': 3e-4},
    'boundaries': ['60%'],
  },
  'minimum': {'schedules': {'s0': _WARMUP, 's1': _HALF}},
  'maximum': {'schedules': {'s0': _HALF, 's1': 2e-4}},
  'follow': {
    'schedule': {**_WARMUP, 'warmup_steps': '50%'},
    'function': {'0.0': 0.95, '0.001': 0.85},
  },
  'reduce_on_plateau': {'init_value': 1e-3, 'factor': 0.5, 'patience': 10},
}

NAMES = tuple(_ARGUMENTS)


def sample(name: str) -> dict[str, Any]:
  """A config with a schedule function: plain data, with lengths in percent.

  Args:
    name: the function, one of `NAMES`.

  >>> from flax_sched import config
  >>> config.build_schedule(sample('linear_schedule'), run={'total_steps': 10})
  Linear(init_value=0.001, end_value=0.0, transition_steps=10)
  """
  return {'name': name, **_ARGUMENTS[name]}

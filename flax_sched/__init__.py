"""Schedules for learning rates and every other hyperparameter, for Flax."""

from flax_sched.access import hyperparams
from flax_sched.access import set_hyperparams
from flax_sched.access import set_schedules
from flax_sched.averages import adafactor_decay_schedule
from flax_sched.averages import bias_corrected_decay_schedule
from flax_sched.averages import ema_decay_schedule
from flax_sched.checks import check
from flax_sched.compose import join_schedules
from flax_sched.compose import maximum
from flax_sched.compose import minimum
from flax_sched.compose import stack_schedules
from flax_sched.cycles import cyclic_schedule
from flax_sched.cycles import sgdr_schedule
from flax_sched.following import follow
from flax_sched.inject import inject_hyperparams
from flax_sched.inject import inject_stateful_hyperparams
from flax_sched.injected import InjectHyperparamsState
from flax_sched.injected import InjectStatefulHyperparamsState
from flax_sched.migrate import from_optax_state
from flax_sched.onecycle import cosine_onecycle_schedule
from flax_sched.onecycle import linear_onecycle_schedule
from flax_sched.onecycle import onecycle_momentum_schedule
from flax_sched.pieces import multistep_schedule
from flax_sched.pieces import piecewise_constant_schedule
from flax_sched.pieces import piecewise_interpolate_schedule
from flax_sched.pieces import step_schedule
from flax_sched.pieces import table_schedule
from flax_sched.reactive import apply_gradients
from flax_sched.reactive import reduce_on_plateau
from flax_sched.restart import branch_cooldown
from flax_sched.restart import reset_count
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Schedule
from flax_sched.shapes import constant_schedule
from flax_sched.shapes import cosine_decay_schedule
from flax_sched.shapes import exponential_decay
from flax_sched.shapes import linear_schedule
from flax_sched.shapes import polynomial_schedule
from flax_sched.slopes import inverse_time_decay
from flax_sched.slopes import k_decay_schedule
from flax_sched.slopes import power_schedule
from flax_sched.slopes import rex_schedule
from flax_sched.slopes import tanh_decay_schedule
from flax_sched.stable import cooldown_schedule
from flax_sched.stable import cyclic_wsd_schedule
from flax_sched.stable import wsd_schedule
from flax_sched.stateful import WrappedSchedule
from flax_sched.warmups import inverse_sqrt_schedule
from flax_sched.warmups import warmup_constant_schedule
from flax_sched.warmups import warmup_cosine_decay_schedule
from flax_sched.warmups import warmup_exponential_decay_schedule
from flax_sched.warmups import warmup_polynomial_decay_schedule
from flax_sched.warmups import warmup_schedule

__version__ = '0.1.0'

__all__ = [
  'InjectHyperparamsState',
  'InjectStatefulHyperparamsState',
  'Schedule',
  'WrappedSchedule',
  'adafactor_decay_schedule',
  'apply_gradients',
  'as_schedule',
  'bias_corrected_decay_schedule',
  'branch_cooldown',
  'check',
  'constant_schedule',
  'cooldown_schedule',
  'cosine_decay_schedule',
  'cosine_onecycle_schedule',
  'cyclic_schedule',
  'cyclic_wsd_schedule',
  'ema_decay_schedule',
  'exponential_decay',
  'follow',
  'from_optax_state',
  'hyperparams',
  'inject_hyperparams',
  'inject_stateful_hyperparams',
  'inverse_sqrt_schedule',
  'inverse_time_decay',
  'join_schedules',
  'k_decay_schedule',
  'linear_onecycle_schedule',
  'linear_schedule',
  'maximum',
  'minimum',
  'multistep_schedule',
  'onecycle_momentum_schedule',
  'piecewise_constant_schedule',
  'piecewise_interpolate_schedule',
  'polynomial_schedule',
  'power_schedule',
  'reduce_on_plateau',
  'reset_count',
  'rex_schedule',
  'set_hyperparams',
  'set_schedules',
  'sgdr_schedule',
  'stack_schedules',
  'step_schedule',
  'table_schedule',
  'tanh_decay_schedule',
  'warmup_constant_schedule',
  'warmup_cosine_decay_schedule',
  'warmup_exponential_decay_schedule',
  'warmup_polynomial_decay_schedule',
  'warmup_schedule',
  'wsd_schedule',
]

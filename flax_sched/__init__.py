"""Schedules for learning rates and every other hyperparameter, for Flax."""

from flax_sched.access import hyperparams
from flax_sched.access import set_hyperparams
from flax_sched.access import set_schedules
from flax_sched.compose import stack_schedules
from flax_sched.functions import constant_schedule
from flax_sched.functions import cosine_decay_schedule
from flax_sched.functions import cosine_onecycle_schedule
from flax_sched.functions import exponential_decay
from flax_sched.functions import join_schedules
from flax_sched.functions import linear_onecycle_schedule
from flax_sched.functions import linear_schedule
from flax_sched.functions import piecewise_constant_schedule
from flax_sched.functions import piecewise_interpolate_schedule
from flax_sched.functions import polynomial_schedule
from flax_sched.functions import sgdr_schedule
from flax_sched.functions import warmup_constant_schedule
from flax_sched.functions import warmup_cosine_decay_schedule
from flax_sched.functions import warmup_exponential_decay_schedule
from flax_sched.inject import inject_hyperparams
from flax_sched.inject import inject_stateful_hyperparams
from flax_sched.inject import InjectHyperparamsState
from flax_sched.inject import InjectStatefulHyperparamsState
from flax_sched.migrate import from_optax_state
from flax_sched.reactive import apply_gradients
from flax_sched.reactive import reduce_on_plateau
from flax_sched.restart import branch_cooldown
from flax_sched.restart import reset_count
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Schedule
from flax_sched.stateful import WrappedSchedule

__version__ = '0.1.0'

__all__ = [
  'InjectHyperparamsState',
  'InjectStatefulHyperparamsState',
  'Schedule',
  'WrappedSchedule',
  'apply_gradients',
  'as_schedule',
  'branch_cooldown',
  'constant_schedule',
  'cosine_decay_schedule',
  'cosine_onecycle_schedule',
  'exponential_decay',
  'from_optax_state',
  'hyperparams',
  'inject_hyperparams',
  'inject_stateful_hyperparams',
  'join_schedules',
  'linear_onecycle_schedule',
  'linear_schedule',
  'piecewise_constant_schedule',
  'piecewise_interpolate_schedule',
  'polynomial_schedule',
  'reduce_on_plateau',
  'reset_count',
  'set_hyperparams',
  'set_schedules',
  'sgdr_schedule',
  'stack_schedules',
  'warmup_constant_schedule',
  'warmup_cosine_decay_schedule',
  'warmup_exponential_decay_schedule',
]

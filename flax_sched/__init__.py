"""Schedules for learning rates and every other hyperparameter, for Flax."""

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
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Schedule

__version__ = '0.1.0'

__all__ = [
  'Schedule',
  'as_schedule',
  'constant_schedule',
  'cosine_decay_schedule',
  'cosine_onecycle_schedule',
  'exponential_decay',
  'join_schedules',
  'linear_onecycle_schedule',
  'linear_schedule',
  'piecewise_constant_schedule',
  'piecewise_interpolate_schedule',
  'polynomial_schedule',
  'sgdr_schedule',
  'warmup_constant_schedule',
  'warmup_cosine_decay_schedule',
  'warmup_exponential_decay_schedule',
]

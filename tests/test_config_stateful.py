"""Schedules that react to the run, from configs."""

import json

from jax import numpy as jnp
import pytest

import flax_sched as fs
from flax_sched.config import build_optimizer
from flax_sched.config import build_schedule
from flax_sched.config import to_config


def test_a_reactive_schedule_in_an_optimizer():
  """With the stateful wrapper, which is an argument."""
  config = {
    'name': 'sgd',
    'learning_rate': {'name': 'reduce_on_plateau', 'init_value': 0.5},
  }
  tx = build_optimizer(config, inject=fs.inject_stateful_hyperparams)
  plateau = build_schedule(config['learning_rate'])
  assert build_schedule(to_config(plateau)) == plateau
  product = plateau * fs.linear_schedule(1.0, 0.0, 10)
  again = build_schedule(json.loads(json.dumps(to_config(product))))
  assert again.factors[0] == plateau
  params = jnp.ones(2)
  _, state = tx.update(params, tx.init(params), params, value=1.0)
  assert fs.hyperparams(state)['learning_rate'] == 0.5


@pytest.mark.parametrize(
  ('name', 'key'), [('Multiply', 'schedules'), ('Product', 'factors')]
)
def test_a_product_with_a_stateful_schedule(name, key):
  """As `*` makes it, whatever it is called; plain factors are wrapped."""
  warmup = {
    'name': 'warmup_constant_schedule',
    'init_value': 0.0,
    'peak_value': 0.5,
    'warmup_steps': 10,
  }
  plateau = {'name': 'reduce_on_plateau', 'init_value': 1.0}
  parts = {'s0': 0.5, 's1': warmup, 's2': plateau}
  schedule = build_schedule({'name': name, key: parts})
  expected = [fs.WrappedSchedule(fs.constant_schedule(0.5))]
  expected += [fs.WrappedSchedule(build_schedule(warmup))]
  assert schedule.factors == (*expected, build_schedule(plateau))
  assert build_schedule(to_config(schedule)) == schedule


@pytest.mark.parametrize('name', ['Add', 'maximum', 'Shift'])
def test_what_a_stateful_schedule_cannot_do(name):
  """It is multiplied, and nothing else."""
  plateau = {'name': 'reduce_on_plateau', 'init_value': 1.0}
  config = {'name': name, 'schedules': {'s0': 0.5, 's1': plateau}}
  if name == 'Shift':
    config = {'name': name, 'schedule': plateau, 'begin': 3}
  with pytest.raises(TypeError, match=r'^lr: .*stateful.*multipl'):
    build_schedule(config, path='lr')


def test_losses_are_averaged_over_a_duration():
  """Such as an epoch; patience counts what is compared."""
  plateau = {
    'name': 'reduce_on_plateau',
    'init_value': 1.0,
    'accumulation_size': '1ep',
  }
  schedule = build_schedule(plateau, run={'steps_per_epoch': 22})
  assert schedule.accumulation_size == 22

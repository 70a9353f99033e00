"""Populations, whose schedules start again together and branch one by one."""

import functools

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from restarts import after
from restarts import B1
from restarts import followed
from restarts import full_only
from restarts import LR
from restarts import PARAMS
from restarts import PLATEAU


def _population(schedule, **others):
  """The new state of three members, and a step."""

  def create(peak):
    lr = fs.linear_schedule(peak, 0.0, 8) if schedule is None else schedule
    tx = full_only(optax.sgd, learning_rate=lr, **others)
    return tx.init(PARAMS)

  lr = LR if schedule is None else schedule
  tx = full_only(optax.sgd, learning_rate=lr, **others)
  update = functools.partial(tx.update, value=1.0)
  step = jax.jit(jax.vmap(lambda s: update(PARAMS, s, PARAMS)[1]))
  return jax.jit(jax.vmap(create))(jnp.array([0.25, 0.5, 1.0])), step


@pytest.mark.parametrize('schedule', [None, LR * PLATEAU])
def test_a_population_starts_again(schedule):
  """Each member, with its own schedule."""
  start, step = _population(schedule)
  fresh, again = step(start), after(step, start, 4)
  again = step(fs.reset_count(again))
  assert again.count.shape == (3,)
  for name, value in fresh.hyperparams.items():
    np.testing.assert_array_equal(again.hyperparams[name], value)


def test_members_of_a_population_are_changed_one_by_one():
  """What would make them differ in structure is an error."""
  state, _ = _population(None, momentum=B1)
  one = r'^{}: learning_rate must be of one run, got a population of 3\. {}'
  with pytest.raises(
    ValueError, match=one.format('branch_cooldown', 'Branch each member')
  ):
    fs.branch_cooldown(state, 3)
  with pytest.raises(
    ValueError, match=one.format('reset_count', 'Reset all hyperparameters')
  ):
    fs.reset_count(state, only='learning_rate')
  member = jax.tree.map(lambda x: x[1], state)
  assert followed(fs.branch_cooldown(member, 2))(1) == 0.25

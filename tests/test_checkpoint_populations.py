"""Checkpoints of populations, whose members follow schedules of their own."""

import jax
from jax import numpy as jnp
import optax
import pytest

from checkpointing import assert_equal
import flax_sched as fs
from flax_sched import checkpoint


def test_a_population(manager):
  """Members with schedules of their own: compared, restored and changed."""

  def create_all(steps):
    def create_one(peak, steps):
      tx = fs.inject_stateful_hyperparams(
        optax.adam, learning_rate=fs.cosine_decay_schedule(peak, steps)
      )
      params = {'w': jnp.ones(3)}
      return {'params': params, 'opt': tx.init(params)}

    peaks = jnp.array([0.1, 0.2, 0.4])
    return jax.vmap(create_one)(peaks, jnp.array(steps))

  population = create_all([10, 20, 30])
  checkpoint.save(manager, 0, population)
  assert_equal(checkpoint.restore(manager, population), population)
  other = create_all([10, 25, 30])
  with pytest.raises(
    checkpoint.ScheduleMismatchError,
    match=r'learning_rate.decay_steps\[1\]: checkpoint 20 -> config 25',
  ):
    checkpoint.restore(manager, other)
  restored = checkpoint.restore(manager, other, on_change='config')
  assert_equal(restored, other)
  restored = checkpoint.restore(manager, other, on_change='checkpoint')
  assert_equal(restored, population)
  with pytest.raises(ValueError, match='members of a population differ'):
    checkpoint.restore(manager, other, on_change='rebase', rebase_steps=3)


def test_what_each_member_has_seen(manager):
  """Its own reductions go on, whichever side is followed."""

  def create_all(factor):
    def create_one(scale):
      tx = fs.inject_stateful_hyperparams(
        optax.sgd, learning_rate=fs.reduce_on_plateau(0.5, factor, patience=1)
      )
      return tx.init(scale)

    return jax.vmap(create_one)(jnp.ones(3))

  def step(state, losses):
    tx = fs.inject_stateful_hyperparams(
      optax.sgd, learning_rate=fs.reduce_on_plateau(0.5)
    )
    update = jax.vmap(lambda s, x: tx.update(x, s, x, value=x)[1])
    return update(state, jnp.array(losses))

  population = step(create_all(0.5), [1.0, 1.0, 1.0])
  population = step(population, [2.0, 0.5, 2.0])
  checkpoint.save(manager, 0, population)
  for choice in ('config', 'checkpoint'):
    restored = checkpoint.restore(manager, create_all(0.25), on_change=choice)
    rates = fs.hyperparams(step(restored, [3.0, 3.0, 3.0]))['learning_rate']
    assert rates.tolist() == [0.25, 0.5, 0.25]
    factor = 0.25 if choice == 'config' else 0.5
    later = step(step(restored, [3.0, 3.0, 3.0]), [3.0, 3.0, 3.0])
    rates = fs.hyperparams(later)['learning_rate']
    assert rates.tolist() == [0.25 * factor, 0.5 * factor, 0.25 * factor]

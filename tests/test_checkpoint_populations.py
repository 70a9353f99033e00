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

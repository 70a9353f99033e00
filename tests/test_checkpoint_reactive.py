"""Checkpoints of schedules that react: what they have seen goes on."""

import jax
import numpy as np
import pytest

from checkpointing import abstract
from checkpointing import assert_equal
from checkpointing import bare
from checkpointing import COSINE
from checkpointing import next_values
from checkpointing import saved
from checkpointing import state_of
from checkpointing import train
from checkpointing import WRAPPERS
import flax_sched as fs
from flax_sched import checkpoint


def plateau(**changes):
  """A learning rate with warm-up that reacts to the loss."""
  arguments = dict(factor=0.5, patience=2) | changes
  return fs.linear_schedule(0.0, 1.0, 4) * fs.reduce_on_plateau(
    0.5, **arguments
  )


@pytest.mark.parametrize('target_of', [lambda s: s, abstract])
def test_what_a_schedule_has_seen(target_of, manager):
  """Its memory is restored, whatever its place, and compared."""
  new = state_of('full', learning_rate=plateau(), b1=fs.reduce_on_plateau(0.9))
  state = saved(manager, new, 9)
  assert fs.hyperparams(state)['learning_rate'] < 0.25
  restored = checkpoint.restore(manager, target_of(new))
  assert_equal(restored, state)
  # Another place for it.
  other = state_of('full', learning_rate=plateau(), b1=0.9)
  restored = checkpoint.restore(
    manager, target_of(other), on_change={'b1': 'config'}
  )
  assert next_values(restored) == next_values(state) | {'b1': np.float32(0.9)}


def test_a_changed_reaction(manager):
  """The error names the field; either side can win, with the same memory."""
  state = saved(manager, state_of('full', learning_rate=plateau()), 7)
  target = state_of('full', learning_rate=plateau(factor=0.25, patience=1))
  with pytest.raises(
    checkpoint.ScheduleMismatchError,
    match=r'learning_rate\.factors\[1\]\.factor: checkpoint 0.5 -> config 0.25',
  ):
    checkpoint.restore(manager, target)
  went_on = checkpoint.restore(manager, target, on_change='checkpoint')
  assert_equal(bare(train(went_on, 5)), bare(train(state, 5)))
  changed = checkpoint.restore(manager, target, on_change='config')
  assert next_values(changed) == next_values(state)
  assert jax.tree.structure(changed) == jax.tree.structure(target)
  later = next_values(train(changed, 1))['learning_rate']
  assert later == 0.25 * next_values(changed)['learning_rate']
  with pytest.raises(ValueError, match='only plain schedules move to others'):
    checkpoint.restore(manager, target, on_change='rebase', rebase_steps=5)


def test_reaction_or_not(manager):
  """From a plain schedule to one that reacts, and back."""
  reacting = state_of('full', learning_rate=plateau())
  for wrapper in WRAPPERS:
    plain = state_of(wrapper, learning_rate=COSINE)
    state = saved(manager, plain, len(manager.all_steps()) + 1)
    restored = checkpoint.restore(manager, reacting, on_change='config')
    assert next_values(restored)['learning_rate'] == 0.0  # it starts anew
    restored = checkpoint.restore(manager, reacting, on_change='checkpoint')
    assert next_values(restored) == next_values(state)
  state = saved(manager, reacting, 6)
  for wrapper in WRAPPERS:
    plain = state_of(wrapper, learning_rate=COSINE)
    restored = checkpoint.restore(manager, plain, on_change='config')
    assert next_values(restored) == {'learning_rate': float(COSINE(6))}
  restored = checkpoint.restore(manager, plain, on_change='checkpoint')
  assert_equal(train(restored, 4).params, train(state, 4).params)
  fast = state_of('fast', learning_rate=COSINE)
  with pytest.raises(ValueError, match='needs inject_stateful_hyperparams'):
    checkpoint.restore(manager, fast, on_change='checkpoint')

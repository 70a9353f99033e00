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
    state = saved(manager, plain, len(manager.all_steps()) + 2)
    restored = checkpoint.restore(manager, reacting, on_change='config')
    # The reaction starts anew, and the warm-up counts on.
    count = int(state.step)
    assert next_values(restored)['learning_rate'] == min(count / 4, 1.0) / 2
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


PRODUCTS = {
  'of_a_plateau': fs.reduce_on_plateau(0.5, factor=0.5, patience=2),
  'of_another_curve': fs.cosine_decay_schedule(1.0, 50) * plateau().factors[1],
  'with_the_factors_swapped': plateau().factors[1] * fs.constant_schedule(0.25),
  'of_more': plateau() * fs.constant_schedule(0.5) * fs.reduce_on_plateau(1.0),
}


@pytest.mark.parametrize('old', PRODUCTS)
@pytest.mark.parametrize('target_of', [lambda s: s, abstract])
def test_factors(old, target_of, manager):
  """Each goes on by itself: what it has seen, or the count."""
  saved(manager, state_of('full', learning_rate=PRODUCTS[old]), 9)
  new = fs.linear_schedule(1.0, 0.0, 20) * plateau().factors[1]
  target = target_of(state_of('full', learning_rate=new))
  restored = checkpoint.restore(manager, target, on_change='config')
  # After 1 loss that improves and 8 that do not, 4 reductions.
  got = next_values(restored)['learning_rate']
  assert got == np.float32(0.55) * np.float32(0.5 / 16)
  assert jax.tree.structure(restored) == jax.tree.structure(target)
  # What was restored is saved, may be donated, and reacts as before.
  assert checkpoint.save(manager, 10, restored)
  buffers = [
    leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(restored.opt_state)
  ]
  assert len(set(buffers)) == len(buffers)
  later = next_values(train(restored, 2))['learning_rate']
  np.testing.assert_allclose(later, 0.45 * 0.5 / 32, rtol=1e-6)


def test_factors_go_on_after_a_reset(manager):
  """With a count of their own, as they would have without a restore."""
  new = state_of('full', learning_rate=plateau(), b1=COSINE)
  state = fs.reset_count(train(new, 9), only='learning_rate')
  state = saved(manager, state, 2)
  other = fs.linear_schedule(0.0, 4.0, 4) * plateau().factors[1]
  target = state_of('full', learning_rate=other, b1=COSINE)
  restored = checkpoint.restore(manager, target, on_change='config')
  expected = next_values(state)
  assert expected['learning_rate'] == 0.25
  expected['learning_rate'] *= 4
  assert next_values(restored) == expected


@pytest.mark.parametrize(
  ('old', 'new', 'expected'),
  [
    (dict(init_value=0.5), dict(init_value=0.125), 0.125 / 16),
    (dict(init_value=0.5), dict(init_value=0.3), 0.3 / 16),
    (dict(init_value=0.5), dict(init_value=0.5, min_value=0.25), 0.25),
    (dict(init_value=0.5), dict(init_value=0.25, min_value=0.125), 0.125),
    (dict(init_value=0.0), dict(init_value=0.25), 0.25),
  ],
)
def test_another_start(old, new, expected, manager, caplog):
  """What is reached is scaled with it, and that is logged."""

  def target(arguments):
    lr = fs.reduce_on_plateau(factor=0.5, patience=2, **arguments)
    return state_of('full', learning_rate=lr)

  state = saved(manager, target(old), 9)
  restored = checkpoint.restore(manager, target(new), on_change='config')
  np.testing.assert_allclose(
    next_values(restored)['learning_rate'], expected, rtol=1e-6
  )
  assert 'learning_rate: what reduce_on_plateau has reached, ' in caplog.text
  caplog.clear()
  restored = checkpoint.restore(manager, target(new), on_change='checkpoint')
  assert next_values(restored) == next_values(state)
  assert 'reached' not in caplog.text


def test_a_start_that_nothing_was_reduced_from(manager):
  """It is the new one, to the last bit."""
  rates = (0.3, 0.7)
  old, new = (
    state_of('full', learning_rate=fs.reduce_on_plateau(x)) for x in rates
  )
  saved(manager, old, 3)
  restored = checkpoint.restore(manager, new, on_change='config')
  assert next_values(restored) == {'learning_rate': np.float32(0.7)}


def test_what_was_set(manager):
  """It stands in for a schedule that reacts as for others."""
  new = state_of('full', learning_rate=plateau())
  state = train(new, 9)
  edited = fs.set_hyperparams(new, learning_rate=0.75)
  checkpoint.save(manager, 0, fs.set_hyperparams(state, learning_rate=0.625))
  went_on = checkpoint.restore(manager, new, on_change='checkpoint')
  assert next_values(went_on) == {'learning_rate': 0.625}
  back = fs.set_hyperparams(went_on, learning_rate=None)
  assert next_values(back) == next_values(state)
  for target, expected in ((new, next_values(state)), (edited, None)):
    restored = checkpoint.restore(manager, target, on_change='config')
    assert next_values(restored) == (expected or {'learning_rate': 0.75})
  checkpoint.save(manager, 1, state)
  went_on = checkpoint.restore(manager, edited, on_change='checkpoint')
  assert next_values(went_on) == next_values(state)

"""Restoring where the optimizer, or another part of the state, has changed."""

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import optax
import pytest

from checkpointing import abstract
from checkpointing import assert_close
from checkpointing import assert_equal
from checkpointing import bare
from checkpointing import both
from checkpointing import CHAINS
from checkpointing import COSINE
from checkpointing import LONGER
from checkpointing import next_values
from checkpointing import OTHERS
from checkpointing import PARAMS
from checkpointing import SAME
from checkpointing import saved
from checkpointing import state_of
from checkpointing import train
from checkpointing import WRAPPERS
import flax_sched as fs
from flax_sched import checkpoint

pairs = pytest.mark.parametrize('pair', SAME + OTHERS, ids='-'.join)


@pairs
def test_a_hyperparameter_more_or_less(pair, manager, caplog):
  """What is new follows the config, what is gone is left out; both reported."""
  old = state_of(pair[0], learning_rate=COSINE, weight_decay=0.5)
  new = state_of(pair[1], learning_rate=COSINE, b2=LONGER)
  state = saved(manager, old)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, new)
  assert [str(d)[:45] for d in caught.value.differences] == [
    'b2: checkpoint none -> config Cosine(init_val',
    'weight_decay: checkpoint Constant(constant=0.',
  ]
  for choice in (
    'config',
    'checkpoint',
    {'b2': 'config', 'weight_decay': 'config'},
  ):
    caplog.clear()
    restored = checkpoint.restore(manager, new, on_change=choice)
    assert 'b2: checkpoint none' in caplog.text
    assert '-> config none' in caplog.text
    assert jax.tree.structure(restored) == jax.tree.structure(new)
    assert next_values(restored) == {
      'learning_rate': float(COSINE(4)),
      'b2': float(LONGER(4)),
    }
    assert_equal(restored.opt_state.inner_state, state.opt_state.inner_state)


@pytest.mark.parametrize(
  ('old', 'new'),
  [
    (old, new)
    for old in CHAINS
    for new in CHAINS
    if {'none', 'clips'} & {old, new}
  ],
)
def test_another_chain(old, new, manager):
  """Clipping added or removed: the moments, the count and the values go on."""
  state = saved(manager, state_of(around=CHAINS[old], learning_rate=COSINE))
  target = state_of(around=CHAINS[new], learning_rate=COSINE)
  choice = (
    {} if old == new or 'clips' not in (old, new) else {'on_change': 'config'}
  )
  restored = checkpoint.restore(manager, target, **choice)
  assert jax.tree.structure(restored) == jax.tree.structure(target)
  assert_close(train(restored, 3).params, train(state, 3).params)


WRAPPED = {
  'multi_steps': lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
  'apply_if_finite': lambda tx: optax.apply_if_finite(tx, 3),
  'masked': lambda tx: optax.masked(tx, {'w': True, 'b': True}),
  'ema': lambda tx: optax.chain(tx, optax.ema(0.0, debias=False)),
}


@pytest.mark.parametrize('name', WRAPPED)
@pytest.mark.parametrize('target_of', [lambda s: s, abstract])
def test_a_wrapper_around_it(name, target_of, manager):
  """Its own state starts anew, which the error says; what is inside goes on."""
  state = saved(manager, state_of(learning_rate=COSINE))
  target = state_of(around=WRAPPED[name], learning_rate=COSINE)
  if name != 'masked':  # it has no state of its own
    with pytest.raises(
      checkpoint.ScheduleMismatchError, match='is new, and starts as in the tar'
    ) as caught:
      checkpoint.restore(manager, target_of(target))
    assert not caught.value.differences
  restored = checkpoint.restore(manager, target_of(target), on_change='config')
  assert jax.tree.structure(restored) == jax.tree.structure(target)
  assert_close(train(restored, 3).params, train(state, 3).params)
  # And back.
  checkpoint.save(manager, 5, restored)
  back = state_of(learning_rate=COSINE)
  again = checkpoint.restore(manager, back, on_change='config')
  assert_equal(bare(again), bare(state))


def test_another_optimizer(manager):
  """Nothing of Adam's is momentum: it starts anew, and the error says so."""
  saved(manager, state_of(learning_rate=COSINE))
  target = state_of(factory=optax.sgd, learning_rate=COSINE, momentum=0.5)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  message = str(caught.value)
  for line in (
    'momentum: checkpoint none -> config Constant(constant=0.5)',
    'opt_state/inner_state/0/trace is new, and starts as in the target',
    'opt_state/inner_state/0/mu has no place any more, and is left out',
  ):
    assert line in message
  restored = checkpoint.restore(manager, target, on_change='config')
  assert restored.opt_state.count == 4
  trace = restored.opt_state.inner_state[0].trace
  assert_equal(trace, jax.tree.map(jnp.zeros_like, restored.params))


@both
def test_injection_inside_of_injection(wrapper, manager):
  """Both states are restored, and what each follows is compared."""

  def state_with(decay):
    def factory(weight_decay):
      inner = WRAPPERS[wrapper](optax.adam, learning_rate=COSINE, b1=0.5)
      return optax.chain(optax.add_decayed_weights(weight_decay), inner)

    return state_of(wrapper, factory, weight_decay=decay)

  state = saved(manager, state_with(LONGER))
  for target_of in (lambda s: s, abstract):
    restored = checkpoint.restore(manager, target_of(state_with(LONGER)))
    assert_equal(bare(restored), bare(state))
  target = state_with(0.25)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  assert {d.name for d in caught.value.differences} == {'weight_decay'}
  restored = checkpoint.restore(manager, target, on_change='config')
  assert next_values(restored) == next_values(state) | {'weight_decay': 0.25}


@both
@pytest.mark.parametrize(
  ('old', 'new', 'names'),
  [
    ((optax.adam, {}), (optax.adamax, {}), 'of adam in the checkpoint'),
    (
      (optax.adam, {}),
      (optax.adam, {'nesterov': True}),
      r'of adam in the checkpoint, of adam\(nesterov=True\) now',
    ),
  ],
)
def test_an_optimizer_of_the_same_layout(wrapper, old, new, names, manager):
  """What it stores has the same names: the record still tells them apart."""
  (old, arguments), (new, others) = old, new
  state = state_of(wrapper, old, learning_rate=COSINE, **arguments)
  state = saved(manager, state)
  target = state_of(wrapper, new, learning_rate=COSINE, **others)
  with pytest.raises(checkpoint.ScheduleMismatchError, match=names):
    checkpoint.restore(manager, target)
  restored = checkpoint.restore(manager, target, on_change='config')
  assert_equal(restored.opt_state.inner_state, state.opt_state.inner_state)


def test_another_model(manager):
  """Parameters are not this library's to change: the error names each."""
  saved(manager, state_of(learning_rate=COSINE))
  new = state_of(learning_rate=COSINE)
  for change, message in (
    ({'w': jnp.ones((3, 2))}, 'params/b is not in the target'),
    (
      {'w': jnp.ones((3, 2)), 'b': jnp.ones(2), 'c': jnp.ones(2)},
      'params/c is not in the checkpoint',
    ),
    (
      {'w': jnp.ones((2, 3)), 'b': jnp.ones(2)},
      r'params/w is \(3, 2\) in the checkpoint and \(2, 3\) in the target',
    ),
    (
      {'w': jnp.ones((3, 2), jnp.bfloat16), 'b': jnp.ones(2)},
      'params/w is float32 in the checkpoint and bfloat16 in the target',
    ),
  ):
    for choice in ('error', 'config'):
      with pytest.raises(ValueError, match=message):
        checkpoint.restore(
          manager, new.replace(params=change), on_change=choice
        )


def test_counts_that_are_floats_are_refused(manager):
  """Orbax alone would cast them."""
  state = saved(manager, state_of(learning_rate=COSINE))
  opt_state = state.opt_state.replace(count=jnp.float32(0))
  with pytest.raises(ValueError, match='opt_state/count is int32 in the check'):
    checkpoint.restore(manager, state.replace(opt_state=opt_state))


def test_an_abstract_target_needs_its_optimizer(manager):
  """Else nobody knows its constants; the error says what to pass."""
  state = state_of(learning_rate=COSINE, weight_decay=0.1)
  tree = {'params': state.params, 'opt_state': state.opt_state}
  checkpoint.save(manager, 0, tree)
  assert_equal(checkpoint.restore(manager, tree), tree)
  with pytest.raises(ValueError, match='it is abstract, and no TrainState'):
    checkpoint.restore(manager, abstract(tree))


def test_python_numbers(manager):
  """A TrainState as `create` makes it has the step 0 as a Python integer."""
  new = state_of(learning_rate=COSINE).replace(step=0)
  checkpoint.save(manager, 0, new)
  assert checkpoint.restore(manager, new).step == 0
  for target in (new, state_of(learning_rate=COSINE)):
    assert checkpoint.restore(manager, target).step == 0
  state = saved(manager, new, 3)
  assert_equal(checkpoint.restore(manager, new), state)


def test_random_keys(manager):
  """Typed keys in the state come back as such."""

  class State(TrainState):
    key: jax.Array

  tx = fs.inject_hyperparams(optax.sgd, learning_rate=COSINE)
  state = State.create(
    apply_fn=None, params=PARAMS, tx=tx, key=jax.random.key(3)
  )
  checkpoint.save(manager, 0, state)
  restored = checkpoint.restore(manager, state.replace(key=jax.random.key(0)))
  assert restored.key == state.key

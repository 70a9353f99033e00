"""States that tests save and restore, and how two of them compare."""

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import checkpoint

WRAPPERS = {
  'fast': fs.inject_hyperparams,
  'full': fs.inject_stateful_hyperparams,
}
PARAMS = {'w': np.ones((3, 2), np.float32), 'b': np.ones(2, np.float32)}
COSINE = fs.cosine_decay_schedule(0.5, 100)
LONGER = fs.cosine_decay_schedule(0.5, 200)

both = pytest.mark.parametrize('wrapper', WRAPPERS)

# The wrapper that is saved, and the one that it is restored to.
SAME = [(a, a) for a in WRAPPERS]
OTHERS = [(a, b) for a in WRAPPERS for b in WRAPPERS if a != b]

# What may stand around the injected transformation.
CHAINS = {
  'none': lambda tx: tx,
  'alone': lambda tx: optax.chain(tx),
  'clip_before': lambda tx: optax.chain(optax.clip_by_global_norm(1e9), tx),
  'clip_after': lambda tx: optax.chain(tx, optax.clip(1e9)),
  'clips': lambda tx: optax.chain(
    optax.clip(1e9), optax.zero_nans(), tx, optax.scale(1.0)
  ),
  'named': lambda tx: optax.named_chain(
    ('clip', optax.clip(1e9)), ('adam', tx)
  ),
}


def create(tx):
  """A state before its first update."""
  state = TrainState.create(
    apply_fn=None, params=jax.tree.map(jnp.asarray, PARAMS), tx=tx
  )
  return state.replace(step=jnp.zeros((), jnp.int32))


def state_of(
  wrapper='fast', factory=optax.adamw, around=lambda tx: tx, **kwargs
):
  """A state whose hyperparameters are these."""
  return create(around(WRAPPERS[wrapper](factory, **kwargs)))


@jax.jit
def train_step(state):
  """One update, with the parameters as gradients."""
  return fs.apply_gradients(state, grads=state.params, value=jnp.float32(1.0))


def train(state, updates):
  """The state after some updates."""
  for _ in range(updates):
    state = train_step(state)
  return state


def next_values(state):
  """The hyperparameters that the next update uses."""
  return {k: float(v) for k, v in fs.hyperparams(train_step(state)).items()}


def saved(manager, state, updates=4):
  """The state after some updates, which is saved."""
  state = train(state, updates)
  assert checkpoint.save(manager, updates, state)
  return state


def assert_equal(got, expected):
  """Two pytrees with the same structure, and the same bits."""
  assert jax.tree.structure(got) == jax.tree.structure(expected)
  for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert (x.dtype, x.shape) == (y.dtype, y.shape)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
      x, y = jax.random.key_data(x), jax.random.key_data(y)
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def assert_close(got, expected):
  """Two pytrees of two programs, in which XLA may fuse otherwise."""
  assert jax.tree.structure(got) == jax.tree.structure(expected)
  for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-6)


def bare(state):
  """The state without its transformation, to compare what two have made."""
  return state.replace(tx=None)


def abstract(state):
  """The state as shapes."""
  return jax.eval_shape(lambda: state)

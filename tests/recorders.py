"""A run to log, and a writer that records what it is given."""

import functools

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax

import flax_sched as fs

LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 3, 7, 0.001)
B1 = fs.linear_schedule(0.9, 0.8, 10)


def new_state():
  """A TrainState with two scheduled hyperparameters and a constant one."""
  return TrainState.create(
    apply_fn=None,
    params={'w': jnp.ones(3)},
    tx=optax.chain(
      optax.clip_by_global_norm(1.0),
      fs.inject_hyperparams(
        optax.adamw, learning_rate=LR, b1=B1, weight_decay=0.1
      ),
    ),
  ).replace(step=jnp.zeros((), jnp.int32))


@functools.partial(jax.jit, donate_argnums=0)
def train_step(state):
  """One update, which takes the old state's memory."""
  loss = jnp.sum(state.params['w'] ** 2)
  return state.apply_gradients(grads=state.params), loss


def train(logger, steps=10):
  """Logs every step: what should have been logged, read at once."""
  state, expected = new_state(), []
  for step in range(steps):
    state, loss = train_step(state)
    logger.log(step, state, loss=loss)
    values = {f'hyperparams/{k}': v for k, v in fs.hyperparams(state).items()}
    values['loss'] = loss
    expected.append({k: np.asarray(v) for k, v in values.items()})
  return expected


class Recorder:
  """A writer that remembers, with nothing but what CLU's interface asks."""

  def __init__(self):
    self.calls = []

  def write_scalars(self, step, scalars):
    """As CLU's."""
    self.calls.append((step, dict(scalars)))

  def flush(self):
    """As CLU's."""
    self.calls.append('flush')

  def close(self):
    """As CLU's."""
    self.calls.append('close')


def written(recorder):
  """The steps, without the flushes."""
  return [call for call in recorder.calls if isinstance(call, tuple)]

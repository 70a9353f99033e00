"""A training run that tests kill, in a process of its own.

Usage: python interrupted_training.py DIRECTORY STEPS RESULT

Trains up to STEPS, from the latest checkpoint in DIRECTORY where there is one,
and saves after every step while the next one runs. Prints `begin` before it
opens the directory, and `STEP DIGEST` before each save; writes the parameters
to RESULT in the end.
"""

import hashlib
import pathlib
import sys

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp

import flax_sched as fs
from flax_sched import checkpoint

KEPT = 3
LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 10, 150, 0.01)


def optimizer():
  """Both wrappers: one for the matrices, one for the vectors."""
  return optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.partition(
      {
        'matrix': fs.inject_hyperparams(
          optax.adamw,
          learning_rate=LR,
          weight_decay=fs.linear_schedule(0.1, 0.0, 100),
        ),
        'vector': fs.inject_stateful_hyperparams(
          optax.adamw,
          learning_rate=LR * fs.reduce_on_plateau(1.0, 0.9, patience=2),
          weight_decay=0.01,
        ),
      },
      lambda params: jax.tree.map(
        lambda p: 'matrix' if p.ndim == 2 else 'vector', params
      ),
    ),
  )


def model(params, x):
  """A network with one hidden layer."""
  hidden = jnp.tanh(x @ params['w1'] + params['b1'])
  return hidden @ params['w2'] + params['b2']


def new_state():
  """A state before its first update."""
  rng = np.random.default_rng(0)
  shapes = {'w1': (8, 32), 'b1': (32,), 'w2': (32, 2), 'b2': (2,)}
  params = {
    name: jnp.asarray(rng.normal(size=shape), np.float32)
    for name, shape in shapes.items()
  }
  state = TrainState.create(apply_fn=model, params=params, tx=optimizer())
  return state.replace(step=jnp.zeros((), jnp.int32))


def batch(step):
  """The data of a step, from its number alone."""
  x = np.random.default_rng(step).normal(size=(32, 8)).astype(np.float32)
  return x, x[:, :2] * x[:, 2:4]


def train_step(state, x, y):
  """One update, which donates the state."""

  def loss_of(params):
    return jnp.mean((state.apply_fn(params, x) - y) ** 2)

  loss, grads = jax.value_and_grad(loss_of)(state.params)
  return fs.apply_gradients(state, grads=grads, value=loss)


def digest(state):
  """What tells two states apart, by one bit of any leaf."""
  leaves = [np.asarray(x).tobytes() for x in jax.tree.leaves(state)]
  return hashlib.sha256(b''.join(leaves)).hexdigest()


def open_manager(directory):
  """Orbax's manager, as training has it."""
  options = ocp.CheckpointManagerOptions(max_to_keep=KEPT)
  return ocp.CheckpointManager(directory, options=options)


def main(directory, steps, result):
  """One run, in this process."""
  step = jax.jit(train_step, donate_argnums=0)
  state = new_state()
  print('begin', flush=True)
  with open_manager(directory) as manager:
    if manager.latest_step() is not None:
      state = checkpoint.restore(manager, state)
    while state.step < steps:
      state = step(state, *batch(int(state.step)))
      print(state.step, digest(state), flush=True)
      checkpoint.save(manager, int(state.step), state)
  params = [np.asarray(x).tobytes() for x in jax.tree.leaves(state.params)]
  pathlib.Path(result).write_bytes(b''.join(params))


if __name__ == '__main__':
  main(sys.argv[1], int(sys.argv[2]), sys.argv[3])

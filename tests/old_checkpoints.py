"""Writes a small checkpoint, to be kept for the tests of later versions.

  python tests/old_checkpoints.py tests/checkpoints/format_N

A run of a version of the library that is released, or the last one of a format,
adds one; none is ever written again.
"""

import json
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

STEP = 4


def create():
  """A state before its first update: both wrappers, a memory, a constant."""
  lr = fs.warmup_cosine_decay_schedule(0.0, 0.5, 2, 100)
  tx = optax.partition(
    {
      'fast': fs.inject_hyperparams(
        optax.adamw, learning_rate=lr, weight_decay=0.25
      ),
      'full': optax.chain(
        optax.clip_by_global_norm(1.0),
        fs.inject_stateful_hyperparams(
          optax.sgd,
          learning_rate=fs.reduce_on_plateau(0.5, patience=1) * lr,
          momentum=fs.linear_schedule(0.5, 1.0, 10),
        ),
      ),
    },
    {'w': 'fast', 'b': 'full'},
  )
  params = {'w': jnp.ones((2, 3)), 'b': jnp.ones(2)}
  return TrainState.create(apply_fn=None, params=params, tx=tx)


def train(state, updates):
  """The state after some updates without progress."""
  step = jax.jit(
    lambda s: fs.apply_gradients(s, grads=s.params, value=jnp.float32(1.0))
  )
  for _ in range(updates):
    state = step(state)
  return state


def expected(state):
  """What is to be found in the checkpoint, as plain data."""
  tree = {'params': state.params, 'hyperparams': fs.hyperparams(state)}
  return jax.tree.map(lambda x: np.asarray(x).tolist(), tree)


def write(directory):
  """Writes the checkpoint, and what is to be found in it."""
  state = train(create(), STEP)
  with ocp.CheckpointManager(directory.absolute()) as manager:
    checkpoint.save(manager, STEP, state)
  text = json.dumps(expected(state), indent=1) + '\n'
  (directory / 'expected.json').write_text(text)


if __name__ == '__main__':
  write(pathlib.Path(sys.argv[1]))

"""A small training run that tests start in processes of their own.

Usage: python training.py linen|nnx DIRECTORY FIRST_STEP LAST_STEP

Trains from FIRST_STEP (restored from DIRECTORY unless 0) up to LAST_STEP, saves
with Orbax, and prints the final parameters and hyperparameters as hex, and how
many programs each step compiled.
"""

import json
import sys

from flax import linen as nn
from flax import nnx
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp

import compilations
import flax_sched as fs

LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 4, 8, 0.01)


def optimizer(inject):
  """A chain with clipping, three scheduled hyperparameters inside."""
  return optax.chain(
    optax.clip_by_global_norm(1.0),
    inject(
      optax.adamw,
      learning_rate=LR,
      b1=fs.linear_schedule(0.9, 0.8, 10),
      weight_decay=0.01,
    ),
  )


def batch(step):
  """Data of a step, the same in every process."""
  rng = np.random.default_rng(step)
  return rng.normal(size=(16, 4)).astype(np.float32)


def loss_of(y):
  """Any loss will do."""
  return jnp.mean((y - 1.0) ** 2)


def linen_run(inject):
  """A linen model in a TrainState: the state, and a step that donates it."""
  model = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(2)])
  params = model.init(jax.random.key(0), batch(0))
  state = TrainState.create(
    apply_fn=model.apply, params=params, tx=optimizer(inject)
  )
  state = state.replace(step=jnp.zeros((), jnp.int32))

  @jax.jit
  def step(state, x):
    grads = jax.grad(lambda p: loss_of(state.apply_fn(p, x)))(state.params)
    return state.apply_gradients(grads=grads)

  return state, step


def nnx_run(inject):
  """An nnx model and optimizer: their state, and a step on it."""
  rngs = nnx.Rngs(0)
  model = nnx.Sequential(
    nnx.Linear(4, 8, rngs=rngs), jax.nn.relu, nnx.Linear(8, 2, rngs=rngs)
  )
  opt = nnx.Optimizer(model, optimizer(inject), wrt=nnx.Param)
  graph, state = nnx.split((model, opt))

  @jax.jit
  def step(state, x):
    model, opt = nnx.merge(graph, state)
    opt.update(model, nnx.grad(lambda m: loss_of(m(x)))(model))
    return nnx.state((model, opt))

  return state, step


def main(kind, directory, first, last, stateful):
  """One run, in this process."""
  compiles = compilations.watch()
  inject = fs.inject_stateful_hyperparams if stateful else fs.inject_hyperparams
  state, step = {'linen': linen_run, 'nnx': nnx_run}[kind](inject)
  counts = []
  with ocp.CheckpointManager(directory) as manager:
    if first:
      target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
      args = ocp.args.Composite(state=ocp.args.StandardRestore(target))
      state = manager.restore(first, args=args)['state']
    for n in range(first, last):
      x = jnp.asarray(batch(n))
      before = len(compiles)
      state = jax.block_until_ready(step(state, x))
      counts.append(len(compiles) - before)
    args = ocp.args.Composite(state=ocp.args.StandardSave(state))
    manager.save(last, args=args)
  leaves = [np.asarray(x).tobytes().hex() for x in jax.tree.leaves(state)]
  print(json.dumps({'compiles': counts, 'leaves': leaves}))


if __name__ == '__main__':
  main(
    sys.argv[1],
    sys.argv[2],
    int(sys.argv[3]),
    int(sys.argv[4]),
    sys.argv[5:] == ['stateful'],
  )

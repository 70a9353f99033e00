"""What do 32 training runs cost, as one population?

32 peak learning rates of a dense network (two layers of 128) on scikit-learn's
handwritten digits: adamw, warm-up and cosine, batches of 64. With Optax one run
after the other, each with its own schedule in its step; with flax_sched one
step for the whole population, by `jax.vmap`. The compilations (JAX's own
events), and the time of all updates, compilations included.
"""

import functools

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax

from benchmarks import side_by_side
from benchmarks.sweep import count_compilations
from examples.digits import train as digits
from examples.population.train import MLP
import flax_sched as fs

PEAKS = np.geomspace(1e-4, 1e-2, 32).tolist()
UPDATES, BATCH_SIZE, WARMUP, DECAY = (10, 100, 1000), 64, 100, 900
MODEL = MLP()


@functools.cache
def batches():
  """An epoch of images and labels, on the device."""
  images, _, labels, _ = digits.load_data()
  return [
    jax.device_put((images[i : i + BATCH_SIZE], labels[i : i + BATCH_SIZE]))
    for i in range(0, len(images) - BATCH_SIZE + 1, BATCH_SIZE)
  ]


@jax.jit
def init_params():
  return MODEL.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))['params']


def create_state(tx):
  state = TrainState.create(apply_fn=MODEL.apply, params=init_params(), tx=tx)
  return state.replace(step=jnp.zeros((), jnp.int32))


def train(step, state, updates):
  """The parameters after so many updates."""
  for i in range(updates):
    state, _ = step(state, *batches()[i % len(batches())])
  return jax.block_until_ready(state.params)


def with_optax(peaks, updates):
  """The parameters of each run."""
  runs = []
  for peak in peaks:
    lr = optax.warmup_cosine_decay_schedule(0.0, peak, WARMUP, WARMUP + DECAY)
    step = jax.jit(digits.train_step.__wrapped__, donate_argnums=0)
    runs.append(train(step, create_state(optax.adamw(lr)), updates))
  return runs


def with_flax_sched(peaks, updates):
  """The parameters of all members, on a first axis."""

  def create(lr):
    return create_state(
      fs.inject_stateful_hyperparams(optax.adamw, learning_rate=lr)
    )

  population = fs.stack_schedules(
    [fs.warmup_cosine_decay_schedule(0.0, p, WARMUP, DECAY) for p in peaks]
  )
  in_axes = (0, None, None)
  step = jax.jit(
    jax.vmap(digits.train_step.__wrapped__, in_axes), donate_argnums=0
  )
  return train(step, jax.vmap(create)(population), updates)


def main():
  with_optax(PEAKS[:1], 1)  # small operations of their own
  with_flax_sched(PEAKS, 1)
  rows = []
  for updates in UPDATES:
    ours, our_seconds = count_compilations(
      functools.partial(with_flax_sched, PEAKS, updates)
    )
    theirs, their_seconds = count_compilations(
      functools.partial(with_optax, PEAKS, updates)
    )
    ratio = their_seconds / our_seconds
    rows.append([f'{updates:,}', theirs, ours, f'{ratio:.1f}'])
  side_by_side.print_table(
    [
      'updates of each',
      'Optax, compilations',
      'flax_sched, compilations',
      'time, Optax / flax_sched',
    ],
    rows,
  )


if __name__ == '__main__':
  main()

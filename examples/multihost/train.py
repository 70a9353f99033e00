"""Handwritten digits, data-parallel over all devices of all processes.

Usage: python examples/multihost/train.py --workdir=runs/multihost

docs/many_hosts.md says how to start it on several machines. A run that was
stopped goes on when it is started again, with as many processes as there are
then.
"""

import argparse
import contextlib
import pathlib

from flax import linen as nn
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
from jax.sharding import AxisType
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np
import optax
import orbax.checkpoint as ocp
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import metrics
from flax_sched import sharding

MODEL = nn.Sequential([nn.Dense(128), nn.relu, nn.Dense(10)])


def connect(args):
  """Makes one run of all processes. JAX finds those of a cluster it knows."""
  given = (args.coordinator, args.num_processes, args.process_id)
  limit = args.heartbeat_seconds
  try:
    jax.distributed.initialize(*given, heartbeat_timeout_seconds=limit)
  except ValueError as error:
    # Where JAX finds no cluster, this process is alone.
    if any(x is not None for x in given) or 'coordinator' not in str(error):
      raise
  print(
    f'Process {jax.process_index()} of {jax.process_count()}: '
    f'{jax.local_device_count()} of {jax.device_count()} devices.',
    flush=True,
  )


def schedules(steps):
  """What the hyperparameters follow."""
  warmup = steps // 10
  return {
    'learning_rate': fs.warmup_cosine_decay_schedule(
      0.0, 3e-3, warmup, steps - warmup, 1e-5
    ),
    'weight_decay': fs.linear_schedule(0.02, 0.1, steps),
  }


def init_of(steps):
  """What makes the state before the first step."""
  tx = fs.inject_hyperparams(optax.adamw, **schedules(steps))

  def init(key):
    params = MODEL.init(key, jnp.zeros((1, 64)))['params']
    state = TrainState.create(apply_fn=MODEL.apply, params=params, tx=tx)
    return state.replace(step=jnp.zeros((), jnp.int32))

  return init


def train_step(state, images, labels):
  """One update: the new state, and the loss before it, over the whole batch."""

  def loss_of(params):
    logits = state.apply_fn({'params': params}, images)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()

  loss, grads = jax.value_and_grad(loss_of)(state.params)
  return state.apply_gradients(grads=grads), loss


def local_rows(batch_size, size, step):
  """Which examples of a step this process feeds to its devices."""
  # The whole batch is a function of the step, and each process takes its part:
  # a resumed run sees the same data, whatever the number of processes.
  epoch, i = divmod(step, size // batch_size)
  order = np.random.default_rng(epoch).permutation(size)
  batch = order[i * batch_size :][:batch_size]
  return batch.reshape(jax.process_count(), -1)[jax.process_index()]


def train(args):
  """Trains to the end, from where the last run in the directory got."""
  if args.batch_size % jax.device_count():
    raise ValueError(
      f'--batch_size must be a multiple of the {jax.device_count()} devices, '
      f'got {args.batch_size}.'
    )
  images, labels = load_digits(return_X_y=True)
  images, test_images, labels, test_labels = train_test_split(
    np.float32(images / 16), np.int32(labels), test_size=360, random_state=0
  )
  directory = pathlib.Path(args.workdir).resolve()
  owner = jax.process_index() == 0  # of the logs
  mesh = jax.make_mesh(
    (jax.device_count(),), ('data',), axis_types=(AxisType.Auto,)
  )
  everywhere = NamedSharding(mesh, PartitionSpec())
  by_rows = NamedSharding(mesh, PartitionSpec('data'))
  init, key = init_of(args.steps), jax.random.key(0)

  with contextlib.ExitStack() as stack:
    # Saves in the background; the end of the block waits for it.
    manager = ocp.CheckpointManager(directory / 'checkpoints')
    stack.enter_context(manager)
    if manager.latest_step() is None:
      state = sharding.create(init, mesh, key)
    else:
      state = checkpoint.restore(manager, sharding.abstract(init, mesh, key))
    places = sharding.shardings(state, mesh), everywhere
    step_fn = jax.jit(train_step, donate_argnums=0, out_shardings=places)
    first_step = int(state.step)
    if owner:
      # Reads its own copy of each number: no other process logs, or waits.
      writer = metrics.create_writer(directory / 'logs', first_step=first_step)
      logger = stack.enter_context(metrics.HyperparamLogger(writer))
    for step in range(first_step, args.steps):
      rows = local_rows(args.batch_size, len(images), step)
      x, y = (
        jax.make_array_from_process_local_data(by_rows, data[rows])
        for data in (images, labels)
      )
      state, loss = step_fn(state, x, y)
      if owner:
        logger.log(step, state, loss=loss)
      done = step + 1
      if done % args.save_every == 0 or done == args.steps:
        if owner:
          logger.flush()  # no checkpoint may be ahead of the logs
          print(f'Step {done}: {logger.latest}', flush=True)
        checkpoint.save(manager, done, state)  # every process takes part

  if owner:
    params = jax.tree.map(lambda x: x.addressable_data(0), state.params)
    logits = MODEL.apply({'params': params}, test_images)
    accuracy = np.mean(np.argmax(logits, axis=-1) == test_labels)
    print(f'Test accuracy {accuracy:.2%}. The run is in {directory}.')


def main():
  """Does what the command line says."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  add = parser.add_argument
  add('--workdir', required=True, help='a directory that all processes share')
  add('--steps', type=int, default=500)
  add('--batch_size', type=int, default=64, help='of all processes together')
  add('--save_every', type=int, default=100, help='steps')
  add('--coordinator', help='HOST:PORT of process 0, if JAX finds no cluster')
  add('--num_processes', type=int, help='how many, if JAX finds no cluster')
  add('--process_id', type=int, help='which one, from 0')
  add('--heartbeat_seconds', type=int, default=100, help='who is silent, died')
  args = parser.parse_args()
  connect(args)
  train(args)


if __name__ == '__main__':
  main()

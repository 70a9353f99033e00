"""Handwritten digits by a population, each member with its own hyperparameters.

All members train in one program, which is compiled once; they lie on all
devices, equally many on each.
"""

import functools
import pathlib
from typing import Any

from flax import linen as nn
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np
import optax
from tqdm import tqdm

from examples.digits import train as digits
from examples.population import report
import flax_sched as fs
from flax_sched import sharding

VALIDATION_SIZE = 360  # of the training images, those that choose the winner


class MLP(nn.Module):
  """Three dense layers: of many members, large products of matrices."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """The logits of images of shape (n, 8, 8, 1)."""
    x = x.reshape(len(x), -1)
    for _ in range(2):
      x = nn.relu(nn.Dense(128)(x))
    return nn.Dense(10)(x)


def draw(config: Any) -> dict[str, np.ndarray]:
  """What differs between the members, by its name in the config.

  Each is evenly spaced, in logarithm, over its range, so that 32 members try 32
  values of each; which values meet in a member is random.
  """
  random, drawn = np.random.default_rng(config.seed), {}
  for name in ('peak_learning_rate', 'weight_decay'):
    ends = config[name]
    if len(ends) != 2 or not 0 < ends[0] <= ends[1]:
      raise ValueError(
        f'{name} must be (low, high), with 0 < low <= high, got {ends}.'
      )
    drawn[name] = random.permutation(np.geomspace(*ends, config.members))
  return drawn


def make_schedules(
  config: Any, drawn: dict[str, np.ndarray]
) -> dict[str, list[fs.Schedule]]:
  """The schedules of all members, by the argument of the optimizer."""
  return {
    'learning_rate': [
      fs.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=peak,
        warmup_steps=config.warmup_steps,
        decay_steps=config.total_steps - config.warmup_steps,
      )
      for peak in drawn['peak_learning_rate']
    ],
    'weight_decay': [fs.constant_schedule(x) for x in drawn['weight_decay']],
  }


def create_state(config: Any, schedules: dict[str, Any]) -> TrainState:
  """The state of one member before the first step."""
  model, image = MLP(), jnp.zeros((1, 8, 8, 1))
  variables = model.init(jax.random.key(config.seed), image)
  tx = fs.inject_stateful_hyperparams(optax.adamw, **schedules)
  return TrainState.create(
    apply_fn=model.apply, params=variables['params'], tx=tx
  )


def train(
  config: Any,
  mesh: Mesh,
  schedules: dict[str, list[fs.Schedule]],
  images: np.ndarray,
  labels: np.ndarray,
) -> tuple[TrainState, np.ndarray]:
  """Trains all members: their states, and losses of shape (steps, members)."""
  state = sharding.create(
    jax.vmap(lambda schedules: create_state(config, schedules)),
    mesh,
    {name: fs.stack_schedules(each) for name, each in schedules.items()},
    population_axis='members',
  )
  # That of the digits example trains one member; the batch is the same for all.
  train_step = jax.jit(
    jax.vmap(digits.train_step, in_axes=(0, None, None)),
    donate_argnums=0,
    out_shardings=(
      sharding.shardings(state, mesh, population_axis='members'),
      NamedSharding(mesh, PartitionSpec('members')),
    ),
  )
  losses = []
  for step in tqdm(range(config.total_steps), unit='step'):
    batch = digits.batch_indices(config, len(images), step)
    state, loss = train_step(state, images[batch], labels[batch])
    losses.append(loss)
  return state, np.stack(losses)


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None, None))
def evaluate(
  state: TrainState, images: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """The accuracy and the loss of each member."""
  logits = state.apply_fn({'params': state.params}, images)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  return (jnp.argmax(logits, axis=-1) == labels).mean(), losses.mean()


def train_and_evaluate(config: Any, workdir: str) -> list[dict[str, Any]]:
  """Trains a population, and ranks its members by validation accuracy.

  Args:
    config: a ConfigDict, such as that of configs/population.py.
    workdir: where results.json, results.md and population.png go.

  Returns:
    What is in results.json: of each member, the best first, its number, what
    was drawn for it, its accuracies and its validation loss.

  Raises:
    ValueError: if the config has no such population, and why.
  """
  devices = jax.device_count()
  if config.members < 1 or config.members % devices:
    raise ValueError(
      'members must be a positive multiple of the number of devices, '
      f'{devices}, got {config.members}.'
    )
  mesh = jax.make_mesh((devices,), ('members',), axis_types=(AxisType.Auto,))
  drawn = draw(config)
  schedules = make_schedules(config, drawn)
  images, test_images, labels, test_labels = digits.load_data()
  images, validation_images = np.split(images, [-VALIDATION_SIZE])
  labels, validation_labels = np.split(labels, [-VALIDATION_SIZE])
  state, losses = train(config, mesh, schedules, images, labels)
  accuracy, loss = evaluate(state, validation_images, validation_labels)
  test_accuracy, _ = evaluate(state, test_images, test_labels)
  results = report.rank(
    drawn
    | {
      'validation_accuracy': accuracy,
      'validation_loss': loss,
      'test_accuracy': test_accuracy,
    }
  )
  report.write(pathlib.Path(workdir), results, schedules, losses)
  return results

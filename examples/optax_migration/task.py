"""What a migration leaves alone: the data, the network, the training step."""

import functools
from typing import Any

from flax import linen as nn
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

BATCH_SIZE = 64


def load_data() -> list[np.ndarray]:
  """1,797 digits of 64 pixels: images, test images, labels, test labels."""
  images, labels = load_digits(return_X_y=True)
  return train_test_split(
    np.float32(images / 16),
    np.int32(labels),
    test_size=360,
    random_state=0,
    stratify=labels,
  )


def batch_indices(seed: int, size: int, step: int) -> np.ndarray:
  """Which of the training examples a step sees: a function of seed and step."""
  epoch, i = divmod(step, size // BATCH_SIZE)
  order = np.random.default_rng((seed, epoch)).permutation(size)
  return order[i * BATCH_SIZE :][:BATCH_SIZE]


class MLP(nn.Module):
  """Three dense layers."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """The logits of images of shape (n, 64)."""
    for _ in range(2):
      x = nn.relu(nn.Dense(128)(x))
    return nn.Dense(10)(x)


def create_state(tx: optax.GradientTransformation, seed: int) -> TrainState:
  """The state before the first step, with any optimizer."""
  model = MLP()
  variables = jax.jit(model.init)(jax.random.key(seed), jnp.zeros((1, 64)))
  state = TrainState.create(
    apply_fn=model.apply, params=variables['params'], tx=tx
  )
  return state.replace(step=jnp.zeros((), jnp.int32))


@functools.partial(jax.jit, donate_argnums=0)
def train_step(
  state: TrainState, images: jax.Array, labels: jax.Array
) -> tuple[TrainState, jax.Array]:
  """One update: the new state, and the loss before it."""

  def loss_of(params: Any) -> jax.Array:
    logits = state.apply_fn({'params': params}, images)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()

  loss, grads = jax.value_and_grad(loss_of)(state.params)
  return state.apply_gradients(grads=grads), loss


def accuracy(
  state: TrainState, images: np.ndarray, labels: np.ndarray
) -> float:
  """The share of images that the network is right about."""
  logits = state.apply_fn({'params': state.params}, images)
  return float(np.mean(np.argmax(logits, axis=-1) == labels))

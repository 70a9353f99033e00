"""States with two optimizers in them, one structure for each way to do so."""

from flax import nnx
from flax import struct
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import optax

import flax_sched as fs

PARAMS = {'a': jnp.ones(2), 'b': jnp.ones(2)}


def sgd(learning_rate, inject=fs.inject_hyperparams):
  """An optimizer with one hyperparameter."""
  return inject(optax.sgd, learning_rate=learning_rate)


def train_state(tx):
  """A TrainState."""
  return TrainState.create(apply_fn=None, params=PARAMS, tx=tx)


@struct.dataclass
class Gan:
  """Two models that are trained together."""

  gen: TrainState
  disc: TrainState


@jax.tree_util.register_pytree_node_class
class Pair:
  """Two states in a class that names none of its fields to JAX."""

  def __init__(self, one, two):
    self.one, self.two = one, two

  def tree_flatten(self):
    """Both."""
    return (self.one, self.two), None

  @classmethod
  def tree_unflatten(cls, _, children):
    """From both."""
    return cls(*children)


class Trainer(nnx.Module):
  """Two optimizers in a module."""

  def __init__(self, one, two):
    self.model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    self.one = nnx.Optimizer(self.model, one, wrt=nnx.Param)
    self.two = nnx.Optimizer(self.model, two, wrt=nnx.Param)


class WithAux(TrainState):
  """A state with a second optimizer's."""

  aux: object


def partition(one, two):
  """Groups whose labels are integers."""
  return optax.partition({0: one, 1: two}, {'a': 0, 'b': 1})


# By the structure: two optimizers in it, and the names of their learning rates.
STRUCTURES = {
  'dataclass': (
    lambda a, b: Gan(gen=train_state(a), disc=train_state(b)),
    ('gen/learning_rate', 'disc/learning_rate'),
  ),
  'integer labels': (
    lambda a, b: train_state(partition(a, b)),
    ('0/learning_rate', '1/learning_rate'),
  ),
  'integer labels, in a chain': (
    lambda a, b: train_state(optax.chain(optax.clip(1.0), partition(a, b))),
    ('1/0/learning_rate', '1/1/learning_rate'),
  ),
  'class without keys': (
    lambda a, b: Pair(train_state(a), train_state(b)),
    ('0/learning_rate', '1/learning_rate'),
  ),
  'module': (Trainer, ('one/learning_rate', 'two/learning_rate')),
  'sam': (
    lambda a, b: train_state(optax.contrib.sam(a, b)),
    ('learning_rate', 'adv_state/learning_rate'),
  ),
  'state of sam': (
    lambda a, b: optax.contrib.sam(a, b).init(PARAMS),
    ('learning_rate', 'adv_state/learning_rate'),
  ),
  'beside opt_state': (
    lambda a, b: WithAux.create(
      apply_fn=None, params=PARAMS, tx=a, aux=b.init(PARAMS)
    ),
    ('learning_rate', 'aux/learning_rate'),
  ),
}

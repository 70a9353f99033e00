"""Small runs with logs, and what the report of them says."""

import json
import re

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import metrics
from flax_sched import report
from flax_sched import tensorboard

LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 10, 90, 0.001)
LOWER = fs.warmup_cosine_decay_schedule(0.0, 0.05, 10, 90, 0.001)
B1 = fs.linear_schedule(0.9, 0.8, 50)


def optimizer(lr=LR, inject=fs.inject_hyperparams, **more):
  """Three hyperparameters: two that are scheduled, one that is constant."""
  return inject(optax.adamw, learning_rate=lr, b1=B1, weight_decay=0.1, **more)


def state_of(tx):
  """A state before its first update."""
  state = TrainState.create(apply_fn=None, params={'w': jnp.ones(2)}, tx=tx)
  return state.replace(step=jnp.zeros((), jnp.int32))


@jax.jit
def update(state):
  """One step: the new state, and a loss."""
  loss = jnp.sum(state.params['w'] ** 2)
  return state.apply_gradients(grads=state.params), loss


def train(logdir, state, steps, first_step=None, change=None, **options):
  """A session: the state after it. `change` is applied before a step."""
  writer = tensorboard.TensorBoardWriter(logdir, first_step=first_step)
  with metrics.HyperparamLogger(writer, **options) as logger:
    for step in steps:
      state = (change or {}).get(step, lambda state: state)(state)
      state, loss = update(state)
      logger.log(step, state, loss=loss)
  return state


def figures_of(path):
  """The figures in a page, in their order."""
  text = path.read_text()
  inside = re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)
  return [*json.loads(inside[1]).values()]


@pytest.fixture
def written(tmp_path):
  """Writes the report of `logs`: its data, and the traces of each figure."""

  def write(logdir=tmp_path / 'logs', **options):
    path = tmp_path / 'report.html'
    data = report.write_report(logdir, path, **options)
    json.dumps(data, allow_nan=False)
    figures = figures_of(path)
    moving = [
      name
      for name, each in data['hyperparams'].items()
      if f'<h3>{name}<' in path.read_text()
    ]
    names = [*moving, *data['scalars']]
    return data, {
      name: {
        trace['name']: (
          np.array(trace['x'], float),
          np.array(trace['y'], float),
        )
        for trace in figure['data']
      }
      for name, figure in zip(names, figures, strict=True)
    }

  return write


def assert_is(curve, steps, values):
  """Each step and each value of a curve, to the bit."""
  np.testing.assert_array_equal(curve[0], steps)
  np.testing.assert_array_equal(np.float32(curve[1]), np.float32(values))


def save(tmp_path, step, state):
  """A checkpoint."""
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    checkpoint.save(manager, step, state)


def without_record(logs, steps, scalars=None):
  """A log as before there were records."""
  writer = tensorboard.TensorBoardWriter(logs)
  for step in steps:
    values = {'hyperparams/learning_rate': LR(step), **(scalars or {})}
    writer.write_scalars(step, values)
  writer.close()

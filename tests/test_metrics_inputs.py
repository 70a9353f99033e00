"""The configs, steps, writers and states that `HyperparamLogger` takes."""

import subprocess
import sys
import types

from flax import nnx
from jax import numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import metrics
from processes import ROOT
from recorders import LR
from recorders import new_state
from recorders import Recorder
from recorders import train


def test_write_hparams():
  """Once, flat, as numbers and texts, where the writer takes them."""
  recorder = Recorder()
  calls = []
  recorder.write_hparams = calls.append
  config = ml_collections.ConfigDict(
    {'optimizer': {'learning_rate': {'peak': 1e-3}, 'name': 'adamw'}}
  )
  config.steps = np.int32(10)
  config.sizes = (1, 2)
  with metrics.HyperparamLogger(recorder) as logger:
    logger.write_hparams(config)
    logger.write_hparams(config)
    with pytest.raises(ValueError, match='config must be that of the first ca'):
      logger.write_hparams({'steps': 11})
  (flat,) = calls
  assert flat == {
    'optimizer.learning_rate.peak': 1e-3,
    'optimizer.name': 'adamw',
    'steps': 10,
    'sizes': '(1, 2)',
  }
  assert type(flat['steps']) is int
  metrics.HyperparamLogger(Recorder()).write_hparams(config)  # has none: fine


@pytest.mark.parametrize('every_steps', [4, np.int64(4)])
def test_every_steps(every_steps):
  """Only the multiples of it."""
  recorder = Recorder()
  with metrics.HyperparamLogger(recorder, every_steps=every_steps) as logger:
    train(logger)
  assert [call[0] for call in recorder.calls[:-1]] == [0, 4, 8]


def test_a_writer_needs_write_scalars_only():
  """`flush` and `close` are called where they are."""
  calls = []
  writer = types.SimpleNamespace(write_scalars=lambda *call: calls.append(call))
  with metrics.HyperparamLogger(writer) as logger:
    train(logger, steps=1)
    logger.flush()
  assert len(calls) == 1


def test_nnx_optimizers():
  """Their arrays sit in variables."""
  model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=LR)
  optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
  recorder = Recorder()
  with metrics.HyperparamLogger(recorder) as logger:
    for step in range(3):
      optimizer.update(model, nnx.state(model, nnx.Param))
      logger.log(step, optimizer)
  np.testing.assert_allclose(
    [call[1]['hyperparams/learning_rate'] for call in recorder.calls[:-1]],
    LR(np.arange(3)),
    rtol=1e-6,
  )


def test_bad_arguments():
  """Each with its remedy."""
  with pytest.raises(
    TypeError, match=r'must have write_scalars\(step, scalars\), got 3\. flax_s'
  ):
    metrics.HyperparamLogger(3)
  with pytest.raises(
    ValueError, match=r'every_steps must be a positive integer, got 0\.'
  ):
    metrics.HyperparamLogger(Recorder(), every_steps=0)
  logger = metrics.HyperparamLogger(Recorder())
  with pytest.raises(
    ValueError, match=r'log: loss must be a single number, got an array of sh'
  ):
    logger.log(0, new_state(), loss=jnp.ones(2))
  for scalar in (None, 'x', {}):
    with pytest.raises(
      TypeError,
      match=f'^HyperparamLogger.log: loss must be a single number, '
      f'got {scalar!r}\\. Leave it out of the steps that have none\\.',
    ):
      logger.log(0, new_state(), loss=scalar)
  with pytest.raises(ValueError, match='holds no injected hyperparameters'):
    logger.log(0, optax.sgd(0.1).init(jnp.ones(2)))


SHARDED = """
import flax_sched as fs, jax, numpy as np, optax
from flax_sched import metrics
from jax import numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

class Printer:
  def write_scalars(self, step, scalars):
    print(step, scalars)

mesh = jax.make_mesh((4,), ('data',), axis_types=(AxisType.Auto,))
tx = fs.inject_hyperparams(optax.adamw, learning_rate=0.5, weight_decay=0.25)
everywhere = NamedSharding(mesh, P())
params = jax.device_put(jnp.ones(8), NamedSharding(mesh, P('data')))
state = jax.jit(tx.init, out_shardings=everywhere)(params)
elsewhere = jax.device_put(0.125, jax.devices()[3])
with metrics.HyperparamLogger(Printer()) as logger:
  logger.log(0, state, elsewhere=elsewhere)
"""


def test_replicated_values_and_other_devices():
  """Values that live on all devices of a mesh, and on one of them."""
  done = subprocess.run(
    [sys.executable, '-c', SHARDED],
    capture_output=True,
    text=True,
    env={
      'PYTHONPATH': str(ROOT),
      'JAX_PLATFORMS': 'cpu',
      'XLA_FLAGS': '--xla_force_host_platform_device_count=4',
    },
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('0 {')
  for part in (
    "'hyperparams/learning_rate': 0.5",
    "'hyperparams/weight_decay': 0.25",
    "'elsewhere': 0.125",
  ):
    assert part in done.stdout

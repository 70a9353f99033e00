"""Logging through CLU-style writers, and the TensorBoard writer."""

import functools
import importlib
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import time
import types

from flax import nnx
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import metrics
from flax_sched import tensorboard
from test_tensorboard import read_with_tensorboard

ROOT = pathlib.Path(__file__).parent.parent

LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 3, 7, 0.001)
B1 = fs.linear_schedule(0.9, 0.8, 10)


def new_state():
  """A TrainState with two scheduled hyperparameters and a constant one."""
  return TrainState.create(
    apply_fn=None,
    params={'w': jnp.ones(3)},
    tx=optax.chain(
      optax.clip_by_global_norm(1.0),
      fs.inject_hyperparams(
        optax.adamw, learning_rate=LR, b1=B1, weight_decay=0.1
      ),
    ),
  ).replace(step=jnp.zeros((), jnp.int32))


@functools.partial(jax.jit, donate_argnums=0)
def train_step(state):
  """One update, which takes the old state's memory."""
  loss = jnp.sum(state.params['w'] ** 2)
  return state.apply_gradients(grads=state.params), loss


def train(logger, steps=10):
  """Logs every step: what should have been logged, read at once."""
  state, expected = new_state(), []
  for step in range(steps):
    state, loss = train_step(state)
    logger.log(step, state, loss=loss)
    values = {f'hyperparams/{k}': v for k, v in fs.hyperparams(state).items()}
    values['loss'] = loss
    expected.append({k: np.asarray(v) for k, v in values.items()})
  return expected


class Recorder:
  """A writer that remembers, with nothing but what CLU's interface asks."""

  def __init__(self):
    self.calls = []

  def write_scalars(self, step, scalars):
    """As CLU's."""
    self.calls.append((step, dict(scalars)))

  def flush(self):
    """As CLU's."""
    self.calls.append('flush')

  def close(self):
    """As CLU's."""
    self.calls.append('close')


# ---------------------------------------------------------------------------
# The logger.


def test_every_step_is_logged_exactly(tmp_path):
  """The event files hold each value that each update used, to the last bit."""
  with metrics.HyperparamLogger(
    tensorboard.TensorBoardWriter(tmp_path)
  ) as logger:
    expected = train(logger)
  logged = tensorboard.read_scalars(tmp_path, prefix='')
  assert set(logged) == set(expected[0])
  shown = read_with_tensorboard(tmp_path)
  for name, (steps, values) in logged.items():
    np.testing.assert_array_equal(steps, range(10))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [e[name] for e in expected])
    assert shown[name] == list(zip(range(10), values.tolist(), strict=True))
  np.testing.assert_allclose(
    logged['hyperparams/learning_rate'][1], LR(np.arange(10)), rtol=1e-6
  )


def test_writers_get_python_floats_one_step_late():
  """Never arrays; flush and close write what is left, then the writer's own."""
  recorder = Recorder()
  logger = metrics.HyperparamLogger(recorder, prefix='')
  state = new_state()
  state, _ = train_step(state)
  logger.log(0, state, other=3, half=jnp.bfloat16(0.5))
  assert recorder.calls == []
  assert logger.latest == {}
  logger.flush()
  (step, scalars), last = recorder.calls
  assert last == 'flush'
  assert step == 0
  assert scalars == {
    'b1': float(np.float32(0.9)),
    'learning_rate': 0.0,
    'weight_decay': float(np.float32(0.1)),
    'other': 3.0,
    'half': 0.5,
  }
  assert {type(value) for value in scalars.values()} == {float}
  assert logger.latest == scalars
  state, _ = train_step(state)
  logger.log(1, state)
  state, _ = train_step(state)
  logger.log(2, state)
  assert [call[0] for call in recorder.calls[2:]] == [1]
  logger.close()
  assert [call[0] for call in recorder.calls[3:-1]] == [2]
  assert recorder.calls[-1] == 'close'


def test_donated_states():
  """A constant hyperparameter's array is deleted by the next step: no harm."""
  recorder = Recorder()
  logger = metrics.HyperparamLogger(recorder)
  state, _ = train_step(new_state())
  constant = fs.hyperparams(state)['weight_decay']
  logger.log(0, state)
  state, _ = train_step(state)
  assert constant.is_deleted()
  logger.close()
  assert recorder.calls[0][1]['hyperparams/weight_decay'] == np.float32(0.1)


def train_and_fail(recorder):
  """Two steps, and then an error inside the block."""
  with metrics.HyperparamLogger(recorder) as logger:
    train(logger, steps=2)
    raise ZeroDivisionError


def test_a_step_that_fails_loses_nothing_before_it():
  """The end of the block writes the last step and closes the writer."""
  recorder = Recorder()
  with pytest.raises(ZeroDivisionError):
    train_and_fail(recorder)
  assert [call[0] for call in recorder.calls[:-1]] == [0, 1]
  assert recorder.calls[-1] == 'close'


def test_every_steps():
  """Only the multiples of it."""
  recorder = Recorder()
  with metrics.HyperparamLogger(recorder, every_steps=4) as logger:
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


# ---------------------------------------------------------------------------
# CLU's writers.


@pytest.fixture(name='clu_writers')
def fixture_clu_writers(monkeypatch):
  """`clu.metric_writers`, less what needs TensorFlow where there is none.

  The package's own `__init__` imports TensorFlow, so a stand-in for it loads
  the modules that do not.
  """
  if importlib.util.find_spec('tensorflow'):
    return importlib.import_module('clu.metric_writers')
  clu = importlib.import_module('clu')
  name = 'clu.metric_writers'
  package = types.ModuleType(name)
  package.__path__ = [str(pathlib.Path(clu.__file__).parent / 'metric_writers')]
  package.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
  monkeypatch.setitem(sys.modules, name, package)
  for part in ('interface', 'logging_writer', 'multi_writer', 'async_writer'):
    monkeypatch.delitem(sys.modules, f'{name}.{part}', raising=False)
    module = importlib.import_module(f'{name}.{part}')
    monkeypatch.setitem(sys.modules, f'{name}.{part}', module)
    for key, value in vars(module).items():
      if isinstance(value, type):
        setattr(package, key, value)
  return package


def test_clu_logging_writer(clu_writers, caplog):
  """It formats Python floats shortly."""
  caplog.set_level('INFO', logger='absl')
  with metrics.HyperparamLogger(clu_writers.LoggingWriter()) as logger:
    train(logger, steps=2)
  lines = [
    r.getMessage() for r in caplog.records if 'learning' in r.getMessage()
  ]
  assert len(lines) == 2
  assert lines[0].startswith('[0] ')
  assert 'hyperparams/b1=0.9,' in lines[0]
  assert 'hyperparams/learning_rate=0.0333333' in lines[1]


def test_clu_async_and_multi_writers_take_ours_in(clu_writers, tmp_path):
  """Values arrive exactly, though written in the background."""
  recorder = Recorder()
  writer = clu_writers.AsyncWriter(
    clu_writers.MultiWriter(
      [
        clu_writers.LoggingWriter(),
        recorder,
        tensorboard.TensorBoardWriter(tmp_path),
      ]
    )
  )
  with metrics.HyperparamLogger(writer) as logger:
    expected = train(logger)
  calls = [call for call in recorder.calls if isinstance(call, tuple)]
  assert [step for step, _ in calls] == list(range(10))
  assert [scalars for _, scalars in calls] == [
    {name: float(x) for name, x in e.items()} for e in expected
  ]
  logged = tensorboard.read_scalars(tmp_path, prefix='')
  for name, (_, values) in logged.items():
    np.testing.assert_array_equal(values, [e[name] for e in expected])


def test_our_writer_has_every_method_of_clus(clu_writers):
  """So that it can stand wherever theirs do."""
  for name in clu_writers.MetricWriter.__abstractmethods__:
    assert callable(getattr(tensorboard.TensorBoardWriter, name))


@pytest.mark.tensorflow
def test_clu_default_writer(tmp_path):
  """With TensorFlow, `create_writer` gives CLU's own; values are exact."""
  from clu import metric_writers

  writer = metrics.create_writer(tmp_path)
  assert isinstance(
    writer, metric_writers.MultiWriter | metric_writers.AsyncWriter
  )
  with metrics.HyperparamLogger(writer) as logger:
    expected = train(logger)
  logged = tensorboard.read_scalars(tmp_path, prefix='')
  assert set(logged) == set(expected[0])
  for name, (steps, values) in logged.items():
    np.testing.assert_array_equal(steps, range(10))
    np.testing.assert_array_equal(values, [e[name] for e in expected])


@pytest.mark.tensorflow
def test_clu_default_writer_after_a_restart(tmp_path):
  """TensorBoard shows each step once, as the last run logged it."""
  for first_step, value in ((0, 1.0), (2, 2.0)):
    writer = metrics.create_writer(tmp_path, first_step=first_step)
    for step in range(first_step, 4):
      writer.write_scalars(step, {'x': value})
    writer.close()
    time.sleep(1.1)  # the names of TensorFlow's files tell seconds apart
  expected = [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]
  assert read_with_tensorboard(tmp_path)['x'] == expected


@pytest.mark.tensorflow
def test_clu_default_writer_of_another_process(tmp_path, monkeypatch):
  """Only process 0 writes files."""
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  with metrics.HyperparamLogger(metrics.create_writer(tmp_path)) as logger:
    train(logger, steps=1)
  assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------
# The TensorBoard writer.


@pytest.fixture(name='no_tensorflow')
def fixture_no_tensorflow(monkeypatch):
  """As if TensorFlow were not installed."""
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util,
    'find_spec',
    lambda name, *args: (
      None if name == 'tensorflow' else find_spec(name, *args)
    ),
  )


def test_create_writer_without_tensorflow(no_tensorflow, tmp_path):
  """The library's own writer, in a directory that it makes."""
  writer = metrics.create_writer(tmp_path / 'a' / 'b')
  assert isinstance(writer, tensorboard.TensorBoardWriter)
  writer.write_scalars(3, {'x': np.float32(0.1), 'y': jnp.ones(())})
  writer.close()
  writer.close()
  assert tensorboard.read_scalars(tmp_path / 'a' / 'b', '') == {
    'x': (3, np.float32(0.1)),
    'y': (3, 1.0),
  }


def test_create_writer_of_another_process(no_tensorflow, tmp_path, monkeypatch):
  """Only process 0 writes files; the writer of another takes all, silently."""
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  writer = metrics.create_writer(tmp_path)
  writer.write_hparams({'a': 1})
  writer.write_texts(0, {'a': 'b'})
  with metrics.HyperparamLogger(writer) as logger:
    train(logger, steps=1)
    logger.flush()
  assert not list(tmp_path.iterdir())
  assert not hasattr(writer, 'something_else')


def test_without_tensorboardx(no_tensorflow, tmp_path, monkeypatch):
  """The error names the extra to install."""
  monkeypatch.setitem(sys.modules, 'tensorboardX', None)
  with pytest.raises(
    ImportError, match=r'`pip install flax-sched\[tensorboard\]`'
  ):
    metrics.create_writer(tmp_path)


def test_imports_are_lazy():
  """Importing the module loads no writer."""
  code = (
    'import sys, flax_sched.metrics, flax_sched.plot, flax_sched.config\n'
    'for name in ("clu", "tensorflow", "tensorboard", "tensorboardX",\n'
    '             "ml_collections", "matplotlib", "orbax"):\n'
    '  assert name not in sys.modules, name\n'
  )
  subprocess.run(
    [sys.executable, '-c', code],
    check=True,
    env={'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
  )

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
import ml_collections
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import metrics
from flax_sched import record
from flax_sched import snapshots
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


def test_writers_get_python_floats(monkeypatch):
  """Never arrays; flush and close write what is left, then the writer's own."""
  monkeypatch.setattr(snapshots, '_SECONDS', 1e9)
  recorder = Recorder()
  logger = metrics.HyperparamLogger(recorder, prefix='')
  assert logger.latest == {}
  state = new_state()
  state, _ = train_step(state)
  logger.log(0, state, other=3, half=jnp.bfloat16(0.5))
  assert recorder.calls == []
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
  logger.close()
  assert [call[0] for call in recorder.calls[2:-1]] == [1, 2]
  assert recorder.calls[-1] == 'close'


def test_slow_steps_are_written_as_they_end(monkeypatch):
  """Not only when a batch of them is full; `latest` never waits for that."""
  monkeypatch.setattr(snapshots, '_SECONDS', 0.0)
  recorder = Recorder()
  logger = metrics.HyperparamLogger(recorder)
  state = new_state()
  for step in range(4):
    state, loss = jax.block_until_ready(train_step(state))
    logger.log(step, state, loss=loss)
    jax.block_until_ready([s.arrays for _, s in logger._queue._steps])
    if step:
      assert recorder.calls[step - 1][0] == step - 1
    assert logger.latest['loss'] == float(loss)


@pytest.mark.parametrize('seconds', [0.0, 1e9])
@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_many_steps_are_logged_in_order(monkeypatch, inject, seconds):
  """To the bit, over the borders of batches, and flushes within them."""
  monkeypatch.setattr(snapshots, '_SECONDS', seconds)
  tx = inject(optax.adamw, learning_rate=LR, b1=B1, weight_decay=0.1)
  state = TrainState.create(apply_fn=None, params={'w': jnp.ones(3)}, tx=tx)
  state = state.replace(step=jnp.zeros((), jnp.int32))
  recorder, expected = Recorder(), []
  with metrics.HyperparamLogger(recorder, prefix='') as logger:
    for step in range(300):
      state, loss = train_step(state)
      logger.log(step, state, **({'loss': loss} if step >= 150 else {}))
      values = {**fs.hyperparams(state), 'loss': loss}
      expected.append({name: float(value) for name, value in values.items()})
      if step < 150:
        del expected[-1]['loss']
      if step in (0, 70, 71, 200):
        logger.flush()
        assert written(recorder) == list(enumerate(expected))
        assert logger.latest == expected[-1]
  assert written(recorder) == list(enumerate(expected))


def written(recorder):
  """The steps, without the flushes."""
  return [call for call in recorder.calls if isinstance(call, tuple)]


def test_a_batch_costs_one_program_and_no_wait(monkeypatch):
  """A step starts one program, and nothing reads before a batch is done."""
  started, read, device_get = [], [], jax.device_get
  stack = snapshots._stack
  monkeypatch.setattr(
    snapshots, '_stack', lambda *xs: (started.append(len(xs)), stack(*xs))[1]
  )
  monkeypatch.setattr(
    jax, 'device_get', lambda x: (read.append(len(x)), device_get(x))[1]
  )
  monkeypatch.setattr(snapshots, '_SECONDS', 1e9)
  logger = metrics.HyperparamLogger(Recorder())
  state = new_state()
  for step in range(127):
    state, loss = train_step(state)
    logger.log(step, state, loss=loss)
  assert started == [4] * 64 + [64] + [4] * 63
  assert read == []
  state, loss = jax.block_until_ready(train_step(state))
  logger.log(127, state, loss=loss)
  assert started[-2:] == [4, 64]
  assert read == [1]


def test_changes_between_steps():
  """A new value, a new schedule, a constant again: all as the update used."""
  recorder, expected = Recorder(), []
  with metrics.HyperparamLogger(recorder, prefix='') as logger:
    state = new_state()
    for step in range(150):
      if step == 20:
        state = fs.set_hyperparams(state, weight_decay=0.5)
      if step == 21:
        state = fs.set_hyperparams(state, weight_decay=0.25)
      if step == 90:
        state = fs.set_schedules(state, learning_rate=LR * 2)
      if step == 100:
        state = fs.set_hyperparams(state, learning_rate=0.125)
      state, _ = train_step(state)
      logger.log(step, state)
      expected.append({k: float(v) for k, v in fs.hyperparams(state).items()})
  assert written(recorder) == list(enumerate(expected))
  assert expected[20]['weight_decay'] == 0.5
  assert expected[120]['learning_rate'] == 0.125


@jax.jit
def skipping_step(state):
  """No update at every seventh step but the first ones, as in mixed precision.

  The state's own step counts all.
  """
  skip = (state.step > 80) & (state.step % 7 == 0)
  new = state.apply_gradients(grads=state.params)
  kept = state.replace(step=new.step)
  return jax.tree.map(lambda a, b: jnp.where(skip, a, b), kept, new)


TRANSFORMATIONS = {
  'multi_steps': lambda tx: optax.MultiSteps(tx, 3),
  'apply_if_finite': lambda tx: optax.apply_if_finite(tx, 5),
  'chain': lambda tx: optax.chain(
    tx, fs.inject_hyperparams(optax.add_decayed_weights, weight_decay=LR)
  ),
  'partition': lambda tx: optax.partition(
    {'a': tx, 'b': fs.inject_hyperparams(optax.sgd, learning_rate=B1)},
    {'w': 'a', 'v': 'b'},
  ),
}


@pytest.mark.parametrize('name', TRANSFORMATIONS)
def test_updates_that_do_not_happen(name):
  """Held back, refused or skipped by the step: the values are those used."""
  tx = TRANSFORMATIONS[name](fs.inject_hyperparams(optax.sgd, learning_rate=LR))
  params = {'w': jnp.ones(3), 'v': jnp.ones(3)}
  state = TrainState.create(apply_fn=None, params=params, tx=tx)
  recorder, expected = Recorder(), []
  with metrics.HyperparamLogger(recorder, prefix='') as logger:
    for step in range(150):
      state = skipping_step(state)
      logger.log(step, state)
      expected.append({k: float(v) for k, v in fs.hyperparams(state).items()})
  assert written(recorder) == list(enumerate(expected))


def test_populations():
  """A hyperparameter of many members is no single number; one of them is."""
  tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=0.5)
  states = jax.vmap(tx.init)(jnp.ones((4, 2)))
  logger = metrics.HyperparamLogger(Recorder())
  with pytest.raises(
    ValueError, match=r'learning_rate must be a single number, got an array of '
  ):
    logger.log(0, states)
  logger.log(0, jax.tree.map(lambda x: x[2], states))
  logger.close()
  assert logger.latest == {'hyperparams/learning_rate': 0.5}


def test_numbers_of_many_kinds():
  """Integers, halves and numbers of the host; the last of two names counts."""
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=0.5)
  state = tx.init(jnp.ones(2))
  recorder = Recorder()
  host = np.array([0.75])
  scalars = {
    'examples': jnp.asarray(2**31 - 1),
    'host': host,
    'loss': jnp.ones((1, 1), jnp.bfloat16),
    'done': True,
    'hyperparams/learning_rate': 3.0,
  }
  with metrics.HyperparamLogger(recorder) as logger:
    logger.log(0, state, **scalars)
    host[:] = 0.0  # the logger has its own
    logger.log(1, jax.device_get(state), **{**scalars, 'host': 0})
  expected = {
    'hyperparams/learning_rate': 3.0,
    'examples': 2.0**31 - 1,
    'host': 0.75,
    'loss': 1.0,
    'done': 1.0,
  }
  assert written(recorder) == [(0, expected), (1, {**expected, 'host': 0.0})]
  assert list(written(recorder)[0][1]) == list(expected)


def test_resuming():
  """A second logger goes on where the first one ended, as a second run does."""
  recorder, state = Recorder(), new_state()
  for steps in (range(70), range(70, 200)):
    with metrics.HyperparamLogger(recorder) as logger:
      for step in steps:
        state, _ = train_step(state)
        logger.log(step, state)
    state = jax.tree.map(jnp.asarray, jax.device_get(state))
  steps, values = zip(*written(recorder), strict=True)
  assert steps == tuple(range(200))
  np.testing.assert_array_max_ulp(
    np.float32([v['hyperparams/learning_rate'] for v in values]),
    LR(np.arange(200)),
  )


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


def train_and_fail(recorder, steps=2, **kwargs):
  """Some steps, and then an error inside the block."""
  with metrics.HyperparamLogger(recorder, **kwargs) as logger:
    train(logger, steps)
    raise ZeroDivisionError


def test_a_step_that_fails_loses_nothing_before_it():
  """The end of the block writes the last step and closes the writer."""
  recorder = Recorder()
  with pytest.raises(ZeroDivisionError):
    train_and_fail(recorder)
  assert [call[0] for call in recorder.calls[:-1]] == [0, 1]
  assert recorder.calls[-1] == 'close'


class Full(Recorder):
  """A writer whose disk is full for a while."""

  def write_scalars(self, step, scalars):
    """Fails at two steps."""
    if step in (1, 2):
      raise OSError('No space left on device')
    super().write_scalars(step, scalars)

  def flush(self):
    """Always fails."""
    raise OSError('No space left on device')


def test_a_writer_that_fails_is_reported_once(caplog):
  """Training goes on, and so does the log."""
  recorder = Full()
  with metrics.HyperparamLogger(recorder) as logger:
    train(logger, steps=5)
    logger.flush()
  (record,) = caplog.records
  assert record.levelname == 'ERROR'
  assert record.getMessage().startswith(
    'HyperparamLogger: Full.write_scalars failed at step 1: OSError: No space '
    'left on device. The training goes on'
  )
  assert 'pass raise_errors=True' in record.getMessage()
  assert [step for step, _ in written(recorder)] == [0, 3, 4]
  assert recorder.calls[-1] == 'close'


def test_a_writer_that_fails_may_stop_the_training():
  """Its error, with what the logger knows; the next steps are still written."""
  recorder = Full()
  logger = metrics.HyperparamLogger(recorder, raise_errors=True)
  train(logger, steps=5)
  for step in (1, 2):
    with pytest.raises(OSError, match='No space left') as caught:
      logger.flush()
    assert caught.value.__notes__ == [
      f'HyperparamLogger: Full.write_scalars failed at step {step}.'
    ]
  logger.close()
  assert [step for step, _ in written(recorder)] == [0, 3, 4]


def test_an_error_of_the_block_is_the_one_that_is_raised():
  """Not that of a writer which fails in the end."""
  recorder = Full()
  with pytest.raises(ZeroDivisionError):
    train_and_fail(recorder, steps=5, raise_errors=True)
  assert [step for step, _ in written(recorder)] == [0, 3, 4]


@pytest.mark.parametrize('error', [jax.errors.JaxRuntimeError, ValueError])
@pytest.mark.parametrize('block_fails', [False, True])
def test_a_step_that_fails_on_the_device(
  caplog, monkeypatch, block_fails, error
):
  """The steps before it are written, and its error is not lost."""
  device_get = jax.device_get

  def failing(arrays):
    host = device_get(arrays)
    if any(np.any(array >= 100) for array in host):
      raise error('INTERNAL: step 100')
    return host

  monkeypatch.setattr(jax, 'device_get', failing)
  recorder, state = Recorder(), new_state()

  def run():
    with metrics.HyperparamLogger(recorder) as logger:
      for step in range(127):
        logger.log(step, state, mark=jnp.float32(step))
      if block_fails:
        raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError if block_fails else error):
    run()
  assert [step for step, _ in written(recorder)] == [*range(100)]
  assert recorder.calls[-1] == 'close'
  assert ['INTERNAL: step 100' in r.getMessage() for r in caplog.records] == (
    [True] if block_fails else []
  )


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
# The record.


class Texts(Recorder):
  """A writer that takes texts too."""

  def __init__(self):
    super().__init__()
    self.texts = []

  def write_texts(self, step, texts):
    """As CLU's."""
    self.texts.append((step, dict(texts)))


def test_the_record_is_written(caplog):
  """At the first step, and where the structure changes: that of the state."""
  writer, expected = Texts(), []
  with metrics.HyperparamLogger(writer, prefix='run/') as logger:
    state = new_state()
    for step in range(6):
      if step == 3:
        state = fs.set_schedules(state, learning_rate=LR * 2)
      state, loss = train_step(state)
      logger.log(step, state, loss=loss)
      if step in (0, 3):
        expected.append((step, {'run/record': record.record(state)}))
  found = [
    (step, {tag: record.from_text(text) for tag, text in texts.items()})
    for step, texts in writer.texts
  ]
  assert found == expected
  counts = [x['run/record']['hyperparams']['b1']['count'] for _, x in found]
  assert counts == [1, 4]
  assert caplog.records == []


def test_a_writer_that_refuses_texts(caplog):
  """It is reported once, and every step is logged."""
  writer = Texts()
  writer.write_texts = None
  with metrics.HyperparamLogger(writer) as logger:
    train(logger, steps=3)
  (said,) = caplog.records
  assert 'Texts.write_texts failed at step 0' in said.getMessage()
  assert [step for step, _ in written(writer)] == [0, 1, 2]


def test_states_that_take_turns():
  """They are two structures: the records of a run have an end."""
  writer = Texts()
  state = new_state()
  other = fs.set_schedules(state, learning_rate=LR * 2)
  with metrics.HyperparamLogger(writer) as logger:
    for step in range(150):
      logger.log(step, (state, other)[step % 2])
  assert len(writer.texts) == 100
  assert len(written(writer)) == 150


def test_another_process_writes_no_record(monkeypatch):
  """Only process 0 does."""
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  writer = Texts()
  with metrics.HyperparamLogger(writer) as logger:
    train(logger, steps=2)
  assert writer.texts == []
  assert len(written(writer)) == 2


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
    r.getMessage() for r in caplog.records if 'learning_rate=' in r.getMessage()
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


def test_clu_periodic_actions(clu_writers):
  """The logger is called back by one, and flushed by another."""
  actions = pytest.importorskip('clu.periodic_actions')
  recorder = Recorder()
  with metrics.HyperparamLogger(recorder) as logger:
    every_2 = actions.PeriodicCallback(
      every_steps=2,
      callback_fn=lambda step, t, state: logger.log(step, state),
    )
    flush = actions.PeriodicCallback(
      on_steps=[5], callback_fn=lambda step, t: logger.flush()
    )
    state = new_state()
    for step in range(8):
      state, _ = train_step(state)
      every_2(step, state=state)
      flush(step)
  assert [call[0] for call in recorder.calls[:3]] == [0, 2, 4]
  assert recorder.calls[3] == 'flush'
  assert [step for step, _ in written(recorder)] == [0, 2, 4, 6]


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

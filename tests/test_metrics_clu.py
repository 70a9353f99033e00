"""CLU's writers and periodic actions work with `HyperparamLogger`."""

import importlib
import importlib.machinery
import importlib.util
import pathlib
import sys
import time
import types

import jax
import numpy as np
import pytest

from flax_sched import metrics
from flax_sched import tensorboard
from recorders import new_state
from recorders import Recorder
from recorders import train
from recorders import train_step
from recorders import written
from test_tensorboard import read_with_tensorboard


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

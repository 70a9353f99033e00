"""`create_writer` without TensorFlow, and what imports do not load."""

import importlib.util
import subprocess
import sys

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from flax_sched import metrics
from flax_sched import tensorboard
from processes import ROOT
from recorders import train


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

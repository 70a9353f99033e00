"""Event files: what is written is read back, by us and by TensorBoard."""

import os
import pathlib
import shutil
import struct
import subprocess
import sys

from jax import numpy as jnp
import ml_collections
import numpy as np
import pytest

from flax_sched import event_files
from flax_sched import metrics
from flax_sched import tensorboard

ROOT = pathlib.Path(__file__).parent.parent


def read_with_tensorboard(logdir):
  """What TensorBoard itself shows: {tag: [(step, value)]}."""
  from tensorboard.backend.event_processing import plugin_event_accumulator
  from tensorboard.util import tensor_util

  events = plugin_event_accumulator.EventAccumulator(
    str(logdir), tensor_size_guidance={'scalars': 0}
  )
  events.Reload()
  return {
    tag: [
      (e.step, tensor_util.make_ndarray(e.tensor_proto).item())
      for e in events.Tensors(tag)
    ]
    for tag in events.Tags()['tensors']
  }


def test_what_is_flushed_survives_the_process(tmp_path):
  """A process that dies at once after `flush` loses nothing before it."""
  code = (
    'import os, signal, sys\n'
    'from flax_sched import tensorboard\n'
    'writer = tensorboard.TensorBoardWriter(sys.argv[1])\n'
    'for step in range(1000):\n'
    '  writer.write_scalars(step, {"x": step / 7})\n'
    'writer.flush()\n'
    'os.kill(os.getpid(), signal.SIGKILL)\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code, str(tmp_path)],
    env={'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
  )
  assert done.returncode < 0
  steps, values = tensorboard.read_scalars(tmp_path, '')['x']
  np.testing.assert_array_equal(steps, range(1000))
  np.testing.assert_array_equal(values, np.float32(np.arange(1000) / 7))


def test_two_writers_never_share_a_file(tmp_path, monkeypatch):
  """Not even where they open at the same moment: a run restarts in no time."""
  monkeypatch.setattr(tensorboard.time, 'time', lambda: 1e9)
  for value in (1.0, 2.0):
    writer = tensorboard.TensorBoardWriter(tmp_path)
    writer.write_scalars(int(value), {'x': value})
    writer.close()
  assert len(list(tmp_path.iterdir())) == 2
  np.testing.assert_array_equal(
    tensorboard.read_scalars(tmp_path, '')['x'][1], [1, 2]
  )


@pytest.mark.parametrize('first_step', [0, 2])
@pytest.mark.parametrize('before', [None, 0])
def test_tensorboard_shows_each_step_once_after_a_restart(
  tmp_path, before, first_step
):
  """As the last run logged it, though the first one's file ends torn."""
  first = tensorboard.TensorBoardWriter(tmp_path, first_step=before)
  for step in range(4):
    first.write_scalars(step, {'x': 1.0})
  first.close()
  (file,) = tmp_path.iterdir()
  os.truncate(file, file.stat().st_size - 5)
  second = tensorboard.TensorBoardWriter(tmp_path, first_step=first_step)
  for step in range(first_step, 4):
    second.write_scalars(step, {'x': 2.0})
  second.close()
  expected = [(step, 1.0 if step < first_step else 2.0) for step in range(4)]
  assert read_with_tensorboard(tmp_path)['x'] == expected
  steps, values = tensorboard.read_scalars(tmp_path, '')['x']
  assert list(zip(steps, values, strict=True)) == expected


def test_a_running_file_is_flushed_now_and_then(tmp_path, monkeypatch):
  """TensorBoard sees a run before it ends."""
  clock = [0.0]
  monkeypatch.setattr(tensorboard.time, 'monotonic', lambda: clock[0])
  writer = tensorboard.TensorBoardWriter(tmp_path)
  for step in range(5):
    clock[0] += 4.0
    writer.write_scalars(step, {'x': 1.0})
  visible = tensorboard.read_scalars(tmp_path, '')['x'][0]
  writer.close()
  np.testing.assert_array_equal(visible, range(4))  # 4 seconds behind


def test_texts_histograms_and_hparams(tmp_path):
  """TensorBoard reads them back."""
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.plugins.hparams import plugin_data_pb2

  writer = tensorboard.TensorBoardWriter(tmp_path)
  writer.write_texts(1, {'note': 'hello'})
  writer.write_histograms(2, {'w': jnp.arange(5.0)}, {'w': 3})
  writer.write_hparams(
    ml_collections.ConfigDict(
      {
        'lr': {'name': 'linear', 'peak': 0.5},
        'steps': 10,
        'scales': (1, 2),
        'none': None,
        'on': True,
      }
    )
  )
  writer.close()
  events = event_accumulator.EventAccumulator(str(tmp_path))
  events.Reload()
  (text,) = events.Tensors('note/text_summary')
  assert (text.step, text.tensor_proto.string_val) == (1, [b'hello'])
  (histogram,) = events.Histograms('w')
  assert (histogram.step, histogram.histogram_value.num) == (2, 5.0)
  content = events.SummaryMetadata('_hparams_/session_start_info')
  data = plugin_data_pb2.HParamsPluginData.FromString(
    content.plugin_data.content
  )
  hparams = data.session_start_info.hparams
  assert hparams['lr/name'].string_value == 'linear'
  assert hparams['lr/peak'].number_value == 0.5
  assert hparams['steps'].number_value == 10
  assert hparams['scales'].string_value == '(1, 2)'
  assert hparams['none'].string_value == 'None'
  assert hparams['on'].bool_value is True


def test_settings_that_event_files_have_no_form_for(tmp_path):
  """They are texts, and the others are there: such as the seed of NumPy."""
  seed = 2**127 + 1
  settings = {
    'seed': seed,
    'low': -(2**64),
    'most': 2**64 - 1,
    'name': 'a\ud800',
    'b\ud800': {'c': [1]},
  }
  for write_hparams in (
    lambda writer: writer.write_hparams(settings),
    lambda writer: metrics.HyperparamLogger(
      writer, raise_errors=True
    ).write_hparams(settings),
  ):
    writer = tensorboard.TensorBoardWriter(tmp_path)
    write_hparams(writer)
    writer.close()
  first, second = event_files.read_sessions(tmp_path)
  assert first.config == {
    'seed': str(seed),
    'low': str(-(2**64)),
    'most': 2**64,  # as any number, in the precision of a float
    'name': 'a\\ud800',
    'b\\ud800/c': '[1]',
  }
  nested = {name.replace('.', '/'): x for name, x in second.config.items()}
  assert nested == first.config


def test_what_the_writer_refuses(tmp_path):
  """With the way out."""
  writer = tensorboard.TensorBoardWriter(tmp_path)
  for call in (
    lambda: writer.write_images(0, {}),
    lambda: writer.write_videos(0, {}),
    lambda: writer.write_audios(0, {}, sample_rate=1),
    lambda: writer.write_summaries(0, {}),
  ):
    with pytest.raises(NotImplementedError, match='create_default_writer'):
      call()
  with pytest.raises(
    ValueError, match=r'write_scalars: x must be a single number, got an array'
  ):
    writer.write_scalars(0, {'x': np.ones(2)})
  writer.close()
  with pytest.raises(ValueError, match=r'the writer is closed\. Write before'):
    writer.write_scalars(0, {'x': 1.0})
  assert tensorboard.read_scalars(tmp_path, '') == {}


def write(logdir, steps, value):
  """One run's event file: its path."""
  before = set(logdir.iterdir())
  writer = tensorboard.TensorBoardWriter(logdir)
  for step in steps:
    writer.write_scalars(step, {'hyperparams/a/b': value, 'loss': 1.0})
  writer.close()
  (path,) = set(logdir.iterdir()) - before
  return path


def test_names_and_prefixes(tmp_path):
  """The prefix selects and goes; other tags need theirs."""
  write(tmp_path, range(2), 0.5)
  assert set(tensorboard.read_scalars(tmp_path)) == {'a/b'}
  assert set(tensorboard.read_scalars(tmp_path, prefix='')) == {
    'hyperparams/a/b',
    'loss',
  }
  assert tensorboard.read_scalars(tmp_path, prefix='nothing/') == {}


def test_a_later_session_has_the_word(tmp_path):
  """What was given up after the step that it goes on at is not read.

  As long as it does not come so far too. What others write is no session.
  """
  for steps in (range(60), range(30, 40)):
    writer = tensorboard.TensorBoardWriter(tmp_path, first_step=steps[0])
    for step in steps:
      writer.write_scalars(step, {'hyperparams/a': steps[0], 'loss': 1.0})
    writer.close()
  writer = tensorboard.TensorBoardWriter(tmp_path)
  writer.write_scalars(5, {'eval/loss': 0.5})
  writer.close()
  logged = tensorboard.read_scalars(tmp_path, '')
  steps, values = logged['hyperparams/a']
  np.testing.assert_array_equal(steps, range(40))
  np.testing.assert_array_equal(values, [0] * 30 + [30] * 10)
  np.testing.assert_array_equal(logged['loss'][0], range(40))
  np.testing.assert_array_equal(logged['eval/loss'][0], [5])
  np.testing.assert_array_equal(
    tensorboard.read_scalars(tmp_path, 'eval/')['loss'][0], [5]
  )


def test_the_last_run_wins(tmp_path):
  """From its first step on, whatever the files are called."""
  first = write(tmp_path, range(0, 6), 1.0)
  second = write(tmp_path, range(4, 8), 2.0)
  third = write(tmp_path, (7, 5), 3.0)
  first.rename(tmp_path / 'z.tfevents')
  second.rename(tmp_path / 'y.tfevents')
  third.rename(tmp_path / 'x.tfevents')
  (tmp_path / 'notes.txt').write_text('not an event file')
  steps, values = tensorboard.read_scalars(tmp_path)['a/b']
  np.testing.assert_array_equal(steps, [0, 1, 2, 3, 4, 5, 7])
  np.testing.assert_array_equal(values, [1, 1, 1, 1, 2, 3, 3])
  assert (steps.dtype, values.dtype) == (np.int64, np.float32)


def test_a_file_torn_at_any_byte(tmp_path):
  """Whatever is complete is read, and nothing else."""
  data = write(tmp_path, range(3), 0.5).read_bytes()
  ends = [0]
  while ends[-1] < len(data):
    (length,) = struct.unpack_from('<Q', data, ends[-1])
    ends.append(ends[-1] + length + 16)
  assert len(ends) == 5  # the version, and three steps
  torn = tmp_path / 'torn'
  for size in range(len(data) + 1):
    shutil.rmtree(torn, ignore_errors=True)
    torn.mkdir()
    (torn / 'a.tfevents').write_bytes(data[:size])
    complete = sum(end <= size for end in ends[2:])
    steps, _ = tensorboard.read_scalars(torn).get('a/b', ((), ()))
    assert len(steps) == complete, size


def test_a_file_that_ends_in_garbage(tmp_path):
  """As a full disk or a lost page leaves it."""
  path = write(tmp_path, range(3), 0.5)
  for garbage in (bytes(100), struct.pack('<QI', 8, 0) + b'\xff' * 12):
    copy = tmp_path / 'copy'
    copy.mkdir()
    (copy / 'a.tfevents').write_bytes(path.read_bytes() + garbage)
    np.testing.assert_array_equal(
      tensorboard.read_scalars(copy)['a/b'][0], range(3)
    )
    shutil.rmtree(copy)


def test_scalars_of_tensorboards_own_writer(tmp_path):
  """They are tensors: TensorFlow writes them so too."""
  from tensorboard.summary import Writer

  writer = Writer(str(tmp_path))
  for step in range(3):
    writer.add_scalar('x', step / 3, step)
  writer.close()
  steps, values = tensorboard.read_scalars(tmp_path, '')['x']
  np.testing.assert_array_equal(steps, range(3))
  np.testing.assert_array_equal(values, np.float32(np.arange(3) / 3))


def test_texts_and_histograms_are_no_scalars(tmp_path):
  """They are left out."""
  writer = tensorboard.TensorBoardWriter(tmp_path)
  writer.write_texts(0, {'text': 'hello'})
  writer.write_histograms(0, {'histogram': np.arange(3.0)})
  writer.write_hparams({'a': 1})
  writer.close()
  assert tensorboard.read_scalars(tmp_path, '') == {}


def test_reading_needs_tensorboardx_or_tensorboard(tmp_path, monkeypatch):
  """Either will do; without both the error names the extra."""
  write(tmp_path, range(3), 0.5)
  expected = tensorboard.read_scalars(tmp_path)['a/b'][1]
  monkeypatch.setitem(sys.modules, 'tensorboardX.proto', None)
  np.testing.assert_array_equal(
    tensorboard.read_scalars(tmp_path)['a/b'][1], expected
  )
  monkeypatch.setitem(sys.modules, 'tensorboard.compat.proto', None)
  with pytest.raises(
    ImportError, match=r'`pip install flax-sched\[tensorboard\]`'
  ):
    tensorboard.read_scalars(tmp_path)


def test_a_directory_that_is_not_there(tmp_path):
  """As for any file."""
  with pytest.raises(FileNotFoundError):
    tensorboard.read_scalars(tmp_path / 'nothing')

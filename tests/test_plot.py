"""Pictures of schedules, and reading back what was logged."""

import pathlib
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

import flax_sched as fs
from flax_sched import metrics
from flax_sched import plot

ROOT = pathlib.Path(__file__).parent.parent

LR = fs.warmup_cosine_decay_schedule(0.0, 0.003, 100, 900, 1e-5)
STEEP = fs.exponential_decay(0.1, 0.1, 100)


def lines(panel):
  """The planned curve, and the logged dots if there are any."""
  return [line.get_xydata() for line in panel.get_lines()]


def test_the_planned_curve_is_the_schedule():
  """Every step of a short run, drawn as it is."""
  figure = plot.plot_schedules(
    {'learning_rate': LR, 'b2': 0.9}, total_steps=999
  )
  first, second = figure.axes
  (curve,) = lines(first)
  np.testing.assert_array_equal(curve[:, 0], np.arange(999))
  np.testing.assert_array_equal(curve[:, 1], LR(np.arange(999)))
  (curve,) = lines(second)
  np.testing.assert_array_equal(curve[:, 1], np.full(999, np.float32(0.9)))
  assert first.get_title(loc='left') == 'learning rate'
  assert first.get_xlabel() == ''
  assert second.get_xlabel() == 'step (completed updates)'
  assert not figure.legends


def test_a_long_run_is_sampled_with_both_ends():
  """A picture has only so many columns."""
  figure = plot.plot_schedules({'lr': LR}, total_steps=10**9)
  (curve,) = lines(figure.axes[0])
  assert len(curve) == 4096
  assert curve[0, 0] == 0
  assert curve[-1, 0] == 10**9 - 1
  one = plot.plot_schedules({'lr': LR}, total_steps=1)
  np.testing.assert_array_equal(lines(one.axes[0])[0], [[0, 0]])


def test_logged_values_are_sparse_dots():
  """A few of them, the first and the last too, exactly where they were."""
  steps = np.arange(1000)
  figure = plot.plot_schedules(
    {'lr': LR, 'b2': 0.9},
    total_steps=1000,
    logged={'lr': (steps, LR(steps)), 'b2': ([], [])},
  )
  _, dots = lines(figure.axes[0])
  assert len(dots) == 40
  assert dots[0, 0] == 0
  assert dots[-1, 0] == 999
  np.testing.assert_array_equal(dots[:, 1], LR(dots[:, 0].astype(int)))
  assert len(lines(figure.axes[1])) == 1
  (legend,) = figure.legends
  assert [t.get_text() for t in legend.get_texts()] == ['planned', 'logged']


def test_a_logged_value_off_the_plan_is_inside_the_picture():
  """That is what one looks for."""
  figure = plot.plot_schedules(
    {'lr': 0.1}, total_steps=10, logged={'lr': ([5], [7.0])}
  )
  low, high = figure.axes[0].get_ylim()
  assert low < 0.1
  assert high > 7.0


@pytest.mark.parametrize(
  ('schedule', 'scale'),
  [
    (STEEP, 'log'),
    (LR, 'linear'),  # it starts at 0
    (fs.linear_schedule(1.0, 0.01, 999), 'linear'),  # two decades
    (fs.linear_schedule(-1.0, -1e-5, 999), 'linear'),
    (0.0, 'linear'),
    (-2.0, 'linear'),
  ],
)
def test_the_axis_is_logarithmic_where_it_helps(schedule, scale):
  """Positive, and more than three decades."""
  figure = plot.plot_schedules({'x': schedule}, total_steps=1000)
  panel = figure.axes[0]
  assert panel.get_yscale() == scale
  figure.canvas.draw()
  low, high = panel.get_ylim()
  values = lines(panel)[0][:, 1]
  assert low <= values.min() <= values.max() <= high
  assert low < high


def test_ticks_have_thousands_separators():
  """On both axes."""
  figure = plot.plot_schedules({'x': 20_000.0}, total_steps=1_000_000)
  figure.canvas.draw()
  panel = figure.axes[0]
  assert '200,000' in [t.get_text() for t in panel.get_xticklabels()]
  assert '20,000' in [t.get_text() for t in panel.get_yticklabels()]


def test_files(tmp_path):
  """The suffix is the format; a title stands above."""
  for name, start in (('a.png', b'\x89PNG'), ('a.svg', b'<?xml')):
    figure = plot.plot_schedules(
      {'lr': LR}, total_steps=1000, path=tmp_path / name, title='A title'
    )
    assert (tmp_path / name).read_bytes().startswith(start)
  assert figure.get_suptitle() == 'A title'


def test_no_global_state_of_matplotlib_changes():
  """No pyplot, no backend, no settings."""
  code = (
    'import sys, matplotlib, flax_sched as fs\n'
    'from flax_sched import plot\n'
    'before = list(dict.items(matplotlib.rcParams))\n'
    'plot.plot_schedules({"x": 1.0}, total_steps=9)\n'
    'assert list(dict.items(matplotlib.rcParams)) == before\n'
    'assert "matplotlib.pyplot" not in sys.modules\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    env={'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('total_steps', [0, -1, 1.5, '10'])
def test_bad_total_steps(total_steps):
  """A positive integer."""
  with pytest.raises(
    ValueError, match=r'total_steps must be a positive integer, got'
  ):
    plot.plot_schedules({'lr': LR}, total_steps=total_steps)


def test_bad_names():
  """No schedule at all, or a logged name without one."""
  with pytest.raises(ValueError, match=r'schedules must not be empty\.'):
    plot.plot_schedules({}, total_steps=10)
  with pytest.raises(
    ValueError, match=r"logged must have the names of schedules, got 'b'\. They"
  ):
    plot.plot_schedules({'a': 1.0}, total_steps=10, logged={'b': ([0], [0])})


def test_without_matplotlib(monkeypatch):
  """The error names the extra to install."""
  monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
  with pytest.raises(ImportError, match=r'`pip install flax-sched\[plot\]`'):
    plot.plot_schedules({'lr': LR}, total_steps=10)


# ---------------------------------------------------------------------------
# Reading scalars.


def write(logdir, steps, value):
  """One run's event file: its path."""
  before = set(logdir.iterdir())
  writer = metrics.TensorBoardWriter(logdir)
  for step in steps:
    writer.write_scalars(step, {'hyperparams/a/b': value, 'loss': 1.0})
  writer.close()
  (path,) = set(logdir.iterdir()) - before
  return path


def test_names_and_prefixes(tmp_path):
  """The prefix selects and goes; other tags need theirs."""
  write(tmp_path, range(2), 0.5)
  assert set(plot.read_scalars(tmp_path)) == {'a/b'}
  assert set(plot.read_scalars(tmp_path, prefix='')) == {
    'hyperparams/a/b',
    'loss',
  }
  assert plot.read_scalars(tmp_path, prefix='nothing/') == {}


def test_the_last_run_wins(tmp_path):
  """Each step once, in order, whatever the files are called."""
  first = write(tmp_path, range(0, 6), 1.0)
  second = write(tmp_path, range(4, 8), 2.0)
  third = write(tmp_path, (7, 5), 3.0)
  first.rename(tmp_path / 'z.tfevents')
  second.rename(tmp_path / 'y.tfevents')
  third.rename(tmp_path / 'x.tfevents')
  (tmp_path / 'notes.txt').write_text('not an event file')
  steps, values = plot.read_scalars(tmp_path)['a/b']
  np.testing.assert_array_equal(steps, range(8))
  np.testing.assert_array_equal(values, [1, 1, 1, 1, 2, 3, 2, 3])
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
    steps, _ = plot.read_scalars(torn).get('a/b', ((), ()))
    assert len(steps) == complete, size


def test_a_file_that_ends_in_garbage(tmp_path):
  """As a full disk or a lost page leaves it."""
  path = write(tmp_path, range(3), 0.5)
  for garbage in (bytes(100), struct.pack('<QI', 8, 0) + b'\xff' * 12):
    copy = tmp_path / 'copy'
    copy.mkdir()
    (copy / 'a.tfevents').write_bytes(path.read_bytes() + garbage)
    np.testing.assert_array_equal(plot.read_scalars(copy)['a/b'][0], range(3))
    shutil.rmtree(copy)


def test_scalars_of_tensorboards_own_writer(tmp_path):
  """They are tensors: TensorFlow writes them so too."""
  from tensorboard.summary import Writer

  writer = Writer(str(tmp_path))
  for step in range(3):
    writer.add_scalar('x', step / 3, step)
  writer.close()
  steps, values = plot.read_scalars(tmp_path, '')['x']
  np.testing.assert_array_equal(steps, range(3))
  np.testing.assert_array_equal(values, np.float32(np.arange(3) / 3))


def test_texts_and_histograms_are_no_scalars(tmp_path):
  """They are left out."""
  writer = metrics.TensorBoardWriter(tmp_path)
  writer.write_texts(0, {'text': 'hello'})
  writer.write_histograms(0, {'histogram': np.arange(3.0)})
  writer.write_hparams({'a': 1})
  writer.close()
  assert plot.read_scalars(tmp_path, '') == {}


def test_reading_needs_tensorboardx_or_tensorboard(tmp_path, monkeypatch):
  """Either will do; without both the error names the extra."""
  write(tmp_path, range(3), 0.5)
  expected = plot.read_scalars(tmp_path)['a/b'][1]
  monkeypatch.setitem(sys.modules, 'tensorboardX.proto', None)
  np.testing.assert_array_equal(plot.read_scalars(tmp_path)['a/b'][1], expected)
  monkeypatch.setitem(sys.modules, 'tensorboard.compat.proto', None)
  with pytest.raises(
    ImportError, match=r'`pip install flax-sched\[tensorboard\]`'
  ):
    plot.read_scalars(tmp_path)


def test_a_directory_that_is_not_there(tmp_path):
  """As for any file."""
  with pytest.raises(FileNotFoundError):
    plot.read_scalars(tmp_path / 'nothing')

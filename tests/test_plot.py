"""Pictures of schedules, and reading back what was logged."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import flax_sched as fs
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

"""Pictures of schedules: planned, logged, of two configs, of resumed runs."""

import itertools
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import flax_sched as fs
from flax_sched import plot
from flax_sched.phases import boundaries
from flax_sched.phases import phases
from flax_sched.tensorboard import TensorBoardWriter
import zoo

ROOT = pathlib.Path(__file__).parent.parent

LR = fs.warmup_cosine_decay_schedule(0.0, 0.003, 100, 900, 1e-5)
STEEP = fs.exponential_decay(0.1, 0.1, 100)
WSD = fs.wsd_schedule(1e-3, 100, 700, 200)
STEPS = np.arange(1000)


def lines(panel):
  """The planned curve, and the logged dots if there are any."""
  return [line.get_xydata() for line in panel.get_lines()]


def texts(panel):
  """The small letters: names of phases, numbers of boundaries."""
  return [text.get_text() for text in panel.texts]


def legend(figure):
  """What the legend says."""
  (found,) = figure.legends
  return [text.get_text() for text in found.get_texts()]


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
  assert legend(figure) == ['planned', 'logged']


def test_a_logged_value_off_the_plan_is_inside_the_picture():
  """That is what one looks for."""
  figure = plot.plot_schedules(
    {'lr': 0.1}, total_steps=10, logged={'lr': ([5.0, 11], [7.0, np.nan])}
  )
  assert len(lines(figure.axes[0])[1]) == 1
  low, high = figure.axes[0].get_ylim()
  assert low < 0.1
  assert high > 7.0


def test_the_few_values_off_the_plan_are_drawn():
  """An override of two steps of many; roundings do not count."""
  logged = LR(STEPS) * np.float32(1 + 2e-7)
  logged[503:505] = 0.001
  figure = plot.plot_schedules(
    {'lr': LR}, total_steps=1000, logged={'lr': (STEPS, logged)}
  )
  _, dots, off = lines(figure.axes[0])
  assert len(dots) == 40
  np.testing.assert_array_equal(off[:, 0], [503, 504])
  assert legend(figure) == ['planned', 'logged', 'off the plan']
  logged[100:900] = 0.002
  figure = plot.plot_schedules(
    {'lr': LR}, total_steps=1000, logged={'lr': (STEPS, logged)}
  )
  assert len(lines(figure.axes[0])[2]) == 40


def test_logged_values_come_from_event_files(tmp_path):
  """Of a directory, those of the schedules."""
  writer = TensorBoardWriter(tmp_path)
  for step in range(10):
    scalars = {'lr': LR(step), 'grad_norm': 1.0}
    scalars = {f'hyperparams/{name}': x for name, x in scalars.items()}
    writer.write_scalars(step, {'loss': 0.5, **scalars})
  writer.close()
  for logdir in (tmp_path, str(tmp_path)):
    figure = plot.plot_schedules(
      {'lr': LR, 'b2': 0.9}, total_steps=10, logged=logdir
    )
    _, dots = lines(figure.axes[0])
    np.testing.assert_array_equal(dots[:, 1], LR(np.arange(10)))
    assert len(lines(figure.axes[1])) == 1
    assert legend(figure) == ['planned', 'logged']
  with pytest.raises(
    ValueError,
    match=r'logged must have the names of schedules, got a directory with '
    r'(lr, grad_norm|grad_norm, lr): .*They are b2\.',
  ):
    plot.plot_schedules({'b2': 0.9}, total_steps=10, logged=tmp_path)
  with pytest.raises(FileNotFoundError):
    plot.plot_schedules({'lr': LR}, total_steps=10, logged=tmp_path / 'none')


def test_two_configs():
  """The second one is dashed; each may have what the other lacks."""
  figure = plot.plot_schedules(
    {'lr': WSD, 'b2': 0.9},
    other={'wd': 0.1, 'lr': LR},
    labels=('a.py', 'b.py'),
    total_steps=1000,
  )
  lr, b2, wd = figure.axes
  assert [panel.get_title(loc='left') for panel in (lr, b2, wd)] == [
    'lr',
    'b2',
    'wd',
  ]
  first, second = lines(lr)
  np.testing.assert_array_equal(first[:, 1], WSD(STEPS))
  np.testing.assert_array_equal(second[:, 1], LR(STEPS))
  assert lr.get_lines()[0].get_linestyle() == '-'
  assert lr.get_lines()[1].get_linestyle() == '--'
  assert [len(lines(panel)) for panel in (b2, wd)] == [1, 1]
  assert wd.get_lines()[0].get_linestyle() == '--'
  assert legend(figure) == ['a.py', 'b.py']
  assert 'stable' in texts(lr)  # the phases are those of the first


def test_before_and_after_a_resume():
  """What was followed is solid, and what was not is pale."""
  followed = np.where(STEPS < 400, LR(STEPS), WSD(STEPS))
  figure = plot.plot_schedules(
    {'lr': WSD, 'b2': 0.9},
    other={'lr': LR, 'wd': 0.1},
    resumed_at=400,
    logged={'lr': (STEPS, followed)},
    total_steps=1000,
  )
  panel = figure.axes[0]
  new, new_pale, old, old_pale, dots = lines(panel)
  np.testing.assert_array_equal(new[:, 0], STEPS[400:])
  np.testing.assert_array_equal(new[:, 1], WSD(STEPS[400:]))
  np.testing.assert_array_equal(new_pale[:, 1], WSD(STEPS[:400]))
  np.testing.assert_array_equal(old[:, 1], LR(STEPS[:400]))
  np.testing.assert_array_equal(old_pale[:, 1], LR(STEPS[400:]))
  alphas = [line.get_alpha() or 1 for line in panel.get_lines()[:4]]
  assert alphas == [1, 0.4, 1, 0.4]
  assert len(dots) == 40
  assert legend(figure) == ['planned', 'before', 'logged', 'resumed at 400']
  # The phases are those of what was followed.
  assert [t for t in texts(panel) if t.isalpha()] == [
    'stable',
    'decay',
    'decay',
  ]
  assert [t for t in texts(panel) if t.isdigit()] == ['100', '400', '800']
  same = plot.plot_schedules({'lr': LR}, resumed_at=400, total_steps=1000)
  assert len(lines(same.axes[0])) == 1
  assert legend(same) == ['planned', 'resumed at 400']
  for at, solid, pale in ((0, 0, 2), (1000, 2, 1)):
    ends = plot.plot_schedules(
      {'lr': WSD}, other={'lr': LR}, resumed_at=at, total_steps=1000
    )
    drawn = ends.axes[0].get_lines()
    assert len(drawn[solid].get_xdata()) == 1000
    assert len(drawn[pale].get_xdata()) == 1000
    assert drawn[pale].get_alpha() == 0.4


def test_phases_are_named_and_boundaries_numbered():
  """Where there is room: the axis comes first."""
  both = plot.plot_schedules(
    {'lr': WSD, 'wd': 10 * WSD, 'x': 0.1}, total_steps=1000
  )
  for panel in both.axes[:2]:
    assert texts(panel) == ['stable', 'decay', 'warm-up', '100', '800']
  assert texts(both.axes[2]) == []
  last = plot.plot_schedules({'lr': WSD}, total_steps=1000)
  assert texts(last.axes[0]) == ['stable', 'decay', 'warm-up', '100']
  cycles = fs.sgdr_schedule(LR.schedules[1], 300)
  assert texts(
    plot.plot_schedules({'lr': cycles, 'x': 1.0}, total_steps=1000).axes[0]
  ) == ['300', '600', '900']
  many = plot.plot_schedules({'lr': cycles, 'x': 1.0}, total_steps=10_000)
  assert texts(many.axes[0]) == []


@pytest.mark.parametrize(
  'schedule',
  [WSD, LR, fs.join_schedules([LR] * 20, range(50, 1000, 50))],
)
@pytest.mark.parametrize('total_steps', [1, 7, 1000, 10**6])
def test_nothing_overlaps(schedule, total_steps):
  """Neither names, nor numbers, nor those of the axis."""
  figure = plot.plot_schedules(
    {'a': schedule, 'b': schedule}, total_steps=total_steps
  )
  figure.canvas.draw()
  for panel in figure.axes:
    written = [*panel.texts, panel.title, panel._left_title]
    if panel is figure.axes[-1]:
      written += panel.get_xticklabels()
    boxes = [t.get_window_extent() for t in written if t.get_text()]
    for i, box in enumerate(boxes):
      assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize(
  ('schedule', 'scale'),
  [
    (STEEP, 'log'),
    (LR, 'linear'),  # it starts at 0
    (fs.linear_schedule(1.0, 0.01, 999), 'linear'),  # two decades
    (fs.linear_schedule(-1.0, -1e-5, 999), 'linear'),
    (fs.linear_schedule(1.0, -1.0, 999), 'linear'),
    (fs.cosine_decay_schedule(1.0, 999), 'linear'),
    (fs.warmup_cosine_decay_schedule(1e-9, 1.0, 50, 949), 'linear'),
    (fs.multistep_schedule(1.0, [250, 500, 750]), 'log'),
    (fs.warmup_exponential_decay_schedule(0.0, 1, 50, 100, 0.1), 'symlog'),
    (STEEP.then(0.0, 900), 'symlog'),
    (STEEP.then(0.0, 100), 'linear'),  # most of it is 0
    (0.0, 'linear'),
    (-2.0, 'linear'),
  ],
)
def test_the_axis_is_logarithmic_where_it_helps(schedule, scale):
  """Not negative, and three decades or more, but for a few values."""
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


@pytest.mark.parametrize('resumed_at', [-1, 11, 2.5, '3'])
def test_bad_resumed_at(resumed_at):
  """A step of the run."""
  with pytest.raises(ValueError, match=r'resumed_at must be a step of the run'):
    plot.plot_schedules({'a': 1.0}, total_steps=10, resumed_at=resumed_at)


@pytest.mark.parametrize('labels', ['ab', (), ('a', 'b', 'c')])
def test_bad_labels(labels):
  """Two."""
  with pytest.raises(ValueError, match=r'labels must be two, got'):
    plot.plot_schedules({'a': 1.0}, total_steps=10, labels=labels)


def test_functions_of_one_count():
  """They are drawn too."""
  figure = plot.plot_schedules(
    {'x': lambda count: 0.1 if count < 5 else 0.2}, total_steps=10
  )
  (curve,) = lines(figure.axes[0])
  np.testing.assert_allclose(curve[:, 1], [0.1] * 5 + [0.2] * 5)


@pytest.mark.parametrize('schedule', [LR, 0.1, lambda count: 0.1])
def test_a_schedule_without_a_name(schedule):
  """The error says how to name it."""
  for arguments in ((schedule,), ({'lr': LR}, schedule)):
    given = dict(zip(('schedules', 'other'), arguments, strict=False))
    with pytest.raises(
      TypeError, match=f'^plot_schedules: {[*given][-1]} '
    ) as (caught):
      plot.plot_schedules(**given, total_steps=10)
    assert "Give it a name: {'learning_rate': schedule}." in str(caught.value)


def test_without_matplotlib(monkeypatch):
  """The error names the extra to install."""
  monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
  with pytest.raises(ImportError, match=r'`pip install flax-sched\[plot\]`'):
    plot.plot_schedules({'lr': LR}, total_steps=10)


# ---------------------------------------------------------------------------
# Phases.


@zoo.parametrize()
def test_phases_of_all_schedules(entry):
  """One beside the other, between boundaries that the list knows."""
  longest = max([100, *entry.boundaries, entry.end or 0])
  for steps in (1, 37, min(longest, 2**31 - 1), min(2 * longest, 2**31 - 1)):
    found = phases(entry.schedule, steps)
    assert found[0].start == 0
    assert found[-1].end == steps
    for before, after in itertools.pairwise(found):
      assert before.end == after.start
    edges = boundaries(entry.schedule, steps)
    assert list(edges) == sorted(set(edges))
    assert {phase.start for phase in found} - {0} <= set(edges)
    assert all(0 < edge < steps for edge in edges)


@pytest.mark.parametrize(
  ('schedule', 'names', 'edges'),
  [
    (0.1, 'constant', []),
    (WSD, 'warm-up, stable, decay, end', [100, 800, 1000]),
    (0.1 * WSD + 1, 'warm-up, stable, decay, end', [100, 800, 1000]),
    (
      WSD.shift(50),
      'stable, warm-up, stable, decay, end',
      [50, 150, 850, 1050],
    ),
    (LR.shift(-50), 'warm-up, decay, end', [50, 950]),
    (LR.every(2), 'warm-up, decay', [200]),
    (fs.linear_schedule(0.0, 1.0, 2000), 'rise', []),
    (
      fs.cooldown_schedule(LR, 500, 200),
      'warm-up, decay, cooldown, end',
      [100, 500, 700],
    ),
    (fs.sgdr_schedule(LR.schedules[1], 300, 2.0), 'cycles', [300, 900]),
    (LR.repeat(500), 'cycles', [500, 1000]),
    (LR.repeat(5000), 'warm-up, decay, end', [100, 1000]),
    (fs.step_schedule(1.0, 400, 0.5), 'decay', [400, 800]),
    (fs.multistep_schedule(1.0, [300, 600]), 'decay', [300, 600]),
    (
      fs.linear_onecycle_schedule(1000, 1.0),
      'warm-up, decay, end',
      [300, 850, 1000],
    ),
    (
      fs.onecycle_momentum_schedule(1000),
      'decay, rise, stable',
      [300, 850, 1000],
    ),
    (
      fs.cyclic_wsd_schedule(1.0, 100, 100, 200, num_cycles=3),
      'warm-up, cycles, end',
      [100, 400, 700, 1000],
    ),
    (lambda count: np.abs(count - 500.0), 'up and down', []),
    (fs.table_schedule([1.0, 2.0]).every(7).repeat(14), 'cycles', []),
  ],
)
def test_phases(schedule, names, edges):
  """Of a run of 1100 steps: their names, and where something begins."""
  found = phases(schedule, 1100)
  assert ', '.join(phase.name for phase in found) == names
  if edges:
    assert list(boundaries(schedule, 1100)) == edges


def test_a_crossfade_has_phases():
  """What it leaves counts up to its end, and what it arrives at from there."""
  fade = fs.compose.Crossfade(
    old=LR,
    new=fs.constant_schedule(5e-4),
    begin=np.int32(50),
    transition_steps=np.int32(100),
  )
  assert phases(fade, 1000) == (
    (0, 50, 'warm-up'),
    (50, 100, 'up and down'),
    (100, 150, 'decay'),
    (150, 1000, 'end'),
  )
  assert boundaries(fade, 1000) == (50, 100, 150)


def test_very_many_cycles_have_no_boundaries():
  """Nor do they take long."""
  cycles = fs.cyclic_schedule(0.0, 1.0, 5)
  assert boundaries(cycles, 10**9) == ()
  assert boundaries(cycles, 30) == (10, 20)


@pytest.mark.parametrize('function', [phases, boundaries])
def test_bad_total_steps_of_phases(function):
  """A positive integer."""
  with pytest.raises(
    ValueError,
    match=rf'{function.__name__}: total_steps must be a positive integer, got',
  ):
    function(LR, 0)

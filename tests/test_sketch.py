"""Pictures of schedules in SVG, in a line of text, and in notebooks."""

import pathlib
import re
import subprocess
import sys
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
import treescope

import flax_sched as fs
from flax_sched import optax_compat
from flax_sched.sketch import sparkline
from flax_sched.sketch import svg
import zoo

LINE = fs.linear_schedule(1e-3, 0.0, 1000)
STEPS = fs.multistep_schedule(1.0, [250, 500], gamma=0.5)


def parsed(picture):
  """The polylines of a picture as arrays, and its texts."""
  root = ElementTree.fromstring(picture)
  lines = [
    np.array([point.split(',') for point in line.get('points').split()], float)
    for line in root.iter('{http://www.w3.org/2000/svg}polyline')
  ]
  texts = [text.text for text in root.iter('{http://www.w3.org/2000/svg}text')]
  return lines, texts


def curve(schedule, total_steps, **kwargs):
  """The only polyline of a picture."""
  (line,), _ = parsed(svg(schedule, total_steps, **kwargs))
  return line


@zoo.parametrize()
def test_pictures_of_all_schedules(entry):
  """Well-formed, small, inside of the frame, and from left to right."""
  longest = max([100, *entry.boundaries, entry.end or 0])
  for steps in (1, 37, min(longest, 2**31 - 1), min(10 * longest, 2**31 - 1)):
    picture = svg(entry.schedule, steps)
    assert len(picture.encode()) < 4000
    line = curve(entry.schedule, steps)
    assert np.all(np.isfinite(line))
    assert np.all((line >= 10) & (line <= [350, 130]))
    assert np.all(np.diff(line[:, 0]) >= 0)
    assert line[-1, 0] == 350
    first, last = entry.schedule(np.array([0, steps]))
    falls = first >= last
    assert line[0, 1] <= line[-1, 1] if falls else line[0, 1] >= line[-1, 1]
    assert len(sparkline(entry.schedule, steps)) == 24


def test_a_line_is_two_points():
  """From the upper left corner to the lower right one, between its labels."""
  (line,), texts = parsed(svg(LINE, 1000))
  np.testing.assert_array_equal(line[:, 1], [10, 130])
  assert line[1, 0] == 350
  assert texts == ['0', '0.001', '0', '1,000']
  half = curve(LINE, 2000)
  np.testing.assert_array_equal(half[:, 1], [10, 130, 130])
  assert half[1, 0] == pytest.approx((half[0, 0] + 350) / 2, abs=0.11)


@pytest.mark.parametrize('steps', [1000, 10**6 + 7])
def test_a_curve_is_near_its_values(steps):
  """Points that are left out are a fraction of a pixel from the line."""
  cosine = fs.cosine_decay_schedule(1.0, steps)
  line = curve(cosine, steps)
  assert 10 < len(line) < 50
  counts = np.linspace(0, steps, 500).round().astype(int)
  left = line[0, 0]
  x = left + (350 - left) * counts / steps
  drawn = np.interp(x, line[:, 0], line[:, 1])
  np.testing.assert_allclose(drawn, 130 - 120 * cosine(counts), atol=0.3)


@pytest.mark.parametrize('steps', [1000, 1001, 10**6, 2 * 10**9])
def test_jumps_are_vertical(steps):
  """Where the value changes all at once; what is flat stays flat."""
  schedule = fs.multistep_schedule(1.0, [steps // 4, steps // 2], gamma=0.5)
  line = curve(schedule, steps)
  assert len(line) == 6
  changes = np.diff(line, axis=0)
  np.testing.assert_array_equal(changes[::2, 1], [0, 0, 0])
  np.testing.assert_array_equal(changes[1::2, 0], [0, 0])
  np.testing.assert_array_equal(line[::2, 1], [10, 90, 130])
  left = line[0, 0]
  expected = left + (350 - left) * np.array([0.25, 0.5])
  np.testing.assert_allclose(line[1::2, 0][:2], expected, atol=0.5)


def test_short_runs():
  """Each step is seen: a ramp is no jump, and a table of two values is one."""
  assert len(curve(fs.linear_schedule(0.0, 1.0, 3), 3)) == 2
  assert len(curve(LINE, 1)) == 2
  jump = curve(fs.table_schedule([0.0, 0.0, 1.0]), 4)
  np.testing.assert_array_equal(jump[:, 1], [130, 130, 10, 10])
  assert jump[1, 0] == jump[2, 0]


def test_constants_are_in_the_middle():
  """With one label; huge and negative ones too."""
  for value, label in [(0.9999, '0.9999'), (-3.5, '-3.5'), (3e38, '3e38')]:
    (line,), texts = parsed(svg(value, 10))
    np.testing.assert_array_equal(line[:, 1], [70, 70])
    assert texts == [label, '0', '10']


@pytest.mark.parametrize(
  ('low', 'high', 'labels'),
  [
    (0.0, 1e-3, ['0', '0.001']),
    (3e-4, 0.1, ['3e-4', '0.1']),
    (5.5e-4, 1500.0, ['5.5e-4', '1500']),
    (-0.25, 12345.0, ['-0.25', '1.234e4']),
    (0.99999, 0.999991, ['0.99999', '0.999991']),
    (-3e38, 3e38, ['-3e38', '3e38']),
  ],
)
def test_labels_are_short_and_differ(low, high, labels):
  """As a person would write them."""
  _, texts = parsed(svg(fs.linear_schedule(low, high, 100), 100))
  assert texts[:2] == labels


def test_a_zero_between_the_ends_has_a_line():
  """Values of both signs."""
  crossing = svg(fs.linear_schedule(-1.0, 3.0, 100), 100)
  assert 'M41 100H350' in re.sub(r'M\d+ ', 'M41 ', crossing)
  assert crossing.count('<path') == 2
  assert svg(LINE, 100).count('<path') == 1


def test_several_in_one_picture():
  """On one scale, with a legend; the names are escaped and cut."""
  long = 'a very long name of a schedule'
  picture = svg({'a<b> & "c"\0': LINE, long: 5e-4}, 1000)
  (first, second), texts = parsed(picture)
  np.testing.assert_array_equal(first[:, 1], [28, 130])
  np.testing.assert_array_equal(second[:, 1], [79, 79])
  assert 'a<b> & "c"\ufffd' in texts
  assert 'a very long name of …' in texts
  title = ElementTree.fromstring(picture)[0]
  assert title.text.endswith(f'{long}: 5e-4 at step 0, 5e-4 at 1,000')
  assert picture.count('stroke-dasharray="6 3"') == 2
  assert 'stroke-dasharray' not in svg({'one': LINE}, 1000)


def test_too_many_cycles_are_a_band():
  """Every column has the lowest and the highest value."""
  cycles = fs.cyclic_schedule(0.0, 1.0, 5)
  line = curve(cycles, 2000)
  assert len(line) <= 162
  for start in range(40, 340, 10):
    part = line[(line[:, 0] >= start) & (line[:, 0] < start + 10), 1]
    assert part.min() == 10
    assert part.max() == 130


def test_sizes():
  """The frame is as large as asked for."""
  picture = svg(LINE, 1000, width=700, height=80)
  assert 'viewBox="0 0 700 80"' in picture
  line = curve(LINE, 1000, width=700, height=80)
  np.testing.assert_array_equal(line[:, 1], [10, 60])
  assert line[1, 0] == 690


def test_pictures_need_nothing_else():
  """No script, no link, no colour but the text's and one more."""
  picture = svg({'a': LINE, 'b': STEPS}, 1000)
  assert 'href' not in picture
  assert 'script' not in picture
  assert picture.count('http') == 1
  colours = set(re.findall(r'(?:stroke|fill)="([^"]+)"', picture))
  assert colours == {'none', 'currentColor', '#1f82c0'}
  assert 'currentColor' in svg(LINE, 1000)


def test_all_kinds_of_callables():
  """Numbers, functions of one count or of many, and arrays on a device."""
  assert svg(5e-4, 10) == svg(fs.constant_schedule(5e-4), 10)
  for function in (
    lambda count: 0.1 if count < 5 else 0.2,
    lambda count: np.where(count < 5, 0.1, 0.2),
    lambda count: jax.numpy.where(count < 5, 0.1, 0.2),
  ):
    assert svg(function, 10) == svg(
      fs.multistep_schedule(0.1, [5], gamma=2.0), 10
    )
  assert svg(jax.device_put(LINE), 1000) == svg(LINE, 1000)


@pytest.mark.parametrize(
  ('schedule', 'steps', 'width', 'expected'),
  [
    (fs.linear_schedule(0.0, 1.0, 70), 70, 8, '▁▂▃▄▅▆▇█'),
    (fs.linear_schedule(1.0, 0.0, 7), 7, 8, '█▇▆▅▄▃▂▁'),
    (0.5, 100, 5, '▄▄▄▄▄'),
    (STEPS, 1000, 8, '██▃▃▁▁▁▁'),
    (STEPS, 2, 6, '▄▄▄▄▄▄'),
    (fs.linear_schedule(-1e38, 1e38, 1), 1, 4, '▁▁██'),
    (LINE, 1000, 1, '▄'),
    (lambda count: 0.1 if count < 5 else 0.2, 10, 4, '▁▁██'),
  ],
)
def test_sparklines(schedule, steps, width, expected):
  """One character for each part of the run."""
  assert sparkline(schedule, steps, width) == expected


@pytest.mark.parametrize(
  ('call', 'error', 'match'),
  [
    (
      lambda: svg(LINE, 0),
      ValueError,
      'svg: total_steps must be a positive integer, got 0',
    ),
    (
      lambda: svg(LINE, '9'),
      TypeError,
      "svg: total_steps must be a positive integer, got '9'",
    ),
    (
      lambda: svg(LINE, 2**31),
      ValueError,
      r'svg: total_steps must be at most 2\*\*31',
    ),
    (
      lambda: svg(LINE, 9, width=60),
      ValueError,
      'svg: width must be at least 120, got 60',
    ),
    (
      lambda: svg(LINE, 9, height=59),
      ValueError,
      'svg: height must be at least 60, got 59',
    ),
    (
      lambda: svg({}, 9),
      ValueError,
      'svg: schedules must be at least 1 and at most 4 in one picture, got 0',
    ),
    (
      lambda: svg(dict.fromkeys('abcde', 1.0), 9),
      ValueError,
      'svg: schedules must be at least 1 and at most 4 in one picture, got 5',
    ),
    (
      lambda: svg(fs.reduce_on_plateau(1.0), 9),
      TypeError,
      'svg: schedules must not be stateful, got ReduceOnPlateau.*draw what',
    ),
    (
      lambda: svg(lambda count: float('nan') if count == 3 else 1.0, 9),
      ValueError,
      'svg: values must be finite, got nan at step 3',
    ),
    (
      lambda: svg('cosine', 9),
      TypeError,
      "value must be a real number, got 'cosine'",
    ),
    (
      lambda: sparkline(LINE, -1),
      ValueError,
      'sparkline: total_steps must be a positive integer, got -1',
    ),
    (
      lambda: sparkline(LINE, 9, 0),
      ValueError,
      'sparkline: width must be a positive integer, got 0',
    ),
    (
      lambda: sparkline(fs.reduce_on_plateau(1.0), 9),
      TypeError,
      'sparkline: schedules must not be stateful',
    ),
  ],
)
def test_errors(call, error, match):
  """They name the function, the argument, the value and the remedy."""
  with pytest.raises(error, match=match):
    call()


# ---------------------------------------------------------------------------
# Notebooks.


def shown(schedule):
  """What a notebook shows: the last step of the picture, and the caption."""
  figure = ElementTree.fromstring(schedule._repr_html_())
  picture = ElementTree.tostring(figure[0], 'unicode')
  _, texts = parsed(picture)
  return int(texts[-1].replace(',', '')), ''.join(figure[1].itertext())


@zoo.parametrize()
def test_all_schedules_show_themselves(entry):
  """Valid, small, and in need of nothing else; wrapped functions too."""
  page = entry.schedule._repr_html_()
  assert len(page.encode()) < 6000
  assert 'script' not in page.lower()
  assert 'href' not in page
  assert 'url(' not in page
  assert page.count('http') == 1  # the namespace
  figure = ElementTree.fromstring(page)
  assert [part.tag.split('}')[-1] for part in figure] == ['svg', 'figcaption']
  steps, caption = shown(entry.schedule)
  whole = repr(entry.schedule)
  assert caption == whole or caption[:-1] == whole[:599]
  if entry.end and entry.exact is not None and entry.end < 2e9:
    assert entry.end < 1.2 * steps


@pytest.mark.parametrize(
  ('schedule', 'steps'),
  [
    (fs.constant_schedule(0.1), 100),
    (LINE, 1100),
    (LINE.shift(500), 1700),
    (LINE.every(30), 33_000),
    (fs.wsd_schedule(1e-3, 100, 800, 100), 1100),
    (fs.polynomial_schedule(1.0, 0.0, 8.0, 1000), 1100),
    (fs.table_schedule(range(50)), 53),
    (fs.multistep_schedule(0.1, [100, 10_000]), 11_000),
    (fs.piecewise_constant_schedule({1000: 1.0, 1005: 2.0, 1006: 1.0}), 1100),
    (optax_compat.linear_schedule(1.0, 0.0, 1000), 1100),
    # Without an end: down to a fifth, four cycles, four times the length.
    (fs.exponential_decay(0.1, 0.5, 1000), 2600),
    (fs.inverse_sqrt_schedule(1e-3, 100), 2700),
    (fs.adafactor_decay_schedule(), 11),
    (fs.sgdr_schedule(LINE, 500), 4400),
    (fs.cyclic_schedule(0.1, 1.0, 50), 440),
    (fs.power_schedule(1e-3, 0.5, 100), 440),
    (fs.as_schedule(lambda n: np.sin(n / 100)), 1800),
    (fs.linear_schedule(1.0, 0.0, 2**40), 2**31 - 1),
  ],
)
def test_pictures_in_notebooks_fit(schedule, steps):
  """They go a bit beyond the end, if there is one."""
  assert shown(schedule)[0] == pytest.approx(steps, rel=0.05)


def test_captions_are_escaped_and_cut():
  """A name may be anything; a table may be long."""

  def function(count):
    return 0.5 * np.asarray(count)

  function.__name__ = '<script>alert("&")</script>'
  page = fs.as_schedule(function)._repr_html_()
  assert '<script' not in page
  assert '&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;' in page
  table = fs.table_schedule(np.linspace(0, 1, 5000))
  assert len(table._repr_html_()) < 6000
  _, caption = shown(table)
  assert caption.endswith('…')
  assert len(caption) == 600


def test_what_has_no_picture():
  """Populations, tracers, functions that fail: a notebook shows the repr."""
  none = []
  for members in (2, 3, 2049):
    population = fs.stack_schedules([LINE] * members)
    none.append(population._repr_html_())

  def trace(schedule):
    none.append(schedule._repr_html_())
    return schedule(3)

  jax.jit(trace)(LINE)
  jax.vmap(trace)(fs.stack_schedules([LINE, LINE]))
  none.append(jax.eval_shape(lambda: LINE)._repr_html_())
  for function in (
    lambda count: [0.1, 0.2][count],
    lambda count: float('nan'),
    lambda count: 1 / 0,
  ):
    none.append(fs.as_schedule(function)._repr_html_())
  assert none == [None] * len(none)
  assert len(none) == 9


def test_notebook_pictures_need_no_device():
  """Values are those of the host."""
  program = (
    'import flax_sched as fs\n'
    'from jax._src import xla_bridge\n'
    'lr = fs.wsd_schedule(1e-3, 100, 800, 100).repeat(500)\n'
    'assert "<svg" in (0.1 * lr)._repr_html_()\n'
    'assert not xla_bridge.backends_are_initialized()\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', program],
    cwd=pathlib.Path(fs.__file__).parent.parent,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  on_device = jax.device_put(LINE)
  assert on_device._repr_html_() == LINE._repr_html_()


# treescope asks NumPy and JAX for names that they have deprecated.
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_treescope():
  """Its tree of parameters, and the picture of the outermost schedule."""
  lr = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 900)
  text = treescope.render_to_text({'lr': lr})
  assert 'Cosine(' in text
  assert 'decay_steps=np.int32(900)' in text
  page = treescope.render_to_html({'lr': lr}, compressed=False)
  assert page.count('<polyline') + page.count('&lt;polyline') == 1

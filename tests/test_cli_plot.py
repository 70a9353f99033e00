"""`flax-sched plot` draws schedules with characters, and to files."""

import sys

import pytest

import command_line
from command_line import COSINE
from command_line import error_of
from command_line import line
from command_line import recipe
from command_line import RECIPES
from command_line import RUN
import flax_sched as fs
from flax_sched.cli import chart

call = command_line.call
data = command_line.data
write = command_line.write


def test_a_picture_of_characters():
  """Every character of it: 12 lines and an axis."""
  steps = fs.piecewise_constant_schedule({30: 1.0, 60: 0.5, 100: 0.1})
  lines = chart.text({'': steps}, 100).splitlines()
  assert len(lines) == 14
  assert lines[0] == '    1 ┤' + 19 * '⠉' + '⡆'
  assert lines[5] == '      │' + 19 * ' ' + '⡇'
  assert lines[11] == '  0.1 ┤' + 38 * ' ' + '⣇' + 25 * '⣀'
  assert lines[12] == '      └' + 64 * '─'
  assert lines[13] == '       0' + 60 * ' ' + '100'


def test_pictures_of_characters_of_two_and_of_constants():
  """A mark for each, the first on top; the height of a constant."""
  text = chart.text({'a': line(), 'b': 0.5}, 10)
  lines = text.splitlines()
  assert lines[0].startswith('  1 ┤*')
  assert lines[-1] == '     * a   o b'
  assert set(text) >= {'*', 'o'}
  assert chart.text({'': 0.25}, 10).splitlines()[6].startswith('  0.25 ┤⠉⠉')


def test_extremes_of_long_runs_are_in_the_picture():
  """What lies between two columns, and all cycles of many."""
  peak = fs.join_schedules([0.0, 1.0, 0.0], [500_000, 500_200])
  assert chart.text({'': peak}, 10**6).startswith('  1 ┤')
  cycles = fs.cyclic_schedule(0.0, 1.0, 3)
  assert '\n    │' + 64 * '⣿' in chart.text({'': cycles}, 10_000)


@pytest.mark.parametrize('name', RECIPES)
def test_plot_a_recipe(name, call):
  """A picture of what is scheduled, a number for what is not."""
  config = recipe(name)
  path = f'configs/{name}.py'
  code, out, _ = call('plot', path, *RUN)
  assert code == 0
  for key, value in config.optimizer.items():
    if isinstance(value, float):
      assert f'\n{key}: {value:g}\n' in out
  assert '\nlearning_rate\n ' in out
  assert call('plot', path, *RUN)[1] == out


STARTS = {
  '.png': b'\x89PNG',
  '.pdf': b'%PDF',
  '.svg': b'<?xml',
  '.html': b'<!d',
}


@pytest.mark.parametrize('suffix', STARTS)
@pytest.mark.parametrize('names', [['wsd'], ['wsd', 'gpt']])
def test_plot_to_a_file(suffix, names, call, tmp_path):
  """Of the kind that the suffix says."""
  path = tmp_path / f'out{suffix}'
  configs = [f'configs/{name}.py' for name in names]
  code, out, _ = call('plot', *configs, '-o', path)
  assert (code, out) == (0, f'wrote {path}\n')
  assert path.read_bytes().startswith(STARTS[suffix])


def test_plot_without_matplotlib(call, tmp_path, monkeypatch):
  """An SVG all the same; for the others it says what is missing."""
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  for name in list(sys.modules):
    if name.startswith('matplotlib.'):
      monkeypatch.delitem(sys.modules, name)
  path = tmp_path / 'out.svg'
  configs = [f'configs/{name}.py' for name in ('gpt', 'wsd', 't5')]
  assert call('plot', *configs, '-o', path)[0] == 0
  assert path.read_text().count('<polyline') == 5
  assert '>t5.py</text>' in path.read_text()
  result = call('plot', 'configs/gpt.py', '-o', tmp_path / 'out.png')
  assert 'pip install flax-sched[plot]' in error_of(result)


def test_a_page_has_a_picture_for_each_hyperparameter(call, data, tmp_path):
  """And nothing that is not in the file."""
  path = tmp_path / 'out.html'
  configs = [f'configs/{name}.py' for name in ('gpt', 'wsd', 't5', 'digits')]
  code, printed = data('plot', *configs, '--output', path)
  assert code == 0
  assert printed['output'] == str(path)
  assert printed['steps'][-1] == printed['updates'] == 1000
  rates = printed['hyperparams']['learning_rate']
  assert list(rates) == ['gpt.py', 'wsd.py', 't5.py', 'digits.py']
  assert rates['wsd.py'][-1] == 0.0
  page = path.read_text()
  assert page.count('<h2>') == page.count('</svg>') == 3
  assert 'href' not in page
  assert 'src=' not in page


def test_labels_are_paths_where_names_are_equal(call, write, tmp_path):
  """Two configs of one file name."""
  (tmp_path / 'b').mkdir()
  a, b = (
    write('c.json', COSINE),
    write('b/c.json', {**COSINE, 'decay_steps': 5}),
  )
  code, out, _ = call('plot', a, b, '--total-steps', 10)
  assert code == 0
  assert f'* {a}   o {b}' in out

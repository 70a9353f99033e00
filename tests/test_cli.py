"""The command line: what it prints, its exit codes, and its errors."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from configs import gpt
import flax_sched as fs
from flax_sched import catalog
from flax_sched import checkpoint
from flax_sched import config as config_lib
from flax_sched import metrics
from flax_sched import tensorboard
from flax_sched import timeline
from flax_sched.cli import chart
from flax_sched.cli import main as cli
from flax_sched.cli import samples

ROOT = pathlib.Path(__file__).parent.parent
OLD = ROOT / 'tests' / 'checkpoints'
RECIPES = sorted(
  path.stem
  for path in (ROOT / 'configs').glob('*.py')
  if path.stem not in ('plateau', 'population')
)
RUN = ('--steps-per-epoch', '22')  # of the digits example, for vit.py
COSINE = {'name': 'cosine_decay_schedule', 'init_value': 0.5, 'decay_steps': 9}
PLATEAU = {'name': 'reduce_on_plateau', 'init_value': 0.1}


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
  """The paths of the configs are those that a user writes."""
  monkeypatch.chdir(ROOT)


@pytest.fixture
def call(capsys):
  """Runs a command: its exit code, and what it printed."""

  def run(*argv):
    capsys.readouterr()
    code = cli.main(list(map(str, argv)))
    return code, *capsys.readouterr()

  return run


@pytest.fixture
def data(call):
  """Runs a command with `--json`: its exit code, and the document."""

  def run(*argv):
    code, out, err = call(*argv, '--json')
    assert err == ''
    return code, json.loads(out, parse_constant=pytest.fail)

  return run


@pytest.fixture
def write(tmp_path):
  """Writes a config: JSON, or the lines of a Python file."""

  def run(name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    return tmp_path / name

  return run


def error_of(result):
  """The one line that an error is."""
  code, out, err = result
  assert (code, out) == (2, '')
  assert err.count('\n') == 1
  assert err.startswith('flax-sched: error: ')
  return err.removeprefix('flax-sched: error: ').strip()


def state_of(tx):
  """A state before its first update."""
  return TrainState.create(apply_fn=None, params={'w': jnp.ones(2)}, tx=tx)


def recipe(name):
  """The config of a recipe."""
  namespace = {}
  path = ROOT / 'configs' / f'{name}.py'
  exec(compile(path.read_text(), path, 'exec'), namespace)
  return namespace['get_config']()


def run_of(config):
  """The run of a recipe."""
  return {'total_steps': config.total_steps, 'steps_per_epoch': 22}


def save(directory, *states, step=0):
  """Checkpoints of states."""
  with ocp.CheckpointManager(directory) as manager:
    for i, state in enumerate(states):
      assert checkpoint.save(manager, step + 10 * i, state)
  return directory


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A directory with a checkpoint of the recipe gpt, after 40 updates."""
  config = gpt.get_config()
  state = state_of(
    config_lib.build_optimizer(config.optimizer, run=run_of(config))
  )
  step = jax.jit(lambda s: s.apply_gradients(grads=s.params))
  for _ in range(40):
    state = step(state)
  return save(tmp_path_factory.mktemp('gpt') / 'checkpoints', state, step=40)


@pytest.fixture(scope='module')
def logs(tmp_path_factory):
  """The event files of such a run."""
  config = gpt.get_config()
  state = state_of(
    config_lib.build_optimizer(config.optimizer, run=run_of(config))
  )
  step = jax.jit(lambda s: s.apply_gradients(grads=s.params))
  directory = tmp_path_factory.mktemp('gpt') / 'logs'
  writer = tensorboard.TensorBoardWriter(directory)
  with metrics.HyperparamLogger(writer) as logger:
    for i in range(40):
      state = step(state)
      logger.log(i, state)
  return directory


# ---------------------------------------------------------------------------
# list.


def test_list_has_every_schedule(call):
  """One line each: a picture, the name, what it is."""
  code, out, _ = call('list')
  assert code == 0
  lines = out.splitlines()
  assert len(lines) == len(catalog.FUNCTIONS)
  for name, line in zip(catalog.FUNCTIONS, lines, strict=True):
    assert re.match(rf'([▁-█]{{16}}|reacts to a loss)  {name} +[A-Z].*\.', line)
  assert '██▇▇▆▆▅▅▄▄▃▃▂▂▁▁  linear_schedule ' in out


def test_list_as_json_has_configs_to_start_from(data):
  """Each example has the name in it, and builds a schedule."""
  code, listed = data('list')
  assert code == 0
  assert [entry['name'] for entry in listed] == list(catalog.FUNCTIONS)
  assert set(samples.NAMES) == set(catalog.FUNCTIONS)
  for entry in listed:
    assert entry['name'] in json.dumps(entry['example'])
    config_lib.build_schedule(entry['example'], run={'total_steps': 777})
  (linear,) = (e for e in listed if e['name'] == 'linear_schedule')
  assert linear['parameters'][2] == {
    'name': 'transition_steps',
    'required': True,
    'steps': True,
  }


# ---------------------------------------------------------------------------
# show.


@pytest.mark.parametrize('name', RECIPES)
def test_show_a_recipe(name, call, data):
  """The phases make up the run, and the values are those of the schedules."""
  path = f'configs/{name}.py'
  code, shown = data('show', path, *RUN)
  config = recipe(name)
  schedules = config_lib.build_schedules(config.optimizer, run=run_of(config))
  assert code == 0
  assert shown['optimizer'] == config.optimizer.name
  assert shown['updates'] == config.total_steps
  assert list(shown['hyperparams']) == list(schedules)
  for key, entry in shown['hyperparams'].items():
    assert config_lib.build_schedule(entry['config']) == schedules[key]
    ends = [phase['end'] for phase in entry['phases']]
    assert [phase['start'] for phase in entry['phases']] == [0, *ends[:-1]]
    assert ends[-1] == config.total_steps
    for step, value in map(dict.values, entry['values']):
      assert np.float32(value) == schedules[key](step)
  code, text, _ = call('show', path, *RUN)
  assert code == 0
  assert text.startswith(f'{path}: {config.optimizer.name}, ')
  assert all(key in text for key in schedules)


def test_show_names_phases_and_shapes(data):
  """As docs/command_line.md says."""
  _, shown = data('show', 'configs/wsd.py#optimizer.learning_rate')
  assert shown['optimizer'] is None
  phases = shown['hyperparams']['learning_rate']['phases']
  assert [list(phase.values()) for phase in phases] == [
    [0, 20, 'warm-up', 'Linear', 0.0, 0.00285],
    [20, 800, 'stable', 'Constant', 0.003, 0.003],
    [800, 1000, 'decay', 'OneMinusPower', 0.003, pytest.approx(7.5e-6, 0.01)],
  ]


@pytest.mark.parametrize('name', samples.NAMES)
def test_show_every_schedule(name, data, write):
  """Whatever its class, `show` and `check` and `plot` have something to say."""
  path = write('lr.json', samples.sample(name))
  for command in ('show', 'plot', 'check'):
    if (command, name) != ('plot', 'reduce_on_plateau'):
      code, printed = data(command, path, '--total-steps', 1000)
      assert code == 0 or command == 'check'
      assert list(printed['hyperparams']) == ['schedule']


def line():
  """A schedule for the tests below."""
  return fs.linear_schedule(1.0, 0.0, 10)


@pytest.mark.parametrize(
  ('schedule', 'count', 'shape'),
  [
    (line().shift(5), 3, 'Linear'),
    (line().shift(5), 14, 'Linear'),
    (line().shift(5), 15, 'held'),
    (line().shift(-5), 5, 'held'),
    (line().every(10), 99, 'Linear'),
    (line().every(10), 100, 'held'),
    (line().repeat(20), 29, 'Linear'),
    (line().repeat(20), 30, 'held'),
    (line().repeat(10, t_mult=2.0), 50, 'Linear'),
    (fs.constant_schedule(1.0).then(line(), 10), 15, 'Linear'),
    (fs.constant_schedule(1.0) * 2.0, 0, 'Constant'),
    (line() * fs.cosine_decay_schedule(1.0, 20), 5, 'Linear * Cosine'),
    (line().clip(0.1), 5, 'Linear'),
    (fs.minimum(line(), fs.cosine_decay_schedule(1.0, 20)), 5, 'minimum(Lin'),
    (fs.follow(line(), {0.0: 1.0, 1.0: 0.5}), 5, 'Linear'),
    (fs.as_schedule(np.sqrt), 5, 'sqrt'),
  ],
)
def test_shapes(schedule, count, shape):
  """What a value follows, through all that schedules are made of."""
  assert timeline.shape(schedule, count).startswith(shape)


def test_key_steps_of_short_runs_and_many_pieces():
  """All steps lie in the run, or end it; there are not too many."""
  assert timeline.key_steps(line(), 1) == [0, 1]
  assert timeline.key_steps(line(), 2) == [0, 1, 2]
  many = fs.multistep_schedule(1.0, range(1, 500), gamma=0.9)
  assert len(timeline.key_steps(many, 1000)) < 30


def test_gradient_accumulation_makes_updates(call):
  """Schedules count updates; the run has training steps."""
  options = ('--gradient-accumulation', 4)
  code, out, _ = call('show', 'configs/gpt.py', *options)
  assert code == 0
  assert '250 updates of 4 training steps each' in out
  assert '\n250   end ' in out


# ---------------------------------------------------------------------------
# How a config is named, found and changed.


def optimizer(rate=0.5):
  """The config of an optimizer."""
  return {'name': 'adamw', 'learning_rate': rate, 'weight_decay': 0.1}


@pytest.mark.parametrize(
  ('content', 'path', 'expected'),
  [
    (optimizer(), '', ['learning_rate', 'weight_decay']),
    ({'optimizer': optimizer()}, '', ['learning_rate', 'weight_decay']),
    (
      {'opt': optimizer(), 'model': {'name': 'vit'}},
      '',
      ['learning_rate', 'w'],
    ),
    ({'name': 'run 7', 'opt': optimizer()}, '', ['learning_rate', 'w']),
    ({'a': {'b': optimizer()}}, '#a.b', ['learning_rate', 'weight_decay']),
    ({'a': {'optimizer': optimizer()}}, '#a', ['learning_rate', 'w']),
    (COSINE, '', ['schedule']),
    ({'a': [1, COSINE]}, '#a.1', ['1']),
    ({'a': optimizer(COSINE)}, '#a.learning_rate', ['learning_rate']),
    (
      {'a': {**optimizer('x'), 'schedules': {'x': COSINE}}},
      '#a.learning_rate',
      ['learning_rate'],
    ),
    (0.5, '', ['schedule']),
  ],
)
def test_what_a_config_may_hold(content, path, expected, data, write):
  """An optimizer, a schedule, or more, by a path or by itself."""
  file = write('config.json', content)
  code, shown = data('show', f'{file}{path}', '--total-steps', 10)
  assert code == 0
  found = list(shown['hyperparams'])
  assert len(found) == len(expected)
  assert all(map(str.startswith, found, expected))
  if path:
    options = ('--path', path[1:], '--total-steps', 10)
    assert (
      data('show', file, *options)[1]['hyperparams'] == shown['hyperparams']
    )


PYTHON = """
import ml_collections
import sibling

print('a config that talks')

def get_config(size='small'):
  config = ml_collections.ConfigDict({'total_steps': 100, 'optimizer': {
    'name': 'adam', 'learning_rate': sibling.RATES[size],
  }})
  ref = config.get_ref('total_steps')
  config.optimizer.b1 = {
    'name': 'linear_schedule', 'init_value': 0.5, 'end_value': 0.9,
    'transition_steps': ref,
  }
  return config.lock()
"""


def test_python_configs(write, call, data, tmp_path, monkeypatch):
  """Their argument, what they import and print, references, frozen ones."""
  write('sibling.py', "RATES = {'small': 0.1, 'large': 0.2}")
  file = write('config.py', PYTHON)
  monkeypatch.chdir(tmp_path)
  path = list(sys.path)
  code, out, err = call('show', f'{file}:large', '--set', 'total_steps=40')
  assert code == 0
  assert 'learning_rate = 0.2' in out
  assert 'a config that talks' not in out
  assert 'a config that talks' in err
  assert 'transition_steps=40)' in out  # it followed
  assert sys.path == path
  assert not (tmp_path / '__pycache__').exists()
  # Locked, of another type, and a new key.
  _, out, _ = call(
    'show',
    file,
    *('--set', 'total_steps=50', '--set', "optimizer.b1.init_value='x'"),
    *('--set', 'optimizer.b1.init_value=0.25', '--set', 'optimizer.b2=0.75'),
    *(
      '--set',
      "optimizer.learning_rate={'name': 'constant_schedule', 'value':1}",
    ),
  )
  assert 'init_value=0.25, end_value=0.9, transition_steps=50' in out
  assert 'learning_rate = 1, b2 = 0.75' in out or 'b2 = 0.75' in out
  frozen = PYTHON.replace('config.lock()', 'ml_collections.FrozenConfigDict(c')
  file = write('frozen.py', frozen.replace('Dict(c', 'Dict(config)'))
  _, out, _ = call('show', file, '--set', 'optimizer.learning_rate=0.75')
  assert 'learning_rate = 0.75' in out
  sys.modules.pop('sibling')


def test_a_config_of_schedules_themselves(write, call):
  """Of objects, a class of the config, and functions of one count."""
  file = write(
    'config.py',
    """
import flax_sched as fs
from flax_sched import config

@config.register('its_own')
class Own(fs.Schedule):
  def value(self, count):
    return 0.25 + 0.0 * count

def get_config():
  return {'total_steps': 9, 'optimizer': {
    'name': 'adam',
    'learning_rate': fs.linear_schedule(1.0, 0.0, 9),
    'b1': fs.as_schedule(lambda count: 0.5 if count > 3 else 0.75),
    'b2': {'name': 'its_own'},
  }}
""",
  )
  code, out, _ = call('show', file)
  assert code == 0
  assert 'b1 = Function(function=<lambda>)' in out
  assert 'b2 = Own()' in out
  assert re.search(r'^9 +end +0 +0\.5 +0\.25$', out, re.M)
  assert call('diff', file, file)[0] == 0
  assert call('plot', file)[0] == 0


# ---------------------------------------------------------------------------
# check.


@pytest.mark.parametrize(
  ('name', 'warned'),
  [
    ('digits', ['learning_rate']),
    ('gpt', ['learning_rate']),
    ('resnet_onecycle', []),
    ('t5', []),
    ('vit', ['learning_rate']),
    ('wsd', ['learning_rate', 'weight_decay']),
  ],
)
def test_check_a_recipe(name, warned, call, data):
  """The exit code says whether there are warnings; they can be meant."""
  path = f'configs/{name}.py'
  code, report = data('check', path, *RUN)
  assert code == int(bool(warned))
  assert report['ok'] == (not warned)
  for key, each in report['hyperparams'].items():
    names = [warning['name'] for warning in each['warnings']]
    assert names == (['zero_at_start'] if key in warned else [])
  code, out, _ = call('check', path, *RUN)
  assert code == int(bool(warned))
  ending = {0: 'ok', 1: '1 warning', 2: '2 warnings'}[len(warned)]
  assert out.endswith(f'\n{ending}\n')
  assert call('check', path, *RUN, '--ignore', 'zero_at_start')[0] == 0
  each = [f'--ignore={key}:zero_at_start' for key in warned]
  assert call('check', path, *RUN, *each)[0] == 0
  if warned:
    assert call('check', path, *RUN, *each[1:])[0] == 1


def test_check_knows_constants_peaks_and_memories(write, call, data):
  """0 turns a hyperparameter off; a learning rate of 0 trains nothing."""
  run = ('--total-steps', 100)
  file = write('a.json', {**optimizer(), 'weight_decay': 0.0})
  assert call('check', file, *run)[0] == 0
  file = write('b.json', optimizer(0.0))
  assert call('check', file, *run)[0] == 1
  falling = {
    'name': 'warmup_cosine_decay_schedule',
    **{'init_value': 0.5, 'peak_value': 0.1},
    **{'warmup_steps': 10, 'decay_steps': 90},
  }
  file = write('c.json', {**optimizer('x'), 'schedules': {'x': falling}})
  _, report = data('check', file, *run)
  (warning,) = report['hyperparams']['learning_rate']['warnings']
  assert warning['name'] == 'above_peak'
  file = write('d.json', optimizer(PLATEAU))
  code, out, _ = call('check', file, *run)
  assert code == 0
  assert 'not checked: its values depend on the run' in out
  assert data('check', file, *run)[1]['hyperparams']['learning_rate'] is None
  assert 'ReduceOnPlateau(init_value=0.1, ' in call('show', file, *run)[1]
  assert 'is not drawn' in call('plot', file, *run)[1]


# ---------------------------------------------------------------------------
# plot.


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


# ---------------------------------------------------------------------------
# inspect.


def test_inspect(trained, call, data):
  """What the last update used, of the latest step and of one by its path."""
  code, found = data('inspect', trained)
  assert code == 0
  assert found['step'] == 40
  rate = found['hyperparams']['learning_rate']
  assert rate['count'] == 40
  assert rate['transformation'] == 'adamw'
  assert rate['wrapper'] == 'inject_hyperparams'
  schedules = config_lib.build_schedules(
    recipe('gpt').optimizer, run=run_of(recipe('gpt'))
  )
  assert rate['repr'] == repr(schedules['learning_rate'])
  assert np.float32(rate['value']) == schedules['learning_rate'](39)
  assert data('inspect', trained / '40')[1] == found
  assert data('inspect', trained, '--step', 40)[1] == found
  code, out, _ = call('inspect', trained)
  assert code == 0
  assert 'learning_rate = 0.00598265, after 40 updates\n  Join(' in out


def test_inspect_an_old_checkpoint(call):
  """Of the first format with a record: several of a name, and a memory."""
  code, out, _ = call('inspect', OLD / 'format_1')
  assert code == 0
  assert 'full/learning_rate = 0.00249938' in out
  assert 'ReduceOnPlateau(init_value=0.5, factor=0.1' in out
  assert 'inject_stateful_hyperparams' in out


def test_inspect_populations_overrides_and_functions(call, tmp_path):
  """Values that are many; a value that was set; a schedule without a spec."""
  tx = fs.inject_stateful_hyperparams(
    optax.adamw, learning_rate=lambda count: 0.5, weight_decay=line()
  )
  state = fs.set_hyperparams(state_of(tx), weight_decay=0.75)
  path = save(tmp_path / 'a', state)
  code, out, _ = call('inspect', path)
  assert code == 0
  assert re.search(r'override +0\.75', out)
  assert '\n  the function' in out
  rates = fs.stack_schedules([fs.constant_schedule(x) for x in (0.5, 0.25)])
  state = jax.vmap(
    lambda rate: fs.inject_stateful_hyperparams(
      optax.sgd, learning_rate=rate
    ).init({'w': jnp.ones(3)})
  )(rates)
  code, out, _ = call('inspect', save(tmp_path / 'b', {'opt_state': state}))
  assert 'learning_rate = 0.5, 0.25' in out


def files(directory):
  """All files with their times."""
  return {
    path: path.stat().st_mtime_ns for path in sorted(directory.rglob('*'))
  }


def test_inspect_changes_nothing_beside_a_run(trained, call, tmp_path):
  """Steps that are not complete are left alone, and what has no number."""
  path = tmp_path / 'checkpoints'
  shutil.copytree(trained, path)
  for name in ('50.orbax-checkpoint-tmp-1', 'notes', 'events_60'):
    (path / name).mkdir()
  before = files(path)
  code, out, _ = call('inspect', path)
  assert code == 0
  assert ', step 40\n' in out
  assert files(path) == before


def test_inspect_what_is_no_checkpoint(trained, call, tmp_path):
  """Each error says what there is instead."""

  def inspect(*argv):
    return error_of(call('inspect', *argv))

  assert inspect(tmp_path / 'nope').endswith('nope: no such directory.')
  assert inspect(tmp_path) == f'{tmp_path}: holds no checkpoint.'
  assert inspect(trained.parent).endswith(f'Did you mean {trained}?')
  assert inspect(trained, '--step', 7).endswith('has no step 7, but 40.')
  assert 'is the checkpoint of one step' in inspect(trained / '40', '--step', 7)
  assert inspect(OLD / 'format_0') == (
    f'{OLD}/format_0/4 has no record of hyperparameters, since '
    'flax_sched.checkpoint.save did not write it. It holds default (37 arrays '
    'in step, params, opt_state).'
  )
  with ocp.StandardCheckpointer() as writer:
    writer.save(tmp_path / 'bare', {'w': jnp.ones(2), 'b': jnp.ones(2)})
  assert inspect(tmp_path / 'bare').endswith('(2 arrays in b, w).')


@pytest.mark.parametrize('damage', ['', '{"hyper', '{}', '{"hyperparams": 3}'])
def test_inspect_a_damaged_checkpoint(damage, trained, call, tmp_path):
  """A record that is cut off, or of another kind; or it is gone."""
  path = tmp_path / 'checkpoints'
  shutil.copytree(trained, path)
  (path / '40' / 'hyperparams' / 'metadata').write_text(damage)
  assert 'is damaged or incomplete: ' in error_of(call('inspect', path))
  shutil.rmtree(path / '40' / 'hyperparams')
  assert 'is damaged or incomplete: ' in error_of(call('inspect', path))
  assert 'is damaged or incomplete: ' in error_of(
    call('diff', path, 'configs/gpt.py')
  )


# ---------------------------------------------------------------------------
# diff.


@pytest.mark.parametrize('name', RECIPES)
def test_a_recipe_is_what_its_checkpoint_says(name, call, tmp_path):
  """What the config builds is what the record of its state has."""
  config = recipe(name)
  tx = config_lib.build_optimizer(config.optimizer, run=run_of(config))
  path, file = save(tmp_path / 'run', state_of(tx)), f'configs/{name}.py'
  for argv in ((path, file), (file, path), (path, path), (file, file)):
    code, out, _ = call('diff', *argv, *RUN)
    assert (code, out.splitlines()[-1]) == (0, 'no differences')


def test_diff_of_a_checkpoint_and_a_config(trained, call, data):
  """In both orders, with the values at the checkpoint's count."""
  options = ('--set', 'optimizer.weight_decay=0.2', '--set', 'optimizer.b2=0.9')
  argv = (trained, 'configs/gpt.py', *options)
  code, out, _ = call('diff', *argv)
  assert code == 1
  assert out.splitlines()[3:] == [
    'b2.constant: 0.95 -> 0.9',
    '  at count 40: 0.95 -> 0.9',
    'weight_decay.constant: 0.1 -> 0.2',
    '  at count 40: 0.1 -> 0.2',
  ]
  code, found = data('diff', *argv)
  assert code == 1
  assert found['equal'] is False
  assert found['a'] == f'{trained} (step 40)'
  assert found['differences'][0] == {
    **{'name': 'b2', 'field': 'constant'},
    **{'a': 0.95, 'b': 0.9},
  }
  assert found['values']['weight_decay'] == {'count': 40, 'a': 0.1, 'b': 0.2}
  _, turned = data('diff', 'configs/gpt.py', trained, *options)
  assert turned['differences'][0]['a'] == 0.9
  assert turned['values']['weight_decay'] == {'count': 40, 'a': 0.2, 'b': 0.1}


def test_diff_of_other_kinds_and_names(call):
  """Schedules as wholes, and what one side lacks."""
  code, out, _ = call('diff', 'configs/gpt.py', 'configs/t5.py')
  assert code == 1
  assert 'learning_rate\n  a: Join(' in out
  assert '\nb1: Constant(constant=0.9) -> none\n' in out
  assert '\ndecay_rate: none -> Constant(constant=0.8)\n' in out


def test_diff_of_single_schedules(call, write, trained):
  """Of two, whatever their names; of one, with that of its name."""
  a, b = write('a.json', COSINE), write('b.json', {**COSINE, 'decay_steps': 8})
  code, out, _ = call('diff', a, b)
  assert code == 1
  assert 'schedule.decay_steps: 9 -> 8' in out
  rate = 'configs/gpt.py#optimizer.learning_rate'
  assert call('diff', trained, rate)[0] == 0
  assert call('diff', rate, 'configs/gpt.py')[0] == 0
  assert call('diff', rate, 'configs/wsd.py#optimizer.weight_decay')[0] == 1
  assert "is one schedule, 'schedule', and configs/gpt.py has none" in error_of(
    call('diff', 'configs/gpt.py', a)
  )


def test_diff_after_a_rebase(call, write, tmp_path):
  """The checkpoint moves to the config's schedule: no difference."""

  def target(config):
    return state_of(config_lib.build_optimizer(optimizer(config)))

  longer = {**COSINE, 'decay_steps': 90}
  old = save(tmp_path / 'a', target(COSINE))
  with ocp.CheckpointManager(old) as manager:
    state = checkpoint.restore(
      manager, target(longer), on_change='rebase', rebase_steps=5
    )
  new = save(tmp_path / 'b', state)
  file = write('c.json', optimizer(longer))
  assert call('diff', old, file)[0] == 1
  assert call('diff', new, file)[0] == call('diff', file, new)[0] == 0


# ---------------------------------------------------------------------------
# Errors.

GPT = 'configs/gpt.py'


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    ('lst', "'lst' is no command. Did you mean 'list'? There are list, show, "),
    ('show', "arguments are required: CONFIG. See 'flax-sched show --help'."),
    ('show a.py --nope', 'unrecognized arguments: --nope'),
    ('show nope.py', 'nope.py: no such file.'),
    ('show nope', 'nope: a config must be a file that ends in .py or .json'),
    (
      f'diff {GPT} {GPT} --step x',
      "argument --step: must be an integer, got 'x'",
    ),
    ('show configs', 'configs: a config must be a file that ends in'),
    (
      'show configs/vit.py',
      "configs/vit.py: optimizer.learning_rate.warmup_steps: '4ep' needs "
      'steps_per_epoch (or examples_per_epoch and batch_size), which is not '
      'given. Pass --steps-per-epoch N.',
    ),
    (
      'show configs/population.py',
      'configs/population.py: it has no optimizer. Point to one, or to a '
      'schedule: configs/population.py#PATH. The keys are batch_size, members,',
    ),
    (
      f'show {GPT}#optimiser',
      "optimiser: there is no such key. Did you mean 'o",
    ),
    (f'show {GPT}#optimizer.b1.x', 'optimizer.b1.x: optimizer.b1 has no keys.'),
    (f'show {GPT}:small', 'so name it without :ARGUMENT.'),
    (f'show {GPT} --total-steps x', "must be an integer, got 'x'"),
    (f'show {GPT} --total-steps 0', 'total_steps must be a positive integer'),
    (f'show {GPT} --set a', '--set a: write PATH=VALUE.'),
    (f'show {GPT} --set total_stepz=1', "Did you mean 'total_steps'?"),
    (
      f'show {GPT} --set optimizer.learning_rate.peak_valu=1',
      "learning_rate.peak_valu: unknown key. Did you mean 'peak_value'?",
    ),
    (f'show {GPT} --set optimizer.name=admw', "Did you mean 'adamw'?"),
    (
      f'check {GPT} --ignore zero_at_stat',
      "got 'zero_at_stat'. Did you mean 'zero_at_start'?",
    ),
    (
      f'check {GPT} --ignore learning_rat:flat',
      "no hyperparameter 'learning_rat'. Did you mean 'learning_rate'?",
    ),
    (f'plot {GPT} -o a.gif', '--output must end in .png, .pdf, .svg, .html'),
    (f'plot {GPT} -o nope/a.html', "No such file or directory: 'nope/a.html'"),
    (f'plot {5 * (GPT + " ")}', 'a picture has room for 4 configs, got 5.'),
    (f'plot {3 * (GPT + " ")} -o a.png', 'In .svg and .html there may be 4.'),
    (
      f'diff {GPT} nope',
      'nope: must be a config, which ends in .py or .json, or',
    ),
  ],
)
def test_errors(argv, message, call):
  """One line that says what to do; the exit code is 2."""
  assert message in error_of(call(*argv.split()))


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('def get_config(:', r'c\.py:1: SyntaxError: '),
    (
      '\nimport nope_nope',
      r"c\.py:2: ModuleNotFoundError: No module named 'no",
    ),
    ('def get_config():\n  x = 1\n  return y', r"c\.py:3: NameError: name 'y'"),
    ('import sys\nsys.exit(3)', r'c\.py:2: SystemExit: 3'),
    ('x = 1', r'c\.py: must have a function get_config\(\)\.'),
    (
      'def get_config(a):\n  return a',
      r'takes \(a\), so name it FILE:ARGUMENT',
    ),
    ('def get_config():\n  return None', r'c\.py: '),
    (
      'import flax_sched\ndef get_config():\n  return {"optimizer": {"name": '
      '"adam", "learning_rate": flax_sched.as_schedule(lambda: 3)}}',
      r'get_config.<locals>.<lambda>\(\) takes 0 positional',
    ),
  ],
)
def test_errors_in_a_python_config(content, message, call, write):
  """With the file and the line."""
  path = write('c.py', content)
  result = call('show', path, '--total-steps', 9)
  assert re.search(message, error_of(result))


def test_errors_in_a_json_config(call, write):
  """Not JSON, too many optimizers, no length."""

  def show(path):
    return error_of(call('show', path))

  assert re.search(r'a\.json: not JSON: .*line 2', show(write('a.json', '{\n')))
  several = write('b.json', {'a': optimizer(), 'b': optimizer()})
  assert 'it has several optimizers. Point to one' in show(several)
  assert 'Pass --total-steps N' in show(write('c.json', COSINE))
  empty = show(write('d.json', {}))
  assert empty.endswith('The keys are none.')
  plateau = write('e.json', {**PLATEAU})
  assert error_of(call('plot', plateau, '--total-steps', 9)).endswith(
    'its values depend on the run'
  )


def test_a_traceback_for_those_who_ask(call):
  """Above the same line."""
  code, out, err = call('show', 'configs/vit.py', '--debug')
  assert (code, out) == (2, '')
  assert err.startswith('Traceback (most recent call last)')
  assert err.splitlines()[-1].startswith('flax-sched: error: configs/vit.py')


def test_help(call):
  """Examples for each command; no command is an error."""
  code, out, _ = call('--help')
  assert code == 0
  for command in cli._COMMANDS:
    assert f'  flax-sched {command}' in out
    code, out_of_command, _ = call(command, '--help')
    assert code == 0
    assert f'examples:\n  flax-sched {command}' in out_of_command
  code, out, err = call()
  assert (code, out) == (2, '')
  assert err.startswith('usage: flax-sched')
  assert call('--version')[1] == f'flax-sched {fs.__version__}\n'


# ---------------------------------------------------------------------------
# Processes.


def program(*command, **kwargs):
  """Runs a program in the project."""
  env = {**os.environ, 'JAX_PLATFORMS': 'none_such', 'PYTHONPATH': str(ROOT)}
  env.update(kwargs.pop('env', {}))
  return subprocess.run(
    command, capture_output=True, cwd=ROOT, env=env, check=False, **kwargs
  )


def test_no_device_and_nothing_heavy(trained, logs, tmp_path):
  """No command but `plot -o` and `report` needs more than the package does."""
  lines = [
    ['list'],
    ['show', 'configs/gpt.py'],
    ['check', 'configs/t5.py'],
    ['plot', 'configs/wsd.py'],
    ['diff', 'configs/gpt.py', 'configs/gpt.py'],
  ]
  code = (
    'import sys\n'
    'from flax_sched.cli.main import main\n'
    f'for argv in {lines}:\n'
    '  assert main(argv) == 0, argv\n'
    'heavy = {"tensorflow", "orbax", "matplotlib", "clu", "tensorboardX",\n'
    '         "plotly"}\n'
    'found = heavy & {name.partition(".")[0] for name in sys.modules}\n'
    'assert not found, found\n'
    f'assert main(["inspect", {str(trained)!r}]) == 0\n'
    f'assert main(["diff", {str(trained)!r}, "configs/gpt.py"]) == 0\n'
    f'page = {str(tmp_path / "report.html")!r}\n'
    f'assert main(["report", {str(logs)!r}, "-o", page]) == 0\n'
  )
  done = program(sys.executable, '-c', code)
  assert done.stderr.decode() == ''
  assert done.returncode == 0


def test_as_a_program():
  """`python -m flax_sched`, to a terminal that knows no such letters."""
  env = {'PYTHONIOENCODING': 'ascii'}
  done = program(sys.executable, '-m', 'flax_sched', 'list', env=env)
  assert done.returncode == 0
  assert done.stderr == b''
  assert b'????????????????  linear_schedule' in done.stdout
  done = program(sys.executable, '-m', 'flax_sched', 'show', 'configs/vit.py')
  assert done.returncode == 2
  assert done.stderr.startswith(b'flax-sched: error: configs/vit.py: ')


def test_a_reader_that_has_seen_enough():
  """`flax-sched list | head` is quiet, and the exit code is the command's."""
  read, write = os.pipe()
  os.close(read)
  try:
    done = subprocess.run(
      [sys.executable, '-m', 'flax_sched', 'check', 'configs/gpt.py'],
      stdout=write,
      stderr=subprocess.PIPE,
      cwd=ROOT,
      check=False,
    )
  finally:
    os.close(write)
  assert done.stderr == b''
  assert done.returncode == 1


# ---------------------------------------------------------------------------
# The page of the documentation.


def blocks():
  """The shell blocks of the page, each with the text after it, if any."""
  text = (ROOT / 'docs' / 'command_line.md').read_text()
  pattern = r'^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?'
  return re.findall(pattern, text, re.DOTALL | re.M)


def test_the_page_is_true(trained, logs, call, tmp_path, monkeypatch):
  """Its commands have these exit codes, and print what stands below."""
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  (tmp_path / 'runs' / 'gpt').mkdir(parents=True)
  (tmp_path / 'runs' / 'gpt' / 'checkpoints').symlink_to(trained)
  (tmp_path / 'runs' / 'gpt' / 'logs').symlink_to(logs)
  monkeypatch.chdir(tmp_path)
  assert len(blocks()) > 5
  for commands, expected in blocks():
    for command in commands.splitlines():
      program, *argv = shlex.split(command.partition('  #')[0])
      assert program == 'flax-sched'
      meant = re.search(r'# exit code (\d)$', command)
      code, out, err = call(*argv)
      assert (code, err) == (int(meant[1]) if meant else 0, ''), command
    start, dots, _ = expected.partition('...\n')
    assert out.startswith(start)
    assert dots or not expected or out == expected
  assert (tmp_path / 'schedules.png').exists()

"""The configs of configs/: what each one says, builds, and trains."""

import importlib
import math
import os
import pathlib
import re
import shlex
import sys

from absl import flags
import jax
from jax import numpy as jnp
import ml_collections
from ml_collections import config_flags
import numpy as np
import pytest

from examples.digits import train
import flax_sched as fs
from flax_sched import checks
from flax_sched import tensorboard
from flax_sched.config import build_optimizer
from flax_sched.config import build_schedules

ROOT = pathlib.Path(__file__).parent.parent
GOLDEN = ROOT / 'tests' / 'golden'
NAMES = sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))
# Those of the digits example, which have an optimizer; the example's own is
# trained in test_digits.py.
# Other examples have tests of their own.
RECIPES = [name for name in NAMES if name not in ('plateau', 'population')]
FOREIGN = [name for name in RECIPES if name not in ('digits', 'lm')]
SHARES = (0, 1, 5, 10, 25, 50, 75, 90, 99, 100)  # of the run, in percent

# What `check` warns of, and is meant: AdamW's first update does nothing where a
# warm-up begins at 0.
EXPECTED = {
  'digits': {'learning_rate': {'zero_at_start'}},
  'gpt': {'learning_rate': {'zero_at_start'}},
  'vit': {'learning_rate': {'zero_at_start'}},
  'wsd': {
    'learning_rate': {'zero_at_start'},
    'weight_decay': {'zero_at_start'},
  },
}


def module(name):
  """The module of a config."""
  return importlib.import_module(f'configs.{name}')


def config_of(name):
  """The config."""
  return module(name).get_config()


def planned(config):
  """The schedules of a config, by name."""
  return build_schedules(config.optimizer, run=train.run_of(config))


def leaves(tree, path=''):
  """The values of a config by their paths, in order."""
  for key in sorted(tree):
    where = f'{path}.{key}' if path else key
    if isinstance(tree[key], ml_collections.ConfigDict):
      yield from leaves(tree[key], where)
    else:
      yield where, tree[key]


def parsed(name, overrides, monkeypatch):
  """The config after flags, as main.py gets it."""
  argv = ['main.py', *overrides]
  monkeypatch.setattr(sys, 'argv', argv)  # where config_flags looks
  values = flags.FlagValues()
  config_flags.DEFINE_config_dict('config', config_of(name), flag_values=values)
  values(argv)
  return values.config


# ---------------------------------------------------------------------------
# What a config says and builds, as text.


def golden(name):
  """The values of a config, and those that its schedules have in a run."""
  config = config_of(name)
  lines = [f'{path}: {value!r}' for path, value in leaves(config)]
  if name in RECIPES:
    schedules = planned(config)
    rows = [['share', 'step', *sorted(schedules)]]
    for share in SHARES:
      step = config.total_steps * share // 100
      values = [f'{schedules[key](step):.6g}' for key in sorted(schedules)]
      rows.append([f'{share}%', str(step), *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines.append('')
    for cells in rows:
      padded = map(str.rjust, cells, widths)
      lines.append('  '.join(padded))
  return '\n'.join(lines) + '\n'


@pytest.mark.parametrize('name', NAMES)
def test_golden(name):
  """A change of a config, or of what is built of it, is seen in a diff."""
  path, text = GOLDEN / f'{name}.txt', golden(name)
  if os.environ.get('UPDATE_GOLDEN'):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
  assert (path.read_text() if path.exists() else '') == text, (
    f'configs/{name}.py does not build what tests/golden/{name}.txt says. If '
    'that is meant, run UPDATE_GOLDEN=1 python -m pytest '
    'tests/test_configs.py -k golden, and review the diff.'
  )


def test_each_config_has_a_golden_file():
  """And each golden file a config."""
  assert sorted(path.stem for path in GOLDEN.iterdir()) == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_a_frozen_config_is_the_same(name):
  """Frozen, it has the values it had, and builds the same schedules."""
  config = config_of(name)
  frozen = ml_collections.FrozenConfigDict(config)
  thawed = ml_collections.ConfigDict(frozen)
  assert dict(leaves(thawed)) == dict(leaves(config))
  if name in RECIPES:
    assert planned(frozen) == planned(config)


@pytest.mark.parametrize('name', RECIPES)
def test_lengths_follow_the_run(name):
  """A run of twice the length ends with the values that it ended with."""
  config, longer = config_of(name), config_of(name)
  longer.total_steps *= 2
  ends = planned(config), planned(longer)
  for key, schedule in ends[0].items():
    np.testing.assert_array_equal(
      schedule(config.total_steps), ends[1][key](longer.total_steps), key
    )


@pytest.mark.parametrize('name', RECIPES)
def test_checks(name):
  """No schedule looks wrong before a launch, but where that is meant."""
  config = config_of(name)
  found = {
    key: {warning.name for warning in report.warnings}
    for key, schedule in planned(config).items()
    for report in [checks.check(schedule, config.total_steps)]
    if report.warnings
  }
  assert found == EXPECTED.get(name, {})


# ---------------------------------------------------------------------------
# The command line.


def another(value):
  """Another value of the same kind; None for a name, which has no other."""
  if isinstance(value, str):
    return '5%' if re.search(r'\d(%|ep)', value) else None
  if value is None or isinstance(value, bool):
    return not value if isinstance(value, bool) else 7
  if isinstance(value, tuple):
    return tuple(map(another, value))
  if isinstance(value, int):
    return value + 1
  return value / 2 or 0.125


@pytest.mark.parametrize('name', NAMES)
def test_every_value_can_be_set(name, monkeypatch):
  """Numbers, durations, booleans and tuples, all at once."""
  values = {
    path: another(value)
    for path, value in leaves(config_of(name))
    if another(value) is not None
  }
  overrides = [f'--config.{path}={value}' for path, value in values.items()]
  config = parsed(name, overrides, monkeypatch)
  found = dict(leaves(config))
  assert {path: found[path] for path in values} == values
  if name in RECIPES:
    assert planned(config).keys() == planned(config_of(name)).keys()


def named_flags(name):
  """The flags that the docstring of a config names, as a shell reads them."""
  pattern = r"--config\.[\w.]+=(?:'[^']*'|\S+)"
  return [
    flag
    for text in re.findall(pattern, module(name).__doc__)
    for flag in shlex.split(text)
  ]


@pytest.mark.parametrize(
  ('name', 'flag'),
  [(name, flag) for name in NAMES for flag in named_flags(name)],
)
def test_the_flags_that_docstrings_name(name, flag, monkeypatch):
  """Each one changes the config, which still builds."""
  config = parsed(name, [flag], monkeypatch)
  before, after = (dict(leaves(c)) for c in (config_of(name), config))
  assert after != before
  if name in RECIPES:
    build_optimizer(config.optimizer, run=train.run_of(config))


def test_the_cycles_of_onecycle_change_together(monkeypatch):
  """A change of the learning rate's cycle is one of the momentum's."""
  flag = '--config.optimizer.learning_rate.pct_start=0.25'
  config = parsed('resnet_onecycle', [flag], monkeypatch)
  schedules = planned(config)
  assert schedules['learning_rate'](250) == np.float32(0.1)
  assert schedules['momentum'](250) == np.float32(0.85)


def test_the_hyperparameters_of_wsd_share_their_shape(monkeypatch):
  """A change of the shape is one of both."""
  flag = '--config.optimizer.schedules.shape.end_value=0.5'
  schedules = planned(parsed('wsd', [flag], monkeypatch))
  peaks = {'learning_rate': 3e-3, 'weight_decay': 0.1}
  for key, peak in peaks.items():
    values = schedules[key](np.array([500, 1000]))
    np.testing.assert_allclose(values, [peak, peak / 2], rtol=1e-6)


def test_a_branch_of_wsd_is_a_shorter_run():
  """The code and the flags of its docstring lead to the same values."""
  config, shorter = config_of('wsd'), config_of('wsd')
  shorter.total_steps = 750
  tx = build_optimizer(config.optimizer, run=train.run_of(config))
  params = jnp.ones(1)
  state = fs.reset_count(tx.init(params), 600)
  state = fs.branch_cooldown(state, 150, '1-sqrt')
  state = fs.branch_cooldown(state, 150, '1-sqrt', name='weight_decay')
  expected = planned(shorter)
  update = jax.jit(tx.update)
  for step in range(600, 604):
    _, state = update(params, state, params)
    for key in ('learning_rate', 'weight_decay'):
      value = fs.hyperparams(state)[key]
      np.testing.assert_allclose(value, expected[key](step), rtol=1e-6)
  # The stable phase is the same, however long the run is.
  stable = np.arange(20, 601)
  for key, schedule in planned(config).items():
    np.testing.assert_array_equal(schedule(stable), expected[key](stable))


# ---------------------------------------------------------------------------
# What is said of a config, and its training.


@pytest.mark.parametrize('name', NAMES)
def test_docstrings(name):
  """What it is, how to run it, what comes out, how long it takes."""
  text = module(name).__doc__
  assert text.split('\n')[0].endswith('.')
  heads = re.findall(r'^(\w+): ', text, re.MULTILINE)
  known = ['Source', 'Command', 'Result', 'Time']
  assert heads == (known if name in FOREIGN else known[1:])
  assert f'--config=configs/{name}.py' in text


@pytest.mark.parametrize('name', NAMES)
def test_the_table_says_what_the_configs_say(name):
  """configs/README.md lists each, with the result of its docstring."""
  table = (ROOT / 'configs' / 'README.md').read_text()
  (line,) = re.findall(rf'^\| \[`{name}\.py`\].*$', table, re.MULTILINE)
  result = re.search(r'^Result: .*\n?.*?\n(?=Time)', module(name).__doc__, re.M)
  numbers = r'[\d.]+(?:%| bits per byte)|\b0\.\d+'
  assert re.findall(numbers, line) == re.findall(numbers, result[0]) != []


@pytest.mark.parametrize(
  'name',
  [
    'wsd',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in FOREIGN
      if name != 'wsd'
    ),
  ],
)
def test_training(name, tmp_path, monkeypatch):
  """Six updates, each an epoch: every value is used as planned."""
  config = parsed(
    name,
    [
      '--config.total_steps=6',
      f'--config.batch_size={train.TRAINING_SIZE}',
      '--config.checkpoint_every_steps=6',
    ],
    monkeypatch,
  )
  result = train.train_and_evaluate(config, str(tmp_path))
  assert result['steps'] == 6
  losses = tensorboard.read_scalars(tmp_path / 'logs', 'loss')['']
  assert all(map(math.isfinite, losses[1]))
  logged = tensorboard.read_scalars(tmp_path / 'logs')
  schedules = planned(config)
  assert set(logged) == set(schedules) == set(result['hyperparameters'])
  for key, (steps, values) in logged.items():
    np.testing.assert_array_equal(steps, range(6))
    np.testing.assert_array_max_ulp(values, schedules[key](steps), 8)

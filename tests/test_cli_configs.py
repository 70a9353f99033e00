"""How commands find a config in a file, run it, and change it."""

import re
import sys

import pytest

import command_line
from command_line import COSINE
from command_line import optimizer

call = command_line.call
data = command_line.data
write = command_line.write


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

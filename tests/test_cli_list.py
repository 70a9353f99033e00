"""`flax-sched list` has every schedule, with a picture and a config of each."""

import json
import re

import command_line
from flax_sched import catalog
from flax_sched import config as config_lib
from flax_sched.cli import samples

call = command_line.call
data = command_line.data


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

"""`flax-sched check` warns of what is seldom meant, by its exit code too."""

import pytest

import command_line
from command_line import optimizer
from command_line import PLATEAU
from command_line import RUN

call = command_line.call
data = command_line.data
write = command_line.write


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
  assert out.endswith('\n\nok, 1 not checked\n')
  assert data('check', file, *run)[1]['hyperparams']['learning_rate'] is None
  assert 'ReduceOnPlateau(init_value=0.1, ' in call('show', file, *run)[1]
  assert 'is not drawn' in call('plot', file, *run)[1]

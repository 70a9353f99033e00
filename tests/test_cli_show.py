"""`flax-sched show` prints the phases, shapes and values of schedules."""

import numpy as np
import pytest

import command_line
from command_line import line
from command_line import recipe
from command_line import RECIPES
from command_line import RUN
from command_line import run_of
import flax_sched as fs
from flax_sched import config as config_lib
from flax_sched import timeline
from flax_sched.cli import samples

call = command_line.call
data = command_line.data
write = command_line.write


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

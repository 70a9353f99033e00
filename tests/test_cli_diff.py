"""`flax-sched diff` compares the schedules of configs and checkpoints."""

import orbax.checkpoint as ocp
import pytest

import command_line
from command_line import COSINE
from command_line import error_of
from command_line import optimizer
from command_line import recipe
from command_line import RECIPES
from command_line import RUN
from command_line import run_of
from command_line import save
from command_line import state_of
from flax_sched import checkpoint
from flax_sched import config as config_lib

call = command_line.call
data = command_line.data
write = command_line.write
trained = command_line.trained


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

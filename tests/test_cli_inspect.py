"""`flax-sched inspect` says what a checkpoint remembers, or why not."""

import re
import shutil

import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import command_line
from command_line import error_of
from command_line import line
from command_line import recipe
from command_line import run_of
from command_line import save
from command_line import state_of
import flax_sched as fs
from flax_sched import config as config_lib
from processes import ROOT

call = command_line.call
data = command_line.data
trained = command_line.trained

OLD = ROOT / 'tests' / 'checkpoints'


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

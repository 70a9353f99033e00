"""The language model example: a run, its resumes, and the branches of it."""

import collections
import json
import shutil
import types

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import compilations
import configs.lm
from examples.lm import plans
from examples.lm import report
from examples.lm import train
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import tensorboard
import processes

BRANCH = plans.Branch(from_step=6, steps=3)

# What makes a run small, as flags say it.
SMALL = {
  'total_steps': 12,
  'batch_size': 8,
  'length': 32,
  'checkpoint_every_steps': 3,
  'evaluate_every_steps': 50,
  'progress_every_steps': 2,
  'model.layers': 1,
  'model.width': 32,
  'model.heads': 2,
  'optimizer.schedules.shape.warmup_steps': 2,
  'optimizer.schedules.shape.stable_steps': '75% - 2',
  'optimizer.schedules.shape.decay_steps': '25%',
  'optimizer.b2.warmup_steps': 4,
}


def small_config(**changes):
  """A run of few steps, a quarter of them for the cooldown."""
  config = configs.lm.get_config()
  config.update_from_flattened_dict({**SMALL, **changes})
  return config


def final_state(directory):
  """What the last checkpoint holds, as bytes."""
  with ocp.CheckpointManager(directory / 'checkpoints') as manager:
    args = ocp.args.Composite(state=ocp.args.StandardRestore())
    state = manager.restore(manager.latest_step(), args=args).state
  leaves, _ = jax.tree.flatten(state)
  return [np.asarray(leaf).tobytes() for leaf in leaves]


def logged(directory, prefix='hyperparams/'):
  """The steps and the values that a run has logged, by name."""
  return tensorboard.read_scalars(directory / 'logs', prefix)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run that was never stopped, and a branch of it."""
  config, directory = small_config(), tmp_path_factory.mktemp('run')
  often = small_config(checkpoint_every_steps=1)
  with compilations.counted() as compiled:
    result = train.train_and_evaluate(config, str(directory))
    of_run = collections.Counter(compiled)
    del compiled[:]
    branch = train.train_and_evaluate(often, str(directory), BRANCH)
  return types.SimpleNamespace(
    config=config,
    directory=directory,
    result=result,
    compiled=of_run,
    branch=branch,
    branch_config=often,
    branch_directory=BRANCH.directory(directory),
    branch_compiled=collections.Counter(compiled),
  )


def test_what_a_run_leaves(run):
  """The result, the pictures, the logs, every checkpoint."""
  for directory, result, last in (
    (run.directory, run.result, 12),
    (run.branch_directory, run.branch, 9),
  ):
    assert json.loads((directory / 'result.json').read_text()) == result
    assert result['steps'] == last
    assert result['hyperparameters'].keys() == plans.plan(run.config).keys()
    steps, values = report.scores(directory)
    assert (steps[-1], values[-1]) == (last, result['bits_per_byte'])
    picture = (directory / 'hyperparameters.png').read_bytes()
    assert picture.startswith(b'\x89PNG')
  assert (run.directory / 'branches.png').read_bytes().startswith(b'\x89PNG')
  for directory, steps in (
    (run.directory, {'3', '6', '9', '12'}),
    (run.branch_directory, {'7', '8', '9'}),
  ):
    assert {p.name for p in (directory / 'checkpoints').iterdir()} == steps


def test_it_learns(run):
  """The loss falls, from that of bytes that are all equally likely."""
  steps, losses = logged(run.directory, 'loss')['']
  np.testing.assert_array_equal(steps, range(12))
  assert losses[-1] < losses[0] - 0.5


def test_one_program_for_all_updates(run):
  """Of the run, and of the branch, whose schedules are others."""
  for compiled in (run.compiled, run.branch_compiled):
    assert compiled['jit(train_step)'] == 1
    assert compiled['jit(evaluate)'] <= 1


def test_parameters_and_moments_are_split():
  """A device holds an eighth of them, and all hyperparameters."""
  config = small_config()
  state = train.create_state(config, train.make_mesh(config))
  kernel = state['model'].blocks[0].up.kernel[...]
  assert kernel.addressable_shards[0].data.shape == (4, 128)
  mu = state['optimizer'].opt_state[1].inner_state[0].mu
  assert mu['blocks'][0]['up']['kernel'][...].sharding == kernel.sharding
  for rate in fs.hyperparams(state['optimizer']).values():
    assert rate.sharding.is_fully_replicated
    assert len(rate.sharding.device_set) == 8


def test_every_value_is_as_planned(run):
  """Of the run, and of the branch: to the last bit."""
  for directory, branch, steps in (
    (run.directory, None, np.arange(12)),
    (run.branch_directory, BRANCH, np.arange(6, 9)),
  ):
    planned, found = plans.plan(run.config, branch), logged(directory)
    assert found.keys() == planned.keys()
    for name, (at, values) in found.items():
      np.testing.assert_array_equal(at, steps)
      np.testing.assert_array_equal(values, planned[name](steps), name)


def assert_same(one, other):
  """Two directories of one run, to the last bit."""
  assert final_state(one) == final_state(other)
  assert_same_logs(one, other, rtol=0.0)


def assert_same_logs(one, other, rtol):
  """The same steps, with values that are the same but for a tolerance."""
  ours, theirs = logged(one, ''), logged(other, '')
  assert ours.keys() == theirs.keys()
  for name, (steps, values) in ours.items():
    np.testing.assert_array_equal(steps, theirs[name][0])
    np.testing.assert_allclose(values, theirs[name][1], rtol=rtol)


def stopped(run, directory, tmp_path, *checkpoints):
  """Makes tmp_path a copy of a run that stopped before these checkpoints."""
  shutil.copytree(run.directory, tmp_path, dirs_exist_ok=True)
  directory = tmp_path / directory.relative_to(run.directory)
  for step in checkpoints:
    shutil.rmtree(directory / 'checkpoints' / str(step))
  return directory


@pytest.mark.slow
def test_a_run_that_was_stopped(run, tmp_path, capsys):
  """It goes on from its last checkpoint, and ends the same."""
  stopped(run, run.directory, tmp_path, 9, 12)
  result = train.train_and_evaluate(run.config, str(tmp_path))
  assert 'Resumed at step 6 of 12.' in capsys.readouterr().out
  assert result == run.result
  assert_same(tmp_path, run.directory)


@pytest.mark.slow
def test_a_branch_that_was_stopped(run, tmp_path, monkeypatch, capsys):
  """It goes on in its cooldown, not from where it began; and then is over."""
  directory = stopped(run, run.branch_directory, tmp_path, 8, 9)
  train.train_and_evaluate(run.branch_config, str(tmp_path), BRANCH)
  assert 'Resumed at step 7 of 9.' in capsys.readouterr().out
  assert_same(directory, run.branch_directory)
  monkeypatch.setattr(train, 'train_step', None)
  again = train.train_and_evaluate(run.branch_config, str(tmp_path), BRANCH)
  assert 'Nothing is left to train' in capsys.readouterr().out
  assert again == run.branch


def test_a_branch_is_the_run_of_that_length(run, tmp_path):
  """Planned from the start: the same updates, so the same model."""
  config = small_config(
    **{
      'total_steps': 9,
      'optimizer.schedules.shape.stable_steps': '4 steps',
      'optimizer.schedules.shape.decay_steps': '3 steps',
    }
  )
  result = train.train_and_evaluate(config, str(tmp_path))
  branch = logged(run.branch_directory)
  for name, (steps, values) in logged(tmp_path).items():
    np.testing.assert_array_equal(steps, range(9))
    np.testing.assert_array_equal(values[6:], branch[name][1], name)
  np.testing.assert_allclose(
    result['bits_per_byte'], run.branch['bits_per_byte'], rtol=1e-6
  )


def test_the_table(run):
  """A row for each finished model, beside it the run in its stable phase."""
  table = report.table_of(run.config, run.directory)
  steps, values = report.scores(run.directory)
  at_9 = values[list(steps).index(9)]
  assert table.splitlines()[2:] == [
    f'| 9 | {at_9:.3f} | {run.branch["bits_per_byte"]:.3f} | 6 |',
    f'| 12 | | {run.result["bits_per_byte"]:.3f} | the run itself |',
  ]


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'seed': 1}, r'go back with seed from 1 to 0\.'),
    (
      {'length': 16, 'batch_size': 16},
      r'go back with batch_size from 16 to 8, length from 16 to 32\.',
    ),
    ({'model.heads': 4}, r"back with model from .*'heads': 4.* to .*: 2,"),
  ],
)
def test_another_run_is_refused(run, changes, message):
  """With what differs; parameters of the same shapes do not hide it."""
  with pytest.raises(ValueError, match='of other data' + f'(.|\n)*{message}'):
    train.train_and_evaluate(small_config(**changes), str(run.directory))


def test_other_schedules_are_refused(run):
  """By what branches off, too."""
  config = small_config(**{'optimizer.learning_rate.schedules.s1': 0.5})
  with pytest.raises(
    checkpoint.ScheduleMismatchError,
    match=r'checkpoint 0\.003 -> config 0\.5',
  ):
    train.train_and_evaluate(config, str(run.directory), plans.Branch(3, 2))


def test_a_branch_of_no_checkpoint(run):
  """The error names those that there are; nothing is left behind."""
  with pytest.raises(FileNotFoundError, match=r'one of \[12, 9, 6, 3\]'):
    train.train_and_evaluate(run.config, run.directory, plans.Branch(5, 2))
  assert plans.branches_of(run.directory) == [BRANCH]


def test_a_batch_that_the_devices_cannot_share():
  """The error names their number."""
  with pytest.raises(ValueError, match=r'number of devices, 8, got 12\.'):
    train.make_mesh(small_config(batch_size=12))


def run_main(workdir, *flags):
  """Runs main.py with the small config on one device: how it ended."""
  values = [f'--config.{key}={value}' for key, value in SMALL.items()]
  return processes.finished(
    '-m', 'examples.lm.main', f'--workdir={workdir}', *values, *flags
  )


@pytest.mark.slow
def test_main_on_one_device(run, tmp_path):
  """As the README runs it; the devices make no difference but of rounding."""
  branch = ['--branch_from_step=6', '--branch_steps=3']
  for flags in ([], [*branch, '--config.checkpoint_every_steps=1']):
    done = run_main(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
  for one, eight in (
    (tmp_path, run.directory),
    (BRANCH.directory(tmp_path), run.branch_directory),
  ):
    assert_same_logs(one, eight, rtol=1e-3)
  assert report.table_of(small_config(), tmp_path) in done.stdout


def test_usage(tmp_path):
  """Half of a branch is an error, before anything is trained or written."""
  done = run_main(tmp_path, '--branch_from_step=6')
  assert done.returncode != 0
  assert '--branch_from_step and --branch_steps go together' in done.stderr
  assert not list(tmp_path.iterdir())

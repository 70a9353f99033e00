"""The digits example, as its users run it: to the end, killed, and resumed."""

import collections
import contextlib
import functools
import io
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import types

import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
import pytest

import configs.digits
from examples.digits import train
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import event_files
from flax_sched import tensorboard
from flax_sched.config import build_schedules
import processes

ROOT = pathlib.Path(__file__).parent.parent
HYPERPARAMS = {'learning_rate', 'weight_decay', 'b2'}


def small_config(total_steps=9):
  """A run of few steps."""
  config = configs.digits.get_config()
  config.total_steps = total_steps
  config.batch_size = 16
  config.checkpoint_every_steps = 3
  config.progress_every_steps = 2
  return config


def changed(config, key, value):
  """The config with a key of it, such as `optimizer.b2`, changed or added."""
  *outer, last = key.split('.')
  with config.unlocked():
    functools.reduce(getattr, outer, config)[last] = value
  return config


@functools.cache
def state_like(total_steps):
  """A state of that run, for what a checkpoint restores into."""
  return train.create_state(small_config(total_steps))


def final_state(workdir, total_steps=9):
  """What the last checkpoint holds, as bytes."""
  like = state_like(total_steps)
  with ocp.CheckpointManager(workdir / 'checkpoints') as manager:
    args = ocp.args.Composite(state=ocp.args.StandardRestore(like))
    state = manager.restore(manager.latest_step(), args=args).state
  return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def planned(config):
  """The schedules of a config, by name."""
  return build_schedules(config.optimizer, run=train.run_of(config))


def test_size_of_the_data():
  """What an epoch is."""
  assert len(train.load_data()[0]) == train.TRAINING_SIZE


def assert_logged_once_and_as_planned(config, workdir):
  """Each step once, with the value of its schedule."""
  logged = tensorboard.read_scalars(workdir / 'logs')
  assert set(logged) == HYPERPARAMS
  for name, (steps, values) in logged.items():
    np.testing.assert_array_equal(steps, range(config.total_steps))
    schedule = planned(config)[name]
    np.testing.assert_array_max_ulp(values, schedule(steps), 8)


def assert_same_logs(one, other):
  """The same steps with the same values, to the last bit."""
  one, other = (tensorboard.read_scalars(d / 'logs', '') for d in (one, other))
  assert set(one) == set(other)
  for name, (steps, values) in one.items():
    np.testing.assert_array_equal(steps, other[name][0])
    np.testing.assert_array_equal(values, other[name][1])


def times_written(workdir):
  """How often the event files hold each step of the loss, repeats too."""
  times = collections.Counter()
  for path in (workdir / 'logs').iterdir():
    for event in event_files.events(path):
      times.update(event.step for v in event.summary.value if v.tag == 'loss')
  return times


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run that was never interrupted: its directory, result and output."""
  directory = tmp_path_factory.mktemp('whole')
  out, err = io.StringIO(), io.StringIO()
  with (
    pytest.MonkeyPatch.context() as patch,
    contextlib.redirect_stdout(out),
    contextlib.redirect_stderr(err),
  ):
    patch.setenv('COLUMNS', '200')  # the whole line of progress is looked at
    patch.setenv('LINES', '50')
    result = train.train_and_evaluate(small_config(), str(directory))
  return types.SimpleNamespace(
    directory=directory, result=result, out=out.getvalue(), err=err.getvalue()
  )


@pytest.fixture
def finished(whole, tmp_path):
  """A copy of it, to do with as one likes."""
  return pathlib.Path(shutil.copytree(whole.directory, tmp_path / 'finished'))


def test_what_a_run_leaves(whole):
  """The result, the picture, the logs, the checkpoints, the progress bar."""
  files, result = whole.directory, whole.result
  assert json.loads((files / 'result.json').read_text()) == result
  assert result['steps'] == 9
  assert 0 <= result['test_accuracy'] <= 1
  assert set(result['hyperparameters']) == HYPERPARAMS
  assert (files / 'hyperparameters.png').read_bytes().startswith(b'\x89PNG')
  assert {p.name for p in (files / 'checkpoints').iterdir()} == {'3', '6', '9'}
  assert_logged_once_and_as_planned(small_config(), files)
  assert set(tensorboard.read_scalars(files / 'logs', 'lo')) == {'ss'}
  assert f'Test accuracy {result["test_accuracy"]:.2%}' in whole.out
  assert 'Resumed' not in whole.out
  for part in ('9/9', 'loss=', 'learning_rate=', 'weight_decay=', 'b2='):
    assert part in whole.err


def test_batches_depend_on_seed_and_step_alone():
  """Each example once in an epoch, in an order that each epoch has anew."""
  config = small_config()
  epoch = [train.batch_indices(config, 100, step) for step in range(6)]
  assert len(set(np.concatenate(epoch))) == 96
  np.testing.assert_array_equal(train.batch_indices(config, 100, 4), epoch[4])
  assert not np.array_equal(train.batch_indices(config, 100, 6), epoch[0])
  config.seed = 1
  assert not np.array_equal(train.batch_indices(config, 100, 0), epoch[0])


def test_an_interrupted_run_goes_on(whole, tmp_path, monkeypatch, capsys):
  """From its last checkpoint, with one compile, to the state it would have."""
  config = small_config()
  step, calls, traces = train.train_step.__wrapped__, [], []

  def traced(*args):
    traces.append(len(calls))
    return step(*args)

  compiled = jax.jit(traced, donate_argnums=0)

  def interrupted(*args):
    calls.append(args[1])
    if len(calls) == 6:
      raise KeyboardInterrupt
    return compiled(*args)

  def saved(manager, step, *args, save=checkpoint.save, **kwargs):
    logged = tensorboard.read_scalars(tmp_path / 'logs', 'loss')['']
    assert len(logged[0]) == step, 'the logs are behind the checkpoint'
    return save(manager, step, *args, **kwargs)

  monkeypatch.setattr(checkpoint, 'save', saved)
  monkeypatch.setattr(train, 'train_step', interrupted)
  with pytest.raises(KeyboardInterrupt):
    train.train_and_evaluate(config, str(tmp_path))
  assert 'Resumed' not in capsys.readouterr().out
  train.train_and_evaluate(config, str(tmp_path))
  assert 'Resumed at step 3 of 9.' in capsys.readouterr().out
  # Once in each run, whose models are not the same object.
  assert traces == [1, 7]

  assert final_state(tmp_path) == final_state(whole.directory)
  assert json.loads((tmp_path / 'result.json').read_text()) == whole.result
  # Steps 3 and 4 were logged by both runs; they count once.
  assert times_written(tmp_path) == {
    step: 2 if step in (3, 4) else 1 for step in range(9)
  }
  assert_same_logs(tmp_path, whole.directory)


def test_a_finished_run_says_so(whole, finished, monkeypatch, capsys):
  """And makes its summary again, with no step and no log."""
  (finished / 'result.json').unlink()
  (finished / 'hyperparameters.png').unlink()
  files = set((finished / 'logs').iterdir())
  monkeypatch.setattr(train, 'train_step', None)
  config = small_config()
  config.progress_every_steps = 1  # how often it reports may change
  assert train.train_and_evaluate(config, str(finished)) == whole.result
  assert 'Nothing is left to train' in capsys.readouterr().out
  assert (finished / 'result.json').exists()
  assert (finished / 'hyperparameters.png').exists()
  assert set((finished / 'logs').iterdir()) == files


@pytest.mark.parametrize(
  ('key', 'value', 'message'),
  [
    ('seed', 1, r"'seed': 1(.|\n)*'seed': 0"),
    ('batch_size', 32, r"'batch_size': 32(.|\n)*'batch_size': 16"),
  ],
)
def test_another_run_is_refused(finished, key, value, message):
  """With what differs, whatever is to happen with the schedules."""
  config = small_config()
  config.on_change = 'config'
  with pytest.raises(
    ValueError, match=r'no run of other data, got (.|\n)*' + message
  ):
    train.train_and_evaluate(changed(config, key, value), str(finished))


@pytest.mark.parametrize(
  ('key', 'value', 'message'),
  [
    (
      'optimizer.learning_rate.peak_value',
      0.5,
      r'learning_rate\..*_value: checkpoint 0\.003 -> config 0\.5\n',
    ),
    (
      'optimizer',
      {'name': 'sgd', 'learning_rate': 0.5},
      r'learning_rate: of adamw in the checkpoint, of sgd now\n',
    ),
    # Its state has the same structure.
    ('optimizer.nesterov', True, r'of adamw\(nesterov=True\) now\n'),
  ],
)
def test_another_optimizer_is_refused(finished, key, value, message):
  """With what differs, and what may be done; and nothing is changed."""
  config = changed(small_config(), key, value)
  files = sorted(finished.rglob('*'))
  choices = r"(.|\n)*on_change='config'(.|\n)*'checkpoint'(.|\n)*'rebase'"
  with pytest.raises(checkpoint.ScheduleMismatchError, match=message + choices):
    train.train_and_evaluate(config, str(finished))
  assert sorted(finished.rglob('*')) == files


@pytest.mark.parametrize(
  'on_change',
  [
    pytest.param('config', marks=pytest.mark.slow),
    pytest.param('checkpoint', marks=pytest.mark.slow),
    'rebase',
  ],
)
def test_a_run_goes_on_with_other_schedules(
  finished, on_change, monkeypatch, capsys
):
  """A longer run, a higher peak: the values are those of the side chosen."""
  config = small_config(total_steps=15)
  changed(config, 'optimizer.learning_rate.peak_value', 0.01)
  config.on_change = on_change
  if on_change == 'rebase':
    config.rebase_steps = 4
  assert train.train_and_evaluate(config, str(finished))['steps'] == 15
  assert 'Resumed at step 9 of 15.' in capsys.readouterr().out
  logged = tensorboard.read_scalars(finished / 'logs')
  assert set(logged) == HYPERPARAMS
  for name, (steps, values) in logged.items():
    np.testing.assert_array_equal(steps, range(15))
    # The first nine steps were those of a run of nine.
    old, new = (planned(c)[name](steps) for c in (small_config(), config))
    share = {
      'config': steps >= 9,
      'checkpoint': 0,
      'rebase': np.clip((steps - 9) / 4, 0, 1),
    }[on_change]
    expected = old + share * (new - old)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-9)
  # Another resume need not choose again, but where the config's are not used.
  config.on_change, config.rebase_steps = 'error', None
  monkeypatch.setattr(train, 'train_step', None)
  if on_change == 'checkpoint':
    with pytest.raises(checkpoint.ScheduleMismatchError):
      train.train_and_evaluate(config, str(finished))
  else:
    train.train_and_evaluate(config, str(finished))
    assert 'Nothing is left to train' in capsys.readouterr().out


def test_a_shorter_run_is_over(finished, monkeypatch, capsys):
  """With fewer steps than it has made, no step is left."""
  monkeypatch.setattr(train, 'train_step', None)
  config = small_config(total_steps=6)
  config.on_change = 'config'
  assert train.train_and_evaluate(config, str(finished))['steps'] == 9
  assert 'Nothing is left to train' in capsys.readouterr().out


def test_the_config_freezes_and_its_lengths_follow():
  """Every length follows total_steps; nothing in it can't be frozen."""
  config = configs.digits.get_config()
  config.total_steps = 50
  schedules = planned(ml_collections.FrozenConfigDict(config))
  assert set(schedules) == HYPERPARAMS
  assert schedules == {
    'learning_rate': fs.warmup_cosine_decay_schedule(0.0, 3e-3, 5, 45, 1e-5),
    'weight_decay': fs.linear_schedule(0.02, 0.1, 50),
    'b2': fs.warmup_constant_schedule(0.98, 0.999, 25),
  }


# ---------------------------------------------------------------------------
# In processes of their own.


def command(workdir, *flags):
  """The command that runs main.py, warnings as errors."""
  return [
    sys.executable,
    *processes.WARNING_FLAGS,
    str(ROOT / 'examples/digits/main.py'),
    f'--workdir={workdir}',
    *flags,
  ]


ENVIRONMENT = {'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}


def run_main(workdir, *flags):
  """Runs main.py to its end: what it printed."""
  done = subprocess.run(
    command(workdir, *flags), capture_output=True, text=True, env=ENVIRONMENT
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_main_job(tmp_path):
  """97% or better, from a command that names only a directory."""
  output = run_main(tmp_path)
  result = json.loads((tmp_path / 'result.json').read_text())
  assert result['test_accuracy'] >= 0.97
  assert result['steps'] == 1000
  assert f'{result["test_accuracy"]:.2%}' in output
  assert_logged_once_and_as_planned(configs.digits.get_config(), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kill_9_at_any_moment(tmp_path):
  """Killed again and again, the run ends as if it had never been."""
  seed = random.randrange(10**6)
  print(f'Seed of the moments: {seed}')  # shown where the test fails
  moments = random.Random(seed)
  config = small_config(total_steps=200)
  flags = ['--config.total_steps=200', '--config.batch_size=16']
  flags.append('--config.checkpoint_every_steps=10')
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  run_main(whole, *flags)
  # From the opening of the log on, while the first step compiles; and from the
  # beginning of the first save on.
  for sign, seconds in (('logs/*', 6.0), ('checkpoints/*', 0.5)):
    files = set(parts.glob(sign))
    with subprocess.Popen(
      command(parts, *flags),
      env=ENVIRONMENT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    ) as process:
      while process.poll() is None and set(parts.glob(sign)) == files:
        time.sleep(0.001)
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moments.uniform(0.0, seconds))
      process.send_signal(signal.SIGKILL)
    saved = [p.name for p in parts.glob('checkpoints/*')]
    print('Killed:', process.returncode, 'Checkpoints:', saved)
  steps = [int(name) for name in saved if name.isdigit()]
  output = run_main(parts, *flags)
  if steps:
    assert f'Resumed at step {max(steps)} of 200.' in output
  assert final_state(parts, 200) == final_state(whole, 200)
  assert_logged_once_and_as_planned(config, parts)
  assert_same_logs(parts, whole)
  assert (parts / 'result.json').read_text() == (
    whole / 'result.json'
  ).read_text()


def test_usage(tmp_path):
  """An argument that is no flag is an error."""
  done = subprocess.run(
    command(tmp_path, 'train'), capture_output=True, text=True, env=ENVIRONMENT
  )
  assert done.returncode != 0
  assert 'Unknown arguments: train' in done.stderr
  assert not list(tmp_path.iterdir())

"""The plateau example: its learning rate is what the logged losses demand."""

import json
import types

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import configs.plateau
from examples.digits import train as digits
from examples.plateau import train
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import tensorboard
import processes


def small_config():
  """Few steps, saved between two evaluations; impatient."""
  config = configs.plateau.get_config()
  config.total_steps = 60
  config.evaluate_every_steps = 3
  config.checkpoint_every_steps = 20
  config.progress_every_steps = 7
  factors = config.optimizer.learning_rate.schedules
  factors.s0.warmup_steps = '10%'
  factors.s1.patience = 2
  factors.s1.rtol = 0.25
  factors.s1.cooldown = 1
  factors.s1.min_value = 0.1
  return config


def logged(directory):
  """The values of all steps, by name."""
  found = tensorboard.read_scalars(directory / 'logs', prefix='')
  (steps,) = {tuple(steps.tolist()) for steps, _ in found.values()}
  assert steps == tuple(range(len(steps)))
  return {name: values for name, (_, values) in found.items()}


def final_state(directory, config):
  """What the last checkpoint holds, as bytes."""
  like = train.create_state(config)
  with ocp.CheckpointManager(directory / 'checkpoints') as manager:
    state = checkpoint.restore(manager, like)
  return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run that was never interrupted: its config, directory and result."""
  config, directory = small_config(), tmp_path_factory.mktemp('whole')
  result = train.train_and_evaluate(config, str(directory))
  return types.SimpleNamespace(
    config=config,
    directory=directory,
    result=result,
    logged=logged(directory),
  )


def scales_by_law(config, losses):
  """The scale of each update, in plain Python, by the losses before it."""
  law, scales = config.optimizer.learning_rate.schedules.s1, []
  scale, best, bad, cooling, last = np.float32(law.init_value), None, 0, 0, []
  for loss in losses:
    scales.append(scale)
    last.append(loss)
    if len(last) < law.accumulation_size:
      continue
    mean = np.float32(sum(last, np.float32(0))) / np.float32(len(last))
    last = []
    if best is None or mean < best - np.float32(law.rtol) * abs(best):
      best, bad = mean, 0
    elif not cooling:
      bad += 1
    cooling = max(cooling - 1, 0)
    if bad == law.patience:
      scale = max(scale * np.float32(law.factor), np.float32(law.min_value))
      bad, cooling = 0, law.cooldown
  return np.array(scales)


def test_the_rate_falls_where_the_law_says(whole):
  """Recomputed from the losses of the log alone, to the last bit."""
  scales = scales_by_law(whole.config, whole.logged['validation_loss'])
  np.testing.assert_array_equal(whole.logged['plateau_scale'], scales)
  assert {0.5, 0.25} < set(scales.tolist())
  warmup = fs.warmup_constant_schedule(0.0, 1e-2, 6)(np.arange(60))
  rates = whole.logged['hyperparams/learning_rate']
  np.testing.assert_array_max_ulp(rates, warmup * scales, 4)
  np.testing.assert_array_equal(rates[6:], (warmup * scales)[6:])
  falls = np.flatnonzero(np.diff(scales)) + 1
  assert whole.result['reduced_at'] == falls.tolist()
  # Where an evaluation makes the loss new, and never between two.
  assert set(falls % whole.config.evaluate_every_steps) == {0}


def test_each_update_is_told_the_last_validation_loss(whole):
  """Of the parameters before it, where it is new; else the one before."""
  losses = whole.logged['validation_loss'].reshape(-1, 3)
  np.testing.assert_array_equal(losses, losses[:, :1].repeat(3, axis=1))
  assert len(set(losses[:, 0])) == len(losses)
  _, images, _ = train.load_data()
  state = train.create_state(whole.config)
  assert train.evaluate(state, images) == losses[0, 0]


def test_sets_of_images_are_apart():
  """No update sees an image that the schedule or the test is about."""
  sets = train.load_data()
  assert [len(images) for images in sets] == [train.TRAINING_SIZE, 360, 360]
  rows = [{image.tobytes() for image in images} for images in sets]
  assert not rows[0] & rows[1]
  assert not rows[0] & rows[2]
  assert not rows[1] & rows[2]


def test_what_a_run_leaves(whole):
  """It learns; the result, the picture and the checkpoints are there."""
  files, result = whole.directory, whole.result
  assert json.loads((files / 'result.json').read_text()) == result
  assert result['steps'] == 60
  assert result['test_loss'] < 0.7 * whole.logged['validation_loss'][0]
  rate = whole.logged['hyperparams/learning_rate'][-1]
  assert result['hyperparameters'] == {'learning_rate': rate}
  assert (files / 'plateau.png').read_bytes().startswith(b'\x89PNG')
  assert {p.name for p in (files / 'checkpoints').iterdir()} == {
    '20',
    '40',
    '60',
  }


def test_an_interrupted_run_goes_on(whole, tmp_path, monkeypatch, capsys):
  """With what the schedule remembers, from the middle of two evaluations."""
  step, calls, traces = train.train_step.__wrapped__, [], []

  def traced(*args):
    traces.append(len(calls))
    return step(*args)

  compiled = jax.jit(traced, donate_argnums=0)

  def interrupted(state, images):
    calls.append([int(p.seen) for p in train.plateaus(state)])
    if len(calls) == 45:
      raise KeyboardInterrupt
    return compiled(state, images)

  monkeypatch.setattr(train, 'train_step', interrupted)
  with pytest.raises(KeyboardInterrupt):
    train.train_and_evaluate(whole.config, str(tmp_path))
  result = train.train_and_evaluate(whole.config, str(tmp_path))
  assert 'Resumed at step 40 of 60.' in capsys.readouterr().out
  assert calls[45] == [1]  # of 3 losses until the next comparison
  assert traces == [1, 46]  # one compilation in each run
  assert result == whole.result
  assert final_state(tmp_path, whole.config) == final_state(
    whole.directory, whole.config
  )
  again = logged(tmp_path)
  assert again.keys() == whole.logged.keys()
  for name, values in whole.logged.items():
    np.testing.assert_array_equal(again[name], values)


def test_another_patience_is_refused(whole):
  """As any other change of a schedule."""
  config = small_config()
  config.optimizer.learning_rate.schedules.s1.patience = 3
  message = r'learning_rate.factors\[1\].patience: checkpoint 2 -> config 3\n'
  with pytest.raises(checkpoint.ScheduleMismatchError, match=message):
    train.train_and_evaluate(config, str(whole.directory))


def test_main_with_a_schedule_that_does_not_react(tmp_path):
  """As the README compares it; warnings are errors."""
  flag = '--config.optimizer.learning_rate='
  cosine = {'name': 'cosine_decay_schedule', 'init_value': 0.01}
  done = processes.finished(
    *('-m', 'examples.plateau.main', f'--workdir={tmp_path}'),
    *('--config.total_steps=40', '--config.evaluate_every_steps=5'),
    flag + json.dumps({**cosine, 'decay_steps': '100%'}),
  )
  assert done.returncode == 0, done.stderr
  result = json.loads((tmp_path / 'result.json').read_text())
  assert f'Test loss {result["test_loss"]:.6f}.' in done.stdout
  assert result['reduced_at'] == []
  values = logged(tmp_path)
  assert 'plateau_scale' not in values
  np.testing.assert_array_max_ulp(
    values['hyperparams/learning_rate'],
    fs.cosine_decay_schedule(0.01, 40)(np.arange(40)),
    8,
  )


def test_an_epoch_is_what_the_config_says():
  """As its comment says."""
  config = configs.plateau.get_config()
  epoch = train.TRAINING_SIZE // config.batch_size
  assert config.evaluate_every_steps == epoch
  assert len(digits.batch_indices(config, train.TRAINING_SIZE, epoch)) == 64

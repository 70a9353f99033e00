"""The population example: all members in one program, as if each were alone."""

import collections
import json
import types

import jax
import numpy as np
import pytest

import compilations
import configs.population
from examples.digits import train as digits
from examples.population import report
from examples.population import train
import flax_sched as fs
import processes


def small_config(**changes):
  """Two members on each device, and few steps."""
  config = configs.population.get_config()
  config.members = 2 * jax.device_count()
  config.total_steps = 8
  config.warmup_steps = 2
  config.batch_size = 16
  config.update(changes)
  return config


@pytest.fixture(scope='module')
def sweep(tmp_path_factory):
  """A run: its config, directory, results, and how often it compiled what."""
  config, directory = small_config(), tmp_path_factory.mktemp('sweep')
  with compilations.counted() as compiled:
    results = train.train_and_evaluate(config, str(directory))
  return types.SimpleNamespace(
    config=config,
    directory=directory,
    results=results,
    compiled=collections.Counter(compiled),
  )


def test_what_a_sweep_leaves(sweep):
  """The members in JSON and in a table, the best first, and the picture."""
  results, members = sweep.results, sweep.config.members
  assert json.loads((sweep.directory / 'results.json').read_text()) == results
  assert sorted(result['member'] for result in results) == [*range(members)]
  accuracies = [result['validation_accuracy'] for result in results]
  assert accuracies == sorted(accuracies, reverse=True)
  assert (sweep.directory / 'results.md').read_text().count('\n') == members + 2
  picture = (sweep.directory / 'population.png').read_bytes()
  assert picture.startswith(b'\x89PNG')


def test_the_whole_population_is_one_program(sweep):
  """One makes all members, one trains them: each compiles once."""
  assert sweep.compiled['jit(leaves_of)'] == 1
  assert sweep.compiled['jit(train_step)'] == 1


@pytest.mark.parametrize('rank', [0, -1])
def test_a_member_is_as_if_it_were_alone(sweep, rank):
  """The winner, and the last one: the same training, of it alone."""
  config, result = sweep.config, sweep.results[rank]
  drawn = train.draw(config)
  for name, numbers in drawn.items():
    assert result[name] == numbers[result['member']]
  schedules = {
    name: each[result['member']]
    for name, each in train.make_schedules(config, drawn).items()
  }
  state = train.create_state(config, schedules)
  images, test_images, labels, test_labels = digits.load_data()
  size = len(images) - train.VALIDATION_SIZE
  for step in range(config.total_steps):
    batch = digits.batch_indices(config, size, step)
    state, _ = digits.train_step(state, images[batch], labels[batch])
  used = fs.hyperparams(state)
  for name, schedule in schedules.items():
    np.testing.assert_array_max_ulp(
      used[name], schedule(config.total_steps - 1), 4
    )
  one = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
  accuracy, loss = train.evaluate(one, images[size:], labels[size:])
  np.testing.assert_allclose(result['validation_loss'], loss[0], rtol=1e-4)
  # An image may lie on the line between two digits.
  at_most = 1.5 / train.VALIDATION_SIZE
  assert abs(result['validation_accuracy'] - accuracy[0]) < at_most
  accuracy, _ = train.evaluate(one, test_images, test_labels)
  assert abs(result['test_accuracy'] - accuracy[0]) < at_most


def test_members_try_as_many_values_as_there_are_members():
  """Evenly spaced in logarithm, each once, in an order of the seed's."""
  config = small_config()
  drawn = train.draw(config)
  for name, numbers in drawn.items():
    steps = np.diff(np.log(np.sort(numbers)))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    ends = (numbers.min(), numbers.max())
    np.testing.assert_allclose(ends, config[name])
  for name, numbers in train.draw(config).items():
    np.testing.assert_array_equal(numbers, drawn[name])
  for name, numbers in train.draw(small_config(seed=1)).items():
    assert not np.array_equal(numbers, drawn[name])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'members': 12}, r'^members must be a positive multiple .* 8, got 12\.'),
    ({'members': 0}, r'^members must be a positive multiple .* 8, got 0\.'),
    (
      {'peak_learning_rate': (0.1, 0.01)},
      r'^peak_learning_rate must be .* 0 < low <= high, got \(0\.1, 0\.01\)\.',
    ),
    (
      {'weight_decay': (0.0, 0.1)},
      r'^weight_decay must be .* got \(0\.0, 0\.1',
    ),
    (
      {'weight_decay': (0.1,)},
      r'^weight_decay must be \(low, high\), .* \(0\.1,',
    ),
    ({'warmup_steps': 9}, r'decay_steps must be .*, got -1\.'),
    ({'warmup_steps': -1}, r'warmup_steps must be .*, got -1\.'),
  ],
)
def test_a_wrong_config_is_an_error(changes, message, tmp_path):
  """It says what must be, before anything is trained or written."""
  with pytest.raises(ValueError, match=message):
    train.train_and_evaluate(small_config(**changes), str(tmp_path))
  assert not list(tmp_path.iterdir())


def test_members_that_diverge_come_last(tmp_path):
  """They are in the table and in the picture all the same."""
  config = small_config()
  drawn = train.draw(config)
  losses = np.full((config.total_steps, config.members), 0.5)
  losses[3:, 0] = np.nan
  loss = losses[-1]
  accuracy = np.where(np.isnan(loss), 0.1, 0.9)
  columns = {'validation_accuracy': accuracy, 'validation_loss': loss}
  results = report.rank(drawn | columns | {'test_accuracy': accuracy})
  assert results[-1]['member'] == 0
  schedules = train.make_schedules(config, drawn)
  report.write(tmp_path, results, schedules, losses)
  assert ' nan |' in (tmp_path / 'results.md').read_text()


def test_main_in_a_process_of_its_own(tmp_path):
  """As the README runs it, on one device; warnings are errors."""
  done = processes.finished(
    *('-m', 'examples.population.main', f'--workdir={tmp_path}'),
    *('--config.members=3', '--config.total_steps=10'),
    '--config.peak_learning_rate=(1e-3, 1e-2)',
  )
  assert done.returncode == 0, done.stderr
  results = json.loads((tmp_path / 'results.json').read_text())
  peaks = sorted(result['peak_learning_rate'] for result in results)
  np.testing.assert_allclose(peaks, [1e-3, 10**-2.5, 1e-2])
  assert done.stdout.startswith((tmp_path / 'results.md').read_text())
  assert f'{results[0]["test_accuracy"]:.2%}' in done.stdout

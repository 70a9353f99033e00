"""The benchmarks compare like with like, and run."""

import operator

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from benchmarks import exactness
from benchmarks import host_call
from benchmarks import main
from benchmarks import population
from benchmarks import program_size
from benchmarks import saving
from benchmarks import side_by_side
from benchmarks import step
from benchmarks import sweep


def _assert_alike(ours, theirs, counts):
  np.testing.assert_allclose(
    [float(ours(n)) for n in counts],
    [float(theirs(n)) for n in counts],
    rtol=2e-3,
    atol=1e-6,
  )


def test_exactness_compares_the_same_curves():
  """Ours, Optax's and the exact one."""
  for _, ours, theirs, exact in exactness.cases(1000):
    _assert_alike(ours, theirs, range(0, 1000, 37))
    _assert_alike(ours, exact, range(0, 1000, 37))


@pytest.mark.parametrize(
  'build',
  [
    program_size.piecewise_constant,
    program_size.joined_cosines,
    program_size.warm_restarts,
  ],
)
def test_program_size_compares_the_same_curves(build):
  """Between boundaries: at one, ours and Optax's differ by design."""
  ours, theirs = build(7)
  _assert_alike(ours, theirs, range(3, 300, 10))


@pytest.mark.parametrize('name', host_call.CASES)
def test_host_call_compares_the_same_curves(name):
  """All but one-cycle, which has a third phase here."""
  ours, theirs = host_call.CASES[name]
  last = 300 if 'one-cycle' in name else 1000
  _assert_alike(ours, theirs, range(0, last, 10))


def _after_steps(tx):
  train_step, state = step.make_step(tx), step.init_state(tx)
  for _ in range(3):
    state = train_step(state, step.X)
  return state[0]


def test_steps_train_alike():
  """All ways to schedule the step give the same updates."""
  scheduled = {
    name: _after_steps(tx)
    for name, tx in step.transformations().items()
    if name not in ('constants', 'values passed in')
  }
  for params in scheduled.values():
    np.testing.assert_allclose(
      params['out'], scheduled['optax.inject_hyperparams']['out'], rtol=1e-5
    )


def test_saving_writes_the_same_state(tmp_path):
  """Each side writes all of it; it is 100 MB where it is measured."""
  large = jax.tree.leaves(jax.eval_shape(saving.init_state))
  assert sum(x.size * x.dtype.itemsize for x in large) == pytest.approx(1e8)
  state = saving.train_step(saving.init_state(size=4 * saving.LAYERS))
  for name, save in saving.SIDES.items():
    with ocp.CheckpointManager(tmp_path / name) as manager:
      save(manager, 0, state)
  assert list(tmp_path.glob('*/0/hyperparams')) == [
    tmp_path / 'flax_sched' / '0' / 'hyperparams'
  ]
  with ocp.StandardCheckpointer() as plain:
    for folder in ('Orbax/0/default', 'flax_sched/0/state'):
      restored = plain.restore(tmp_path / folder, state)
      jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_saving_takes_both_times(tmp_path):
  """Of each side in each round but the first, the longer one last."""
  state = saving.init_state(size=saving.LAYERS)
  returned, written = saving.take_turns(2, state, tmp_path)
  assert list(returned) == list(written) == list(saving.SIDES)
  for name in saving.SIDES:
    assert len(returned[name]) == len(written[name]) == 2
    assert all(map(operator.lt, returned[name], written[name]))


def test_every_benchmark_is_listed():
  """A file that `make bench` would leave out."""
  files = {path.stem for path in main.FOLDER.glob('*.py')}
  assert files - {'main', 'side_by_side'} == set(main.BENCHMARKS)


@pytest.mark.slow
def test_a_table_comes_out(capsys):
  """The sweep, whole: its table counts the compilations."""
  sweep.main()
  optax, ours = capsys.readouterr().out.splitlines()[2:]
  assert optax.startswith('| Optax | 32 |')
  assert ours.startswith('| flax_sched | 1 |')


def test_a_population_trains_as_runs_of_their_own():
  """Each member to the parameters of its run with Optax."""
  peaks = [1e-3, 1e-2]
  runs = population.with_optax(peaks, 5)
  members = population.with_flax_sched(peaks, 5)
  for i, run in enumerate(runs):
    jax.tree.map(
      lambda x, y, i=i: np.testing.assert_allclose(x[i], y, atol=1e-6),
      members,
      run,
    )


@pytest.mark.slow
def test_a_population_compiles_once(monkeypatch, capsys):
  """The table, of fewer runs and updates."""
  monkeypatch.setattr(population, 'PEAKS', [1e-3, 1e-2])
  monkeypatch.setattr(population, 'UPDATES', (3,))
  population.main()
  (row,) = capsys.readouterr().out.splitlines()[2:]
  assert row.startswith('| 3 | 2 | 1 |')


def test_sides_take_turns():
  """One call more than rounds, each in turn."""
  calls = []
  seconds = side_by_side.take_turns(
    {'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, rounds=3
  )
  assert calls == ['a', 'b'] * 4
  assert all(len(times) == 3 for times in seconds.values())
  assert side_by_side.ratio([2.0, 6.0, 4.0], [1.0, 2.0, 2.0]) == 2.0

"""The benchmarks compare like with like, and run."""

import numpy as np
import pytest

from benchmarks import exactness
from benchmarks import host_call
from benchmarks import main
from benchmarks import program_size
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


def test_every_benchmark_is_listed():
  """A file that `make bench` would leave out."""
  files = {path.stem for path in main.FOLDER.glob('*.py')}
  assert files - {'main', 'side_by_side'} == set(main.BENCHMARKS)


def test_a_table_comes_out(capsys):
  """The sweep, whole: its table counts the compilations."""
  sweep.main()
  optax, ours = capsys.readouterr().out.splitlines()[2:]
  assert optax.startswith('| Optax | 32 |')
  assert ours.startswith('| flax_sched | 1 |')


def test_sides_take_turns():
  """One call more than rounds, each in turn."""
  calls = []
  seconds = side_by_side.take_turns(
    {'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, rounds=3
  )
  assert calls == ['a', 'b'] * 4
  assert all(len(times) == 3 for times in seconds.values())
  assert side_by_side.ratio([2.0, 6.0, 4.0], [1.0, 2.0, 2.0]) == 2.0

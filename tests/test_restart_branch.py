"""`branch_cooldown` decays from the value of now, whatever has been before."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import spec
from flax_sched.restart import arrived
from restarts import adam
from restarts import after
from restarts import assert_close
from restarts import bare
from restarts import BOTH
from restarts import changes
from restarts import counting
from restarts import EACH_RUN
from restarts import followed
from restarts import HEAD
from restarts import leaves_of
from restarts import LR
from restarts import next_values
from restarts import remembered
from restarts import RUNS
from restarts import sgd
from restarts import trained_run
from restarts import WRAPPERS
import zoo

WEIGHTS = {
  'linear': lambda p: 1 - p,
  'cosine': lambda p: (1 + np.cos(np.pi * p)) / 2,
  '1-sqrt': lambda p: 1 - np.sqrt(p),
  'square': lambda p: 1 - p**2,
}


def _cooldown(shape, start, end, steps, count):
  """The value of a cooldown's own count, by the formula."""
  weight = WEIGHTS[shape](np.minimum(np.float64(count) / steps, 1))
  return np.float64(end) + (np.float64(start) - np.float64(end)) * weight


@BOTH
@pytest.mark.parametrize('shape', WEIGHTS)
@pytest.mark.parametrize('end', [0.0, 1.5])
def test_a_branch_decays_as_it_says(shape, inject, end):
  """From the value of now, without a jump, to the end, and holds it."""
  state, step = bare(inject(optax.sgd, learning_rate=LR))
  step = jax.jit(step) if end == 0 else step
  state = fs.branch_cooldown(fs.reset_count(state, 5), 7, shape, end_value=end)
  got, _ = next_values(step, state, 10)
  counts = np.arange(10)
  expected = _cooldown(shape, LR(5), end, 7, counts)
  assert_close(got['learning_rate'], expected)
  assert got['learning_rate'][0] == LR(5)
  assert got['learning_rate'][7:] == [end] * 3
  # What has been is not changed.
  np.testing.assert_array_equal(followed(state)(counts[:5]), LR(counts[:5]))


@BOTH
@EACH_RUN
def test_any_hyperparameter_of_any_state(run, inject):
  """The others go on, and nothing but the schedule changes."""
  for name in (next(iter(RUNS[run][1])), 'b1', 'b2'):
    state, step, schedules = trained_run(run, inject)
    before = leaves_of(state)
    state = fs.branch_cooldown(state, 2, name=name, end_value=0.25)
    if inject is fs.inject_hyperparams:
      assert not changes(before, leaves_of(state))
    start = schedules[name](5)
    got, _ = next_values(step, state, 4)
    for other, schedule in schedules.items():
      expected = schedule(5 + np.arange(4))
      if other == name:
        expected = _cooldown('linear', start, 0.25, 2, np.arange(4))
      assert_close(got[other], expected)


@BOTH
def test_a_branch_compiles_once(inject):
  """Another structure of the state, and from there on the same."""
  state, step = bare(sgd(inject))
  step, traces = counting(step)
  state = fs.branch_cooldown(after(step, state, 4), 3)
  after(step, state, 2)
  assert len(traces) == 2


@BOTH
@pytest.mark.parametrize('count', [0, 5])
def test_a_checkpoint_remembers_the_branch(inject, count):
  """The schedule before, where the branch begins, and the decay."""
  state, step = bare(adam(inject))
  state = after(step, state, count)
  state = fs.branch_cooldown(state, 100, 'cosine', end_value=0.0625)
  assert remembered(state) == {
    'kind': 'Join',
    'schedules': [
      spec.to_spec(LR),
      {
        'kind': 'Cosine',
        'init_value': float(str(LR(count))),
        'end_value': 0.0625,
        'decay_steps': 100,
      },
    ],
    'boundaries': [count],
  }
  assert spec.from_spec(remembered(state)) == followed(state)


@BOTH
def test_a_value_that_was_set(inject):
  """The branch begins at it; before the branch, the value is a constant."""
  state, step, _ = trained_run('bare', inject)
  state = fs.set_hyperparams(state, learning_rate=0.75)
  branch = fs.branch_cooldown(after(step, state, 2), 4)
  got, _ = next_values(step, branch, 5)
  assert got['learning_rate'] == [0.75, 0.5625, 0.375, 0.1875, 0.0]
  assert remembered(branch)['schedules'][0] == {
    'kind': 'Constant',
    'constant': 0.75,
  }
  assert remembered(branch)['boundaries'] == [7]


@BOTH
def test_a_branch_can_be_set_and_reset(inject):
  """It is a schedule as others are."""
  state, step, _ = trained_run('bare', inject)
  state = fs.branch_cooldown(state, 4)
  got, _ = next_values(step, fs.reset_count(state), 10)
  counts = np.arange(5)
  expected = [*LR(counts), *_cooldown('linear', LR(5), 0, 4, counts)]
  assert_close(got['learning_rate'], expected)
  got, _ = next_values(step, fs.set_hyperparams(state, learning_rate=0.75), 2)
  assert got['learning_rate'] == [0.75] * 2
  state = fs.set_schedules(state, learning_rate=HEAD)
  got, _ = next_values(step, fs.branch_cooldown(state, 1), 2)
  assert_close(got['learning_rate'], [HEAD(5), 0.0], 1)


@BOTH
def test_a_branch_of_a_delayed_schedule(inject):
  """Begins at the value that the delayed schedule has now."""
  state, step, _ = trained_run('bare', inject)
  state = fs.reset_count(state, only='learning_rate')
  state = fs.branch_cooldown(after(step, state, 2), 2, end_value=0.125)
  got, _ = next_values(step, state, 4)
  expected = _cooldown('linear', LR(2), 0.125, 2, np.arange(4))
  assert_close(got['learning_rate'], expected)


@BOTH
@pytest.mark.parametrize('later', [0, 2, 5])
def test_a_branch_of_a_branch(inject, later):
  """From the value of the first one, where it is by then."""
  state, step = bare(inject(optax.sgd, learning_rate=LR))
  state = fs.reset_count(state, 3)
  first = fs.branch_cooldown(state, 4, 'square', end_value=0.5)
  first = after(step, first, later)
  second = fs.branch_cooldown(first, 2, '1-sqrt')
  start = _cooldown('square', LR(3), 0.5, 4, later)
  got, _ = next_values(step, second, 4)
  expected = _cooldown('1-sqrt', np.float32(start), 0, 2, np.arange(4))
  assert_close(got['learning_rate'], expected)
  counts = np.arange(3 + later)
  np.testing.assert_array_equal(
    followed(second)(counts), followed(first)(counts)
  )


@BOTH
def test_other_dtypes(inject):
  """The values are rounded, and the schedule is remembered in float32."""
  dtype = jnp.bfloat16
  tx = inject(optax.sgd, learning_rate=0.3, hyperparam_dtype=dtype)
  state, step = bare(tx)
  state = fs.branch_cooldown(step(state), 4)
  start = followed(state)(0)
  assert dtype(start) == dtype(0.3)
  got, _ = next_values(step, state, 4)
  expected = _cooldown('linear', start, 0, 4, np.arange(4))
  assert got['learning_rate'] == [float(dtype(x)) for x in expected]
  assert spec.from_spec(remembered(state)) == followed(state)


SCHEDULES = [e.schedule for e in zoo.ZOO if not zoo.holds_function(e.schedule)]
SCALARS = st.floats(-16, 16, width=32, allow_subnormal=False)


@given(
  st.sampled_from(SCHEDULES),
  st.one_of(st.integers(0, 2000), st.integers(0, 10**9)),
  st.one_of(st.integers(1, 2000), st.integers(1, 10**9)),
  st.sampled_from(sorted(WEIGHTS)),
  SCALARS,
  st.sampled_from(sorted(WRAPPERS)),
)
@settings(max_examples=60)
def test_no_branch_jumps(schedule, count, steps, shape, end, wrapper):
  """Any schedule goes on to the branch, and from its value to the end."""
  state = WRAPPERS[wrapper](optax.sgd, learning_rate=schedule).init(1.0)
  state = fs.reset_count(state, count)
  branch = followed(fs.branch_cooldown(state, steps, shape, end_value=end))
  assert spec.from_spec(spec.to_spec(branch)) == branch
  before = np.unique(np.linspace(0, count, 9).astype(np.int64))[:-1]
  past = arrived(schedule, count)  # a rebase that is over is left behind
  np.testing.assert_array_equal(branch(before), past(before))
  assert branch(count) == schedule(count)
  for n in (count + steps, count + steps + 1, zoo.MAX_COUNT):
    assert branch(n) == np.float32(end)
  counts = count + np.linspace(0, steps, 9).astype(np.int64)
  values = np.float64(branch(counts))
  expected = _cooldown(shape, schedule(count), end, steps, counts - count)
  size = max(abs(float(schedule(count))), abs(end))
  np.testing.assert_allclose(values, expected, rtol=0, atol=2.0**-22 * size)
  falls = np.sign(end - values[0]) * np.diff(values)
  assert np.all(falls >= 0)

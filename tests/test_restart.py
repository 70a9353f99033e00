"""`reset_count` starts all schedules again or some, and changes no more."""

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import places
from flax_sched import spec
from flax_sched import ways
from restarts import ADAM
from restarts import adam
from restarts import after
from restarts import assert_close
from restarts import assert_follows
from restarts import B1
from restarts import bare
from restarts import BOTH
from restarts import changes
from restarts import counting
from restarts import EACH_RUN
from restarts import followed
from restarts import full_only
from restarts import leaves_of
from restarts import LR
from restarts import next_values
from restarts import PARAMS
from restarts import PLATEAU
from restarts import remembered
from restarts import RUNS
from restarts import sgd
from restarts import trained_run

# ---------------------------------------------------------------------------
# reset_count, of a whole state.


@BOTH
@EACH_RUN
@pytest.mark.parametrize('count', [0, 7])
def test_schedules_go_on_from_the_count(run, inject, count):
  """Nothing else changes: moments, Adam's own count, parameters, the step."""
  state, step, schedules = trained_run(run, inject)
  before = leaves_of(state)
  new = fs.reset_count(state, count)
  found = ways.injected('test', new)
  changed = changes(before, leaves_of(new))
  assert len(changed) == len(found)
  for _, s in found:
    assert places.unwrap(s.count) == count
  assert_follows(step, new, schedules, dict.fromkeys(schedules, count))


@BOTH
@pytest.mark.parametrize('only', [None, 'learning_rate', ('b1', 'b2')])
def test_the_given_state_stays_as_it_was(inject, only):
  """A copy is returned; an nnx.Optimizer is changed in place."""
  for run in ('bare', 'TrainState'):
    state, _, _ = trained_run(run, inject)
    before, schedule = leaves_of(state), remembered(state)
    fs.reset_count(state, only=only)
    fs.branch_cooldown(state, 3)
    assert not changes(before, leaves_of(state))
    assert remembered(state) == schedule
  state, _, _ = trained_run('nnx.Optimizer', inject)
  assert fs.reset_count(state, only=only) is state
  assert fs.branch_cooldown(state, 3) is state


@BOTH
def test_a_whole_reset_does_not_recompile(inject):
  """The count is an array of the state."""
  state, step = bare(sgd(inject))
  step, traces = counting(step)
  state = after(step, state, 4)
  for count in (0, 9):
    state = step(fs.reset_count(state, count))
  assert len(traces) == 1


@BOTH
def test_the_count_may_be_an_array(inject):
  """Such as a TrainState's step."""
  state = adam(inject).init(PARAMS)
  for count in (jnp.int32(7), np.int64(7), 7.0):
    assert fs.reset_count(state, count).count == 7
  assert fs.reset_count(state, 2**31 - 1).count == 2**31 - 1


def test_what_was_set_stays_set():
  """And the schedule behind it starts again all the same."""
  for only in (None, 'learning_rate'):
    state, step = bare(adam(full_only))
    state = fs.set_hyperparams(after(step, state, 4), learning_rate=0.625)
    state = fs.reset_count(state, only=only)
    got, state = next_values(step, state, 2)
    assert got['learning_rate'] == [0.625] * 2
    state = fs.set_hyperparams(state, learning_rate=None)
    got, _ = next_values(step, state, 4)
    assert_close(got['learning_rate'], LR(2 + np.arange(4)), 1)


# ---------------------------------------------------------------------------
# reset_count, of some hyperparameters.


@BOTH
@EACH_RUN
def test_some_start_again_and_the_others_go_on(run, inject):
  """Those named, one or several, as in a new run; nothing else changes."""
  names, count = list(RUNS[run][1]), 2
  for only in (names[0], [names[1]], {names[0], names[-1]}, names):
    state, step, schedules = trained_run(run, inject)
    before = leaves_of(state)
    state = fs.reset_count(state, count, only=only)
    if inject is fs.inject_hyperparams:
      assert all('count' in path for path in changes(before, leaves_of(state)))
    again = {only} if isinstance(only, str) else set(only)
    counts = {name: count if name in again else 5 for name in names}
    assert_follows(step, state, schedules, counts)


@BOTH
def test_a_delayed_schedule_equals_a_new_run(inject):
  """schedule(n - late) at update n, bit for bit in the same program."""
  trained, step, _ = trained_run('bare', inject)
  state = adam(inject).init(PARAMS)
  fresh = fs.reset_count(trained, only='learning_rate')
  got, _ = next_values(step, fresh, 4)
  expected, _ = next_values(step, state, 4)
  assert got['learning_rate'] == expected['learning_rate']
  assert got['b1'] != expected['b1']
  delayed = followed(fresh)
  np.testing.assert_array_equal(delayed(np.arange(5, 30)), LR(np.arange(25)))
  assert spec.from_spec(remembered(fresh)) == delayed


@BOTH
def test_a_delay_compiles_once(inject):
  """Another structure of the state, and from there on the same."""
  state, step = bare(sgd(inject))
  step, traces = counting(step)
  state = fs.reset_count(after(step, state, 4), only='momentum')
  after(step, state, 3)
  assert len(traces) == 2


@BOTH
@pytest.mark.parametrize('name', ['learning_rate', 'b1'])
def test_a_second_reset_takes_the_first_one_back(inject, name):
  """No time is lost to an earlier delay; a schedule's own begin stays."""
  start, step, _ = trained_run('bare', inject)
  state = after(step, fs.reset_count(start, only=name), 2)
  counts = {'learning_rate': 7, 'b1': 7, 'b2': 7}
  twice = fs.reset_count(state, 1, only=name)
  assert_follows(step, twice, ADAM, {**counts, name: 1})
  back = fs.reset_count(twice, 7, only=name)
  assert followed(back, name) == followed(start, name)
  assert_follows(step, back, ADAM, counts)
  whole = fs.reset_count(twice, 3)
  assert jax.tree.structure(whole) == jax.tree.structure(start)
  assert_follows(step, whole, ADAM, dict.fromkeys(ADAM, 3))


@BOTH
def test_constants_need_no_delay(inject):
  """Neither do they move, nor do others because of them."""
  state, step = bare(adam(inject, b1=0.5))
  step, traces = counting(step)
  state = after(step, state, 5)
  assert not changes(
    leaves_of(state), leaves_of(fs.reset_count(state, only='b2'))
  )
  for count in (0, 9):
    new = fs.reset_count(state, count, only=['learning_rate', 'b2'])
    assert followed(new) == followed(state)
    schedules = {**ADAM, 'b1': fs.constant_schedule(0.5)}
    assert_follows(step, new, schedules, dict.fromkeys(ADAM, count))
  assert len(traces) == 1
  assert fs.reset_count(state, only=()).count == 5


# ---------------------------------------------------------------------------
# reset_count, of stateful schedules.


@pytest.mark.parametrize('only', [None, 'learning_rate'])
@pytest.mark.parametrize(
  ('schedule', 'plain'),
  [
    (PLATEAU, fs.constant_schedule(1.0)),
    (LR * PLATEAU, LR),
    (2 * (PLATEAU * LR), lambda n: 2 * LR(n)),
  ],
  ids=['plateau', 'product', 'factors'],
)
@pytest.mark.parametrize('count', [0, 2])
def test_stateful_schedules_forget(schedule, plain, only, count):
  """As in a new run; the plain part of a product goes on from the count."""
  tx = sgd(full_only, learning_rate=schedule)
  start, step = bare(tx)
  state = after(step, start, 3, value=1.0)
  before = leaves_of(state)
  state = fs.reset_count(state, count, only=only)
  rest = {
    path
    for path in changes(before, leaves_of(state))
    if 'hyperparams_states.states' not in path
  }
  assert rest == ({'.count'} if only is None else set())
  got, _ = next_values(step, state, 3, value=1.0)
  expected = plain(count + np.arange(3)) * np.array([0.5, 0.5, 0.25])
  assert_close(got['learning_rate'], expected, 1)
  begin = 3 if only else count
  assert_close(got['momentum'], B1(begin + np.arange(3)), 1)


def test_a_stateful_schedule_of_a_users_class():
  """Only its transformation knows how it begins: an error that says so."""

  class Halving:
    def init(self):
      return jnp.float32(1.0)

    def update(self, state, **extra_args):
      return state / 2

    def __call__(self, state, **extra_args):
      return state

  state, step = bare(adam(full_only, learning_rate=Halving()))
  state = after(step, state, 3)
  for only in (None, 'learning_rate'):
    with pytest.raises(
      ValueError,
      match=r'^reset_count: learning_rate must .*, got .*Halving.*only=\.\.\.',
    ):
      fs.reset_count(state, only=only)
  got, _ = next_values(step, fs.reset_count(state, only=['b1', 'b2']), 3)
  assert got['learning_rate'] == [0.125, 0.0625, 0.03125]
  assert_close(got['b1'], B1(np.arange(3)), 1)


def test_a_product_keeps_the_schedule_in_its_state():
  """What is followed is in the state, whatever the transformation says."""
  old = fs.linear_schedule(1.0, 0.0, 8)
  new = fs.linear_schedule(0.5, 0.0, 8)
  state, step = bare(full_only(optax.sgd, learning_rate=old * PLATEAU))
  other, _ = bare(full_only(optax.sgd, learning_rate=new * PLATEAU))
  leaves = jax.tree.leaves(after(step, state, 4, value=1.0))
  mixed = jax.tree.unflatten(jax.tree.structure(other), leaves)
  got, _ = next_values(step, fs.reset_count(mixed), 1, value=1.0)
  assert got['learning_rate'] == [0.5]

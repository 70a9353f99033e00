"""The same state at another point of its schedules."""

import functools
import json

from flax import nnx
from flax.training.train_state import TrainState
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import injected
from flax_sched import places
from flax_sched import record
from flax_sched import spec
import zoo

PARAMS = {'encoder': jnp.ones(3), 'head': jnp.ones(2)}
LR = fs.linear_schedule(1.0, 0.125, 12)
HEAD = fs.exponential_decay(0.5, 0.5, 5)
B1 = fs.linear_schedule(0.875, 0.5, 10, transition_begin=2)
DECAY = fs.linear_schedule(0.25, 0.0, 20)
PLATEAU = fs.reduce_on_plateau(0.5, 0.5, patience=1)

WRAPPERS = {
  'fast': fs.inject_hyperparams,
  'full': fs.inject_stateful_hyperparams,
}
BOTH = pytest.mark.parametrize('inject', WRAPPERS.values(), ids=WRAPPERS)
full_only = fs.inject_stateful_hyperparams


def _adam(inject, **kwargs):
  hyperparams = {'learning_rate': LR, 'b1': B1, 'b2': 0.75, **kwargs}
  return inject(optax.adam, **hyperparams)


def _sgd(inject, **kwargs):
  hyperparams = {'learning_rate': LR, 'momentum': B1, **kwargs}
  return inject(optax.sgd, **hyperparams)


def _partition(inject):
  return optax.partition(
    {
      'encoder': _adam(inject),
      'head': inject(optax.sgd, learning_rate=HEAD, momentum=0.5),
    },
    {'encoder': 'encoder', 'head': 'head'},
  )


def _chain(inject):
  return optax.chain(
    optax.clip_by_global_norm(1.0),
    inject(optax.add_decayed_weights, weight_decay=DECAY),
    _adam(inject),
  )


# Steps are not compiled, but where it matters: it would take minutes.


def _bare(tx):
  """The state of a transformation, and a step."""
  return tx.init(PARAMS), lambda s, **kw: tx.update(PARAMS, s, PARAMS, **kw)[1]


def _train_state(tx):
  """A TrainState, and a step."""
  state = TrainState.create(apply_fn=None, params=PARAMS, tx=tx)
  return state, lambda s: s.apply_gradients(grads=PARAMS)


def _nnx(tx):
  """An nnx.Optimizer, and a step that changes it in place."""
  model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
  grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))

  def step(optimizer):
    optimizer.update(model, grads)
    return optimizer

  return nnx.Optimizer(model, tx, wrt=nnx.Param), step


# How to build a state and a step, and what its hyperparameters follow.
ADAM = {'learning_rate': LR, 'b1': B1, 'b2': fs.constant_schedule(0.75)}
RUNS = {
  'bare': (lambda inject: _bare(_adam(inject)), ADAM),
  'TrainState': (lambda inject: _train_state(_adam(inject)), ADAM),
  'nnx.Optimizer': (lambda inject: _nnx(_adam(inject)), ADAM),
  'chain': (
    lambda inject: _train_state(_chain(inject)),
    {'weight_decay': DECAY, **ADAM},
  ),
  'partition': (
    lambda inject: _train_state(_partition(inject)),
    {
      'encoder/learning_rate': LR,
      'b1': B1,
      'b2': ADAM['b2'],
      'head/learning_rate': HEAD,
      'momentum': fs.constant_schedule(0.5),
    },
  ),
}
EACH_RUN = pytest.mark.parametrize('run', RUNS)


@functools.cache
def _five_steps(run, inject):
  make, _ = RUNS[run]
  state, step = make(inject)
  return _after(step, state, 5), step


def _trained(run, inject):
  """A state after five updates, a step, and what is followed by name."""
  state, step = _five_steps(run, inject)
  if isinstance(state, nnx.Optimizer):  # which is changed in place
    state = nnx.clone(state)
  return state, step, RUNS[run][1]


def _after(step, state, steps, **kwargs):
  for _ in range(steps):
    state = step(state, **kwargs)
  return state


def _values(step, state, steps, **kwargs):
  """What the next updates use, by name; and the state after them."""
  used = []
  for _ in range(steps):
    state = step(state, **kwargs)
    used.append(fs.hyperparams(state))
  return {name: [float(u[name]) for u in used] for name in used[0]}, state


def _assert_close(got, expected, ulps=4):
  got, expected = np.float32(got), np.float32(expected)
  np.testing.assert_array_max_ulp(got, expected, maxulp=ulps)


def _assert_follows(step, state, schedules, counts, steps=3):
  """The next updates use the schedules' values from these counts on."""
  got, state = _values(step, state, steps)
  assert got.keys() == schedules.keys()
  for name, schedule in schedules.items():
    expected = schedule(counts[name] + np.arange(steps))
    _assert_close(got[name], expected, 1)
  return state


def _leaves(state):
  """The leaves by path, on the host: a copy."""
  if isinstance(state, nnx.Optimizer):
    state = nnx.to_pure_dict(nnx.state(state))
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {
    jax.tree_util.keystr(path): np.array(leaf, copy=True)
    for path, leaf in leaves
  }


def _changed(old, new):
  """The paths of the leaves that are not the same, bit for bit."""
  assert old.keys() == new.keys()
  return {
    path
    for path, leaf in old.items()
    if (leaf.dtype, leaf.tobytes()) != (new[path].dtype, new[path].tobytes())
  }


def _schedule(state, name='learning_rate'):
  """The plain schedule that a hyperparameter follows, on the host."""
  place = places.find('test', state)[name]
  return places.on_host(injected.schedules(place.state)[place.key])


def _spec(state, name='learning_rate'):
  """What a checkpoint remembers of a schedule, by way of JSON."""
  entry = record.record(state)['hyperparams'][name]
  return json.loads(json.dumps(entry['schedule'], allow_nan=False))


def _counter(step):
  """The step, and a list of its traces."""
  traces = []

  @jax.jit
  def counted(state):
    traces.append(1)
    return step(state)

  return counted, traces


# ---------------------------------------------------------------------------
# reset_count, of a whole state.


@BOTH
@EACH_RUN
@pytest.mark.parametrize('count', [0, 7])
def test_schedules_go_on_from_the_count(run, inject, count):
  """Nothing else changes: moments, Adam's own count, parameters, the step."""
  state, step, schedules = _trained(run, inject)
  before = _leaves(state)
  new = fs.reset_count(state, count)
  found = places.injected('test', new)
  changed = _changed(before, _leaves(new))
  assert len(changed) == len(found)
  for _, s in found:
    assert places.unwrap(s.count) == count
  _assert_follows(step, new, schedules, dict.fromkeys(schedules, count))


@BOTH
@pytest.mark.parametrize('only', [None, 'learning_rate', ('b1', 'b2')])
def test_the_given_state_stays_as_it_was(inject, only):
  """A copy is returned; an nnx.Optimizer is changed in place."""
  for run in ('bare', 'TrainState'):
    state, _, _ = _trained(run, inject)
    before, schedule = _leaves(state), _spec(state)
    fs.reset_count(state, only=only)
    fs.branch_cooldown(state, 3)
    assert not _changed(before, _leaves(state))
    assert _spec(state) == schedule
  state, _, _ = _trained('nnx.Optimizer', inject)
  assert fs.reset_count(state, only=only) is state
  assert fs.branch_cooldown(state, 3) is state


@BOTH
def test_a_whole_reset_does_not_recompile(inject):
  """The count is an array of the state."""
  state, step = _bare(_sgd(inject))
  step, traces = _counter(step)
  state = _after(step, state, 4)
  for count in (0, 9):
    state = step(fs.reset_count(state, count))
  assert len(traces) == 1


@BOTH
def test_the_count_may_be_an_array(inject):
  """Such as a TrainState's step."""
  state = _adam(inject).init(PARAMS)
  for count in (jnp.int32(7), np.int64(7), 7.0):
    assert fs.reset_count(state, count).count == 7
  assert fs.reset_count(state, 2**31 - 1).count == 2**31 - 1


def test_what_was_set_stays_set():
  """And the schedule behind it starts again all the same."""
  for only in (None, 'learning_rate'):
    state, step = _bare(_adam(full_only))
    state = fs.set_hyperparams(_after(step, state, 4), learning_rate=0.625)
    state = fs.reset_count(state, only=only)
    got, state = _values(step, state, 2)
    assert got['learning_rate'] == [0.625] * 2
    state = fs.set_hyperparams(state, learning_rate=None)
    got, _ = _values(step, state, 4)
    _assert_close(got['learning_rate'], LR(2 + np.arange(4)), 1)


# ---------------------------------------------------------------------------
# reset_count, of some hyperparameters.


@BOTH
@EACH_RUN
def test_some_start_again_and_the_others_go_on(run, inject):
  """Those named, one or several, as in a new run; nothing else changes."""
  names, count = list(RUNS[run][1]), 2
  for only in (names[0], [names[1]], {names[0], names[-1]}, names):
    state, step, schedules = _trained(run, inject)
    before = _leaves(state)
    state = fs.reset_count(state, count, only=only)
    if inject is fs.inject_hyperparams:
      assert all('count' in path for path in _changed(before, _leaves(state)))
    again = {only} if isinstance(only, str) else set(only)
    counts = {name: count if name in again else 5 for name in names}
    _assert_follows(step, state, schedules, counts)


@BOTH
def test_a_delayed_schedule_equals_a_new_run(inject):
  """schedule(n - late) at update n, bit for bit in the same program."""
  trained, step, _ = _trained('bare', inject)
  state = _adam(inject).init(PARAMS)
  fresh = fs.reset_count(trained, only='learning_rate')
  got, _ = _values(step, fresh, 4)
  expected, _ = _values(step, state, 4)
  assert got['learning_rate'] == expected['learning_rate']
  assert got['b1'] != expected['b1']
  delayed = _schedule(fresh)
  np.testing.assert_array_equal(delayed(np.arange(5, 30)), LR(np.arange(25)))
  assert spec.from_spec(_spec(fresh)) == delayed


@BOTH
def test_a_delay_compiles_once(inject):
  """Another structure of the state, and from there on the same."""
  state, step = _bare(_sgd(inject))
  step, traces = _counter(step)
  state = fs.reset_count(_after(step, state, 4), only='momentum')
  _after(step, state, 3)
  assert len(traces) == 2


@BOTH
@pytest.mark.parametrize('name', ['learning_rate', 'b1'])
def test_a_second_reset_takes_the_first_one_back(inject, name):
  """No time is lost to an earlier delay; a schedule's own begin stays."""
  start, step, _ = _trained('bare', inject)
  state = _after(step, fs.reset_count(start, only=name), 2)
  counts = {'learning_rate': 7, 'b1': 7, 'b2': 7}
  twice = fs.reset_count(state, 1, only=name)
  _assert_follows(step, twice, ADAM, {**counts, name: 1})
  back = fs.reset_count(twice, 7, only=name)
  assert _schedule(back, name) == _schedule(start, name)
  _assert_follows(step, back, ADAM, counts)
  whole = fs.reset_count(twice, 3)
  assert jax.tree.structure(whole) == jax.tree.structure(start)
  _assert_follows(step, whole, ADAM, dict.fromkeys(ADAM, 3))


@BOTH
def test_constants_need_no_delay(inject):
  """Neither do they move, nor do others because of them."""
  state, step = _bare(_adam(inject, b1=0.5))
  step, traces = _counter(step)
  state = _after(step, state, 5)
  assert not _changed(_leaves(state), _leaves(fs.reset_count(state, only='b2')))
  for count in (0, 9):
    new = fs.reset_count(state, count, only=['learning_rate', 'b2'])
    assert _schedule(new) == _schedule(state)
    schedules = {**ADAM, 'b1': fs.constant_schedule(0.5)}
    _assert_follows(step, new, schedules, dict.fromkeys(ADAM, count))
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
  tx = _sgd(full_only, learning_rate=schedule)
  start, step = _bare(tx)
  state = _after(step, start, 3, value=1.0)
  before = _leaves(state)
  state = fs.reset_count(state, count, only=only)
  rest = {
    path
    for path in _changed(before, _leaves(state))
    if 'hyperparams_states.states' not in path
  }
  assert rest == ({'.count'} if only is None else set())
  got, _ = _values(step, state, 3, value=1.0)
  expected = plain(count + np.arange(3)) * np.array([0.5, 0.5, 0.25])
  _assert_close(got['learning_rate'], expected, 1)
  begin = 3 if only else count
  _assert_close(got['momentum'], B1(begin + np.arange(3)), 1)


def test_a_stateful_schedule_of_a_users_class():
  """Only its transformation knows how it begins: an error that says so."""

  class Halving:
    def init(self):
      return jnp.float32(1.0)

    def update(self, state, **extra_args):
      return state / 2

    def __call__(self, state, **extra_args):
      return state

  state, step = _bare(_adam(full_only, learning_rate=Halving()))
  state = _after(step, state, 3)
  for only in (None, 'learning_rate'):
    with pytest.raises(
      ValueError,
      match=r'^reset_count: learning_rate must .*, got .*Halving.*only=\.\.\.',
    ):
      fs.reset_count(state, only=only)
  got, _ = _values(step, fs.reset_count(state, only=['b1', 'b2']), 3)
  assert got['learning_rate'] == [0.125, 0.0625, 0.03125]
  _assert_close(got['b1'], B1(np.arange(3)), 1)


def test_a_product_keeps_the_schedule_in_its_state():
  """What is followed is in the state, whatever the transformation says."""
  old = fs.linear_schedule(1.0, 0.0, 8)
  new = fs.linear_schedule(0.5, 0.0, 8)
  state, step = _bare(full_only(optax.sgd, learning_rate=old * PLATEAU))
  other, _ = _bare(full_only(optax.sgd, learning_rate=new * PLATEAU))
  leaves = jax.tree.leaves(_after(step, state, 4, value=1.0))
  mixed = jax.tree.unflatten(jax.tree.structure(other), leaves)
  got, _ = _values(step, fs.reset_count(mixed), 1, value=1.0)
  assert got['learning_rate'] == [0.5]


# ---------------------------------------------------------------------------
# Populations.


def _population(schedule, **others):
  """The new state of three members, and a step."""

  def create(peak):
    lr = fs.linear_schedule(peak, 0.0, 8) if schedule is None else schedule
    tx = full_only(optax.sgd, learning_rate=lr, **others)
    return tx.init(PARAMS)

  lr = LR if schedule is None else schedule
  tx = full_only(optax.sgd, learning_rate=lr, **others)
  update = functools.partial(tx.update, value=1.0)
  step = jax.jit(jax.vmap(lambda s: update(PARAMS, s, PARAMS)[1]))
  return jax.jit(jax.vmap(create))(jnp.array([0.25, 0.5, 1.0])), step


@pytest.mark.parametrize('schedule', [None, LR * PLATEAU])
def test_a_population_starts_again(schedule):
  """Each member, with its own schedule."""
  start, step = _population(schedule)
  fresh, again = step(start), _after(step, start, 4)
  again = step(fs.reset_count(again))
  assert again.count.shape == (3,)
  for name, value in fresh.hyperparams.items():
    np.testing.assert_array_equal(again.hyperparams[name], value)


def test_members_of_a_population_are_changed_one_by_one():
  """What would make them differ in structure is an error."""
  state, _ = _population(None, momentum=B1)
  one = r'^{}: learning_rate must be of one run, got a population of 3\. {}'
  with pytest.raises(
    ValueError, match=one.format('branch_cooldown', 'Branch each member')
  ):
    fs.branch_cooldown(state, 3)
  with pytest.raises(
    ValueError, match=one.format('reset_count', 'Reset all hyperparameters')
  ):
    fs.reset_count(state, only='learning_rate')
  member = jax.tree.map(lambda x: x[1], state)
  assert _schedule(fs.branch_cooldown(member, 2))(1) == 0.25


# ---------------------------------------------------------------------------
# reset_count, what is refused.


@BOTH
@pytest.mark.parametrize(
  ('count', 'error', 'message'),
  [
    (-1, ValueError, r'count must be a non-negative integer, got -1'),
    (jnp.int32(-1), ValueError, r'count must be a non-negative integer'),
    (2.5, ValueError, r'count must be a non-negative integer, got 2\.5'),
    (2**31, ValueError, r'count must be at most .*, got 2147483648'),
    ('0', TypeError, r"count must be a non-negative integer, got '0'"),
    (None, TypeError, r'count must be a non-negative integer, got None'),
  ],
)
def test_counts_that_are_none(inject, count, error, message):
  """Named, with their value."""
  with pytest.raises(error, match=f'^reset_count: {message}'):
    fs.reset_count(_adam(inject).init(PARAMS), count)


@BOTH
@pytest.mark.parametrize('only', ['momentum', ['b1', 'momentum'], ('m', 'b1')])
def test_names_that_are_unknown(inject, only):
  """The error lists those that are known."""
  with pytest.raises(
    ValueError,
    match=r'^reset_count: .* is no hyperparameter .* It has .*b1, b2',
  ):
    fs.reset_count(_adam(inject).init(PARAMS), only=only)


@BOTH
def test_a_count_ahead_for_some_only(inject):
  """There is no delay that could do it."""
  state, step = _train_state(_partition(inject))
  state = _after(step, state, 3)
  name = 'encoder/learning_rate'
  with pytest.raises(
    ValueError,
    match=f'^reset_count: count must be at most 3, .* start {name} again .*, '
    'got 4. Reset all hyperparameters',
  ):
    fs.reset_count(state, 4, only=name)
  ahead = fs.reset_count(state, 4, only=['head/learning_rate'])
  got, _ = _values(step, ahead, 1)
  _assert_close(got['head/learning_rate'], HEAD(np.arange(4, 5)), 1)
  _assert_close(got[name], LR(np.arange(3, 4)), 1)


FUNCTIONS = {
  'function': optax.linear_schedule(1.0, 0.0, 8),
  'joined': fs.join_schedules([optax.linear_schedule(1.0, 0.0, 8), 0.0], [8]),
}


@BOTH
@pytest.mark.parametrize('function', FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions(function, inject):
  """Start again with the count; no checkpoint could remember a delay."""
  state, step = _bare(_sgd(inject, learning_rate=function))
  state = _after(step, state, 3)
  with pytest.raises(
    ValueError,
    match='^reset_count: learning_rate must follow a schedule that plain data '
    r'can hold, got the function (optax|flax_sched)\..*\. Reset all',
  ):
    fs.reset_count(state, only='learning_rate')
  got, _ = _values(step, fs.reset_count(state, only='momentum'), 3)
  assert got['learning_rate'] == [0.625, 0.5, 0.375]
  got, _ = _values(step, fs.reset_count(state), 3)
  assert got['learning_rate'] == [1.0, 0.875, 0.75]


# ---------------------------------------------------------------------------
# branch_cooldown.

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
  state, step = _bare(inject(optax.sgd, learning_rate=LR))
  step = jax.jit(step) if end == 0 else step
  state = fs.branch_cooldown(fs.reset_count(state, 5), 7, shape, end_value=end)
  got, _ = _values(step, state, 10)
  counts = np.arange(10)
  expected = _cooldown(shape, LR(5), end, 7, counts)
  _assert_close(got['learning_rate'], expected)
  assert got['learning_rate'][0] == LR(5)
  assert got['learning_rate'][7:] == [end] * 3
  # What has been is not changed.
  np.testing.assert_array_equal(_schedule(state)(counts[:5]), LR(counts[:5]))


@BOTH
@EACH_RUN
def test_any_hyperparameter_of_any_state(run, inject):
  """The others go on, and nothing but the schedule changes."""
  for name in (next(iter(RUNS[run][1])), 'b1', 'b2'):
    state, step, schedules = _trained(run, inject)
    before = _leaves(state)
    state = fs.branch_cooldown(state, 2, name=name, end_value=0.25)
    if inject is fs.inject_hyperparams:
      assert not _changed(before, _leaves(state))
    start = schedules[name](5)
    got, _ = _values(step, state, 4)
    for other, schedule in schedules.items():
      expected = schedule(5 + np.arange(4))
      if other == name:
        expected = _cooldown('linear', start, 0.25, 2, np.arange(4))
      _assert_close(got[other], expected)


@BOTH
def test_a_branch_compiles_once(inject):
  """Another structure of the state, and from there on the same."""
  state, step = _bare(_sgd(inject))
  step, traces = _counter(step)
  state = fs.branch_cooldown(_after(step, state, 4), 3)
  _after(step, state, 2)
  assert len(traces) == 2


@BOTH
@pytest.mark.parametrize('count', [0, 5])
def test_a_checkpoint_remembers_the_branch(inject, count):
  """The schedule before, where the branch begins, and the decay."""
  state, step = _bare(_adam(inject))
  state = _after(step, state, count)
  state = fs.branch_cooldown(state, 100, 'cosine', end_value=0.0625)
  assert _spec(state) == {
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
  assert spec.from_spec(_spec(state)) == _schedule(state)


@BOTH
def test_a_value_that_was_set(inject):
  """The branch begins at it; before the branch, the value is a constant."""
  state, step, _ = _trained('bare', inject)
  state = fs.set_hyperparams(state, learning_rate=0.75)
  branch = fs.branch_cooldown(_after(step, state, 2), 4)
  got, _ = _values(step, branch, 5)
  assert got['learning_rate'] == [0.75, 0.5625, 0.375, 0.1875, 0.0]
  assert _spec(branch)['schedules'][0] == {'kind': 'Constant', 'constant': 0.75}
  assert _spec(branch)['boundaries'] == [7]


@BOTH
def test_a_branch_can_be_set_and_reset(inject):
  """It is a schedule as others are."""
  state, step, _ = _trained('bare', inject)
  state = fs.branch_cooldown(state, 4)
  got, _ = _values(step, fs.reset_count(state), 10)
  counts = np.arange(5)
  expected = [*LR(counts), *_cooldown('linear', LR(5), 0, 4, counts)]
  _assert_close(got['learning_rate'], expected)
  got, _ = _values(step, fs.set_hyperparams(state, learning_rate=0.75), 2)
  assert got['learning_rate'] == [0.75] * 2
  state = fs.set_schedules(state, learning_rate=HEAD)
  got, _ = _values(step, fs.branch_cooldown(state, 1), 2)
  _assert_close(got['learning_rate'], [HEAD(5), 0.0], 1)


@BOTH
def test_a_branch_of_a_delayed_schedule(inject):
  """Begins at the value that the delayed schedule has now."""
  state, step, _ = _trained('bare', inject)
  state = fs.reset_count(state, only='learning_rate')
  state = fs.branch_cooldown(_after(step, state, 2), 2, end_value=0.125)
  got, _ = _values(step, state, 4)
  expected = _cooldown('linear', LR(2), 0.125, 2, np.arange(4))
  _assert_close(got['learning_rate'], expected)


@BOTH
@pytest.mark.parametrize('later', [0, 2, 5])
def test_a_branch_of_a_branch(inject, later):
  """From the value of the first one, where it is by then."""
  state, step = _bare(inject(optax.sgd, learning_rate=LR))
  state = fs.reset_count(state, 3)
  first = fs.branch_cooldown(state, 4, 'square', end_value=0.5)
  first = _after(step, first, later)
  second = fs.branch_cooldown(first, 2, '1-sqrt')
  start = _cooldown('square', LR(3), 0.5, 4, later)
  got, _ = _values(step, second, 4)
  expected = _cooldown('1-sqrt', np.float32(start), 0, 2, np.arange(4))
  _assert_close(got['learning_rate'], expected)
  counts = np.arange(3 + later)
  np.testing.assert_array_equal(
    _schedule(second)(counts), _schedule(first)(counts)
  )


@BOTH
def test_other_dtypes(inject):
  """The values are rounded, and the schedule is remembered in float32."""
  dtype = jnp.bfloat16
  tx = inject(optax.sgd, learning_rate=0.3, hyperparam_dtype=dtype)
  state, step = _bare(tx)
  state = fs.branch_cooldown(step(state), 4)
  start = _schedule(state)(0)
  assert dtype(start) == dtype(0.3)
  got, _ = _values(step, state, 4)
  expected = _cooldown('linear', start, 0, 4, np.arange(4))
  assert got['learning_rate'] == [float(dtype(x)) for x in expected]
  assert spec.from_spec(_spec(state)) == _schedule(state)


@BOTH
@pytest.mark.parametrize('function', FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_branch_of_a_function(function, inject):
  """A checkpoint could not remember it: the remedy is to set its value."""
  state, step = _bare(_sgd(inject, learning_rate=function))
  state = _after(step, state, 4)
  with pytest.raises(
    ValueError,
    match='^branch_cooldown: learning_rate must follow a schedule that plain '
    r'data can hold, got the function (optax|flax_sched)\..*set_hyperparams'
    r'\(state, learning_rate=\.\.\.\)',
  ):
    fs.branch_cooldown(state, 4)
  state = fs.set_hyperparams(state, learning_rate=0.5)
  got, _ = _values(step, fs.branch_cooldown(state, 4), 5)
  assert got['learning_rate'] == [0.5, 0.375, 0.25, 0.125, 0.0]


@pytest.mark.parametrize('schedule', [PLATEAU, LR * PLATEAU])
def test_a_branch_of_a_stateful_schedule(schedule):
  """Nobody knows what it would have been: likewise."""
  tx = optax.partition(
    {
      'encoder': _sgd(full_only, learning_rate=schedule),
      'head': _sgd(full_only, learning_rate=schedule),
    },
    {'encoder': 'encoder', 'head': 'head'},
  )
  state, step = _bare(tx)
  state = _after(step, state, 4, value=1.0)
  with pytest.raises(
    ValueError,
    match='^branch_cooldown: head/learning_rate must follow a schedule .*, got '
    'the stateful schedule .*set_hyperparams'
    r"\(state, \*\*{'head/learning_rate': \.\.\.}\)",
  ):
    fs.branch_cooldown(state, 4, name='head/learning_rate')
  state = fs.set_hyperparams(state, **{'head/learning_rate': 0.5})
  state = fs.branch_cooldown(state, 4, name='head/learning_rate')
  got, _ = _values(step, state, 5, value=1.0)
  assert got['head/learning_rate'] == [0.5, 0.375, 0.25, 0.125, 0.0]


@BOTH
@pytest.mark.parametrize(
  ('kwargs', 'error', 'message'),
  [
    ({'shape': 'sqrt'}, ValueError, "shape must .* '1-sqrt', .*, got 'sqrt'"),
    ({'name': 'lr'}, ValueError, "'lr' is no hyperparameter .* It has "),
    ({'name': 'learning_rates'}, ValueError, "Did you mean 'learning_rate'"),
    ({'steps': 0}, ValueError, 'steps must be a positive integer, got 0'),
    ({'steps': -3}, ValueError, 'steps must be a positive integer, got -3'),
    ({'steps': 1.5}, ValueError, r'steps must be a positive .*, got 1\.5'),
    ({'steps': jnp.int32(0)}, ValueError, 'steps must be a positive integer'),
    ({'steps': 'all'}, TypeError, "steps must be .*, got 'all'"),
    ({'end_value': np.nan}, ValueError, 'end_value must be finite, got nan'),
    ({'end_value': 1e39}, ValueError, r'end_value must be finite, got 1e\+39'),
    (
      {'end_value': jnp.inf * jnp.ones(())},
      ValueError,
      'end_value must be fin',
    ),
    ({'end_value': 'low'}, TypeError, "end_value must be .*, got 'low'"),
    ({'end_value': np.zeros(2)}, TypeError, 'end_value must be one number'),
  ],
)
def test_bad_arguments_of_a_branch(inject, kwargs, error, message):
  """Named, with their value."""
  state = _adam(inject).init(PARAMS)
  with pytest.raises(error, match=f'^branch_cooldown: .*{message}'):
    fs.branch_cooldown(state, **{'steps': 4, **kwargs})


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
  branch = _schedule(fs.branch_cooldown(state, steps, shape, end_value=end))
  assert spec.from_spec(spec.to_spec(branch)) == branch
  before = np.unique(np.linspace(0, count, 9).astype(np.int64))[:-1]
  np.testing.assert_array_equal(branch(before), schedule(before))
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

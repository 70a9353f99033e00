"""Checkpoints that remember schedules, and resumes that compare them."""

import contextlib
import json
import pathlib
import shutil

from flax import nnx
from flax.training.train_state import TrainState
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import injected
from flax_sched import record
from flax_sched import spec
from flax_sched.compose import Crossfade
import old_checkpoints
import zoo

# A checkpoint of each format, as `old_checkpoints.py` wrote them at the time.
OLD = pathlib.Path(__file__).parent / 'checkpoints'

WRAPPERS = {
  'fast': fs.inject_hyperparams,
  'full': fs.inject_stateful_hyperparams,
}
PARAMS = {'w': np.ones((3, 2), np.float32), 'b': np.ones(2, np.float32)}
COSINE = fs.cosine_decay_schedule(0.5, 100)
LONGER = fs.cosine_decay_schedule(0.5, 200)

both = pytest.mark.parametrize('wrapper', WRAPPERS)


@pytest.fixture
def manager(tmp_path):
  """Orbax's manager of an empty directory."""
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    yield manager


def create(tx):
  """A state before its first update."""
  state = TrainState.create(
    apply_fn=None, params=jax.tree.map(jnp.asarray, PARAMS), tx=tx
  )
  return state.replace(step=jnp.zeros((), jnp.int32))


def state_of(
  wrapper='fast', factory=optax.adamw, around=lambda tx: tx, **kwargs
):
  """A state whose hyperparameters are these."""
  return create(around(WRAPPERS[wrapper](factory, **kwargs)))


@jax.jit
def train_step(state):
  """One update, with the parameters as gradients."""
  return fs.apply_gradients(state, grads=state.params, value=jnp.float32(1.0))


def train(state, updates):
  """The state after some updates."""
  for _ in range(updates):
    state = train_step(state)
  return state


def next_values(state):
  """The hyperparameters that the next update uses."""
  return {k: float(v) for k, v in fs.hyperparams(train_step(state)).items()}


def saved(manager, state, updates=4):
  """The state after some updates, which is saved."""
  state = train(state, updates)
  assert checkpoint.save(manager, updates, state)
  return state


def assert_equal(got, expected):
  """Two pytrees with the same structure, and the same bits."""
  assert jax.tree.structure(got) == jax.tree.structure(expected)
  for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert (x.dtype, x.shape) == (y.dtype, y.shape)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
      x, y = jax.random.key_data(x), jax.random.key_data(y)
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def assert_close(got, expected):
  """Two pytrees of two programs, in which XLA may fuse otherwise."""
  assert jax.tree.structure(got) == jax.tree.structure(expected)
  for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-6)


def bare(state):
  """The state without its transformation, to compare what two have made."""
  return state.replace(tx=None)


def abstract(state):
  """The state as shapes."""
  return jax.eval_shape(lambda: state)


# ---------------------------------------------------------------------------
# Nothing has changed.


@both
@pytest.mark.parametrize('target_of', [lambda s: s, abstract])
def test_a_round_trip_is_exact(wrapper, target_of, manager):
  """Bit for bit, in the same types, with one compile afterwards."""
  new = state_of(wrapper, learning_rate=COSINE, weight_decay=0.1)
  state = saved(manager, new)
  restored = checkpoint.restore(manager, target_of(new))
  assert_equal(restored, state)
  traces = []

  @jax.jit
  def step(state):
    traces.append(1)
    return state.apply_gradients(grads=state.params)

  step(step(restored))
  assert traces == [1]
  assert_equal(train(restored, 3), train(state, 3))


@pytest.mark.parametrize(
  'entry',
  [e for e in zoo.ZOO if zoo.is_first_of_kind(e) and zoo.is_of_few(e)],
  ids=lambda entry: entry.name,
)
def test_every_schedule_is_remembered(entry, manager):
  """In the record, equal; and restored without a difference."""
  # By turns: the laws show that both wrappers hold every schedule.
  wrapper = sorted(WRAPPERS)[zoo.ZOO.index(entry) % 2]
  state = state_of(wrapper, learning_rate=entry.schedule)
  checkpoint.save(manager, 0, state)
  checkpoint.restore(manager, state)
  path = manager.directory / '0' / 'hyperparams' / 'metadata'
  found = json.loads(path.read_text())['hyperparams']['learning_rate']
  if zoo.holds_function(entry.schedule):
    assert spec.is_fingerprint(found['schedule'])
  else:
    assert spec.from_spec(found['schedule']) == entry.schedule


def test_a_person_can_read_the_record(manager):
  """What it says of a state, whole."""
  tx = optax.partition(
    {
      'w': fs.inject_stateful_hyperparams(optax.sgd, learning_rate=COSINE),
      'b': fs.inject_hyperparams(optax.adam, learning_rate=0.25, b1=LONGER),
    },
    {'w': 'w', 'b': 'b'},
  )
  state = train(create(tx), 2)
  state = fs.set_hyperparams(state, **{'w/learning_rate': 0.125})
  checkpoint.save(manager, 2, state)
  manager.wait_until_finished()
  path = manager.directory / '2' / 'hyperparams' / 'metadata'
  assert json.loads(path.read_text()) == {
    'format': 1,
    'unit': 'update',
    'hyperparams': {
      'b/learning_rate': {
        'schedule': {'kind': 'Constant', 'constant': 0.25},
        'count': 2,
        'value': 0.25,
        'wrapper': 'inject_hyperparams',
        'transformation': 'adam',
      },
      'b1': {
        'schedule': {
          'kind': 'Cosine',
          'init_value': 0.5,
          'end_value': 0.0,
          'decay_steps': 200,
        },
        'count': 2,
        'value': float(str(LONGER(1))),
        'wrapper': 'inject_hyperparams',
        'transformation': 'adam',
      },
      'w/learning_rate': {
        'schedule': {
          'kind': 'Cosine',
          'init_value': 0.5,
          'end_value': 0.0,
          'decay_steps': 100,
        },
        'count': 2,
        'value': 0.125,
        'wrapper': 'inject_stateful_hyperparams',
        'transformation': 'sgd',
        'override': 0.125,
      },
    },
  }


def test_plain_orbax_reads_it(manager):
  """The state is as `StandardSave` writes it."""
  new = state_of(learning_rate=COSINE)
  state = saved(manager, new)
  manager.wait_until_finished()
  with ocp.CheckpointManager(manager.directory) as other:
    args = ocp.args.Composite(state=ocp.args.StandardRestore(new))
    assert_equal(other.restore(4, args=args).state, state)


def test_other_items_and_the_manager_s_own_rules(tmp_path):
  """Items beside the state, metrics, steps that are passed over."""
  options = ocp.CheckpointManagerOptions(
    save_interval_steps=10,
    max_to_keep=1,
    best_fn=lambda metrics: metrics['accuracy'],
    step_prefix='ckpt',
    step_format_fixed_length=6,
  )
  state = state_of(learning_rate=COSINE)
  with ocp.CheckpointManager(tmp_path, options=options) as manager:
    for step, accuracy in ((0, 0.5), (10, 0.9), (20, 0.7)):
      run = ocp.args.JsonSave({'step': step})
      assert checkpoint.save(
        manager, step, state, metrics={'accuracy': accuracy}, run=run
      )
    assert not checkpoint.save(manager, 25, state, metrics={'accuracy': 1.0})
    manager.wait_until_finished()
    assert manager.all_steps() == [10]
    assert_equal(checkpoint.restore(manager, state), state)
    items = ocp.args.Composite(run=ocp.args.JsonRestore())
    assert manager.restore(10, args=items).run == {'step': 10}
    assert checkpoint.save(
      manager, 26, state, metrics={'accuracy': 1.0}, force=True
    )


@both
def test_nnx(wrapper, manager):
  """Models and optimizers of nnx, as they are."""

  def create():
    rngs = nnx.Rngs(0, dropout=1)
    model = nnx.Sequential(
      nnx.Linear(4, 3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    )
    tx = optax.chain(
      optax.clip_by_global_norm(1.0),
      WRAPPERS[wrapper](optax.adam, learning_rate=COSINE, b1=0.5),
    )
    return {
      'model': model,
      'optimizer': nnx.Optimizer(model, tx, wrt=nnx.Param),
    }

  def step(state):
    grads = nnx.grad(lambda m: jnp.mean(m(jnp.ones((2, 4))) ** 2))
    state['optimizer'].update(state['model'], grads(state['model']))

  state = create()
  for _ in range(3):
    step(state)
  checkpoint.save(manager, 3, state)
  for target in (create(), nnx.eval_shape(create)):
    restored = checkpoint.restore(manager, target)
    assert_equal(nnx.state(restored), nnx.state(state))
    assert fs.hyperparams(restored['optimizer'])['learning_rate'] == COSINE(2)
  step(restored)
  step(state)
  assert_equal(nnx.state(restored), nnx.state(state))


def test_the_latest_step_or_another(manager):
  """By default the latest."""
  new = state_of(learning_rate=COSINE)
  states = {n: saved(manager, new, n) for n in (1, 2, 3)}
  assert_equal(checkpoint.restore(manager, new), states[3])
  assert_equal(checkpoint.restore(manager, new, step=2), states[2])
  with pytest.raises(FileNotFoundError, match=r'one of \[3, 2, 1\].*got 4'):
    checkpoint.restore(manager, new, step=4)


def test_no_checkpoint(manager):
  """An error that says how to start."""
  with pytest.raises(FileNotFoundError, match='holds no checkpoint'):
    checkpoint.restore(manager, state_of(learning_rate=COSINE))


def test_a_state_without_injection(manager):
  """Refused, by both."""
  state = create(optax.sgd(0.1))
  with pytest.raises(ValueError, match=r'^save: TrainState holds no injected'):
    checkpoint.save(manager, 0, state)
  assert not manager.all_steps()
  saved(manager, state_of(learning_rate=COSINE), 1)
  with pytest.raises(
    ValueError, match=r'^restore: TrainState holds no injected'
  ):
    checkpoint.restore(manager, state)


# ---------------------------------------------------------------------------
# A schedule has changed.

# What the checkpoint follows, what the config does, and how they differ.
CHANGES = {
  'a_field': (COSINE, LONGER, ['learning_rate.decay_steps: checkpoint 100']),
  'two_fields': (
    COSINE,
    fs.cosine_decay_schedule(0.25, 50),
    [
      'learning_rate.init_value: checkpoint 0.5 -> config 0.25',
      'learning_rate.decay_steps: checkpoint 100 -> config 50',
    ],
  ),
  'inside': (
    fs.warmup_cosine_decay_schedule(0.0, 0.5, 10, 90),
    fs.warmup_cosine_decay_schedule(0.0, 0.5, 10, 190),
    ['learning_rate.schedules[1].decay_steps: checkpoint 90 -> config 190'],
  ),
  'a_table': (
    fs.piecewise_constant_schedule({5: 1.0, 9: 0.5, 20: 0.25}, 0.5),
    fs.piecewise_constant_schedule({5: 1.0, 10: 0.5, 20: 0.25}, 0.5),
    ['learning_rate.boundaries[1]: checkpoint 9 -> config 10'],
  ),
  'the_kind': (
    COSINE,
    fs.linear_schedule(0.5, 0.25, 10),
    ['learning_rate: checkpoint Cosine(init_value=0.5, end_value=0.0, '],
  ),
  'to_constant': (COSINE, 0.125, ['learning_rate: checkpoint Cosine(']),
  'from_constant': (
    0.125,
    COSINE,
    ['learning_rate: checkpoint Constant(constant=0.125) -> config Cosine('],
  ),
  'constants': (
    0.5,
    0.25,
    ['learning_rate.constant: checkpoint 0.5 -> config 0.25'],
  ),
}
SAME = [(a, a) for a in WRAPPERS]
OTHERS = [(a, b) for a in WRAPPERS for b in WRAPPERS if a != b]
pairs = pytest.mark.parametrize('pair', SAME + OTHERS, ids='-'.join)
# All changes with one wrapper, and one change from one to the other.
changes_of_pairs = pytest.mark.parametrize(
  ('change', 'pair'),
  [
    *((change, SAME[0]) for change in CHANGES),
    *(
      pytest.param(change, pair, marks=pytest.mark.slow)
      for change in CHANGES
      for pair in SAME[1:]
    ),
    *(('the_kind', pair) for pair in OTHERS),
    *(('constants', pair) for pair in OTHERS),
  ],
)


@changes_of_pairs
def test_an_error_by_default(change, pair, manager):
  """It lists each difference, the values, and what to do; nothing changes."""
  old, new, lines = CHANGES[change]
  saved(manager, state_of(pair[0], learning_rate=old, weight_decay=0.1))
  target = state_of(pair[1], learning_rate=new, weight_decay=0.1)
  before = jax.tree.map(np.asarray, target)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  message = str(caught.value)
  for line in lines:
    assert line in message
  assert len(caught.value.differences) == len(lines)
  values = [fs.as_schedule(s)(4) for s in (old, new)]
  assert (
    f'learning_rate at update 4: {values[0]:.6g} -> {values[1]:.6g}' in message
  )
  for word in ("'config'", "'checkpoint'", "'rebase'", 'rebase_steps='):
    assert word in message
  assert_equal(target, before)


@changes_of_pairs
def test_config_or_checkpoint(change, pair, manager, caplog):
  """The named side wins wholly, and the differences are logged."""
  target_of = abstract if pair[0] == 'fast' else lambda s: s
  old, new, lines = CHANGES[change]
  state = saved(manager, state_of(pair[0], learning_rate=old, weight_decay=0.1))
  target = state_of(pair[1], learning_rate=new, weight_decay=0.1)
  for choice, schedule in (('config', new), ('checkpoint', old)):
    caplog.clear()
    restored = checkpoint.restore(manager, target_of(target), on_change=choice)
    for line in lines:
      assert line in caplog.text
    expected = float(fs.as_schedule(schedule)(4))
    assert next_values(restored) == {
      'learning_rate': expected,
      'weight_decay': np.float32(0.1),
    }
    assert_equal(restored.params, state.params)
    assert_equal(restored.opt_state.inner_state, state.opt_state.inner_state)
    assert restored.opt_state.count == 4
    # And so it goes on: this is what the next checkpoint remembers.
    entry = record.record(restored)['hyperparams']['learning_rate']
    assert spec.from_spec(entry['schedule']) == fs.as_schedule(schedule)
    if choice == 'config':
      assert jax.tree.structure(restored) == jax.tree.structure(target)


@pytest.mark.parametrize(
  ('change', 'pair'),
  [
    *((change, ('full', 'full')) for change in CHANGES),
    *((change, ('fast', 'fast')) for change in ('inside', 'constants')),
    *(('the_kind', pair) for pair in OTHERS),
  ],
)
def test_rebase(change, pair, manager):
  """No jump: the value moves over to the new curve, and stays on it."""
  old, new, _ = CHANGES[change]
  if change == 'constants':
    old, new = fs.as_schedule(old), fs.as_schedule(new)
  saved(manager, state_of(pair[0], learning_rate=old))
  target = state_of(pair[1], learning_rate=new)
  restored = checkpoint.restore(
    manager, target, on_change='rebase', rebase_steps=8
  )
  before, after = fs.as_schedule(old), fs.as_schedule(new)
  for count in range(4, 16):
    value = next_values(restored)['learning_rate']
    p = min((count - 4) / 8, 1)
    expected = (1 - p) * float(before(count)) + p * float(after(count))
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    if count == 8:
      # Stopped on the way: the same config is no difference, and it goes on.
      checkpoint.save(manager, 8, restored)
      again = checkpoint.restore(manager, target)
      assert_equal(again, restored)
      # Another config is one.
      with pytest.raises(checkpoint.ScheduleMismatchError):
        checkpoint.restore(manager, state_of(pair[1], learning_rate=0.0625))
    restored = train_step(restored)
  checkpoint.save(manager, 16, restored)
  arrived = checkpoint.restore(manager, target)
  assert jax.tree.structure(arrived) == jax.tree.structure(target)
  assert next_values(arrived) == {'learning_rate': float(after(16))}
  schedules = injected.schedules(restored.opt_state)
  assert isinstance(schedules['learning_rate'], Crossfade)


def test_one_rebase_after_another(manager):
  """A second change is listed by field, and what is over is left behind."""
  saved(manager, state_of(learning_rate=COSINE))
  for steps in (200, 300, 400):
    lr = fs.cosine_decay_schedule(0.5, steps)
    target = state_of(learning_rate=lr)
    if steps > 200:
      with pytest.raises(
        checkpoint.ScheduleMismatchError,
        match=r'learning_rate\.new\.decay_steps: .* -> config ' + str(steps),
      ):
        checkpoint.restore(manager, target)
    state = checkpoint.restore(
      manager, target, on_change='rebase', rebase_steps=2
    )
    followed = injected.schedules(state.opt_state)['learning_rate']
    assert isinstance(followed.old, type(COSINE))
    assert followed.new == lr
    state = train(state, 2)
    checkpoint.save(manager, int(state.step), state)


@both
def test_by_name(wrapper, manager):
  """Each hyperparameter by its own choice; those not named are errors."""
  old = dict(learning_rate=COSINE, b1=0.5, weight_decay=0.25)
  new = dict(learning_rate=LONGER, b1=0.75, weight_decay=0.125)
  saved(manager, state_of(wrapper, **old))
  target = state_of(wrapper, **new)
  choices = {'learning_rate': 'config', 'b1': 'checkpoint'}
  with pytest.raises(checkpoint.ScheduleMismatchError, match=r'weight_decay\.'):
    checkpoint.restore(manager, target, on_change=choices)
  choices['weight_decay'] = 'rebase'
  restored = checkpoint.restore(
    manager, target, on_change=choices, rebase_steps=4
  )
  assert next_values(train_step(restored)) == {
    'learning_rate': float(LONGER(5)),
    'b1': 0.5,
    'weight_decay': 0.25 * 0.75 + 0.125 * 0.25,
  }


def test_bad_choices(manager):
  """Errors that say what there is."""
  state = saved(manager, state_of(learning_rate=COSINE))
  for arguments, message in (
    (dict(on_change='confg'), "got 'confg'. Did you mean 'config'?"),
    (dict(on_change={'learning_rate': 'new'}), "got 'new'"),
    (dict(on_change={'lr': 'config'}), "'lr' is no hyperparameter of this"),
    (dict(on_change='rebase'), "rebase_steps must be given with on_change='re"),
    (dict(rebase_steps=10), 'and only with it, got 10'),
    (dict(on_change='rebase', rebase_steps=-1), 'rebase_steps must be a posit'),
  ):
    with pytest.raises(ValueError, match=r'^restore: ') as caught:
      checkpoint.restore(manager, state, **arguments)
    assert message in str(caught.value)


def test_an_edited_run_is_a_difference(manager):
  """`set_hyperparams` is remembered, not undone in silence."""
  for wrapper in WRAPPERS:
    new = state_of(wrapper, learning_rate=COSINE)
    edited = fs.set_hyperparams(train(new, 2), learning_rate=0.0625)
    step = len(manager.all_steps())
    checkpoint.save(manager, step, edited)
    with pytest.raises(checkpoint.ScheduleMismatchError, match=r'0\.0625'):
      checkpoint.restore(manager, new)
    for target in (new, state_of('fast', learning_rate=COSINE)):
      restored = checkpoint.restore(manager, target, on_change='checkpoint')
      assert next_values(restored) == {'learning_rate': 0.0625}
      restored = checkpoint.restore(manager, target, on_change='config')
      assert next_values(restored) == {'learning_rate': float(COSINE(2))}
  # The schedule is still there to go back to.
  restored = checkpoint.restore(manager, new, on_change='checkpoint')
  restored = fs.set_hyperparams(restored, learning_rate=None)
  assert next_values(restored) == {'learning_rate': float(COSINE(2))}


def test_functions(manager):
  """An Optax schedule is compared by what it returns."""

  def new(steps):
    lr = optax.cosine_decay_schedule(0.5, steps)
    return state_of(learning_rate=lr)

  state = saved(manager, new(100))
  restored = checkpoint.restore(manager, new(100))
  assert_equal(bare(train(restored, 2)), bare(train(state, 2)))
  with pytest.raises(
    checkpoint.ScheduleMismatchError, match=r'learning_rate\(10\): checkpoint'
  ) as caught:
    checkpoint.restore(manager, new(200))
  # From 200 on, both are 0; at 0, both are 0.5.
  assert {d.field for d in caught.value.differences} == {'(1)', '(10)', '(100)'}
  restored = checkpoint.restore(manager, new(200), on_change='config')
  expected = optax.cosine_decay_schedule(0.5, 200)(4)
  assert next_values(restored) == {'learning_rate': pytest.approx(expected)}
  for target in (new(200), state_of(learning_rate=COSINE)):
    with pytest.raises(ValueError, match='cannot hold its function'):
      checkpoint.restore(manager, target, on_change='checkpoint')
  with pytest.raises(ValueError, match='cannot hold its function'):
    checkpoint.restore(manager, new(200), on_change='rebase', rebase_steps=5)


# ---------------------------------------------------------------------------
# The optimizer has changed.


@pairs
def test_a_hyperparameter_more_or_less(pair, manager, caplog):
  """What is new follows the config, what is gone is left out; both reported."""
  old = state_of(pair[0], learning_rate=COSINE, weight_decay=0.5)
  new = state_of(pair[1], learning_rate=COSINE, b2=LONGER)
  state = saved(manager, old)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, new)
  assert [str(d)[:45] for d in caught.value.differences] == [
    'b2: checkpoint none -> config Cosine(init_val',
    'weight_decay: checkpoint Constant(constant=0.',
  ]
  for choice in (
    'config',
    'checkpoint',
    {'b2': 'config', 'weight_decay': 'config'},
  ):
    caplog.clear()
    restored = checkpoint.restore(manager, new, on_change=choice)
    assert 'b2: checkpoint none' in caplog.text
    assert '-> config none' in caplog.text
    assert jax.tree.structure(restored) == jax.tree.structure(new)
    assert next_values(restored) == {
      'learning_rate': float(COSINE(4)),
      'b2': float(LONGER(4)),
    }
    assert_equal(restored.opt_state.inner_state, state.opt_state.inner_state)


CHAINS = {
  'none': lambda tx: tx,
  'alone': lambda tx: optax.chain(tx),
  'clip_before': lambda tx: optax.chain(optax.clip_by_global_norm(1e9), tx),
  'clip_after': lambda tx: optax.chain(tx, optax.clip(1e9)),
  'clips': lambda tx: optax.chain(
    optax.clip(1e9), optax.zero_nans(), tx, optax.scale(1.0)
  ),
  'named': lambda tx: optax.named_chain(
    ('clip', optax.clip(1e9)), ('adam', tx)
  ),
}


@pytest.mark.parametrize(
  ('old', 'new'),
  [
    (old, new)
    for old in CHAINS
    for new in CHAINS
    if {'none', 'clips'} & {old, new}
  ],
)
def test_another_chain(old, new, manager):
  """Clipping added or removed: the moments, the count and the values go on."""
  state = saved(manager, state_of(around=CHAINS[old], learning_rate=COSINE))
  target = state_of(around=CHAINS[new], learning_rate=COSINE)
  choice = (
    {} if old == new or 'clips' not in (old, new) else {'on_change': 'config'}
  )
  restored = checkpoint.restore(manager, target, **choice)
  assert jax.tree.structure(restored) == jax.tree.structure(target)
  assert_close(train(restored, 3).params, train(state, 3).params)


WRAPPED = {
  'multi_steps': lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
  'apply_if_finite': lambda tx: optax.apply_if_finite(tx, 3),
  'masked': lambda tx: optax.masked(tx, {'w': True, 'b': True}),
  'ema': lambda tx: optax.chain(tx, optax.ema(0.0, debias=False)),
}


@pytest.mark.parametrize('name', WRAPPED)
@pytest.mark.parametrize('target_of', [lambda s: s, abstract])
def test_a_wrapper_around_it(name, target_of, manager):
  """Its own state starts anew, which the error says; what is inside goes on."""
  state = saved(manager, state_of(learning_rate=COSINE))
  target = state_of(around=WRAPPED[name], learning_rate=COSINE)
  if name != 'masked':  # it has no state of its own
    with pytest.raises(
      checkpoint.ScheduleMismatchError, match='is new, and starts as in the tar'
    ) as caught:
      checkpoint.restore(manager, target_of(target))
    assert not caught.value.differences
  restored = checkpoint.restore(manager, target_of(target), on_change='config')
  assert jax.tree.structure(restored) == jax.tree.structure(target)
  assert_close(train(restored, 3).params, train(state, 3).params)
  # And back.
  checkpoint.save(manager, 5, restored)
  back = state_of(learning_rate=COSINE)
  again = checkpoint.restore(manager, back, on_change='config')
  assert_equal(bare(again), bare(state))


def test_another_optimizer(manager):
  """Nothing of Adam's is momentum: it starts anew, and the error says so."""
  saved(manager, state_of(learning_rate=COSINE))
  target = state_of(factory=optax.sgd, learning_rate=COSINE, momentum=0.5)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  message = str(caught.value)
  for line in (
    'momentum: checkpoint none -> config Constant(constant=0.5)',
    'opt_state/inner_state/0/trace is new, and starts as in the target',
    'opt_state/inner_state/0/mu has no place any more, and is left out',
  ):
    assert line in message
  restored = checkpoint.restore(manager, target, on_change='config')
  assert restored.opt_state.count == 4
  trace = restored.opt_state.inner_state[0].trace
  assert_equal(trace, jax.tree.map(jnp.zeros_like, restored.params))


@both
def test_injection_inside_of_injection(wrapper, manager):
  """Both states are restored, and what each follows is compared."""

  def state_with(decay):
    def factory(weight_decay):
      inner = WRAPPERS[wrapper](optax.adam, learning_rate=COSINE, b1=0.5)
      return optax.chain(optax.add_decayed_weights(weight_decay), inner)

    return state_of(wrapper, factory, weight_decay=decay)

  state = saved(manager, state_with(LONGER))
  for target_of in (lambda s: s, abstract):
    restored = checkpoint.restore(manager, target_of(state_with(LONGER)))
    assert_equal(bare(restored), bare(state))
  target = state_with(0.25)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  assert {d.name for d in caught.value.differences} == {'weight_decay'}
  restored = checkpoint.restore(manager, target, on_change='config')
  assert next_values(restored) == next_values(state) | {'weight_decay': 0.25}


@both
@pytest.mark.parametrize(
  ('old', 'new', 'names'),
  [
    ((optax.adam, {}), (optax.adamax, {}), 'of adam in the checkpoint'),
    (
      (optax.adam, {}),
      (optax.adam, {'nesterov': True}),
      r'of adam in the checkpoint, of adam\(nesterov=True\) now',
    ),
  ],
)
def test_an_optimizer_of_the_same_layout(wrapper, old, new, names, manager):
  """What it stores has the same names: the record still tells them apart."""
  (old, arguments), (new, others) = old, new
  state = state_of(wrapper, old, learning_rate=COSINE, **arguments)
  state = saved(manager, state)
  target = state_of(wrapper, new, learning_rate=COSINE, **others)
  with pytest.raises(checkpoint.ScheduleMismatchError, match=names):
    checkpoint.restore(manager, target)
  restored = checkpoint.restore(manager, target, on_change='config')
  assert_equal(restored.opt_state.inner_state, state.opt_state.inner_state)


def test_another_model(manager):
  """Parameters are not this library's to change: the error names each."""
  saved(manager, state_of(learning_rate=COSINE))
  new = state_of(learning_rate=COSINE)
  for change, message in (
    ({'w': jnp.ones((3, 2))}, 'params/b is not in the target'),
    (
      {'w': jnp.ones((3, 2)), 'b': jnp.ones(2), 'c': jnp.ones(2)},
      'params/c is not in the checkpoint',
    ),
    (
      {'w': jnp.ones((2, 3)), 'b': jnp.ones(2)},
      r'params/w is \(3, 2\) in the checkpoint and \(2, 3\) in the target',
    ),
    (
      {'w': jnp.ones((3, 2), jnp.bfloat16), 'b': jnp.ones(2)},
      'params/w is float32 in the checkpoint and bfloat16 in the target',
    ),
  ):
    for choice in ('error', 'config'):
      with pytest.raises(ValueError, match=message):
        checkpoint.restore(
          manager, new.replace(params=change), on_change=choice
        )


def test_counts_that_are_floats_are_refused(manager):
  """Orbax alone would cast them."""
  state = saved(manager, state_of(learning_rate=COSINE))
  opt_state = state.opt_state.replace(count=jnp.float32(0))
  with pytest.raises(ValueError, match='opt_state/count is int32 in the check'):
    checkpoint.restore(manager, state.replace(opt_state=opt_state))


def test_an_abstract_target_needs_its_optimizer(manager):
  """Else nobody knows its constants; the error says what to pass."""
  state = state_of(learning_rate=COSINE, weight_decay=0.1)
  tree = {'params': state.params, 'opt_state': state.opt_state}
  checkpoint.save(manager, 0, tree)
  assert_equal(checkpoint.restore(manager, tree), tree)
  with pytest.raises(ValueError, match='it is abstract, and no TrainState'):
    checkpoint.restore(manager, abstract(tree))


def test_python_numbers(manager):
  """A TrainState as `create` makes it has the step 0 as a Python integer."""
  new = state_of(learning_rate=COSINE).replace(step=0)
  checkpoint.save(manager, 0, new)
  assert checkpoint.restore(manager, new).step == 0
  for target in (new, state_of(learning_rate=COSINE)):
    assert checkpoint.restore(manager, target).step == 0
  state = saved(manager, new, 3)
  assert_equal(checkpoint.restore(manager, new), state)


def test_random_keys(manager):
  """Typed keys in the state come back as such."""

  class State(TrainState):
    key: jax.Array

  tx = fs.inject_hyperparams(optax.sgd, learning_rate=COSINE)
  state = State.create(
    apply_fn=None, params=PARAMS, tx=tx, key=jax.random.key(3)
  )
  checkpoint.save(manager, 0, state)
  restored = checkpoint.restore(manager, state.replace(key=jax.random.key(0)))
  assert restored.key == state.key


# ---------------------------------------------------------------------------
# Schedules that react.


def plateau(**changes):
  """A learning rate with warm-up that reacts to the loss."""
  arguments = dict(factor=0.5, patience=2) | changes
  return fs.linear_schedule(0.0, 1.0, 4) * fs.reduce_on_plateau(
    0.5, **arguments
  )


@pytest.mark.parametrize('target_of', [lambda s: s, abstract])
def test_what_a_schedule_has_seen(target_of, manager):
  """Its memory is restored, whatever its place, and compared."""
  new = state_of('full', learning_rate=plateau(), b1=fs.reduce_on_plateau(0.9))
  state = saved(manager, new, 9)
  assert fs.hyperparams(state)['learning_rate'] < 0.25
  restored = checkpoint.restore(manager, target_of(new))
  assert_equal(restored, state)
  # Another place for it.
  other = state_of('full', learning_rate=plateau(), b1=0.9)
  restored = checkpoint.restore(
    manager, target_of(other), on_change={'b1': 'config'}
  )
  assert next_values(restored) == next_values(state) | {'b1': np.float32(0.9)}


def test_a_changed_reaction(manager):
  """The error names the field; either side can win, with the same memory."""
  state = saved(manager, state_of('full', learning_rate=plateau()), 7)
  target = state_of('full', learning_rate=plateau(factor=0.25, patience=1))
  with pytest.raises(
    checkpoint.ScheduleMismatchError,
    match=r'learning_rate\.factors\[1\]\.factor: checkpoint 0.5 -> config 0.25',
  ):
    checkpoint.restore(manager, target)
  went_on = checkpoint.restore(manager, target, on_change='checkpoint')
  assert_equal(bare(train(went_on, 5)), bare(train(state, 5)))
  changed = checkpoint.restore(manager, target, on_change='config')
  assert next_values(changed) == next_values(state)
  assert jax.tree.structure(changed) == jax.tree.structure(target)
  later = next_values(train(changed, 1))['learning_rate']
  assert later == 0.25 * next_values(changed)['learning_rate']
  with pytest.raises(ValueError, match='only plain schedules move to others'):
    checkpoint.restore(manager, target, on_change='rebase', rebase_steps=5)


def test_reaction_or_not(manager):
  """From a plain schedule to one that reacts, and back."""
  reacting = state_of('full', learning_rate=plateau())
  for wrapper in WRAPPERS:
    plain = state_of(wrapper, learning_rate=COSINE)
    state = saved(manager, plain, len(manager.all_steps()) + 1)
    restored = checkpoint.restore(manager, reacting, on_change='config')
    assert next_values(restored)['learning_rate'] == 0.0  # it starts anew
    restored = checkpoint.restore(manager, reacting, on_change='checkpoint')
    assert next_values(restored) == next_values(state)
  state = saved(manager, reacting, 6)
  for wrapper in WRAPPERS:
    plain = state_of(wrapper, learning_rate=COSINE)
    restored = checkpoint.restore(manager, plain, on_change='config')
    assert next_values(restored) == {'learning_rate': float(COSINE(6))}
  restored = checkpoint.restore(manager, plain, on_change='checkpoint')
  assert_equal(train(restored, 4).params, train(state, 4).params)
  fast = state_of('fast', learning_rate=COSINE)
  with pytest.raises(ValueError, match='needs inject_stateful_hyperparams'):
    checkpoint.restore(manager, fast, on_change='checkpoint')


# ---------------------------------------------------------------------------
# Checkpoints that hold no record.


@pytest.mark.parametrize('item', ['state', None])
def test_a_run_with_plain_optax(item, manager, caplog):
  """Its moments and its count go on; that nothing is known is logged."""
  old = create(optax.adamw(optax.cosine_decay_schedule(0.5, 100)))
  state = train(old, 4)
  args = ocp.args.StandardSave(state)
  manager.save(4, args=ocp.args.Composite(state=args) if item else args)
  for around in (CHAINS['none'], CHAINS['clip_before']):
    new = state_of(around=around, learning_rate=COSINE)
    restored = checkpoint.restore(manager, new)
    assert 'was not written by flax_sched.checkpoint.save' in caplog.text
    # What the last update has used, though Optax did not say so.
    assert fs.hyperparams(restored) == {'learning_rate': COSINE(3)}
    assert next_values(restored) == {'learning_rate': float(COSINE(4))}
    for x, y in zip(
      jax.tree.leaves(train(restored, 3).params),
      jax.tree.leaves(train(state, 3).params),
      strict=True,
    ):
      np.testing.assert_allclose(x, y, rtol=1e-5)


def test_a_run_with_optax_s_injection(manager):
  """Its values are compared with what the config would have used."""
  old = create(
    optax.inject_hyperparams(optax.adamw)(
      optax.cosine_decay_schedule(0.5, 100), weight_decay=0.25
    )
  )
  state = train(old, 4)
  manager.save(4, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
  same = state_of(learning_rate=COSINE, weight_decay=0.25)
  restored = checkpoint.restore(manager, same)
  assert next_values(restored) == {
    'learning_rate': float(COSINE(4)),
    'weight_decay': 0.25,
  }
  assert_equal(
    restored.opt_state.inner_state[0].mu, state.opt_state.inner_state[0].mu
  )
  other = state_of(
    'full', learning_rate=fs.cosine_decay_schedule(0.5, 10), weight_decay=0.5
  )
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, other)
  assert {d.name for d in caught.value.differences} == {
    'learning_rate',
    'weight_decay',
  }
  assert 'learning_rate.value at update 3: checkpoint' in str(caught.value)
  choices = {'learning_rate': 'config', 'weight_decay': 'checkpoint'}
  restored = checkpoint.restore(manager, other, on_change=choices)
  assert next_values(restored)['weight_decay'] == 0.25
  with pytest.raises(ValueError, match='does not say what it is'):
    checkpoint.restore(manager, other, on_change='checkpoint')


@pytest.mark.parametrize(
  'directory', sorted(OLD.iterdir()), ids=lambda directory: directory.name
)
def test_each_format_since_the_first(directory, tmp_path, caplog):
  """A checkpoint that an earlier version wrote goes on as it would have."""
  kept = shutil.copytree(directory, tmp_path / 'kept')
  expected = json.loads((kept / 'expected.json').read_text())
  new = old_checkpoints.create()
  for target in (new, abstract(new)):
    caplog.clear()
    with ocp.CheckpointManager(kept) as manager:
      restored = checkpoint.restore(manager, target)
    unknown = 'was not written by flax_sched.checkpoint.save' in caplog.text
    assert unknown == (directory.name == 'format_0')
    assert old_checkpoints.expected(restored) == expected
    then = old_checkpoints.train(restored, 3)
    now = old_checkpoints.train(new, old_checkpoints.STEP + 3)
    assert_close(then.params, now.params)
    assert_close(then.opt_state, now.opt_state)
    assert restored.step == old_checkpoints.STEP


def test_no_count_anywhere(manager):
  """Plain SGD has none: nothing is guessed."""
  state = create(optax.sgd(0.5))
  manager.save(0, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
  target = state_of(factory=optax.sgd, learning_rate=COSINE)
  with pytest.raises(
    ValueError, match='holds no count of updates for learning'
  ):
    checkpoint.restore(manager, target, on_change='config')


# ---------------------------------------------------------------------------
# Damage.


def files_of(directory):
  """Every file under a directory, with what is in it."""
  return {p: p.read_bytes() for p in directory.rglob('*') if p.is_file()}


def is_noticed(copy, new, states):
  """Whether a restore of a damaged copy fails: an error that names it."""
  before = files_of(copy)
  with ocp.CheckpointManager(copy) as manager:
    if manager.latest_step() != 2:
      return False  # the manager itself lists it no more
    with contextlib.suppress(OSError):  # or nothing depends on the file
      assert_equal(checkpoint.restore(manager, new), states[2])
      assert files_of(copy) == before
      return False
    with pytest.raises(OSError, match='Pass allow_previous=True') as caught:
      checkpoint.restore(manager, new)
    assert f'{copy}/2 is damaged' in str(caught.value)
    restored = checkpoint.restore(manager, new, allow_previous=True)
    assert_equal(restored, states[1])
  assert files_of(copy) == before
  return True


@pytest.mark.parametrize('damage', ['truncate', 'delete', 'garbage'])
@pytest.mark.usefixtures('failing_reads')
def test_a_damaged_checkpoint(damage, tmp_path):
  """Any file of it: an error that names it, or the step before; no more."""
  new = state_of(learning_rate=COSINE, weight_decay=0.1)
  directory = tmp_path / 'whole'
  with ocp.CheckpointManager(directory) as manager:
    states = {n: saved(manager, new, n) for n in (1, 2)}
  noticed = 0
  for path in sorted(p for p in (directory / '2').rglob('*') if p.is_file()):
    copy = tmp_path / 'copy'
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy)
    broken = copy / path.relative_to(directory)
    content = broken.read_bytes()
    if damage == 'delete':
      broken.unlink()
    elif damage == 'truncate':
      broken.write_bytes(content[: len(content) // 2])
    else:
      broken.write_bytes(bytes(255 - b for b in content))
    noticed += is_noticed(copy, new, states)
  assert noticed >= 4


def test_a_record_that_is_gone_is_no_old_checkpoint(manager):
  """A checkpoint of `save` without its record is damaged."""
  new = state_of(learning_rate=COSINE)
  saved(manager, new)
  manager.wait_until_finished()
  shutil.rmtree(manager.directory / '4' / 'hyperparams')
  with pytest.raises(OSError, match='hyperparams'):
    checkpoint.restore(manager, new)


def test_a_newer_format(manager):
  """Refused, by its number."""
  new = state_of(learning_rate=COSINE)
  saved(manager, new)
  manager.wait_until_finished()
  path = manager.directory / '4' / 'hyperparams' / 'metadata'
  path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
  with pytest.raises(ValueError, match='has format 99, of a newer flax_sched'):
    checkpoint.restore(manager, new, allow_previous=True)


# ---------------------------------------------------------------------------
# Populations.


def test_a_population(manager):
  """Members with schedules of their own: compared, restored and changed."""

  def create_all(steps):
    def create_one(peak, steps):
      tx = fs.inject_stateful_hyperparams(
        optax.adam, learning_rate=fs.cosine_decay_schedule(peak, steps)
      )
      params = {'w': jnp.ones(3)}
      return {'params': params, 'opt': tx.init(params)}

    peaks = jnp.array([0.1, 0.2, 0.4])
    return jax.vmap(create_one)(peaks, jnp.array(steps))

  population = create_all([10, 20, 30])
  checkpoint.save(manager, 0, population)
  assert_equal(checkpoint.restore(manager, population), population)
  other = create_all([10, 25, 30])
  with pytest.raises(
    checkpoint.ScheduleMismatchError,
    match=r'learning_rate.decay_steps\[1\]: checkpoint 20 -> config 25',
  ):
    checkpoint.restore(manager, other)
  restored = checkpoint.restore(manager, other, on_change='config')
  assert_equal(restored, other)
  restored = checkpoint.restore(manager, other, on_change='checkpoint')
  assert_equal(restored, population)
  with pytest.raises(ValueError, match='members of a population differ'):
    checkpoint.restore(manager, other, on_change='rebase', rebase_steps=3)


# ---------------------------------------------------------------------------
# The comparison, over random pairs.

NUMBERS = st.floats(0.0078125, 1.0, width=32)
STEPS = st.integers(1, 10**6)
SCHEDULES = st.one_of(
  st.builds(fs.constant_schedule, NUMBERS),
  st.builds(fs.linear_schedule, NUMBERS, NUMBERS, STEPS),
  st.builds(fs.cosine_decay_schedule, NUMBERS, STEPS),
  st.builds(
    fs.warmup_cosine_decay_schedule, NUMBERS, NUMBERS, STEPS, STEPS, NUMBERS
  ),
  st.builds(
    fs.piecewise_constant_schedule,
    st.dictionaries(STEPS, NUMBERS, min_size=1, max_size=4),
    NUMBERS,
  ),
)


def fields_of(schedule):
  """Every number of a schedule, by the way to it."""

  def walk(x, path):
    if isinstance(x, dict):
      for key, item in x.items():
        yield from walk(item, f'{path}.{key}')
    elif isinstance(x, list):
      for i, item in enumerate(x):
        yield from walk(item, f'{path}[{i}]')
    else:
      yield path[1:], x

  return dict(walk(spec.to_spec(schedule), ''))


@given(SCHEDULES, SCHEDULES)
def test_the_comparison_lists_what_differs(old, new):
  """Exactly the fields that differ; schedules of other structure as wholes."""
  entries = [
    {'learning_rate': {'schedule': spec.to_spec(s), 'count': 0, 'value': 0.0}}
    for s in (old, new)
  ]
  found = list(record.differences(*entries))
  a, b = fields_of(old), fields_of(new)
  assert bool(found) == (old != new)
  if a.keys() == b.keys() and a['kind'] == b['kind']:
    assert {d.field: (d.checkpoint, d.config) for d in found} == {
      field: (a[field], b[field]) for field in a if a[field] != b[field]
    }
  elif a['kind'] != b['kind']:
    assert [d.field for d in found] == ['']


@given(
  st.fixed_dictionaries(
    {'learning_rate': SCHEDULES, 'weight_decay': SCHEDULES}
  ),
  st.fixed_dictionaries(
    {'learning_rate': SCHEDULES, 'weight_decay': SCHEDULES}
  ),
  st.sampled_from(sorted(WRAPPERS)),
  st.sampled_from(sorted(WRAPPERS)),
  st.integers(0, 10**6),
)
@settings(max_examples=20)
def test_each_choice_gives_what_it_says(
  tmp_path_factory, old, new, wrapper, other, count
):
  """For random pairs of schedules, saved and restored."""

  def state_at(wrapper, schedules):
    tx = WRAPPERS[wrapper](optax.adamw, **schedules)
    params = {'w': jnp.ones(2)}
    state = TrainState.create(apply_fn=None, params=params, tx=tx)
    return fs.reset_count(state, count)

  def values(state):
    followed = injected.schedules(state.opt_state)
    return {name: float(s(count)) for name, s in followed.items()}

  target = state_at(other, new)
  expected = [
    {name: float(s(count)) for name, s in schedules.items()}
    for schedules in (old, new)
  ]
  with ocp.CheckpointManager(tmp_path_factory.mktemp('random')) as manager:
    checkpoint.save(manager, 0, state_at(wrapper, old))
    if old == new:
      assert values(checkpoint.restore(manager, target)) == expected[1]
    else:
      with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
        checkpoint.restore(manager, target)
      assert {d.name for d in caught.value.differences} == {
        name for name in old if old[name] != new[name]
      }
    for choice, side in (('checkpoint', 0), ('config', 1)):
      restored = checkpoint.restore(manager, target, on_change=choice)
      assert values(restored) == pytest.approx(expected[side], rel=1e-6)
    restored = checkpoint.restore(
      manager, target, on_change='rebase', rebase_steps=10
    )
    assert values(restored) == pytest.approx(expected[0], rel=1e-6)

"""Restoring where a schedule has changed: the error, and each choice."""

import jax
import numpy as np
import optax
import pytest

from checkpointing import abstract
from checkpointing import assert_equal
from checkpointing import bare
from checkpointing import both
from checkpointing import COSINE
from checkpointing import LONGER
from checkpointing import next_values
from checkpointing import OTHERS
from checkpointing import SAME
from checkpointing import saved
from checkpointing import state_of
from checkpointing import train
from checkpointing import train_step
from checkpointing import WRAPPERS
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import injected
from flax_sched import record
from flax_sched import spec
from flax_sched.compose import Crossfade

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
  saved(manager, state_of(pair[0], optax.sgd, learning_rate=old))
  target = state_of(pair[1], optax.sgd, learning_rate=new)
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
      other = state_of(pair[1], optax.sgd, learning_rate=0.0625)
      with pytest.raises(checkpoint.ScheduleMismatchError):
        checkpoint.restore(manager, other)
    restored = train_step(restored)
  checkpoint.save(manager, 16, restored)
  arrived = checkpoint.restore(manager, target)
  assert jax.tree.structure(arrived) == jax.tree.structure(target)
  assert next_values(arrived) == {'learning_rate': float(after(16))}
  schedules = injected.schedules(restored.opt_state)
  assert isinstance(schedules['learning_rate'], Crossfade)


def test_one_rebase_after_another(manager):
  """A second change is listed by field, and what is over is left behind."""
  saved(manager, state_of(factory=optax.sgd, learning_rate=COSINE))
  for steps in (200, 300, 400):
    lr = fs.cosine_decay_schedule(0.5, steps)
    target = state_of(factory=optax.sgd, learning_rate=lr)
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
    new = state_of(wrapper, optax.sgd, learning_rate=COSINE)
    edited = fs.set_hyperparams(train(new, 2), learning_rate=0.0625)
    step = len(manager.all_steps())
    checkpoint.save(manager, step, edited)
    with pytest.raises(checkpoint.ScheduleMismatchError, match=r'0\.0625'):
      checkpoint.restore(manager, new)
    fast = state_of('fast', optax.sgd, learning_rate=COSINE)
    for target in (new, fast):
      restored = checkpoint.restore(manager, target, on_change='checkpoint')
      assert next_values(restored) == {'learning_rate': 0.0625}
      restored = checkpoint.restore(manager, target, on_change='config')
      assert next_values(restored) == {'learning_rate': float(COSINE(2))}
  # The schedule is still there to go back to.
  restored = checkpoint.restore(manager, new, on_change='checkpoint')
  restored = fs.set_hyperparams(restored, learning_rate=None)
  assert next_values(restored) == {'learning_rate': float(COSINE(2))}


@both
def test_an_edited_rebase(wrapper, manager):
  """What was set on the way is a difference, which each choice settles."""
  saved(manager, state_of('full', optax.sgd, learning_rate=COSINE))
  steps = dict(on_change='rebase', rebase_steps=8)
  new = state_of('full', optax.sgd, learning_rate=LONGER)
  state = checkpoint.restore(manager, new, **steps)
  state = fs.set_hyperparams(train(state, 2), learning_rate=0.0625)
  checkpoint.save(manager, 6, state)
  target = state_of(wrapper, optax.sgd, learning_rate=LONGER)
  with pytest.raises(checkpoint.ScheduleMismatchError, match='override'):
    checkpoint.restore(manager, target)
  config = checkpoint.restore(manager, target, on_change='config')
  assert next_values(config) == {'learning_rate': float(LONGER(6))}
  assert jax.tree.structure(config) == jax.tree.structure(target)
  for choice in (dict(on_change='checkpoint'), steps):
    restored = checkpoint.restore(manager, target, **choice)
    assert next_values(restored) == {'learning_rate': 0.0625}


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

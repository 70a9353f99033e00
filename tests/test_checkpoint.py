"""Checkpoints remember schedules, and restore exactly what has not changed."""

import json

from flax import nnx
import jax
from jax import numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest

from checkpointing import abstract
from checkpointing import assert_equal
from checkpointing import both
from checkpointing import COSINE
from checkpointing import create
from checkpointing import LONGER
from checkpointing import saved
from checkpointing import state_of
from checkpointing import train
from checkpointing import WRAPPERS
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import spec
import zoo


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
    'paths': {
      name: [
        'opt_state',
        'inner_states',
        label,
        'inner_state',
        'hyperparams',
        key,
      ]
      for name, label, key in (
        ('b/learning_rate', 'b', 'learning_rate'),
        ('b1', 'b', 'b1'),
        ('w/learning_rate', 'w', 'learning_rate'),
      )
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

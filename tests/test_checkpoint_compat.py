"""Restoring what plain Orbax, or an earlier version, has saved."""

import json
import pathlib
import shutil

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from checkpointing import abstract
from checkpointing import assert_close
from checkpointing import assert_equal
from checkpointing import CHAINS
from checkpointing import COSINE
from checkpointing import create
from checkpointing import next_values
from checkpointing import state_of
from checkpointing import train
import flax_sched as fs
from flax_sched import checkpoint
import old_checkpoints

# A checkpoint of each format, as `old_checkpoints.py` wrote them at the time.
OLD = pathlib.Path(__file__).parent / 'checkpoints'


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


def test_what_the_target_does_not_name(manager):
  """Optax injects it all the same: it is compared with what is used now."""
  old = create(optax.inject_hyperparams(optax.adamw)(0.5, b2=0.5, eps=1e-6))
  state = train(old, 4)
  manager.save(4, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
  for factory in (optax.adamw, optax.adam):
    target = state_of(factory=factory, learning_rate=0.5)
    with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
      checkpoint.restore(manager, target)
    lines = list(map(str, caught.value.differences))
    assert 'b2.value at update 3: checkpoint 0.5 -> config 0.999' in lines
    assert len(lines) == 2
  accepted = {'b2': 'config', 'eps': 'config'}
  restored = checkpoint.restore(manager, target, on_change=accepted)
  assert next_values(restored) == {'learning_rate': 0.5}
  named = state_of(learning_rate=0.5, b2=0.5, eps=1e-6)
  assert next_values(checkpoint.restore(manager, named))['b2'] == 0.5
  constant = state_of(
    learning_rate=0.5, b2=0.5, eps=1e-6, static_args=('b2', 'eps')
  )
  restored = checkpoint.restore(manager, constant)
  assert next_values(restored) == {'learning_rate': 0.5}


def test_a_product_counts_on(manager):
  """Its plain factors, from the count that Optax has saved."""
  state = train(create(optax.adamw(0.5)), 4)
  manager.save(4, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
  lr = COSINE * fs.reduce_on_plateau(0.5)
  target = state_of('full', learning_rate=lr)
  for new in (target, abstract(target)):
    restored = checkpoint.restore(manager, new)
    assert next_values(restored) == {'learning_rate': float(COSINE(4)) / 2}


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

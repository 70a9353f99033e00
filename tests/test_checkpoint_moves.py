"""Checkpoints of several optimizers whose places, and so whose names, move."""

import json

import optax
import pytest

from checkpointing import both
from checkpointing import COSINE
from checkpointing import create
from checkpointing import LONGER
from checkpointing import saved
from checkpointing import train_step
from checkpointing import WRAPPERS
import flax_sched as fs
from flax_sched import checkpoint

CLIP = optax.clip(1e9)
RATES = {'cosine': COSINE, 'longer': LONGER, 'half': 0.5, 'third': 1 / 3}

# What is in the chain, then and now; CLIP by that name, a rate injected.
MOVES = [
  ('cosine half', 'clip cosine half'),
  ('clip cosine half', 'cosine half'),
  ('cosine half', 'cosine clip half'),
  ('cosine half longer', 'half longer'),
  ('cosine half longer', 'cosine longer'),
  ('cosine half longer', 'cosine half'),
]


def _state(chain, inject):
  parts = [
    CLIP if part == 'clip' else inject(optax.sgd, learning_rate=RATES[part])
    for part in chain.split()
  ]
  return create(optax.chain(*parts))


def _by_part(state, chain):
  """The rates, by what is in the chain."""
  parts = [part for part in chain.split() if part != 'clip']
  rates = map(float, fs.hyperparams(state).values())
  return dict(zip(parts, rates, strict=True))


@both
@pytest.mark.parametrize(('then', 'now'), MOVES)
def test_each_goes_on_where_it_is_now(then, now, wrapper, manager):
  """What follows the same is the same: nothing else of it is a difference."""
  inject = WRAPPERS[wrapper]
  state = saved(manager, _state(then, inject))
  target = _state(now, inject)
  gone = set(then.split()) - set(now.split()) - {'clip'}
  if gone:
    with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
      checkpoint.restore(manager, target)
    assert [d.config for d in caught.value.differences] == [None] * len(gone)
    restored = checkpoint.restore(manager, target, on_change='config')
  else:
    restored = checkpoint.restore(manager, target)
  expected = _by_part(train_step(state), then)
  found = _by_part(train_step(restored), now)
  for part in expected.keys() & found.keys():
    assert found[part] == expected[part], part


@both
@pytest.mark.parametrize('choice', ['checkpoint', 'rebase', 'config'])
def test_a_change_of_one_that_moved(choice, wrapper, manager):
  """Has the name of now, and the choice for it is about that one."""
  inject = WRAPPERS[wrapper]
  state = saved(manager, _state('half cosine', inject))
  target = _state('clip half longer', inject)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  assert [str(d) for d in caught.value.differences] == [
    '2/learning_rate.decay_steps: checkpoint 100 -> config 200'
  ]
  rebase_steps = 1000 if choice == 'rebase' else None
  restored = checkpoint.restore(
    manager,
    target,
    on_change={'2/learning_rate': choice},
    rebase_steps=rebase_steps,
  )
  values = fs.hyperparams(train_step(restored))
  follows = LONGER if choice == 'config' else COSINE
  assert float(values['1/learning_rate']) == 0.5
  assert float(values['2/learning_rate']) == pytest.approx(
    float(follows(4)), rel=1e-6
  )
  assert int(state.step) == int(restored.step) == 4


def test_one_that_is_gone_and_had_a_name_of_now(manager):
  """It is named by the whole way, and the others by their names."""
  adam = fs.inject_hyperparams(optax.adam, learning_rate=LONGER)
  state = _state('cosine half', fs.inject_hyperparams)
  both_sgd = [
    fs.inject_hyperparams(optax.sgd, learning_rate=rate, momentum=0.5)
    for rate in (COSINE, 0.5)
  ]
  state = create(optax.chain(adam, *both_sgd))
  saved(manager, state)
  target = create(optax.chain(*both_sgd))
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  assert [(d.name, d.config) for d in caught.value.differences] == [
    ('opt_state/0/hyperparams/learning_rate', None)
  ]
  restored = checkpoint.restore(manager, target, on_change='config')
  values = fs.hyperparams(train_step(restored))
  assert float(values['0/learning_rate']) == float(COSINE(4))


def test_a_memory_that_moved(manager):
  """A reactive schedule goes on with what it has seen."""
  plateau = fs.reduce_on_plateau(1.0, 0.5, patience=1)

  def make(*around):
    inject = fs.inject_stateful_hyperparams
    rates = (0.25, plateau)
    parts = [inject(optax.sgd, learning_rate=rate) for rate in rates]
    return create(optax.chain(*around, *parts))

  state = saved(manager, make())
  restored = checkpoint.restore(manager, make(CLIP))
  expected = [float(v) for v in fs.hyperparams(train_step(state)).values()]
  found = [float(v) for v in fs.hyperparams(train_step(restored)).values()]
  assert found == expected
  assert found[1] < 1.0


def test_a_record_without_paths(manager):
  """Of an earlier version: what has the same name is the same."""
  saved(manager, _state('half cosine', fs.inject_hyperparams))
  manager.wait_until_finished()
  path = manager.directory / '4' / 'hyperparams' / 'metadata'
  record = json.loads(path.read_text())
  del record['paths']
  path.write_text(json.dumps(record))
  same = _state('half cosine', fs.inject_hyperparams)
  checkpoint.restore(manager, same)
  moved = _state('clip half cosine', fs.inject_hyperparams)
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, moved)
  assert {d.name for d in caught.value.differences} == {
    '0/learning_rate',
    '1/learning_rate',
    '2/learning_rate',
  }


def test_one_more_has_no_count(manager):
  """Nobody can say how far it is."""
  saved(manager, _state('cosine half', fs.inject_hyperparams))
  target = _state('cosine half longer', fs.inject_hyperparams)
  with pytest.raises(ValueError, match='no count of updates for 2/learning_r'):
    checkpoint.restore(manager, target)

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
from optimizer_pairs import sgd

CLIP = optax.clip(1e9)
PLATEAU = fs.reduce_on_plateau(1.0, 0.5, patience=1)

# What is in the chain, then and now; CLIP by that name, a rate injected.
MOVES = [
  ('cosine half', 'clip cosine half'),
  ('clip cosine half', 'cosine half'),
  ('cosine half', 'cosine clip half'),
  ('cosine half longer', 'half longer'),
  ('cosine half longer', 'cosine longer'),
  ('cosine half longer', 'cosine half'),
]


def _parts(inject):
  """Injected optimizers to make chains of, and CLIP."""
  full = fs.inject_stateful_hyperparams

  def both_of(learning_rate, mult):
    return optax.chain(optax.sgd(learning_rate), optax.scale(mult))

  def around(learning_rate):
    inner = full(optax.adam, learning_rate=PLATEAU)
    return optax.chain(inner, optax.scale(learning_rate))

  return {
    'clip': CLIP,
    'cosine': sgd(COSINE, inject),
    'longer': sgd(LONGER, inject),
    'half': sgd(0.5, inject),
    'decay': inject(optax.add_decayed_weights, weight_decay=0.25),
    'adam': inject(optax.adam, learning_rate=1e-3),
    'both_longer': full(both_of, learning_rate=LONGER, mult=PLATEAU),
    'both_cosine': full(both_of, learning_rate=COSINE, mult=PLATEAU),
    'plateau': full(optax.adam, learning_rate=PLATEAU),
    'around': inject(around, learning_rate=0.5),
  }


def _state(chain, inject=fs.inject_hyperparams):
  """A state whose optimizer is a chain of those."""
  parts = _parts(inject)
  return create(optax.chain(*(parts[name] for name in chain.split())))


def _caught(manager, target):
  """The differences that stop a restore."""
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, target)
  return caught.value.differences


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
    found = _caught(manager, target)
    assert [d.config for d in found] == [None] * len(gone)
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
  assert [str(d) for d in _caught(manager, target)] == [
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
  both_sgd = [
    fs.inject_hyperparams(optax.sgd, learning_rate=rate, momentum=0.5)
    for rate in (COSINE, 0.5)
  ]
  state = create(optax.chain(adam, *both_sgd))
  saved(manager, state)
  target = create(optax.chain(*both_sgd))
  assert [(d.name, d.config) for d in _caught(manager, target)] == [
    ('opt_state/0/hyperparams/learning_rate', None)
  ]
  restored = checkpoint.restore(manager, target, on_change='config')
  values = fs.hyperparams(train_step(restored))
  assert float(values['0/learning_rate']) == float(COSINE(4))


def test_a_memory_that_moved(manager):
  """A reactive schedule goes on with what it has seen."""

  def make(*around):
    inject = fs.inject_stateful_hyperparams
    rates = (0.25, PLATEAU)
    return create(optax.chain(*around, *(sgd(rate, inject) for rate in rates)))

  state = saved(manager, make())
  restored = checkpoint.restore(manager, make(CLIP))
  expected = [float(v) for v in fs.hyperparams(train_step(state)).values()]
  found = [float(v) for v in fs.hyperparams(train_step(restored)).values()]
  assert found == expected
  assert found[1] < 1.0


def test_a_record_without_paths(manager):
  """Of an earlier version: what has the same name is the same."""
  saved(manager, _state('half cosine'))
  manager.wait_until_finished()
  path = manager.directory / '4' / 'hyperparams' / 'metadata'
  record = json.loads(path.read_text())
  del record['paths']
  path.write_text(json.dumps(record))
  same = _state('half cosine')
  checkpoint.restore(manager, same)
  moved = _state('clip half cosine')
  assert {d.name for d in _caught(manager, moved)} == {
    '0/learning_rate',
    '1/learning_rate',
    '2/learning_rate',
  }


def test_one_more_has_no_count(manager):
  """Nobody can say how far it is."""
  saved(manager, _state('cosine half'))
  target = _state('cosine half longer')
  with pytest.raises(ValueError, match='no count of updates for 2/learning_r'):
    checkpoint.restore(manager, target)


def _differences(manager, target):
  """In words, up to what the config says."""
  return [str(d).partition(' -> ')[0] for d in _caught(manager, target)]


@both
def test_two_that_changed_places(wrapper, manager):
  """Of those without moments, each goes on."""
  inject = WRAPPERS[wrapper]
  state = saved(manager, _state('decay cosine', inject))
  restored = checkpoint.restore(manager, _state('cosine clip decay', inject))
  assert fs.hyperparams(train_step(restored)) == fs.hyperparams(
    train_step(state)
  )


def test_which_one_is_left_is_told_by_its_kind(manager):
  """Where its schedule is another one, too."""
  saved(manager, _state('cosine adam'))
  target = _state('clip longer')
  assert _differences(manager, target) == [
    'learning_rate.decay_steps: checkpoint 100',
    '1/learning_rate: checkpoint Constant(constant=0.001)',
  ]
  restored = checkpoint.restore(manager, target, on_change='checkpoint')
  values = fs.hyperparams(train_step(restored))
  assert values == {'learning_rate': float(COSINE(4))}


def test_one_that_is_put_around(manager):
  """What has the same name inside goes on with what it remembers."""
  state = saved(manager, _state('plateau'), updates=6)
  target = _state('around')
  assert _differences(manager, target) == ['0/learning_rate: checkpoint none']
  restored = checkpoint.restore(manager, target, on_change='config')
  expected = fs.hyperparams(train_step(state))['learning_rate']
  assert expected < 0.25
  values = fs.hyperparams(train_step(restored))
  assert sorted(map(float, values.values())) == [expected, 0.5]


def test_a_name_that_another_one_has_now(manager):
  """It is gone from its own place, and new in the other."""
  saved(manager, _state('cosine both_longer'), updates=6)
  target = _state('both_cosine longer')
  new, gone = _differences(manager, target)
  assert new == 'mult: checkpoint none'
  assert gone.startswith('opt_state/1/hyperparams/mult: checkpoint ReduceOnPl')
  restored = checkpoint.restore(manager, target, on_change='config')
  assert fs.hyperparams(train_step(restored))['mult'] == 1.0


def test_slashes_in_names(manager):
  """They are no part of the path."""

  def factory(**rates):
    return optax.sgd(rates['a/x'] * rates['b/x'])

  tx = fs.inject_hyperparams(factory, **{'a/x': COSINE, 'b/x': 0.5})
  state = saved(manager, create(tx))
  restored = checkpoint.restore(manager, create(tx))
  assert fs.hyperparams(train_step(restored)) == fs.hyperparams(
    train_step(state)
  )


def test_unknown_names_are_told_the_known_ones_once(manager):
  """Those of the checkpoint and of the target."""
  state = saved(manager, _state('half cosine'))
  with pytest.raises(
    ValueError, match=r'It has 0/learning_rate, 1/learning_rate\.$'
  ):
    checkpoint.restore(manager, state, on_change={'lr': 'config'})

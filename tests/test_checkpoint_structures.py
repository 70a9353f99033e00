"""Checkpoints of states with several optimizers, and of any kind of state."""

import dataclasses
import json
import typing

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

from checkpointing import assert_equal
from checkpointing import both
from checkpointing import COSINE
from checkpointing import LONGER
from checkpointing import WRAPPERS
import flax_sched as fs
from flax_sched import checkpoint
from optimizer_pairs import PARAMS
from optimizer_pairs import sgd
from optimizer_pairs import STRUCTURES
from optimizer_pairs import train_state
from optimizer_pairs import WithAux


@both
@pytest.mark.parametrize('structure', STRUCTURES)
def test_several_optimizers(structure, wrapper, manager):
  """The same config restores; a change in either is noticed, by its name."""
  make, names = STRUCTURES[structure]
  inject = WRAPPERS[wrapper]
  state = fs.set_hyperparams(
    make(sgd(COSINE, inject), sgd(0.5, inject)), **{names[1]: 0.25}
  )
  assert checkpoint.save(manager, 1, state)
  same = make(sgd(COSINE, inject), sgd(0.5, inject))
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, same)
  assert {d.name for d in caught.value.differences} == {names[1]}
  restored = checkpoint.restore(manager, same, on_change='checkpoint')
  assert fs.hyperparams(restored) == fs.hyperparams(state)
  other = make(sgd(LONGER, inject), sgd(0.5, inject))
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, other)
  assert {d.name for d in caught.value.differences} == set(names)


def test_a_record_of_one_name_for_two(manager):
  """Earlier versions wrote such: the names differ, and the config goes on."""
  make, names = STRUCTURES['dataclass']
  state = make(sgd(COSINE), sgd(0.5))
  checkpoint.save(manager, 1, state)
  manager.wait_until_finished()
  path = manager.directory / '1' / 'hyperparams' / 'metadata'
  record = json.loads(path.read_text())
  entries = record['hyperparams']
  entries['learning_rate'] = entries.pop(names[0])
  del record['paths']
  path.write_text(json.dumps(record))
  with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
    checkpoint.restore(manager, state)
  assert {d.name for d in caught.value.differences} == {
    'learning_rate',
    names[0],
  }
  restored = checkpoint.restore(manager, state, on_change='config')
  assert fs.hyperparams(restored) == fs.hyperparams(state)


def test_what_is_remembered_beside_the_optimizer(manager):
  """A reactive schedule there goes on where it was."""
  aux = fs.inject_stateful_hyperparams(
    optax.sgd, learning_rate=fs.reduce_on_plateau(1.0, 0.5, patience=1)
  )

  def make():
    return WithAux.create(
      apply_fn=None, params=PARAMS, tx=sgd(0.5), aux=aux.init(PARAMS)
    )

  state = make()
  for _ in range(3):
    _, after = aux.update(PARAMS, state.aux, PARAMS, value=1.0)
    state = state.replace(aux=after)
  checkpoint.save(manager, 1, state)
  restored = checkpoint.restore(manager, make())
  assert_equal(restored.aux, state.aux)
  assert fs.hyperparams(state)['aux/learning_rate'] == 0.5


def test_a_state_inside_a_state(manager):
  """Its optimizer says what is in an abstract one, too."""

  def make():
    inside = train_state(sgd(COSINE))
    return WithAux.create(apply_fn=None, params=PARAMS, tx=sgd(0.5), aux=inside)

  state = make()
  checkpoint.save(manager, 1, state)
  restored = checkpoint.restore(manager, jax.eval_shape(make))
  assert fs.hyperparams(restored) == fs.hyperparams(state)
  assert set(fs.hyperparams(state)) == {'learning_rate', 'aux/learning_rate'}


def test_one_optimizer_of_several_is_injected(manager):
  """The other's state is none of the library's, also of an abstract target."""

  def make():
    return {'a': train_state(sgd(COSINE)), 'b': train_state(optax.adam(0.5))}

  state = make()
  checkpoint.save(manager, 1, state)
  restored = checkpoint.restore(manager, jax.eval_shape(make))
  assert fs.hyperparams(restored) == {'learning_rate': np.float32(0.5)}


class Haiku(typing.NamedTuple):
  """A state as a named tuple."""

  params: object
  opt_state: object
  step: object


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Mutable:
  """A state whose fields may be set."""

  params: object
  opt_state: object
  step: object


@both
@pytest.mark.parametrize('kind', [Haiku, Mutable])
def test_states_of_other_kinds(kind, wrapper, manager):
  """Saved, compared and restored, and the target stays as it is."""

  def make(schedule):
    tx = sgd(schedule, WRAPPERS[wrapper])
    return kind(PARAMS, tx.init(PARAMS), jnp.zeros((), jnp.int32))

  state, target = make(COSINE), make(LONGER)
  checkpoint.save(manager, 1, state)
  assert_equal(checkpoint.restore(manager, make(COSINE)), state)
  for choice, expected in (('checkpoint', state), ('config', target)):
    restored = checkpoint.restore(manager, target, on_change=choice)
    assert_equal(restored, expected)
  assert_equal(target, make(LONGER))

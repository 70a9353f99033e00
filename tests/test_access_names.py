"""The names of hyperparameters: one for each, wherever it is in a state."""

import optax
import pytest

import flax_sched as fs
from flax_sched import metrics
from optimizer_pairs import PARAMS
from optimizer_pairs import sgd
from optimizer_pairs import STRUCTURES
from optimizer_pairs import train_state
from optimizer_pairs import WithAux
from recorders import Recorder


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
@pytest.mark.parametrize('structure', STRUCTURES)
def test_each_has_a_name_of_its_own(structure, inject):
  """By which it is read, and set, and no other with it."""
  make, names = STRUCTURES[structure]
  state = make(sgd(0.25, inject), sgd(0.5, inject))
  assert fs.hyperparams(state) == dict(zip(names, (0.25, 0.5), strict=True))
  for name in names:
    changed = fs.set_hyperparams(state, **{name: 0.125})
    expected = {**fs.hyperparams(state), name: 0.125}
    assert fs.hyperparams(changed) == expected


def test_injection_inside_injection():
  """The inner one of two by one name says that it is inside."""
  tx = fs.inject_hyperparams(lambda: sgd(0.25), learning_rate=0.5)
  state = fs.set_hyperparams(
    tx.init(PARAMS), **{'inner_state/learning_rate': 0.125}
  )
  assert fs.hyperparams(state) == {
    'learning_rate': 0.5,
    'inner_state/learning_rate': 0.125,
  }


def test_names_of_checkpoints_stay():
  """A position is enough where it was; what is elsewhere changes no name."""
  one_group = optax.partition({0: sgd(0.25)}, {'a': 0, 'b': 0})
  chain = optax.chain(one_group, sgd(0.5))
  names = ['0/learning_rate', '1/learning_rate']
  assert list(fs.hyperparams(train_state(chain))) == names
  state = WithAux.create(
    apply_fn=None, params=PARAMS, tx=chain, aux=chain.init(PARAMS)
  )
  assert list(fs.hyperparams(state)) == [
    *names,
    'aux/0/0/learning_rate',
    'aux/1/learning_rate',
  ]


def test_ways_that_are_the_same_in_words():
  """They can't be told apart: an error, and no value that hides another."""
  state = {
    'a/b': sgd(0.25).init(PARAMS),
    'a': {'b': sgd(0.5).init(PARAMS)},
  }
  with pytest.raises(
    ValueError, match=r"^hyperparams: .* got 2 of the name 'a/b/learning_rate'"
  ):
    fs.hyperparams(state)


def test_a_logger_has_both():
  """Each under its own name."""
  make, names = STRUCTURES['dataclass']
  with metrics.HyperparamLogger(Recorder(), prefix='') as logger:
    logger.log(0, make(sgd(0.25), sgd(0.5)))
  assert logger.latest == dict(zip(names, (0.25, 0.5), strict=True))

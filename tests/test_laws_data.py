"""The laws of a schedule as data: copies, equality, repr and serialization."""

import copy
import pickle
import re

from flax import serialization
import jax
from jax import numpy as jnp
import numpy as np
import pytest

import flax_sched as fs
from flax_sched.formula import parameters
from flax_sched.schedule import Combination
import laws
import zoo


@laws.each
def test_pickle_and_deepcopy(entry):
  """Copies are equal, hash alike, and give the same values."""
  for twin in (
    pickle.loads(pickle.dumps(entry.schedule)),
    copy.deepcopy(entry.schedule),
    copy.copy(entry.schedule),
  ):
    assert twin == entry.schedule
    assert hash(twin) == hash(entry.schedule)
    assert twin(17) == entry.schedule(17)
    assert repr(twin) == repr(entry.schedule)


@laws.each
def test_numbers_on_the_device_are_the_same_numbers(entry):
  """Where a leaf lies makes no difference to equality, hash and repr."""
  placed = jax.tree.map(jnp.asarray, entry.schedule)
  assert placed == entry.schedule
  assert hash(placed) == hash(entry.schedule)
  if type(entry.schedule) is not zoo.InverseSqrt:  # 0.3 as a float64
    assert repr(placed) == repr(entry.schedule)


@laws.each
def test_equality_sees_every_number(entry):
  """Schedules with one other number are not equal."""
  leaves, treedef = jax.tree.flatten(entry.schedule)
  for i, leaf in enumerate(leaves):
    for element in list(np.ndindex(np.shape(leaf)))[-3:]:
      changed = np.array(leaf)
      # In place of a float beyond int32, 1 more is the same number.
      changed[element] = 7 if changed[element] != 7 else 8
      new = [*leaves[:i], changed[()], *leaves[i + 1 :]]
      assert treedef.unflatten(new) != entry.schedule
  assert entry.schedule != 0.1
  assert [entry.schedule] == [entry.schedule]


def test_equality_sees_the_classes_inside():
  """Two composites of schedules of different classes are not equal.

  Here all fields are the same: JAX 0.9 and later call such structures equal.
  """
  line = fs.linear_schedule(1.0, 0.0, 4)
  curve = fs.cosine_decay_schedule(1.0, 4)
  one, other = (fs.join_schedules([1.0, s], [5]) for s in (line, curve))
  assert one != other
  assert hash(one) != hash(other)
  assert fs.join_schedules([one, 1.0], [9]) != fs.join_schedules(
    [other, 1], [9]
  )


def test_equality_sees_classes_and_static_fields():
  """The same numbers in another formula are another schedule."""
  assert (
    zoo.known_entry('user_class').schedule
    != zoo.known_entry('user_class_static').schedule
  )
  distinct = {entry.schedule for entry in zoo.ZOO}
  assert len(distinct) == len(zoo.ZOO)
  assert fs.linear_schedule(1, 2, 10) != fs.warmup_constant_schedule(1, 2, 10)


@laws.each
def test_repr_is_for_people(entry):
  """Class, parameters, and each number in its shortest form."""
  text = repr(entry.schedule)
  for part in zoo.parts(entry.schedule):
    if isinstance(part, Combination):
      assert all(repr(inside) in text for inside in part.schedules)
      continue
    assert f'{type(part).__name__}(' in text
    for field in parameters(type(part)):
      assert f'{field}=' in text
  for digits in re.findall(r'(\d+\.\d+)(?:e[+-]\d+)?', text):
    assert len(digits.replace('.', '').strip('0')) <= 9
  assert 'array' not in text


def test_repr_as_written():
  """What a person sees for the schedule of the seed's example."""
  assert repr(fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000)) == (
    'Join(schedules=(Linear(init_value=0.0, end_value=0.001, '
    'transition_steps=1000), Cosine(init_value=0.001, end_value=0.0, '
    'decay_steps=9000)), boundaries=(1000,))'
  )


@laws.each_of_numbers
def test_flax_serialization(entry):
  """Through bytes and state dicts, into a schedule with other numbers."""
  target = jax.tree.map(laws.changed, entry.schedule)
  data = serialization.to_bytes(entry.schedule)
  assert serialization.from_bytes(target, data) == entry.schedule
  state = serialization.to_state_dict(entry.schedule)
  assert serialization.from_state_dict(target, state) == entry.schedule


@laws.each
def test_frozen(entry):
  """Numbers change by `replace`, never in place."""
  field = parameters(type(entry.schedule))[0]
  with pytest.raises(AttributeError):
    setattr(entry.schedule, field, 3)

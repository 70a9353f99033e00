"""Schedules as plain data and back."""

import json

from hypothesis import given
from hypothesis import strategies as st
import jax
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import spec
import zoo

SERIALIZABLE = [e for e in zoo.ZOO if not zoo.holds_function(e.schedule)]


@pytest.mark.parametrize('entry', SERIALIZABLE, ids=lambda e: e.name)
def test_round_trip_through_json(entry):
  """Schedule, spec, JSON text, spec, schedule: equal, of the same structure."""
  text = json.dumps(spec.to_spec(entry.schedule), allow_nan=False)
  back = spec.from_spec(json.loads(text))
  assert back == entry.schedule
  for x, y in zip(
    jax.tree.leaves(back), jax.tree.leaves(entry.schedule), strict=True
  ):
    assert np.shape(x) == np.shape(y)
    # A user's Python numbers come back as the float32 and int32 they stand for.
    assert x.dtype == (y.dtype if isinstance(y, np.ndarray) else x.dtype)
    assert x.dtype in (np.float32, np.int32)
    assert np.asarray(y).dtype.kind == x.dtype.kind
  assert jax.tree.structure(back) == jax.tree.structure(entry.schedule)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_float32_survives(x):
  """A number is written in the shortest form that is the same float32."""
  text = json.dumps(spec.to_spec(fs.constant_schedule(x)))
  assert spec.from_spec(json.loads(text)) == fs.constant_schedule(x)


def test_a_person_can_read_it():
  """Names and short decimals, nothing else."""
  schedule = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000, 1e-5)
  assert spec.to_spec(schedule) == {
    'kind': 'Join',
    'schedules': [
      {
        'kind': 'Linear',
        'init_value': 0.0,
        'end_value': 0.001,
        'transition_steps': 1000,
      },
      {
        'kind': 'Cosine',
        'init_value': 0.001,
        'end_value': 1e-5,
        'decay_steps': 9000,
      },
    ],
    'boundaries': [1000],
  }


def test_what_plain_data_cannot_hold():
  """Functions, tracers and local classes are refused by name."""
  function = fs.as_schedule(optax.constant_schedule(0.1))
  with pytest.raises(TypeError, match=r'Function\.function must be plain data'):
    spec.to_spec(function)

  class Local(fs.Schedule):
    def value(self, count):
      return 0.0

  with pytest.raises(TypeError, match='top level of a module'):
    spec.to_spec(Local())

  @jax.jit
  def traced(x):
    with pytest.raises(TypeError, match='must be plain data'):
      spec.to_spec(fs.constant_schedule(x))
    return x

  traced(1.0)


def test_unknown_specs():
  """A kind or field that is not known: an error that shows it."""
  with pytest.raises(ValueError, match="got 'Cosin'"):
    spec.from_spec({'kind': 'Cosin'})
  with pytest.raises(ValueError, match="got 'Any'"):
    spec.from_spec({'kind': 'Any'})
  with pytest.raises(ValueError, match=r"must have the fields \['constant'\]"):
    spec.from_spec({'kind': 'Constant', 'value': 0.1})

"""Schedules as plain data and back."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st
import jax
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import spec
import zoo

OPTAX_LINEAR = optax.linear_schedule(1.0, 0.0, 4)


def _table(count):
  return ([0.5] * 50)[count]


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


@pytest.mark.parametrize(
  'schedule',
  [
    fs.reduce_on_plateau(0.5, patience=3, min_value=0.1),
    fs.linear_schedule(0.0, 1.0, 10) * fs.reduce_on_plateau(0.5) * 2,
    fs.WrappedSchedule(fs.linear_schedule(0.0, 1.0, 10)),
  ],
)
def test_stateful_schedules_have_specs(schedule):
  """They come back equal, from JSON."""
  text = json.dumps(spec.to_spec(schedule), allow_nan=False)
  assert spec.from_spec(json.loads(text)) == schedule


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
  with pytest.raises(TypeError, match=r'must be a Schedule, got 0\.1'):
    spec.to_spec(0.1)
  with pytest.raises(ValueError, match='got that of the function'):
    spec.from_spec(spec.fingerprint(function))

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


def test_the_fingerprint_of_a_function():
  """Its name and some of its values; none where it can't be called now."""
  made = spec.fingerprint(fs.as_schedule(OPTAX_LINEAR))
  assert made['kind'] == 'Function'
  assert re.fullmatch(r'optax.*:.*<locals>.*', made['function'])
  assert made['values'] == {
    **{'0': 1.0, '1': 0.75, '10': 0.0, '100': 0.0, '1000': 0.0},
    **{'10000': 0.0, '100000': 0.0, '1000000': 0.0},
  }
  # Of a schedule with a function inside, too; a table that ends at 50 is no
  # reason to fail.
  schedule = fs.join_schedules([1.0, _table], [5])
  assert spec.fingerprint(schedule)['values'] == {'0': 1.0, '1': 1.0, '10': 0.5}

  @jax.jit
  def traced(x):
    made = spec.fingerprint(fs.as_schedule(lambda count: x * count))
    assert made['values'] == {}
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

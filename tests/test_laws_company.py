"""The laws of a schedule among others: optimizers, modes of JAX, devices."""

import os
import pathlib
import subprocess
import sys

import jax
from jax import numpy as jnp
import jax.extend
import numpy as np
import optax

import laws
import zoo


@laws.each_kind
def test_drives_an_optimizer(entry):
  """`optax.adam(learning_rate=schedule)`: the first update uses count 0."""
  optimizer = optax.adam(learning_rate=entry.schedule)
  direction = optax.scale_by_adam()
  gradients = {'w': jnp.array([1.0, -3.0])}
  state, direction_state = optimizer.init(gradients), direction.init(gradients)
  for count in range(2):
    updates, state = optimizer.update(gradients, state)
    steps, direction_state = direction.update(gradients, direction_state)
    expected = -np.float64(entry.schedule(count)) * steps['w']
    np.testing.assert_allclose(updates['w'], expected, rtol=1e-6)


@laws.each_of_numbers
def test_host_numbers_need_no_jax(entry, monkeypatch):
  """No primitive is bound, and the result is NumPy's."""
  bound = []
  primitive = jax.extend.core.Primitive
  bind = primitive.bind
  monkeypatch.setattr(
    primitive,
    'bind',
    lambda self, *args, **kwargs: (
      bound.append(self) or bind(self, *args, **kwargs)
    ),
  )
  assert type(entry.schedule(5)) is np.float32
  assert type(entry.schedule(np.int32(5))) is np.float32
  assert type(entry.schedule(entry.counts)) is np.ndarray
  assert bound == []
  # The calls would be seen. (A trace of an equal schedule may be cached.)
  jax.make_jaxpr(lambda count: entry.schedule(count))(5)
  assert bound


def test_host_numbers_need_no_device():
  """Where no device can be had, schedules are built and evaluated."""
  program = (
    'import zoo\n'
    'for entry in zoo.ZOO:\n'
    '  if not zoo.holds_function(entry.schedule):\n'
    '    entry.schedule(entry.counts), entry.schedule(5)\n'
    '    hash(entry.schedule), repr(entry.schedule)\n'
    'import jax\n'
    'try:\n'
    '  entry.schedule(jax.numpy.int32(5))\n'
    'except RuntimeError:\n'
    '  print("no device")\n'
  )
  tests = pathlib.Path(__file__).parent
  path = os.pathsep.join([str(tests), str(tests.parent), *sys.path])
  result = subprocess.run(
    [sys.executable, '-c', program],
    env={**os.environ, 'JAX_PLATFORMS': 'none_such', 'PYTHONPATH': path},
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr
  assert result.stdout == 'no device\n'


@laws.each_kind_of_numbers
def test_strict_promotion(entry):
  """No implicit change of type or rank, in the value and its gradient."""
  with (
    jax.numpy_dtype_promotion('strict'),
    jax.numpy_rank_promotion('raise'),
  ):
    value = jax.eval_shape(laws.evaluate, entry.schedule, np.int32(5))
    jax.eval_shape(laws.differentiate, entry.schedule, np.int32(5))
  assert value.dtype == np.float32


@laws.each_kind
def test_no_leaks(entry):
  """No tracer outlives its trace."""
  with jax.checking_leaks():
    jax.jit(lambda s, n: s(n)).trace(entry.schedule, np.int32(5))


@laws.each_few
def test_x64_makes_no_difference(entry):
  """With 64-bit types on, values are the same float32."""
  with zoo.enable_x64(True):
    values = entry.schedule(jnp.asarray(entry.counts))
    assert values.dtype == np.float32
  np.testing.assert_array_equal(values, laws.on_device(entry.name))


def test_int64_counts_on_the_device():
  """With 64-bit types on, counts are int64, and may be beyond int32."""
  schedule = zoo.known_entry('warmup_cosine').schedule
  with zoo.enable_x64(True):
    counts = jnp.asarray([0, 500, 1000, 10_000, 2**31, 2**62], jnp.int64)
    assert counts.dtype == np.int64
    values = np.asarray(schedule(counts))
  np.testing.assert_array_equal(values, schedule(np.asarray(counts)))

"""The laws of a value: the same on every way, right at every count."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest

import flax_sched as fs
import laws
import zoo


@jax.jit
def evaluate_each(schedule, counts):
  """The value at each count, by vmap."""
  return jax.vmap(lambda count: schedule(count))(counts)


def _values(entry):
  """The values on the host, and for one entry of each make on the device."""
  yield laws.on_host(entry.name)
  if zoo.is_first_of_kind(entry):
    yield laws.on_device(entry.name)


@laws.each_kind
def test_array_and_loop_agree(entry):
  """On the device, an array and one count after the other: the same."""
  loop = [entry.schedule(jnp.asarray(n)) for n in entry.counts]
  assert all(isinstance(value, jax.Array) for value in loop)
  assert laws.ulps_between(laws.on_device(entry.name), np.asarray(loop)) <= 1


@laws.each_few
def test_array_and_vmap_agree(entry):
  """`jax.vmap` over counts: the same."""
  values = evaluate_each(entry.schedule, entry.counts)
  assert laws.ulps_between(laws.on_device(entry.name), values) <= 1


@laws.each_few
def test_jit_of_the_schedule_itself_agrees(entry):
  """`jax.jit(schedule)`: its numbers are constants of the program."""
  values = jax.jit(entry.schedule)(entry.counts)
  assert laws.ulps_between(laws.on_device(entry.name), values) <= 1


@zoo.parametrize(lambda entry: not entry.is_closure, quick=zoo.is_first_of_kind)
def test_device_agrees_with_host(entry):
  """Host and device differ by one unit in the last place at most."""
  assert (
    laws.ulps_between(laws.on_host(entry.name), laws.on_device(entry.name)) <= 1
  )


@laws.each_kind
@pytest.mark.parametrize('shape', [(), (2, 3), (0,)])
def test_strong_float32_of_the_shape_of_the_count(entry, shape):
  """The result is float32, not weakly typed, and as large as the count."""
  counts = jax.ShapeDtypeStruct(shape, np.int32)
  value = jax.eval_shape(laws.evaluate, entry.schedule, counts)
  assert (value.shape, value.dtype) == (shape, np.float32)
  assert not value.weak_type


@laws.each_of_numbers
@pytest.mark.parametrize('shape', [(3,), (2, 3), (0,)])
def test_host_arrays(entry, shape):
  """NumPy counts of any shape give NumPy float32 of that shape."""
  counts = np.resize(entry.counts, shape)
  values = entry.schedule(counts)
  assert type(values) is np.ndarray
  assert (values.shape, values.dtype) == (shape, np.float32)
  loop = [entry.schedule(int(n)) for n in counts.ravel()]
  np.testing.assert_array_equal(values.ravel(), np.array(loop, np.float32))


@laws.each_of_numbers
@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'uint32', 'int64'])
def test_host_count_of_any_integer_type(entry, dtype):
  """The type of a NumPy count makes no difference."""
  for n in (0, 1, 100):
    value = entry.schedule(np.dtype(dtype).type(n))
    assert type(value) is np.float32
    assert value == entry.schedule(n)
    assert entry.schedule(np.array([n], dtype)) == value


@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'uint32', 'int32'])
@pytest.mark.parametrize('name', ['warmup_cosine', 'join_kinds', 'exponential'])
def test_device_count_of_any_integer_type(name, dtype):
  """nnx counts steps in uint32."""
  schedule = zoo.known_entry(name).schedule
  for n in (0, 100):
    value = schedule(jnp.asarray(n, dtype))
    assert value.dtype == np.float32
    assert laws.ulps_between(schedule(n), value) <= 1


def test_counts_beyond_int32_on_the_host():
  """The host has more than 31 bits; uint32 counts beyond int32 are held."""
  schedule = fs.cosine_decay_schedule(1000.0, 10**10)
  assert schedule(5 * 10**9) == schedule(np.int64(5 * 10**9)) == 500
  assert schedule(10**30) == 0
  line = fs.linear_schedule(0.0, 1.0, 2**31 - 1)
  assert line(jnp.uint32(2**32 - 1)) == 1
  assert line(np.uint64(2**64 - 1)) == 1


# ---------------------------------------------------------------------------
# The value over the whole range of counts.


@laws.each
def test_finite_everywhere(entry):
  """At 0, around each boundary, and at the last int32."""
  assert {0, zoo.MAX_COUNT} <= set(entry.steps)
  for values in _values(entry):
    assert np.all(np.isfinite(values))


@zoo.parametrize(
  lambda entry: entry.end is not None and entry.end <= zoo.MAX_COUNT
)
def test_end_value_is_held(entry):
  """From its end on, a schedule is constant, to the bit."""
  past = entry.counts >= entry.end
  for values in _values(entry):
    assert len(set(values[past])) == 1
  if not entry.is_closure:
    assert entry.schedule(entry.end) == entry.schedule(2**40)


@laws.each_kind
def test_counts_below_zero_read_as_zero(entry):
  """A count before the first update is the first."""
  counts = np.resize(np.array([-1, -7, -(2**31)], np.int32), zoo.SIZE)
  zero = laws.on_device(entry.name)[0]
  assert np.all(np.asarray(entry.schedule(jnp.asarray(counts))) == zero)
  for count in (-1, -(2**70), np.int8(-1), counts):
    assert np.all(entry.schedule(count) == laws.on_host(entry.name)[0])


@laws.each_kind
@pytest.mark.parametrize(
  'count',
  [0.5, 1.0, np.float32(2), np.ones(2), True, np.bool_(True), None, '3', [1]],
  ids=repr,
)
def test_count_of_another_type_is_an_error(entry, count):
  """Floats and booleans count nothing; the error names the class and value."""
  with pytest.raises(TypeError) as error:
    entry.schedule(count)
  for part in (type(entry.schedule).__name__, 'count', repr(count)):
    assert part in str(error.value)


@pytest.mark.parametrize('count', [1.5, True, 1j])
def test_device_count_of_another_type_is_an_error(count):
  """The same on the device, traced or not."""
  schedule = zoo.known_entry('warmup_cosine').schedule
  for call in (schedule, jax.jit(schedule)):
    with pytest.raises(TypeError, match='Join: count must be an integer'):
      call(jnp.asarray(count))

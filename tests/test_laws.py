"""The laws that every schedule obeys, over the list of all schedules."""

import contextlib
import copy
import functools
import importlib
import inspect
import os
import pathlib
import pickle
import pkgutil
import re
import subprocess
import sys
import typing

from flax import serialization
import jax
from jax import numpy as jnp
import jax.extend
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import optax_compat
from flax_sched.formula import parameters
from flax_sched.schedule import Combination
import zoo

each = zoo.parametrize()
each_of_numbers = zoo.parametrize(lambda entry: not entry.is_closure)
# For what compiles for seconds: one entry of each formula.
_FEW = (
  'linear_falling',
  'cosine',
  'exponential',
  'polynomial_square',
  'piecewise_constant',
  'piecewise_linear',
  'warmup_cosine',
  'sgdr',
  'join_same',
)
each_few = zoo.parametrize(lambda entry: entry.name in _FEW)
# For what compiles a program of its own: one entry for each class.
each_kind = zoo.parametrize(
  lambda entry: zoo.is_first_of_kind(entry) and zoo.is_of_few(entry)
)
each_kind_of_numbers = zoo.parametrize(
  lambda entry: (
    zoo.is_first_of_kind(entry)
    and zoo.is_of_few(entry)
    and not entry.is_closure
  )
)
# For gradients, whose programs are the largest.
each_differentiated = zoo.parametrize(
  lambda entry: (
    not entry.is_closure
    and (zoo.is_of_few(entry) or entry.name in ('join_kinds', 'arithmetic'))
  ),
  quick=lambda entry: entry.name in _FEW,
)


@jax.jit
def evaluate(schedule, count):
  """The value, where parameters and count are both traced."""
  return schedule(count)


@jax.jit
def evaluate_each(schedule, counts):
  """The value at each count, by vmap."""
  return jax.vmap(lambda count: schedule(count))(counts)


@jax.jit
def evaluate_batch(schedules, counts):
  """The values of a batch of schedules, shape (batch, counts)."""
  return jax.vmap(lambda s, n: s(n), (0, None))(schedules, counts)


@jax.jit
def differentiate(schedule, count):
  """The gradient in the schedule's leaves."""
  return jax.grad(lambda s, n: s(n), allow_int=True)(schedule, count)


@functools.cache
def _gradients(name):
  """Of each leaf, the gradient at each count; of integers, nothing."""
  entry = _entry(name)
  gradients = [differentiate(entry.schedule, n) for n in entry.counts]
  return [
    np.stack(leaf)
    for leaf in zip(*map(jax.tree.leaves, gradients), strict=True)
  ]


@functools.cache
def _on_host(name):
  entry = _entry(name)
  return np.array([entry.schedule(int(n)) for n in entry.counts], np.float32)


@functools.cache
def _on_device(name):
  entry = _entry(name)
  return np.asarray(entry.schedule(jnp.asarray(entry.counts)))


def _values(entry):
  """The values on the host, and for one entry of each make on the device."""
  yield _on_host(entry.name)
  if zoo.is_first_of_kind(entry):
    yield _on_device(entry.name)


def _entry(name):
  (entry,) = [entry for entry in zoo.ZOO if entry.name == name]
  return entry


def _is_float(leaf):
  return np.asarray(leaf).dtype.kind == 'f'


def _changed(leaf):
  """A leaf with other numbers, of the same type."""
  if isinstance(leaf, (int, float)):
    return leaf + 1
  if _is_float(leaf):
    return (leaf * 1.25 + 0.25).astype(leaf.dtype)
  return leaf + (leaf < zoo.MAX_COUNT)


def _ulps_between(a, b):
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  unit = np.spacing(np.clip(np.abs(a), 2.0**-126, 1e38).astype(np.float32))
  return np.max(np.abs(a - b) / unit, initial=0)


@contextlib.contextmanager
def _calls_of_value(schedule):
  """A list of the calls of a formula: in a compiled program, of its traces."""
  calls = []
  value = type(schedule).value

  def record(self, count):
    calls.append(self)
    return value(self, count)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(type(schedule), 'value', record)
    yield calls


# ---------------------------------------------------------------------------
# The list is complete.


def test_list_has_every_public_function():
  """A public function that returns a schedule is in the list."""
  returning = set()
  for name in fs.__all__:
    function = getattr(fs, name)
    if inspect.isfunction(function):
      returned = typing.get_type_hints(function).get('return')
      assert returned is not None, f'{name} does not say what it returns'
      if inspect.isclass(returned) and issubclass(returned, fs.Schedule):
        returning.add(name)
  covered = {name for entry in zoo.ZOO for name in entry.covers}
  assert len(returning) > 14
  # What this returns is several schedules, for `jax.vmap`.
  assert returning - covered == {'stack_schedules'}


def test_list_has_every_class():
  """A concrete class of schedule is in the list."""
  for module in pkgutil.iter_modules(fs.__path__, 'flax_sched.'):
    if not module.name.endswith('__main__'):
      # An extra may not be installed.
      with contextlib.suppress(ImportError):
        importlib.import_module(module.name)

  def subclasses(cls):
    for subclass in cls.__subclasses__():
      yield subclass
      yield from subclasses(subclass)

  classes = {
    cls
    for cls in subclasses(fs.Schedule)
    if cls.__module__.startswith('flax_sched.') and not inspect.isabstract(cls)
  }
  listed = {type(p) for entry in zoo.ZOO for p in zoo.parts(entry.schedule)}
  assert len(classes) > 10
  # Optax's constants keep the type that they have been given, against the laws.
  assert classes - listed == {optax_compat.AsGiven}


# ---------------------------------------------------------------------------
# One value, however it is computed.


@each_kind
def test_array_and_loop_agree(entry):
  """On the device, an array and one count after the other: the same."""
  loop = [entry.schedule(jnp.asarray(n)) for n in entry.counts]
  assert all(isinstance(value, jax.Array) for value in loop)
  assert _ulps_between(_on_device(entry.name), np.asarray(loop)) <= 1


@each_few
def test_array_and_vmap_agree(entry):
  """`jax.vmap` over counts: the same."""
  values = evaluate_each(entry.schedule, entry.counts)
  assert _ulps_between(_on_device(entry.name), values) <= 1


@each_few
def test_jit_of_the_schedule_itself_agrees(entry):
  """`jax.jit(schedule)`: its numbers are constants of the program."""
  values = jax.jit(entry.schedule)(entry.counts)
  assert _ulps_between(_on_device(entry.name), values) <= 1


@zoo.parametrize(lambda entry: not entry.is_closure, quick=zoo.is_first_of_kind)
def test_device_agrees_with_host(entry):
  """Host and device differ by one unit in the last place at most."""
  assert _ulps_between(_on_host(entry.name), _on_device(entry.name)) <= 1


@each_kind
@pytest.mark.parametrize('shape', [(), (2, 3), (0,)])
def test_strong_float32_of_the_shape_of_the_count(entry, shape):
  """The result is float32, not weakly typed, and as large as the count."""
  counts = jax.ShapeDtypeStruct(shape, np.int32)
  value = jax.eval_shape(evaluate, entry.schedule, counts)
  assert (value.shape, value.dtype) == (shape, np.float32)
  assert not value.weak_type


@each_of_numbers
@pytest.mark.parametrize('shape', [(3,), (2, 3), (0,)])
def test_host_arrays(entry, shape):
  """NumPy counts of any shape give NumPy float32 of that shape."""
  counts = np.resize(entry.counts, shape)
  values = entry.schedule(counts)
  assert type(values) is np.ndarray
  assert (values.shape, values.dtype) == (shape, np.float32)
  loop = [entry.schedule(int(n)) for n in counts.ravel()]
  np.testing.assert_array_equal(values.ravel(), np.array(loop, np.float32))


@each_of_numbers
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
  schedule = _entry(name).schedule
  for n in (0, 100):
    value = schedule(jnp.asarray(n, dtype))
    assert value.dtype == np.float32
    assert _ulps_between(schedule(n), value) <= 1


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


@each
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


@each_kind
def test_counts_below_zero_read_as_zero(entry):
  """A count before the first update is the first."""
  counts = np.resize(np.array([-1, -7, -(2**31)], np.int32), zoo.SIZE)
  zero = _on_device(entry.name)[0]
  assert np.all(np.asarray(entry.schedule(jnp.asarray(counts))) == zero)
  for count in (-1, -(2**70), np.int8(-1), counts):
    assert np.all(entry.schedule(count) == _on_host(entry.name)[0])


@each_kind
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
  schedule = _entry('warmup_cosine').schedule
  for call in (schedule, jax.jit(schedule)):
    with pytest.raises(TypeError, match='Join: count must be an integer'):
      call(jnp.asarray(count))


# ---------------------------------------------------------------------------
# Numbers are leaves.


@each_differentiated
def test_gradients_are_finite(entry):
  """In every float leaf, at every interesting count."""
  floats = [g for g in _gradients(entry.name) if g.dtype == np.float32]
  assert len(floats) == sum(map(_is_float, jax.tree.leaves(entry.schedule)))
  for gradient in floats:
    assert np.all(np.isfinite(gradient))


def _finite_differences(schedule, counts, index, element):
  """The derivative in one number of a leaf; NaN where it has none."""
  leaves, treedef = jax.tree.flatten(schedule)
  leaves = [np.float64(x) if _is_float(x) else x for x in leaves]

  def at(change):
    changed = np.array(leaves[index])
    changed[element] += change
    new = [*leaves[:index], changed[()], *leaves[index + 1 :]]
    # The formula itself, since a call would round to float32.
    value = jax.tree.unflatten(treedef, new).value(counts.astype(np.int64))
    return np.broadcast_to(value, counts.shape)

  step = 1e-5 * max(abs(float(np.asarray(leaves[index])[element])), 0.1)
  before, here, after = at(-step), at(0.0), at(step)
  left, right = (here - before) / step, (after - here) / step
  middle = (left + right) / 2
  noise = 1e-14 * np.abs(here) / step
  smooth = np.abs(left - right) <= 1e-3 * np.abs(middle) + noise
  return np.where(smooth & (np.abs(here) < 1e38), middle, np.nan)


@each_differentiated
def test_gradients_are_right(entry):
  """As finite differences of the host's float64, wherever they exist."""
  # Beyond, a change in one number moves the value by more than it is.
  counts = entry.counts[entry.counts < 10**6]
  leaves = jax.tree.leaves(entry.schedule)
  gradients = _gradients(entry.name)
  compared = 0
  for i, leaf in enumerate(leaves):
    if not _is_float(leaf):
      continue
    if np.all(leaf == 1) and type(entry.schedule).__name__ == 'WarmRestarts':
      continue  # cycles of equal length have a formula of their own
    for element in list(np.ndindex(np.shape(leaf)))[:4]:
      expected = _finite_differences(entry.schedule, counts, i, element)
      got = gradients[i][(slice(len(counts)), *element)]
      exists = ~np.isnan(expected)
      compared += np.count_nonzero(exists)
      tolerance = 1e-5 * np.max(np.abs(expected[exists]), initial=0)
      np.testing.assert_allclose(
        got[exists], expected[exists], rtol=2e-3, atol=tolerance + 1e-9
      )
  assert compared > 0


@each_kind_of_numbers
def test_changed_numbers_do_not_retrace(entry):
  """A program serves every schedule of the same structure."""
  count = jnp.int32(5)
  entry.schedule(count)
  changed = jax.tree.map(_changed, entry.schedule)
  with _calls_of_value(entry.schedule) as calls:
    value = changed(count)
  assert calls == []
  assert _ulps_between(changed(5), value) <= 1


@each_few
def test_batches(entry):
  """Schedules with stacked leaves are a population, by vmap."""
  changed = jax.tree.map(_changed, entry.schedule)
  batch = jax.tree.map(
    lambda *leaves: np.stack(leaves), entry.schedule, changed
  )
  values = evaluate_batch(batch, entry.counts)
  assert _ulps_between(_on_host(entry.name), values[0]) <= 1
  assert _ulps_between(changed(entry.counts), values[1]) <= 1


@each_kind
def test_equal_schedules_share_one_program(entry):
  """`jax.jit` knows a schedule by its content."""
  twin = copy.deepcopy(entry.schedule)
  jax.jit(entry.schedule).lower(5)
  with _calls_of_value(twin) as calls:
    jax.jit(twin).lower(5)
    assert calls == []
    jax.make_jaxpr(lambda count: twin(count))(5)
    assert calls  # they would have been seen


# ---------------------------------------------------------------------------
# A schedule is data.


@each
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


@each
def test_numbers_on_the_device_are_the_same_numbers(entry):
  """Where a leaf lies makes no difference to equality, hash and repr."""
  placed = jax.tree.map(jnp.asarray, entry.schedule)
  assert placed == entry.schedule
  assert hash(placed) == hash(entry.schedule)
  if type(entry.schedule) is not zoo.InverseSqrt:  # 0.3 as a float64
    assert repr(placed) == repr(entry.schedule)


@each
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
  assert _entry('user_class').schedule != _entry('user_class_static').schedule
  distinct = {entry.schedule for entry in zoo.ZOO}
  assert len(distinct) == len(zoo.ZOO)
  assert fs.linear_schedule(1, 2, 10) != fs.warmup_constant_schedule(1, 2, 10)


@each
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


@each_of_numbers
def test_flax_serialization(entry):
  """Through bytes and state dicts, into a schedule with other numbers."""
  target = jax.tree.map(_changed, entry.schedule)
  data = serialization.to_bytes(entry.schedule)
  assert serialization.from_bytes(target, data) == entry.schedule
  state = serialization.to_state_dict(entry.schedule)
  assert serialization.from_state_dict(target, state) == entry.schedule


@each
def test_frozen(entry):
  """Numbers change by `replace`, never in place."""
  field = parameters(type(entry.schedule))[0]
  with pytest.raises(AttributeError):
    setattr(entry.schedule, field, 3)


# ---------------------------------------------------------------------------
# In the company of others.


@each_kind
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


@each_of_numbers
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


@each_kind_of_numbers
def test_strict_promotion(entry):
  """No implicit change of type or rank, in the value and its gradient."""
  with (
    jax.numpy_dtype_promotion('strict'),
    jax.numpy_rank_promotion('raise'),
  ):
    value = jax.eval_shape(evaluate, entry.schedule, np.int32(5))
    jax.eval_shape(differentiate, entry.schedule, np.int32(5))
  assert value.dtype == np.float32


@each_kind
def test_no_leaks(entry):
  """No tracer outlives its trace."""
  with jax.checking_leaks():
    jax.jit(lambda s, n: s(n)).trace(entry.schedule, np.int32(5))


@each_few
def test_x64_makes_no_difference(entry):
  """With 64-bit types on, values are the same float32."""
  with zoo.enable_x64(True):
    values = entry.schedule(jnp.asarray(entry.counts))
    assert values.dtype == np.float32
  np.testing.assert_array_equal(values, _on_device(entry.name))


def test_int64_counts_on_the_device():
  """With 64-bit types on, counts are int64, and may be beyond int32."""
  schedule = _entry('warmup_cosine').schedule
  with zoo.enable_x64(True):
    counts = jnp.asarray([0, 500, 1000, 10_000, 2**31, 2**62], jnp.int64)
    assert counts.dtype == np.int64
    values = np.asarray(schedule(counts))
  np.testing.assert_array_equal(values, schedule(np.asarray(counts)))


# ---------------------------------------------------------------------------
# The functions accept tracers.

_JOINED = (fs.cosine_decay_schedule(1.0, 50), fs.constant_schedule(0.3))

# By function: what is traced, and what is not.
_TRACED = {
  'constant_schedule': ({'value': 0.3}, {}),
  'as_schedule': ({'value': 0.3}, {}),
  'linear_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'transition_steps': 100,
      'transition_begin': 10,
    },
    {},
  ),
  'polynomial_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'power': 1.7,
      'transition_steps': 100,
      'transition_begin': 10,
    },
    {},
  ),
  'exponential_decay': (
    {
      'init_value': 0.1,
      'decay_rate': 0.5,
      'transition_steps': 30,
      'transition_begin': 10,
      'end_value': 0.01,
    },
    {'staircase': True},
  ),
  'cosine_decay_schedule': (
    {'init_value': 0.1, 'decay_steps': 90, 'alpha': 0.1, 'exponent': 2.0},
    {},
  ),
  'cosine_onecycle_schedule': (
    {
      'transition_steps': 100,
      'peak_value': 0.1,
      'pct_start': 0.25,
      'pct_final': 0.75,
      'final_div_factor': 1e3,
      'div_factor': 10.0,
    },
    {},
  ),
  'linear_onecycle_schedule': (
    {
      'transition_steps': 100,
      'peak_value': 0.1,
      'pct_start': 0.25,
      'pct_final': 0.75,
      'final_div_factor': 1e3,
      'div_factor': 10.0,
    },
    {},
  ),
  'piecewise_constant_schedule': (
    {'boundaries_and_scales': {10: 1.0, 50: 0.5, 80: 0.1}, 'init_value': 0.3},
    {},
  ),
  'piecewise_interpolate_schedule': (
    {'boundaries_and_scales': {10: 1.0, 50: 0.5, 80: 0.1}, 'init_value': 0.3},
    {'interpolate_type': 'cosine'},
  ),
  'warmup_constant_schedule': (
    {'init_value': 0.1, 'peak_value': 0.7, 'warmup_steps': 40},
    {},
  ),
  'warmup_cosine_decay_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'warmup_steps': 40,
      'decay_steps': 50,
      'end_value': 0.05,
      'exponent': 1.5,
    },
    {},
  ),
  'warmup_exponential_decay_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'warmup_steps': 40,
      'transition_steps': 20,
      'decay_rate': 0.5,
      'transition_begin': 5,
      'end_value': 0.05,
    },
    {},
  ),
  'sgdr_schedule': (
    {
      'cosine_decay_schedule': _JOINED[0],
      'restart_period': 10,
      't_mult': 1.5,
    },
    {},
  ),
  'join_schedules': ({'schedules': _JOINED, 'boundaries': [40]}, {}),
  'inverse_time_decay': (
    {'init_value': 0.1, 'decay_rate': 0.5, 'transition_steps': 30},
    {},
  ),
  'power_schedule': (
    {'init_value': 0.1, 'power': -0.5, 'timescale': 30.5, 'offset': 10},
    {},
  ),
  'rex_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'transition_steps': 100,
      'beta': 0.5,
    },
    {},
  ),
  'tanh_decay_schedule': (
    {
      'init_value': 0.1,
      'end_value': 0.7,
      'transition_steps': 100,
      'lower': -4.0,
      'upper': 2.0,
    },
    {},
  ),
  'k_decay_schedule': ({'schedule': _JOINED[0], 'k': 1.5}, {}),
  'warmup_polynomial_decay_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'warmup_steps': 40,
      'decay_steps': 50,
      'end_value': 0.05,
      'power': 1.5,
    },
    {},
  ),
  'inverse_sqrt_schedule': (
    {
      'peak_value': 0.7,
      'warmup_steps': 40,
      'timescale': 30.5,
      'init_value': 0.1,
    },
    {},
  ),
  'wsd_schedule': (
    {
      'peak_value': 0.7,
      'warmup_steps': 20,
      'stable_steps': 30,
      'decay_steps': 40,
      'init_value': 0.1,
      'end_value': 0.05,
    },
    {'decay_shape': 'exponential', 'warmup_shape': '1-sqrt'},
  ),
  'warmup_schedule': (
    {'schedule': _JOINED[0], 'warmup_steps': 20, 'init_value': 0.1},
    {'warmup_shape': 'square'},
  ),
  'cooldown_schedule': (
    {
      'schedule': _JOINED[0],
      'cooldown_begin': 20,
      'cooldown_steps': 30,
      'end_value': 0.1,
    },
    {'decay_shape': 'square'},
  ),
  'multistep_schedule': (
    {'init_value': 0.7, 'boundaries': [10, 50], 'gamma': 0.5},
    {},
  ),
  'step_schedule': ({'init_value': 0.7, 'step_size': 30, 'gamma': 0.5}, {}),
  'table_schedule': ({'values': [0.1, 0.7, 0.2]}, {}),
  'onecycle_momentum_schedule': (
    {
      'transition_steps': 100,
      'base_momentum': 0.8,
      'max_momentum': 0.9,
      'pct_start': 0.25,
      'pct_final': 0.75,
    },
    {},
  ),
  'cyclic_schedule': (
    {
      'init_value': 0.1,
      'peak_value': 0.7,
      'up_steps': 10,
      'down_steps': 20,
      'gamma': 0.95,
    },
    {'mode': 'exp_range'},
  ),
  'cyclic_wsd_schedule': (
    {
      'peak_value': 0.7,
      'warmup_steps': 10,
      'stable_steps': 20,
      'decay_steps': 15,
      'num_cycles': 2,
      'init_value': 0.1,
      'end_value': 0.05,
    },
    {},
  ),
  'ema_decay_schedule': ({'decay': 0.9, 'offset': 10}, {}),
  'bias_corrected_decay_schedule': ({'decay': 0.9}, {}),
  'adafactor_decay_schedule': ({'decay_rate': 0.8}, {}),
  'minimum': ({'schedules': _JOINED}, {}),
  'maximum': ({'schedules': _JOINED}, {}),
  'follow': ({'schedule': _JOINED[0]}, {'function': {0.1: 0.9, 0.9: 0.8}}),
}


@pytest.mark.parametrize('name', sorted(_TRACED))
def test_arguments_may_be_tracers(name):
  """Built inside of jit from traced numbers: the same values."""
  traced, static = _TRACED[name]
  function = getattr(fs, name)
  if name in ('minimum', 'maximum'):
    function = lambda schedules: getattr(fs, name)(*schedules)  # noqa: E731
  counts = np.arange(0, 120, 3, dtype=np.int32)

  @jax.jit
  def build_and_evaluate(traced, counts):
    return function(**traced, **static)(counts)

  values = build_and_evaluate(traced, counts)
  assert values.dtype == np.float32
  assert _ulps_between(function(**traced, **static)(counts), values) <= 2


def test_every_public_function_accepts_tracers():
  """None is missing from the test above."""
  assert set(_TRACED) == {f for entry in zoo.ZOO for f in entry.covers}

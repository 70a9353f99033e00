"""The laws of the numbers of a schedule: they are leaves, with gradients."""

import contextlib
import copy
import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest

import laws
import zoo

# For gradients, whose programs are the largest.
each_differentiated = zoo.parametrize(
  lambda entry: (
    not entry.is_closure
    and (zoo.is_of_few(entry) or entry.name in ('join_kinds', 'arithmetic'))
  ),
  quick=lambda entry: entry.name in laws.FEW,
)


@jax.jit
def evaluate_batch(schedules, counts):
  """The values of a batch of schedules, shape (batch, counts)."""
  return jax.vmap(lambda s, n: s(n), (0, None))(schedules, counts)


@functools.cache
def _gradients(name):
  """Of each leaf, the gradient at each count; of integers, nothing."""
  entry = zoo.known_entry(name)
  gradients = [laws.differentiate(entry.schedule, n) for n in entry.counts]
  return [
    np.stack(leaf)
    for leaf in zip(*map(jax.tree.leaves, gradients), strict=True)
  ]


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


@each_differentiated
def test_gradients_are_finite(entry):
  """In every float leaf, at every interesting count."""
  floats = [g for g in _gradients(entry.name) if g.dtype == np.float32]
  assert len(floats) == sum(map(laws.is_float, jax.tree.leaves(entry.schedule)))
  for gradient in floats:
    assert np.all(np.isfinite(gradient))


def _finite_differences(schedule, counts, index, element):
  """The derivative in one number of a leaf; NaN where it has none."""
  leaves, treedef = jax.tree.flatten(schedule)
  leaves = [np.float64(x) if laws.is_float(x) else x for x in leaves]

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
    if not laws.is_float(leaf):
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


@laws.each_kind_of_numbers
def test_changed_numbers_do_not_retrace(entry):
  """A program serves every schedule of the same structure."""
  count = jnp.int32(5)
  entry.schedule(count)
  changed = jax.tree.map(laws.changed, entry.schedule)
  with _calls_of_value(entry.schedule) as calls:
    value = changed(count)
  assert calls == []
  assert laws.ulps_between(changed(5), value) <= 1


@laws.each_few
def test_batches(entry):
  """Schedules with stacked leaves are a population, by vmap."""
  changed = jax.tree.map(laws.changed, entry.schedule)
  batch = jax.tree.map(
    lambda *leaves: np.stack(leaves), entry.schedule, changed
  )
  values = evaluate_batch(batch, entry.counts)
  assert laws.ulps_between(laws.on_host(entry.name), values[0]) <= 1
  assert laws.ulps_between(changed(entry.counts), values[1]) <= 1


@laws.each_kind
def test_equal_schedules_share_one_program(entry):
  """`jax.jit` knows a schedule by its content."""
  twin = copy.deepcopy(entry.schedule)
  jax.jit(entry.schedule).lower(5)
  with _calls_of_value(twin) as calls:
    jax.jit(twin).lower(5)
    assert calls == []
    jax.make_jaxpr(lambda count: twin(count))(5)
    assert calls  # they would have been seen

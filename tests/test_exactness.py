"""Within 4 float32 ulp of the exact value, on the host and on the device.

The exact values are mpmath's, from parameters rounded to float32 (`exact.py`).
"""

import functools

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import exact as exact_values
import flax_sched as fs
import zoo

ULPS = 4
COUNTS = 8  # an example's counts: one shape, so that programs are shared

each_exact = zoo.parametrize(
  lambda entry: not entry.is_closure,
  quick=lambda entry: zoo.is_first_of_kind(entry) and zoo.is_of_few(entry),
)


def _scale(schedule):
  """What an error is measured against where a curve crosses zero.

  A straight line is exact there too; a curve's weights are irrational.
  """
  numbers = [
    float(np.max(np.abs(leaf), initial=0))
    for leaf in jax.tree.leaves(schedule)
    if np.asarray(leaf).dtype.kind == 'f'
  ]
  return 2.0**-20 * max(numbers, default=0)


# Below it, the second float32 of a factor may be smaller than the smallest.
FLOOR = 2.0**-90


def _assert_exact(schedule, exact, counts, values, scale):
  for n, value in zip(counts.tolist(), np.asarray(values), strict=True):
    error = exact_values.ulps(value, exact(n), max(scale, FLOOR))
    assert error <= ULPS, f'{schedule!r} at {n}: {value!r} is {error} ulp off'


def _check(schedule, exact, counts, crosses=False):
  """Host, constants in the program, and traced parameters."""
  scale = _scale(schedule) if crosses else 0
  check = functools.partial(_assert_exact, schedule, exact, counts, scale=scale)
  check(values=schedule(counts))
  check(values=schedule(jnp.asarray(counts)))  # parameters are traced


@each_exact
def test_every_schedule_is_exact(entry):
  """At the steps where mistakes show, and at random ones."""
  rng = np.random.default_rng(0)
  last = max(min(entry.end or 10**4, zoo.MAX_COUNT), 2)
  some = rng.integers(0, last, zoo.SIZE).astype(np.int32)
  crosses = 'crossing' in entry.name and not entry.name.startswith('linear')
  for counts in (entry.counts, some):
    _check(entry.schedule, entry.exact, counts, crosses)


NAMES = [
  'linear_to_zero',
  'cosine_all',
  'exponential_half_lives',
  'warmup_cosine',
  'polynomial_rising',
  'piecewise_linear_long',
  'sgdr',
]


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('x64', [False, True])
def test_constants_of_a_program_are_exact(name, x64):
  """`jax.jit(schedule)`: XLA folds constants, and must not fold exactness."""
  (entry,) = [entry for entry in zoo.ZOO if entry.name == name]
  with zoo.enable_x64(x64):
    values = jax.jit(entry.schedule)(entry.counts)
    _assert_exact(entry.schedule, entry.exact, entry.counts, values, 0)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_injected_values_are_exact(name, inject):
  """In a training step: from the state's arrays, or as constants."""
  (entry,) = [entry for entry in zoo.ZOO if entry.name == name]
  tx = inject(optax.sgd, learning_rate=entry.schedule)
  state, params = tx.init(jnp.ones(2)), jnp.ones(2)

  @jax.jit
  def value(count):
    _, after = tx.update(params, state.replace(count=count), params)
    return after.hyperparams['learning_rate']

  values = [value(n) for n in entry.counts]
  _assert_exact(entry.schedule, entry.exact, entry.counts, values, 0)
  if name in ('linear_to_zero', 'warmup_cosine'):  # the count is a constant too
    counts = entry.counts[:4]
    values = [jax.jit(functools.partial(value, n))() for n in counts]
    _assert_exact(entry.schedule, entry.exact, counts, values, 0)


def test_a_horizon_beyond_int32():
  """Optax's own test of giant step counts, to the last digit."""
  schedule = fs.cosine_decay_schedule(1000.0, 10**10)
  assert jax.jit(schedule)(10**9) == np.float32(975.52826)
  assert schedule(10**9) == np.float32(975.52826)


# ---------------------------------------------------------------------------
# Parameters, horizons and counts drawn at random.

_values = st.floats(2.0**-26, 1e3, width=32)
_signed = st.one_of(_values, _values.map(lambda x: -x), st.just(0.0))
_horizons = st.one_of(st.integers(1, 5000), st.integers(10**3, 2 * 10**9))
_fractions = st.lists(
  st.floats(0, 1.2), min_size=COUNTS - 4, max_size=COUNTS - 4
)


def _counts(horizon, fractions):
  """Counts at both ends of a horizon, and in between."""
  ends = [0, 1, max(horizon - 1, 0), horizon]
  counts = ends + [int(horizon * fraction) for fraction in fractions]
  return np.minimum(np.array(counts), zoo.MAX_COUNT).astype(np.int32)


some_examples = settings(max_examples=30)


@some_examples
@given(_signed, _signed, _horizons, _fractions)
def test_linear(init, end, steps, fractions):
  """Straight lines, also through zero."""
  schedule = fs.linear_schedule(init, end, steps)
  exact = exact_values.exact_linear(init, end, steps)
  _check(schedule, exact, _counts(steps, fractions))


@some_examples
@given(_values, _values, st.floats(0.125, 5, width=32), _horizons, _fractions)
def test_polynomial(init, end, power, steps, fractions):
  """Powers, rising and falling."""
  schedule = fs.polynomial_schedule(init, end, power, steps)
  exact = exact_values.exact_polynomial(init, end, power, steps)
  _check(schedule, exact, _counts(steps, fractions))


@some_examples
@given(
  _values, st.floats(2.0**-6, 1 - 2.0**-10, width=32), _horizons, _fractions
)
def test_exponential(init, rate, steps, fractions):
  """Up to twenty applications of the rate."""
  schedule = fs.exponential_decay(init, rate, steps)
  exact = exact_values.exact_exponential(init, rate, steps)
  _check(schedule, exact, _counts(min(steps * 20, zoo.MAX_COUNT), fractions))


@some_examples
@given(
  _values,
  st.one_of(st.just(0.0), st.floats(0, 1, width=32)),
  st.one_of(st.just(1.0), st.floats(0.5, 3, width=32)),
  _horizons,
  _fractions,
)
def test_cosine(init, alpha, exponent, steps, fractions):
  """Cosine decays, with floors and exponents."""
  schedule = fs.cosine_decay_schedule(init, steps, alpha, exponent)
  exact = exact_values.exact_cosine(init, steps, alpha, exponent)
  _check(schedule, exact, _counts(steps, fractions))


@some_examples
@given(_values, _values, _values, _horizons, _horizons, _fractions)
def test_warmup_cosine(init, peak, end, warmup, decay, fractions):
  """A warm-up, and a decay to any value."""
  warmup, decay = warmup // 2, max(decay // 2, 1)
  schedule = fs.warmup_cosine_decay_schedule(init, peak, warmup, decay, end)
  exact = exact_values.exact_warmup_cosine(init, peak, warmup, decay, end)
  _check(schedule, exact, _counts(warmup + decay, fractions))


@some_examples
@given(st.sampled_from(['linear', 'cosine']), _values, _horizons, _fractions)
def test_onecycle(shape, peak, steps, fractions):
  """Both one-cycles."""
  schedule = getattr(fs, f'{shape}_onecycle_schedule')(steps, peak)
  exact = exact_values.exact_onecycle(shape)(steps, peak)
  _check(schedule, exact, _counts(steps, fractions))


@some_examples
@given(
  _values,
  st.integers(1, 10**5),
  st.sampled_from([1.0, 1.5, 2.0, 3.0]),
  st.integers(1, 2 * 10**9),
  _fractions,
)
def test_sgdr(init, period, t_mult, horizon, fractions):
  """Warm restarts, over many cycles."""
  curve = fs.cosine_decay_schedule(init, 1000)
  schedule = fs.sgdr_schedule(curve, period, t_mult)
  exact = exact_values.exact_sgdr(exact_values.cosine_at(init), period, t_mult)
  _check(schedule, exact, _counts(horizon, fractions))


def test_device_counts_of_other_kinds():
  """A traced count alone, with the parameters constants: the fast path."""
  schedule = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000, 1e-5)
  exact = exact_values.exact_warmup_cosine(0.0, 1e-3, 1000, 9000, 1e-5)
  value = jax.jit(lambda n: schedule(n) * 1.0)
  for n in (0, 1, 2, 500, 999, 1000, 1001, 5000, 9999, 10_000, 10**9):
    assert exact_values.ulps(np.asarray(value(jnp.int32(n))), exact(n)) <= ULPS

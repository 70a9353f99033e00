"""Exact arithmetic, against mpmath: in NumPy float64 and in two float32.

On the device, every operation is compiled twice: with all operands as arguments
of the program, and with all but the first as its constants. XLA reassociates
sums and products with constants, which would turn error-free transformations
into nothing; see the docstring of `flax_sched.numerics`.
"""

import dataclasses
import functools
import math

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import pytest

import exact as exact_values
from flax_sched import numerics
from flax_sched import spans
from flax_sched import twofloat
import zoo

mp = exact_values.mp

SIZE = 6  # operands of each program, so that one serves every example


def _rounded(x):
  """The nearest number that two float32 hold, as a float64."""
  hi = np.float32(x)
  return float(hi) + float(np.float32(x - float(hi)))


_positive = st.floats(2.0**-30, 2.0**30).map(_rounded)
_signed = st.one_of(_positive, _positive.map(lambda x: -x), st.just(0.0))
_near_one = st.floats(1 - 2.0**-9, 1 + 2.0**-9).map(_rounded)
_factors = st.floats(2.0**-20, 2.0**20, width=32)
_exponents = st.integers(-(2**20), 2**20).map(lambda n: n / 2**14)
_parts = st.one_of(
  st.integers(0, 10), st.integers(0, 10**4), st.integers(0, 2**30 - 1)
)


@dataclasses.dataclass(frozen=True)
class Operation:
  """A function of numbers.

  Attributes:
    name: the test's id.
    compute: the function, in the arithmetic of `flax_sched.numerics`.
    exact: the same, in mpmath.
    operands: a strategy for each operand: of floats, or of integers.
    error: the largest relative error on the device.
  """

  name: str
  compute: object
  exact: object
  operands: tuple
  error: float = 2.0**-44


def _span(done, remaining):
  return spans.Span(done, remaining, done + remaining)


def _fraction(done, remaining):
  return mp.mpf(int(remaining)) / (int(done) + int(remaining))


def _mix(a, b, done, remaining):
  p = _fraction(done, remaining)
  return a * p + b * (1 - p)


_span_operands = (_parts, _parts.map(lambda n: n + 1))

# Errors as measured over 10**5 random operands, times 2 to 4.
OPERATIONS = [
  Operation('add', lambda x, y: x + y, lambda x, y: x + y, (_signed, _signed)),
  Operation('sub', lambda x, y: x - y, lambda x, y: x - y, (_signed, _signed)),
  Operation('mul', lambda x, y: x * y, lambda x, y: x * y, (_signed, _signed)),
  Operation(
    'div', lambda x, y: x / y, lambda x, y: x / y, (_signed, _positive)
  ),
  Operation('rdiv', lambda x: 1.0 / x, lambda x: 1 / x, (_positive,)),
  Operation('rsub', lambda x: 1.0 - x, lambda x: 1 - x, (_near_one,)),
  Operation('sqrt', numerics.sqrt, mp.sqrt, (_positive,)),
  Operation('absolute', numerics.absolute, abs, (_signed,), 0),
  Operation('floor', numerics.floor, mp.floor, (_signed,), 0),
  Operation('minimum', numerics.minimum, min, (_signed, _signed), 0),
  Operation('maximum', numerics.maximum, max, (_signed, _signed), 0),
  Operation(
    'log2_ratio',
    lambda a, b: numerics.log2_ratio(a, b, b - a),
    lambda a, b: mp.log(a / b, 2),
    (_positive, _positive),
    2.0**-42,
  ),
  Operation(
    'log2_ratio_near_one',
    lambda a, b: numerics.log2_ratio(a, a * b, a * b - a),
    lambda a, b: -mp.log(b, 2),
    (st.just(1.0), _near_one),
    2.0**-42,
  ),
  Operation(
    'log2', numerics.log2, lambda x: mp.log(x, 2), (_positive,), 2.0**-42
  ),
  Operation(
    'scaled_exp2',
    numerics.scaled_exp2,
    lambda factor, x: factor * mp.mpf(2) ** x,
    (_factors, _exponents),
    2.0**-42,
  ),
  Operation(
    'scaled_exp2_minus_one',
    functools.partial(numerics.scaled_exp2, minus_one=True),
    lambda factor, x: factor * mp.expm1(x * mp.log(2)),
    (
      _factors,
      st.one_of(_exponents, st.floats(1e-9, 1e-3).map(_rounded)),
    ),
    2.0**-41,
  ),
  Operation(
    'power',
    lambda done, rest, p: spans.power(_span(done, rest), p),
    lambda done, rest, p: (
      _fraction(done, rest) ** p,
      1 - _fraction(done, rest) ** p,
    ),
    (*_span_operands, st.floats(0.1, 3).map(_rounded)),
    2.0**-36,
  ),
  Operation(
    'cosine_weights',
    lambda done, rest: spans.cosine_weights(_span(done, rest)),
    lambda done, rest: (
      mp.cos(mp.pi * (1 - _fraction(done, rest)) / 2) ** 2,
      mp.sin(mp.pi * (1 - _fraction(done, rest)) / 2) ** 2,
    ),
    _span_operands,
    2.0**-40,
  ),
  Operation(
    'mix',
    lambda a, b, done, rest: spans.mix(a, b, _span(done, rest)),
    _mix,
    (_positive, _positive, *_span_operands),
  ),
]

each_operation = pytest.mark.parametrize(
  'operation', OPERATIONS, ids=lambda operation: operation.name
)


def _device_number(x):
  """A float64 as an argument of a program: two float32; or an integer."""
  if np.asarray(x).dtype.kind == 'i':
    return np.int32(x)
  hi = np.asarray(x).astype(np.float32)
  return twofloat.TwoFloat(hi, (x - hi).astype(np.float32))


@functools.cache
def _program(name):
  """The compiled operation, of scalars."""
  (operation,) = [o for o in OPERATIONS if o.name == name]
  return jax.jit(operation.compute)


@functools.cache
def _program_of_arrays(name):
  """The compiled operation, of arrays of shape (SIZE,)."""
  (operation,) = [o for o in OPERATIONS if o.name == name]
  return jax.jit(jax.vmap(operation.compute))


def _value(x):
  """What a number is, exactly."""
  if isinstance(x, twofloat.TwoFloat):
    return mp.mpf(float(x.hi)) + mp.mpf(float(x.lo))
  return mp.mpf(float(x))


def _assert_close(operation, operands, result, error):
  exact = operation.exact(
    *(mp.mpf(float(x)) if type(x) is not int else x for x in operands)
  )
  if type(exact) is tuple:
    pairs = list(zip(result, exact, strict=True))
  else:
    pairs = [(result, exact)]
  for number, expected in pairs:
    if isinstance(number, twofloat.TwoFloat):
      both = np.float64(number.hi) + np.float64(number.lo)
      assert np.float32(both) == number.hi
      largest = numerics.MAX_FLOAT32
      expected = min(max(expected, -largest), largest)
    # Below 2**-126, the second float32 has no digits left.
    tolerance = error * abs(expected) + (error and 2.0**-126)
    difference = abs(_value(number) - expected)
    if difference > tolerance:
      relative = mp.nstr(difference / abs(expected), 5)
      pytest.fail(f'{operation.name}{tuple(operands)} is off by {relative}')


@each_operation
@settings(max_examples=100)
@given(data=st.data())
def test_operands_as_arguments(operation, data):
  """On the host, and in a program that takes every operand."""
  operands = [data.draw(operand) for operand in operation.operands]
  host = [np.int64(x) if type(x) is int else np.float64(x) for x in operands]
  _assert_close(operation, operands, operation.compute(*host), 2.0**-47)
  device = map(_device_number, host)
  result = _program(operation.name)(*device)
  _assert_close(operation, operands, result, operation.error)


@each_operation
@settings(max_examples=20)
@given(data=st.data())
def test_arrays(operation, data):
  """In a program over arrays, which XLA compiles by other ways."""
  rows = [
    [data.draw(operand) for operand in operation.operands] for _ in range(SIZE)
  ]
  columns = [np.array(column) for column in zip(*rows, strict=True)]
  result = _program_of_arrays(operation.name)(*map(_device_number, columns))
  for i, row in enumerate(rows):
    one = jax.tree.map(lambda x, i=i: np.asarray(x)[i], result)
    _assert_close(operation, row, one, operation.error)


# What is likely to be folded: small integers, powers of two, awkward decimals.
_FLOATS = [1.0, 0.1, 1024.0, 1 / 3]
_INTEGERS = [1, 1000, 10**9]


def _constant_rows(operation):
  """Operands to compile into programs."""
  if operation.name in ('rsub', 'log2_ratio_near_one'):
    return [[1.0, x][-len(operation.operands) :] for x in (0.999, 1.0001)]
  return [
    [
      _INTEGERS[(i + j) % 3]
      if operand in _span_operands
      else _FLOATS[(i + 2 * j) % 4]
      for j, operand in enumerate(operation.operands)
    ]
    for i in range(4)
  ]


@each_operation
@pytest.mark.parametrize(
  ('argument', 'kind'),
  [
    (None, 'device'),
    pytest.param(0, 'host', marks=pytest.mark.slow),
    pytest.param(1, 'device', marks=pytest.mark.slow),
  ],
)
def test_operands_as_constants(operation, argument, kind):
  """In programs whose other operands are constants, or all of them."""
  rows = [
    [float(np.float32(x)) if type(x) is float else x for x in row]
    for row in _constant_rows(operation)
  ]
  hosts = [
    [np.int32(x) if type(x) is int else np.float32(x) for x in row]
    for row in rows
  ]

  def lift(x):
    if isinstance(x, jax.Array):
      x = jax.lax.optimization_barrier(x)  # as a schedule's parameters are
    return x if x.dtype.kind == 'i' else numerics.number(x)

  def compute(arguments):
    for traced, host in zip(arguments, hosts, strict=True):
      row = list(host if kind == 'host' else map(jnp.asarray, host))
      if argument is not None and argument < len(row):
        row[argument] = traced
      result = operation.compute(*map(lift, row))
      first = result[0] if type(result) is tuple else result
      yield None if twofloat.is_host(first) else result

  arguments = [host[min(argument or 0, len(host) - 1)] for host in hosts]
  results = jax.jit(lambda arguments: list(compute(arguments)))(arguments)
  for row, result in zip(rows, results, strict=True):
    if result is not None:
      _assert_close(operation, row, result, operation.error)


@given(st.integers(-(2**31), 2**31 - 1))
def test_integers_keep_every_bit(n):
  """A count is not rounded: float32 has no odd numbers above 2**24."""
  number = _int_to_number(np.int32(n))
  assert float(number.hi) + float(number.lo) == n
  assert numerics.number(n) == n


_int_to_number = jax.jit(numerics.number)


def test_parameters_are_rounded_to_float32():
  """A Python float is the same parameter as its float32."""
  assert numerics.number(0.1) == np.float64(np.float32(0.1)) != 0.1
  assert numerics.number(np.float32(0.1)) == np.float32(0.1)
  device = numerics.number(jnp.float32(0.1))
  assert (device.hi, device.lo) == (np.float32(0.1), 0)


@given(_signed, _signed)
def test_comparisons(x, y):
  """Exact, also where only the second float32 differs."""
  for a, b in ((x, y), (x, x), (x, _rounded(x * (1 + 2.0**-40)))):
    a, b = np.float64(a), np.float64(b)
    assert numerics.less(a, b) == (a < b)
    result = _less(_device_number(a), _device_number(b))
    assert bool(result) == (a < b)


_less = jax.jit(numerics.less)


@pytest.mark.parametrize('sign', [1, -1])
def test_to_float32_stays_in_range(sign):
  """What is beyond float32 becomes its largest number."""
  large = np.float64(sign * 1e300)
  assert numerics.to_float32(large) == np.float32(sign * numerics.MAX_FLOAT32)
  infinite = numerics.number(jnp.float32(sign * np.inf))
  assert numerics.to_float32(infinite) == sign * numerics.MAX_FLOAT32
  assert numerics.to_float32(np.float64(sign / 3)) == np.float32(sign / 3)


@given(_parts, _parts)
def test_span(count, steps):
  """What is done and what remains: integers, whose sum is the whole."""
  for span in (
    spans.span(np.int64(count), np.int32(steps)),
    _spans(np.int32(count), np.int32(steps)),
  ):
    done, remaining, whole = map(int, span)
    assert done + remaining == whole == max(steps, 1)
    assert remaining == max(steps - count, 0)


_spans = jax.jit(spans.span)


@settings(max_examples=100)
@given(
  st.integers(1, 10**6),
  st.one_of(st.integers(1, 4), st.sampled_from([1.5, 1.25, 1.1])),
  st.integers(0, 10**5),
)
def test_cycle(period, growth, count):
  """Where a count is in cycles of growing lengths."""
  growth = float(np.float32(growth))
  exact = exact_values.exact_sgdr(lambda p: p, period, growth)(count)
  host = spans.cycle(np.int64(count), np.int32(period), np.float64(growth))
  device = _cycles(np.int32(count), np.int32(period), np.float32(growth))
  for span, index in (host, device):
    done, remaining, whole = map(_value, span)
    start = sum(int(period) * growth**i for i in range(int(_value(index))))
    assert start == pytest.approx(count - float(done), abs=1e-6 * count + 1e-6)
    assert min(done, remaining) >= 0
    assert abs(done / whole - exact) <= 2.0**-24 * exact
    assert abs(remaining / whole - (1 - exact)) <= 2.0**-22 * (1 - exact)


@jax.jit
def _cycles(count, period, growth):
  return spans.cycle(count, period, numerics.number(growth))


def test_cycle_boundaries_are_whole():
  """For whole growths, every restart falls on its own step, to the last."""
  for growth in (2, 3, 4, 7):
    start, length = 0, 5
    while start < zoo.MAX_COUNT:
      for offset in (-1, 0, 1):
        count = max(start + offset, 0)
        begin = start if count >= start else start - length // growth
        for span, _ in (
          spans.cycle(np.int64(count), np.int32(5), np.float64(growth)),
          _cycles(np.int32(count), np.int32(5), np.float32(growth)),
        ):
          assert _value(span.done) == count - begin
      start, length = start + length, length * growth


def test_gradients_at_the_edges():
  """Finite where a formula has none: a root of 0, an empty rest."""

  def root(x):
    return numerics.to_float32(numerics.sqrt(numerics.number(x)))

  def weights(p, remaining):
    span = spans.Span(10 - remaining, remaining, jnp.int32(10))
    pair = spans.power(span, numerics.number(p))
    return sum(numerics.to_float32(weight) for weight in pair)

  assert jax.grad(root)(0.0) == 0
  assert jax.grad(root)(4.0) == pytest.approx(0.25)
  for remaining in (0, 1, 9, 10):
    gradient = jax.grad(weights)(0.5, jnp.int32(remaining))
    assert abs(gradient) < 1e-6  # the weights sum to 1


def test_docstring_rule_one():
  """XLA would fold (x + c) - c to x, and lose what the sum rounds off."""
  x = np.float32(math.pi)
  total = jax.jit(lambda x: numerics.number(x) + 1000.0)(x)
  assert _value(total) == 1000 + mp.mpf(float(x))

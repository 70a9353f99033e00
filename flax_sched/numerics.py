"""The arithmetic that formulas are written in, on the host and on the device.

A schedule's formula is written once, in numbers that carry about twice the
precision of the float32 that it returns:

- on the host (Python and NumPy numbers) those numbers are `numpy.float64`;
- on the device (JAX arrays and tracers) they are `TwoFloat`.

`number` lifts a schedule's parameter into that arithmetic, the functions below
accept either kind, and `to_float32` rounds once, at the end.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import jax
from jax import lax
from jax import numpy as jnp
import numpy as np

from flax_sched import twofloat
from flax_sched.twofloat import f32
from flax_sched.twofloat import is_host
from flax_sched.twofloat import TwoFloat

MAX_FLOAT32 = float(np.finfo(np.float32).max)

_LN2 = math.log(2)

Number: TypeAlias = Any  # np.float64 (host) or TwoFloat (device)


def number(parameter: Any) -> Number:
  """A schedule's parameter, or an integer count, as a number to compute with.

  Python floats are rounded to float32 first: a parameter is the same number
  whether it is a Python float, a NumPy float32 or an array on the device.

  Args:
    parameter: a number or an array of numbers, of any shape. What is already a
      number of this arithmetic is returned as it is.

  Returns:
    `numpy.float64` on the host, `TwoFloat` on the device.
  """
  if not is_host(parameter):
    return twofloat.two_float(parameter)
  if isinstance(parameter, np.ndarray):
    return parameter.astype(np.float64)[()]
  if type(parameter) is float:
    parameter = np.float32(parameter)
  return np.float64(parameter)


def to_float32(x: Any) -> Any:
  """Rounds a number, once, to the float32 that a schedule returns.

  Values beyond the float32 range become the largest float32, so that a curve
  that grows for ever stays finite.
  """
  if is_host(x):
    return _bounded(x).astype(np.float32)
  if isinstance(x, TwoFloat):
    x = x.hi + x.lo
  # Else the whole formula would be repeated for every array of parameters.
  return twofloat.end_kernel(_clip(twofloat.f32(x)))


def _clip(x: jax.Array) -> jax.Array:
  """x within the float32 range."""
  # Not by min and max: LLVM (of jaxlib 0.12) takes minutes over a long formula
  # in a loop that ends in one of them.
  x = jnp.where(x > MAX_FLOAT32, MAX_FLOAT32, x)
  return jnp.where(x < -MAX_FLOAT32, -MAX_FLOAT32, x)


def where(condition: Any, x: Any, y: Any) -> Number:
  """Elementwise choice between two numbers."""
  if is_host(condition) and is_host(x) and is_host(y):
    if isinstance(condition, np.ndarray):
      return np.where(condition, x, y)
    return x if condition else y
  x, y = twofloat.two_float(x), twofloat.two_float(y)
  return TwoFloat(
    jnp.where(condition, x.hi, y.hi), jnp.where(condition, x.lo, y.lo)
  )


def less(x: Any, y: Any) -> Any:
  """Elementwise x < y, exactly."""
  if is_host(x) and is_host(y):
    return x < y
  x, y = twofloat.two_float(x), twofloat.two_float(y)
  return (x.hi < y.hi) | ((x.hi == y.hi) & (x.lo < y.lo))


def minimum(x: Any, y: Any) -> Number:
  """The smaller of two numbers."""
  if is_host(x) and is_host(y):
    return np.minimum(x, y)
  return where(less(y, x), y, x)


def maximum(x: Any, y: Any) -> Number:
  """The larger of two numbers."""
  if is_host(x) and is_host(y):
    return np.maximum(x, y)
  return where(less(x, y), y, x)


# Sums, products and quotients of any two numbers within the float32 range stay
# in it. On the device, what is beyond this is computed in plain float32: the
# error terms would overflow.
_LARGE = np.float32(2.0**120)


def add(x: Any, y: Any) -> Number:
  """x + y, at most the largest float32."""
  if is_host(x) and is_host(y):
    return _bounded(_bounded(x) + _bounded(y))
  x, y = twofloat.two_float(x), twofloat.two_float(y)
  rough = _clip(x.hi + y.hi)
  fits = jnp.abs(rough) < _LARGE
  return where(fits, where(fits, x, 0.0) + where(fits, y, 0.0), _plain(rough))


def multiply(x: Any, y: Any) -> Number:
  """x * y, at most the largest float32."""
  if is_host(x) and is_host(y):
    return _bounded(_bounded(x) * _bounded(y))
  x, y = twofloat.two_float(x), twofloat.two_float(y)
  rough = _clip(x.hi * y.hi)
  fits = jnp.abs(rough) < _LARGE
  return where(fits, where(fits, x, 0.0) * where(fits, y, 0.0), _plain(rough))


def divide(x: Any, y: Any) -> Number:
  """x / y, at most the largest float32; a y of 0 counts as 2**-126."""
  least = 2.0**-126
  if is_host(x) and is_host(y):
    y = np.where(y == 0, least, _bounded(y))[()]
    return _bounded(_bounded(x) / y)
  x, y = twofloat.two_float(x), twofloat.two_float(y)
  y = where(y.hi == 0, least, y)
  size = jnp.abs(lax.stop_gradient(x.hi / y.hi))
  fits = (size < _LARGE) & (jnp.abs(x.hi) < _LARGE)
  # Apart, since its gradient overflows for small divisors.
  rough = _clip(where(fits, 0.0, x).hi / where(fits, 1.0, y).hi)
  size = jnp.abs(y.hi)
  # So that the divisor's inverse is a normal number.
  factor = jnp.where(size > 2.0**60, 2.0**-64, 1.0)
  factor = f32(jnp.where(size < 2.0**-60, 2.0**64, factor))
  x = where(fits, x, 0.0)
  quotient = _times(x, factor) / _times(where(fits, y, 1.0), factor)
  return where(fits, quotient, _plain(rough))


def _bounded(x: Any) -> Any:
  """A number of the host within the range that those of the device have."""
  return np.minimum(np.maximum(x, -MAX_FLOAT32), MAX_FLOAT32)


def _plain(x: jax.Array) -> TwoFloat:
  return TwoFloat(x, jnp.zeros_like(x))


def _times(x: TwoFloat, power_of_two: jax.Array) -> TwoFloat:
  return TwoFloat(x.hi * power_of_two, x.lo * power_of_two)


def absolute(x: Number) -> Number:
  """|x|."""
  if is_host(x):
    return np.abs(x)
  return where(x.hi < 0, -x, x)


def floor(x: Number) -> Number:
  """The largest integer <= x."""
  if is_host(x):
    return np.floor(x)
  high = lax.floor(x.hi)
  low = jnp.where(high == x.hi, lax.floor(x.lo), 0.0)
  return TwoFloat(*twofloat.fast_two_sum(high, low))


def sqrt(x: Number) -> Number:
  """The square root of x >= 0, with a finite (zero) gradient at 0."""
  if is_host(x):
    return np.sqrt(x)
  positive = x.hi > 0
  x = where(positive, x, 1.0)
  root = lax.sqrt(x.hi)
  rest = x - TwoFloat(*twofloat.two_product(root, root))
  exact = TwoFloat(*twofloat.fast_two_sum(root, rest.hi / (root + root)))
  return where(positive, exact, 0.0)


def _polynomial(x: TwoFloat, coefficients: list[float], exact: int) -> TwoFloat:
  """c0 + x (c1 + x (c2 + ...)): the first `exact` terms to full precision.

  The rest is computed in float32: by then it is too small a part to matter.
  """
  rest = jnp.full_like(x.hi, coefficients[-1])
  for c in coefficients[-2 : exact - 1 : -1]:
    rest = np.float32(c) + x.hi * rest
  result = TwoFloat(*twofloat.two_product(x.hi, rest))
  table = twofloat.two_float(np.array(coefficients[:exact]))
  for i in range(exact - 1, 0, -1):
    result = (result + TwoFloat(table.hi[i], table.lo[i])) * x
  return result + TwoFloat(table.hi[0], table.lo[0])


# log((1+s)/(1-s)) / (2 s ln 2) in powers of s**2, for |s| <= 0.1716.
_LOG2 = [2 / ((2 * k + 1) * math.log(2)) for k in range(10)]
# (2**(f/4) - 1) / f in powers of f, for |f| <= 1/2.
_EXP2 = [(math.log(2) / 4) ** k / math.factorial(k) for k in range(1, 11)]
# sin(pi z / 2)**2 / z**2 in powers of z**2, for |z| <= 1/2.
_SIN2 = [
  (-1) ** (k + 1) * math.pi ** (2 * k) / (2 * math.factorial(2 * k))
  for k in range(1, 11)
]


def _power_of_two(k: jax.Array) -> jax.Array:
  """2**k as a float32, for integers -126 <= k <= 127."""
  return lax.bitcast_convert_type((k + 127) << 23, np.dtype(np.float32))


def log2_ratio(a: Number, b: Number, difference: Number) -> Number:
  """log2(a / b) for a, b > 0, to full relative precision also where a ~ b.

  `1 - (1 - c/T)**p` keeps its first digits at c = 1 only if the logarithm of
  `(T - c) / T` does; hence the exact `difference`, b - a.
  """
  if is_host(a) and is_host(b) and is_host(difference):
    near = 2 * difference < b
    close = np.log1p(-where(near, difference, 0.0) / b) / _LN2
    return where(near, close, np.log2(a / b))
  a, b = twofloat.two_float(a), twofloat.two_float(b)
  # a/b = m * 2**k with sqrt(1/2) <= m < sqrt(2); s = (m - 1) / (m + 1).
  bits = lax.bitcast_convert_type(a.hi / b.hi, np.dtype(np.int32))
  k = (bits - np.int32(0x3F3504F3)) >> 23
  half = k >> 1  # two factors, each in the range of float32
  scale = _power_of_two(half), _power_of_two(k - half)
  b = TwoFloat(b.hi * scale[0] * scale[1], b.lo * scale[0] * scale[1])
  s = where(k == 0, -difference, a - b) / (a + b)
  return twofloat.settle(s * _polynomial(s * s, _LOG2, exact=5) + k)


def log2(x: Number) -> Number:
  """log2(x) for x > 0, to full relative precision also where x ~ 1."""
  return log2_ratio(x, np.float64(1.0), 1.0 - x)


def scaled_exp2(
  factor: Number, x: Number, *, minus_one: bool = False
) -> Number:
  """factor * 2**x, or factor * (2**x - 1) to full relative precision at x ~ 0.

  The factor comes last, so that neither a vanishing nor a huge power loses
  digits that the product would have; what leaves the float32 range becomes 0
  or the largest float32.
  """
  if is_host(factor) and is_host(x):
    x = np.minimum(np.maximum(x, -2000.0), 900.0)
    return factor * (np.expm1(x * _LN2) if minus_one else np.exp2(x))
  x = twofloat.two_float(minimum(maximum(x, -400.0), 400.0))
  nearest = lax.round(x.hi, lax.RoundingMethod.TO_NEAREST_EVEN)
  f = x - TwoFloat(nearest, jnp.zeros_like(nearest))
  u = f * _polynomial(f, _EXP2, exact=5)  # 2**(f/4) - 1
  for _ in range(2):  # (1 + u)**2 - 1
    u = TwoFloat(u.hi * 2, u.lo * 2) + u * u
  k = lax.convert_element_type(nearest, np.dtype(np.int32))
  factor = twofloat.two_float(factor)
  product = factor * (u + 1.0)
  thirds = k // 4  # four factors, each in the range of float32
  hi, lo = product.hi, product.lo
  for part in (thirds, thirds, thirds, k - 3 * thirds):
    power = _power_of_two(part)
    hi, lo = hi * power, lo * power
  hi = _clip(hi)
  product = TwoFloat(hi, jnp.where(jnp.abs(hi) < MAX_FLOAT32, lo, 0.0))
  if minus_one:
    product = where(k == 0, factor * u, product - factor)
  return twofloat.settle(product)


def sin_squared(z: Number) -> Number:
  """sin(pi z / 2)**2, for |z| <= 1/2."""
  if is_host(z):
    return np.sin(z * (np.pi / 2)) ** 2
  y = z * z
  return y * _polynomial(y, _SIN2, exact=6)

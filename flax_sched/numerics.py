"""Exact arithmetic for schedule values, on the host and on the device.

A schedule's formula is written once, in numbers that carry about twice the
precision of the float32 that it returns:

- on the host (Python and NumPy numbers) those numbers are `numpy.float64`;
- on the device (JAX arrays and tracers) they are `TwoFloat`: the unevaluated
  sum of two float32, since accelerators have no fast float64 and JAX turns it
  off by default.

`number` lifts a schedule's parameter into that arithmetic, the functions below
accept either kind, and `to_float32` rounds once, at the end.

Three rules keep a `TwoFloat` exact inside XLA, which keeps neither parentheses
nor roundings sacred:

1. XLA folds constants across additions, `(x + c) - c` becoming `x`. So every
   constant enters through `lax.optimization_barrier`, which costs nothing at
   run time.
2. Compilers contract `a * b + c` into one fused operation, so the product that
   one use sees need not be the product that another use sees. So products that
   matter are made of 12-bit halves, which are exact either way.
3. Step counts stay integers until the one division; a float32 cannot hold odd
   numbers above 2**24.

Source: M. Joldes, J.-M. Muller, V. Popescu, "Tight and rigorous error bounds
for basic building blocks of double-word arithmetic", ACM TOMS 44(2), 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any, NamedTuple, TypeAlias

from flax import struct
import jax
from jax import lax
from jax import numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import numpy as np

MAX_COUNT = 2**31 - 1
MAX_FLOAT32 = float(np.finfo(np.float32).max)

_LN2 = math.log(2)

Number: TypeAlias = Any  # np.float64 (host) or TwoFloat (device)


def is_host(x: Any) -> bool:
  """Whether `x` is a Python or NumPy value, to be computed without JAX."""
  return isinstance(x, (np.generic, np.ndarray, int, float))


def _f32(x: Any) -> jax.Array:
  return lax.convert_element_type(x, np.dtype(np.float32))


# ---------------------------------------------------------------------------
# Error-free transformations: pairs (rounded result, its exact rounding error).


def _fast_two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Exact a + b where |a| >= |b| or a == 0."""
  s = a + b
  return s, b - (s - a)


def _two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Exact a + b."""
  s = a + b
  bb = s - a
  return s, (a - (s - bb)) + (b - bb)


def _halves(a: jax.Array) -> tuple[jax.Array, jax.Array]:
  """a as a sum of two float32 of at most 12 significant bits each."""
  bits = lax.bitcast_convert_type(a, np.dtype(np.int32))
  hi = lax.bitcast_convert_type(bits & np.int32(-4096), np.dtype(np.float32))
  return hi, a - hi


def _two_product(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Exact a * b, by products of halves (rule 2)."""
  a1, a2 = _halves(a)
  b1, b2 = _halves(b)
  p, e1 = _fast_two_sum(a1 * b1, a1 * b2)
  p, e2 = _two_sum(p, a2 * b1)
  e = (e1 + e2) + a2 * b2
  return _fast_two_sum(p, e)


def _divide_by_one(x: jax.Array) -> jax.Array:
  """The identity, as an operation that XLA does not repeat in its users.

  It repeats cheap ones, which a division is not, nor (in newer versions) a
  barrier. That the divisor is 1, except for NaN, is more than XLA can know.
  """
  one = jnp.where(x == x, jnp.ones_like(x), x)
  return lax.optimization_barrier(x / one)


# The identity, where one compiled kernel is to end and another to begin: XLA
# does not repeat a division in each of its users. Arrays on CPU need it, since
# LLVM's loop vectorizer (of jaxlib 0.12) follows every path from an input to an
# output, and error-free transformations have exponentially many. A scalar has
# no loop, and is faster in one kernel.
_kernel_end_p = Primitive('flax_sched_kernel_end')
_kernel_end_p.def_impl(lambda x: x)
_kernel_end_p.def_abstract_eval(lambda x: x)
ad.deflinear2(_kernel_end_p, lambda cotangent, x: [cotangent])
batching.defvectorized(_kernel_end_p)


def _lower_kernel_end(context: Any, x: Any) -> Any:
  if context.avals_in[0].shape == ():
    return [x]
  return mlir.lower_fun(_divide_by_one, multiple_results=False)(context, x)


mlir.register_lowering(_kernel_end_p, lambda context, x: [x])
mlir.register_lowering(_kernel_end_p, _lower_kernel_end, platform='cpu')


# The identity of several arrays, which `jax.vmap` batches all together or not
# at all. What is not batched would be computed anew for every element of the
# batch, along every path that leads to it.
_together_p = Primitive('flax_sched_together')
_together_p.multiple_results = True
_together_p.def_impl(lambda *xs: list(xs))
_together_p.def_abstract_eval(lambda *xs: list(xs))
mlir.register_lowering(_together_p, lambda context, *xs: list(xs))


def _batch_together(
  xs: Sequence[jax.Array], dims: Sequence[int | None]
) -> tuple[list[jax.Array], list[int]]:
  (size,) = {
    x.shape[dim] for x, dim in zip(xs, dims, strict=True) if dim is not None
  }
  batched = [
    batching.bdim_at_front(x, dim, size)
    for x, dim in zip(xs, dims, strict=True)
  ]
  return _together_p.bind(*batched), [0] * len(xs)


batching.primitive_batchers[_together_p] = _batch_together
ad.primitive_jvps[_together_p] = lambda xs, tangents: (
  _together_p.bind(*xs),
  list(tangents),
)


def together(tree: Any) -> Any:
  """The same tree, whose device scalars are batched all together or not at all.

  Args:
    tree: a pytree; host values and tables are left as they are.
  """
  leaves, treedef = jax.tree_util.tree_flatten(tree)
  where_scalar = [
    i for i, x in enumerate(leaves) if not is_host(x) and np.ndim(x) == 0
  ]
  scalars = _together_p.bind(*(leaves[i] for i in where_scalar))
  for i, scalar in zip(where_scalar, scalars, strict=True):
    leaves[i] = scalar
  return jax.tree_util.tree_unflatten(treedef, leaves)


@struct.dataclass
class TwoFloat:
  """The unevaluated sum `hi + lo` of two float32, |lo| <= ulp(hi) / 2.

  Attributes:
    hi: float32 of any shape, the value rounded to float32.
    lo: float32 of the same shape, what the rounding left.
  """

  # NumPy scalars on the left of an operator must hand it to this class.
  __array_ufunc__ = None

  hi: jax.Array
  lo: jax.Array

  def __add__(self, other: Any) -> TwoFloat:
    y = _two_float(other)
    s, e = _two_sum(self.hi, y.hi)
    t, f = _two_sum(self.lo, y.lo)
    s, e = _fast_two_sum(s, e + t)
    return TwoFloat(*_fast_two_sum(s, e + f))

  def __neg__(self) -> TwoFloat:
    return TwoFloat(-self.hi, -self.lo)

  def __sub__(self, other: Any) -> TwoFloat:
    return self + (-_two_float(other))

  def __rsub__(self, other: Any) -> TwoFloat:
    return _two_float(other) + (-self)

  def __mul__(self, other: Any) -> TwoFloat:
    y = _two_float(other)
    p, e = _two_product(self.hi, y.hi)
    e = e + (self.hi * y.lo + self.lo * y.hi)
    return _finish(*_fast_two_sum(p, e))

  def __truediv__(self, other: Any) -> TwoFloat:
    if is_host(other):
      return self * (1.0 / np.float64(other))
    y = _two_float(other)
    # By the inverse, since XLA does not fuse across a quotient that has two
    # uses: this one depends on the divisor alone, most often a parameter.
    inverse = 1.0 / y.hi
    error = 1.0 - y * TwoFloat(inverse, jnp.zeros_like(inverse))
    inverse_and_rest = _fast_two_sum(inverse, inverse * error.hi)
    return self * _settle(TwoFloat(*inverse_and_rest))

  def __rtruediv__(self, other: Any) -> TwoFloat:
    return _two_float(other) / self

  __radd__ = __add__
  __rmul__ = __mul__


def _finish(hi: jax.Array, lo: jax.Array) -> TwoFloat:
  return TwoFloat(_kernel_end_p.bind(hi), _kernel_end_p.bind(lo))


def _settle(x: Number) -> Number:
  """A number that is computed once, by a kernel of its own, even a scalar.

  It ends the long formulas: XLA may compute a number anew along every path that
  leads to it, and two long formulas in a row have too many. It also ends what
  may depend on parameters alone, and else would be computed anew for every
  element of a batch of counts.
  """
  if is_host(x):
    return x
  return TwoFloat(_divide_by_one(x.hi), _divide_by_one(x.lo))


def _constant(x: float | np.ndarray) -> TwoFloat:
  """A host number as two opaque float32 (rule 1)."""
  hi = np.asarray(x, np.float64).astype(np.float32)
  lo = (np.asarray(x, np.float64) - hi).astype(np.float32)
  return TwoFloat(*lax.optimization_barrier((jnp.asarray(hi), jnp.asarray(lo))))


def _two_float(x: Any) -> TwoFloat:
  """Any number as a TwoFloat; integers and host numbers keep every bit."""
  if isinstance(x, TwoFloat):
    return x
  if is_host(x):
    return _constant(x)
  if jnp.issubdtype(x.dtype, jnp.integer):
    # A count, too, may be a constant.
    x = lax.optimization_barrier(
      lax.convert_element_type(x, np.dtype(np.int32))
    )
    high = _f32(x >> 16) * np.float32(65536)
    return TwoFloat(*_fast_two_sum(high, _f32(x & np.int32(0xFFFF))))
  # A traced parameter may still be a constant for XLA.
  x = lax.optimization_barrier(_f32(x))
  return TwoFloat(x, jnp.zeros_like(x))


# ---------------------------------------------------------------------------
# The arithmetic that formulas are written in. Each function takes host numbers
# (float64) or device numbers (TwoFloat, integer arrays).


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
    return _two_float(parameter)
  if isinstance(parameter, np.ndarray):
    return parameter.astype(np.float64)[()]
  if type(parameter) is float:
    parameter = np.float32(parameter)
  return np.float64(parameter)


def _is_integer(x: Any) -> bool:
  return not isinstance(x, TwoFloat) and x.dtype.kind in 'iu'


def as_count(count: Any, caller: str) -> Any:
  """A step count as non-negative integers: int64 on the host, else int32.

  Args:
    count: an integer, or an integer array of any shape. Counts before 0 read
      as 0, device counts beyond 2**31 - 1 as 2**31 - 1.
    caller: the function to name in the error.

  Raises:
    TypeError: if `count` is not an integer.
  """
  dtype = getattr(count, 'dtype', None)
  if type(count) is int:
    return np.int64(min(max(count, 0), 2**62))
  if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
    raise TypeError(
      f'{caller}: count must be an integer or an integer array, got '
      f'{count!r}. Pass the number of completed updates; convert a float with '
      'int(count) or count.astype(int).'
    )
  if is_host(count):
    return np.clip(count, 0, min(np.iinfo(dtype).max, 2**62)).astype(np.int64)
  limits = np.iinfo(dtype)
  low, high = max(limits.min, 0), min(limits.max, MAX_COUNT)
  clipped = lax.clamp(dtype.type(low), count, dtype.type(high))
  return lax.convert_element_type(clipped, np.dtype(np.int32))


class Span(NamedTuple):
  """How much of a span is done.

  Attributes:
    done: what is done, an integer or a number >= 0.
    remaining: what remains, likewise.
    whole: their sum, above 0.
  """

  done: Any
  remaining: Any
  whole: Any


def span(count: Any, steps: Any) -> Span:
  """How much of a span of `steps` is done at `count`, and how much remains.

  Args:
    count: a count, from `as_count`.
    steps: the span's length: an integer, or beyond int32 a float. A span of no
      length is done, and counts as one of 1.

  Returns:
    The span: of integers, or for a float length of numbers.
  """
  whole = np.maximum(steps, 1) if is_host(steps) else steps
  if is_host(count) and is_host(steps):
    whole = whole.astype(np.int64)
    remaining = np.maximum(np.int64(steps) - count, 0)
    return Span(whole - remaining, remaining, whole)
  if np.issubdtype(whole.dtype, np.floating):
    whole, done = number(whole), number(count)
    done = minimum(done, whole)
    return Span(done, whole - done, whole)
  if not is_host(whole):
    whole = jnp.maximum(whole, np.int32(1))
  remaining = jnp.asarray(steps, np.int32) - jnp.asarray(count, np.int32)
  remaining = jnp.maximum(remaining, np.int32(0))
  return Span(whole - remaining, remaining, whole)


def after(count: Any, start: Any) -> Any:
  """The count of a schedule that begins at `start`: count - start, or 0."""
  if is_host(count) and is_host(start):
    return np.maximum(count - np.int64(start), 0)
  count, start = jnp.asarray(count, np.int32), jnp.asarray(start, np.int32)
  return jnp.maximum(count - start, np.int32(0))


def to_float32(x: Any) -> Any:
  """Rounds a number, once, to the float32 that a schedule returns.

  Values beyond the float32 range become the largest float32, so that a curve
  that grows for ever stays finite.
  """
  if is_host(x):
    x = np.minimum(np.maximum(x, -MAX_FLOAT32), MAX_FLOAT32)
    return x.astype(np.float32)
  if isinstance(x, TwoFloat):
    x = x.hi + x.lo
  # Else the whole formula would be repeated for every array of parameters.
  return _divide_by_one(_clip(_f32(x)))


def _clip(x: jax.Array) -> jax.Array:
  """x within the float32 range."""
  # Not by min and max: LLVM (of jaxlib 0.12) takes minutes over a long formula
  # in a loop that ends in one of them.
  x = jnp.where(x > MAX_FLOAT32, MAX_FLOAT32, x)
  return jnp.where(x < -MAX_FLOAT32, -MAX_FLOAT32, x)


def where(condition: Any, x: Any, y: Any) -> Number:
  """Elementwise choice between two numbers."""
  if is_host(condition) and is_host(x) and is_host(y):
    if np.ndim(condition) == 0 and np.ndim(x) == 0 and np.ndim(y) == 0:
      return x if condition else y
    return np.where(condition, x, y)
  x, y = _two_float(x), _two_float(y)
  return TwoFloat(
    jnp.where(condition, x.hi, y.hi), jnp.where(condition, x.lo, y.lo)
  )


def less(x: Any, y: Any) -> Any:
  """Elementwise x < y, exactly."""
  if is_host(x) and is_host(y):
    return x < y
  x, y = _two_float(x), _two_float(y)
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


def absolute(x: Number) -> Number:
  """|x|."""
  if is_host(x):
    return np.abs(x)
  return where(x.hi < 0, -x, x)


def sqrt(x: Number) -> Number:
  """The square root of x >= 0, with a finite (zero) gradient at 0."""
  if is_host(x):
    return np.sqrt(x)
  positive = x.hi > 0
  x = where(positive, x, 1.0)
  root = lax.sqrt(x.hi)
  rest = x - TwoFloat(*_two_product(root, root))
  exact = TwoFloat(*_fast_two_sum(root, rest.hi / (root + root)))
  return where(positive, exact, 0.0)


def _polynomial(x: TwoFloat, coefficients: list[float], exact: int) -> TwoFloat:
  """c0 + x (c1 + x (c2 + ...)): the first `exact` terms to full precision.

  The rest is computed in float32: by then it is too small a part to matter.
  """
  rest = jnp.full_like(x.hi, coefficients[-1])
  for c in coefficients[-2 : exact - 1 : -1]:
    rest = np.float32(c) + x.hi * rest
  result = TwoFloat(*_two_product(x.hi, rest))
  for c in coefficients[exact - 1 : 0 : -1]:
    result = (result + c) * x
  return result + coefficients[0]


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
  a, b = _two_float(a), _two_float(b)
  # a/b = m * 2**k with sqrt(1/2) <= m < sqrt(2); s = (m - 1) / (m + 1).
  bits = lax.bitcast_convert_type(a.hi / b.hi, np.dtype(np.int32))
  k = (bits - np.int32(0x3F3504F3)) >> 23
  half = k >> 1  # two factors, each in the range of float32
  scale = _power_of_two(half), _power_of_two(k - half)
  b = TwoFloat(b.hi * scale[0] * scale[1], b.lo * scale[0] * scale[1])
  s = where(k == 0, -difference, a - b) / (a + b)
  return _settle(s * _polynomial(s * s, _LOG2, exact=5) + k)


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
  x = _two_float(minimum(maximum(x, -400.0), 400.0))
  nearest = lax.round(x.hi, lax.RoundingMethod.TO_NEAREST_EVEN)
  f = x - TwoFloat(nearest, jnp.zeros_like(nearest))
  u = f * _polynomial(f, _EXP2, exact=5)  # 2**(f/4) - 1
  for _ in range(2):  # (1 + u)**2 - 1
    u = TwoFloat(u.hi * 2, u.lo * 2) + u * u
  k = lax.convert_element_type(nearest, np.dtype(np.int32))
  factor = _two_float(factor)
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
  return _settle(product)


def power(span: Span, exponent: Number) -> tuple[Number, Number]:
  """w = (remaining / whole)**exponent and 1 - w, both to full precision.

  Args:
    span: a span.
    exponent: a number > 0.

  Returns:
    The pair (w, 1 - w); (0, 1) where nothing remains, with finite gradients.
  """
  done, remaining, whole = (_settle(number(x)) for x in span)
  positive = less(0.0, remaining)
  base = where(positive, remaining, whole)
  difference = where(positive, done, 0.0)
  log = exponent * log2_ratio(base, whole, difference)
  one = np.float64(1.0)
  return (
    where(positive, scaled_exp2(one, log), 0.0),
    where(positive, -scaled_exp2(one, log, minus_one=True), 1.0),
  )


def cosine_weights(span: Span) -> tuple[Number, Number]:
  """cos**2 and sin**2 of a quarter turn times done / whole.

  Both keep full relative precision at both ends: the smaller is computed from
  whichever of `done` and `remaining` is smaller, as sin**2 of at most an eighth
  of a turn.

  Args:
    span: a span.

  Returns:
    The pair (cos**2, sin**2), which falls from (1, 0) to (0, 1).
  """
  done, remaining, whole = map(number, span)
  early = less(done, remaining)
  z = where(early, done, remaining) / whole
  if is_host(z):
    small = np.sin(z * (np.pi / 2)) ** 2
  else:
    y = z * z
    small = y * _polynomial(y, _SIN2, exact=6)
  large = 1.0 - small
  return where(early, large, small), where(early, small, large)


def mix(a: Number, b: Number, span: Span) -> Number:
  """(a remaining + b done) / whole, exact even where it crosses zero.

  Integers are split in two, so that each product is exact before the sum.
  """
  done, remaining, whole = span
  if not (_is_integer(done) and _is_integer(remaining)):
    return (a * number(remaining) + b * number(done)) / number(whole)
  high = a * number(remaining >> 16) + b * number(done >> 16)
  low = a * number(remaining & 0xFFFF) + b * number(done & 0xFFFF)
  return (high * 65536.0 + low) / number(whole)


def look_up(table: Any, index: Any) -> Any:
  """table[index], for a table of integers or numbers and any shape of index."""
  if is_host(table):
    table = np.asarray(table)
    if is_host(index):
      return table[index]
    if table.dtype == np.float64:
      table = _constant(table)
  if isinstance(table, TwoFloat):
    return TwoFloat(table.hi[index], table.lo[index])
  return jnp.asarray(table)[index]


# Comparing a count with every boundary is one fused loop; beyond this many
# comparisons a binary search is cheaper.
_MAX_COMPARISONS = 2**22


def segment(boundaries: Any, count: Any) -> Any:
  """How many of the increasing `boundaries` are <= count (count's shape)."""
  if is_host(boundaries) and is_host(count):
    return np.searchsorted(boundaries, count, side='right')
  boundaries, count = jnp.asarray(boundaries), jnp.asarray(count)
  few = count.size * boundaries.size <= _MAX_COMPARISONS
  return jnp.searchsorted(
    boundaries, count, side='right', method='compare_all' if few else 'scan'
  )


def clip_index(index: Any, last: int) -> Any:
  """index, at most `last`."""
  return np.minimum(index, last) if is_host(index) else jnp.minimum(index, last)


def prepend_zero(boundaries: Any) -> Any:
  """The starts of the parts that `boundaries` divide the counts into."""
  if is_host(boundaries):
    return np.concatenate([np.zeros(1, np.int32), boundaries])
  return jnp.concatenate([jnp.zeros(1, np.int32), boundaries])


def append_end(boundaries: Any) -> Any:
  """The ends of the parts that `boundaries` divide the counts into."""
  end = np.full(1, MAX_COUNT, np.int32)
  if is_host(boundaries):
    return np.concatenate([boundaries, end])
  return jnp.concatenate([boundaries, end])


def within(count: Any, start: Any, end: Any) -> Any:
  """The count inside a part: from 0 at `start` to its length at `end`."""
  count = jnp.asarray(count, np.int32)
  start, end = jnp.asarray(start, np.int32), jnp.asarray(end, np.int32)
  return jnp.clip(count, start, end) - start


def floor_divide(count: Any, steps: Any) -> Any:
  """How many whole spans of `steps` are done."""
  if is_host(count) and is_host(steps):
    return count // np.int64(steps)
  if np.issubdtype(steps.dtype, np.floating):  # longer than any device count
    return jnp.zeros_like(jnp.asarray(count, np.int32))
  steps = jnp.maximum(jnp.asarray(steps, np.int32), np.int32(1))
  return jnp.asarray(count, np.int32) // steps


def cycle(count: Any, period: Any, growth: Number) -> Span:
  """What is done and what remains of the cycle that the count is in.

  Cycle i lasts period * growth**i; it starts at the sum of those before it,
  period * (growth**i - 1) / (growth - 1).

  Args:
    count: a count, from `as_count`.
    period: the first cycle's length, an integer.
    growth: at least 1.

  Returns:
    The cycle, as a span of numbers.
  """
  turns = floor_divide(count, period)
  n, first = number(count), number(period)
  even = n - number(turns) * first
  if is_host(growth) and np.ndim(growth) == 0 and growth == 1:
    return Span(even, first - even, first)
  grows = less(1.0, growth)
  growth = where(grows, growth, 2.0)
  more, log = growth - 1.0, log2(growth)

  def start(i: Number) -> Number:
    total = scaled_exp2(first, i * log, minus_one=True) / more
    # A boundary that is a whole number of steps must not miss it by a rounding.
    whole = floor(total + 0.5)
    close = less(absolute(total - whole), total * 2.0**-42)
    return where(close, _with_gradient_of(total, whole), total)

  index = floor(log2(n * more / first + 1.0) / log + 0.5)  # or one too many
  edge = start(index)
  early = less(n, edge)
  other = start(where(early, index - 1.0, index + 1.0))
  done = maximum(n - where(early, other, edge), 0.0)
  remaining = maximum(where(early, edge, other) - n, 0.0)
  done = where(grows, done, even)
  remaining = where(grows, remaining, first - even)
  return Span(done, remaining, done + remaining)


def _with_gradient_of(x: Number, value: Number) -> Number:
  """`value`, but as differentiable as `x`."""
  return value if is_host(x) else value + (x - lax.stop_gradient(x))


def floor(x: Number) -> Number:
  """The largest integer <= x."""
  if is_host(x):
    return np.floor(x)
  high = lax.floor(x.hi)
  low = jnp.where(high == x.hi, lax.floor(x.lo), 0.0)
  return TwoFloat(*_fast_two_sum(high, low))

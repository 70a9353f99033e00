"""Numbers of twice float32's precision on the device, that XLA leaves exact.

A `TwoFloat` is the unevaluated sum of two float32: accelerators have no fast
float64, and JAX turns it off by default. Three rules keep it exact inside XLA,
which keeps neither parentheses nor roundings sacred:

1. XLA folds constants across additions, `(x + c) - c` becoming `x`. So every
   constant enters through `lax.optimization_barrier`: a host number in
   `two_float`, parameters and counts in `enter`.
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
from typing import Any

from flax import struct
import jax
from jax import lax
from jax import numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import numpy as np

_HOST = (np.generic, np.ndarray, int, float)


def is_host(x: Any) -> bool:
  """Whether `x` is a Python or NumPy value, to be computed without JAX."""
  return isinstance(x, _HOST)


def f32(x: Any) -> jax.Array:
  """x as float32."""
  return lax.convert_element_type(x, np.dtype(np.float32))


# ---------------------------------------------------------------------------
# Error-free transformations: pairs (rounded result, its exact rounding error).


def fast_two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
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


def two_product(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Exact a * b, by products of halves (rule 2)."""
  a1, a2 = _halves(a)
  b1, b2 = _halves(b)
  p, e1 = fast_two_sum(a1 * b1, a1 * b2)
  p, e2 = _two_sum(p, a2 * b1)
  e = (e1 + e2) + a2 * b2
  return fast_two_sum(p, e)


# ---------------------------------------------------------------------------
# Where kernels end, and what is batched.


def _by_one(x: jax.Array) -> jax.Array:
  """x / 1, where that the divisor is 1 is more than XLA can know."""
  return x / jnp.where(x == x, jnp.ones_like(x), x)


def end_kernel(x: jax.Array) -> jax.Array:
  """The identity, as an operation that XLA does not repeat in its users.

  It repeats cheap ones, which a division is not, nor (in newer versions) a
  barrier.
  """
  return lax.optimization_barrier(_by_one(x))


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
  return mlir.lower_fun(end_kernel, multiple_results=False)(context, x)


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


def enter(
  schedule: Any, count: jax.Array, *, opaque: bool = False
) -> tuple[Any, jax.Array]:
  """A schedule's parameters and a scalar count, fit for the formula.

  They are batched all together or not at all, and none is a constant to XLA
  (rule 1). Host parameters are left as they are.

  Args:
    schedule: a pytree of parameters.
    count: an integer of shape ().
    opaque: whether they can't be constants to XLA anyhow.

  Returns:
    The same two.
  """
  leaves, treedef = jax.tree_util.tree_flatten((schedule, count))
  if not opaque:
    leaves = [x if is_host(x) else lax.optimization_barrier(x) for x in leaves]
  scalars = [
    i for i, x in enumerate(leaves) if not is_host(x) and np.ndim(x) == 0
  ]
  values = _together_p.bind(*(leaves[i] for i in scalars))
  for i, value in zip(scalars, values, strict=True):
    leaves[i] = value
  schedule, count = jax.tree_util.tree_unflatten(treedef, leaves)
  return schedule, count


# ---------------------------------------------------------------------------
# The class.


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
    y = two_float(other)
    s, e = _two_sum(self.hi, y.hi)
    t, f = _two_sum(self.lo, y.lo)
    s, e = fast_two_sum(s, e + t)
    return TwoFloat(*fast_two_sum(s, e + f))

  def __neg__(self) -> TwoFloat:
    return TwoFloat(-self.hi, -self.lo)

  def __sub__(self, other: Any) -> TwoFloat:
    return self + (-two_float(other))

  def __rsub__(self, other: Any) -> TwoFloat:
    return two_float(other) + (-self)

  def __mul__(self, other: Any) -> TwoFloat:
    y = two_float(other)
    p, e = two_product(self.hi, y.hi)
    e = e + (self.hi * y.lo + self.lo * y.hi)
    return _finish(*fast_two_sum(p, e))

  def __truediv__(self, other: Any) -> TwoFloat:
    if is_host(other):
      return self * (1.0 / np.float64(other))
    y = two_float(other)
    # By the inverse, since XLA does not fuse across a quotient that has two
    # uses: this one depends on the divisor alone, most often a parameter.
    inverse = 1.0 / y.hi
    error = 1.0 - y * TwoFloat(inverse, jnp.zeros_like(inverse))
    hi, rest = fast_two_sum(inverse, inverse * error.hi)
    # In one kernel. (A long formula would take exponentially long in one: XLA
    # emits it anew for each part of a concatenation.)
    both = lax.optimization_barrier(jnp.stack([_by_one(hi), _by_one(rest)]))
    return self * TwoFloat(both[0], both[1])

  def __rtruediv__(self, other: Any) -> TwoFloat:
    return two_float(other) / self

  __radd__ = __add__
  __rmul__ = __mul__


def _finish(hi: jax.Array, lo: jax.Array) -> TwoFloat:
  return TwoFloat(_kernel_end_p.bind(hi), _kernel_end_p.bind(lo))


def settle(x: Any) -> Any:
  """A number that is computed once, by a kernel of its own, even a scalar.

  It ends the long formulas: XLA may compute a number anew along every path that
  leads to it, and two long formulas in a row have too many. It also ends what
  may depend on parameters alone, and else would be computed anew for every
  element of a batch of counts.
  """
  if is_host(x):
    return x
  return TwoFloat(end_kernel(x.hi), end_kernel(x.lo))


def _constant(x: float | np.ndarray) -> TwoFloat:
  """A host number as two opaque float32 (rule 1)."""
  hi = np.asarray(x, np.float64).astype(np.float32)
  lo = (np.asarray(x, np.float64) - hi).astype(np.float32)
  return TwoFloat(*lax.optimization_barrier((jnp.asarray(hi), jnp.asarray(lo))))


def two_float(x: Any) -> TwoFloat:
  """Any number as a TwoFloat; integers and host numbers keep every bit."""
  if isinstance(x, TwoFloat):
    return x
  if is_host(x):
    return _constant(x)
  if jnp.issubdtype(x.dtype, jnp.integer):
    x = lax.convert_element_type(x, np.dtype(np.int32))
    high = f32(x >> 16) * np.float32(65536)
    return TwoFloat(*fast_two_sum(high, f32(x & np.int32(0xFFFF))))
  x = f32(x)
  if not isinstance(x, jax.core.Tracer):
    x = lax.optimization_barrier(x)
  return TwoFloat(x, jnp.zeros_like(x))

"""Step counts: how much of a span, or of a cycle, is done.

Counts stay integers until the one division that a formula needs: a float32
cannot hold odd numbers above 2**24.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, NamedTuple

import jax
from jax import lax
from jax import numpy as jnp
import numpy as np

from flax_sched import numerics
from flax_sched import twofloat
from flax_sched.numerics import Number
from flax_sched.numerics import number
from flax_sched.twofloat import is_host
from flax_sched.twofloat import TwoFloat

MAX_COUNT = 2**31 - 1
_SHORTEST = 2.0**-64  # step: float32 holds the ratio of any count to it

STEPS = 'steps'
# The type of a number of steps: of a schedule's parameter and of an argument.
Steps = Annotated[Any, STEPS]


def as_count(count: Any, caller: str) -> Any:
  """A step count: on the host, as non-negative int64; else as it is.

  Args:
    count: an integer, or an integer array of any shape. Counts before 0 read
      as 0.
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
  return count


def clip_count(count: jax.Array) -> jax.Array:
  """A device count as int32: 0 below it, 2**31 - 1 beyond it."""
  limits = np.iinfo(count.dtype)
  low, high = max(limits.min, 0), min(limits.max, MAX_COUNT)
  of_its_dtype = functools.partial(np.asarray, dtype=count.dtype)
  clipped = lax.clamp(of_its_dtype(low), count, of_its_dtype(high))
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
    done = numerics.minimum(done, whole)
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
  if not is_host(start) or start < 0:
    # Where it began before 0, the last counts would leave int32.
    latest = MAX_COUNT + jnp.minimum(jnp.asarray(start, np.int32), np.int32(0))
    count = jnp.minimum(count, latest)
  count, start = jnp.asarray(count, np.int32), jnp.asarray(start, np.int32)
  return jnp.maximum(count - start, np.int32(0))


def power(span: Span, exponent: Number) -> tuple[Number, Number]:
  """w = (remaining / whole)**exponent and 1 - w, both to full precision.

  Args:
    span: a span.
    exponent: a number > 0.

  Returns:
    The pair (w, 1 - w); (0, 1) where nothing remains, with finite gradients.
  """
  done, remaining, whole = (twofloat.settle(number(x)) for x in span)
  positive = numerics.less(0.0, remaining)
  base = numerics.where(positive, remaining, whole)
  difference = numerics.where(positive, done, 0.0)
  log = exponent * numerics.log2_ratio(base, whole, difference)
  one = np.float64(1.0)
  less_one = numerics.scaled_exp2(one, log, minus_one=True)
  return (
    numerics.where(positive, numerics.scaled_exp2(one, log), 0.0),
    numerics.where(positive, -less_one, 1.0),
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
  early = numerics.less(done, remaining)
  z = numerics.where(early, done, remaining) / whole
  small = numerics.sin_squared(z)
  large = 1.0 - small
  return numerics.where(early, large, small), numerics.where(
    early, small, large
  )


def _is_integer(x: Any) -> bool:
  # A NumPy float64 is a Python float.
  return not isinstance(x, (TwoFloat, float)) and x.dtype.kind in 'iu'


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


def whole(steps: Any) -> Any:
  """A float number of steps: an int32 where it is one."""
  if is_host(steps) and np.ndim(steps) == 0 and steps == np.floor(steps):
    return np.int32(steps) if steps <= MAX_COUNT else steps
  return steps


def stretched(
  steps: Any, factor: float, where: str, *, rounded: bool = True
) -> Any:
  """A number of steps, or an array of them, times a factor.

  Args:
    steps: integers; or floats, which are counts only beyond int32.
    factor: above 0.
    where: what to name in errors.
    rounded: whether counts are rounded to the nearest integer, or if they are
      above 0 to at least 1.

  Raises:
    TypeError: if it is a tracer.
    ValueError: if it leaves int32, where that is rounded.
  """
  if isinstance(steps, jax.core.Tracer):
    raise TypeError(f'{where} must be concrete, got {steps!r}.')
  given = np.asarray(steps, np.float64)
  integers = rounded and np.asarray(steps).dtype.kind in 'iu'
  counts = rounded & (integers | (given > MAX_COUNT))
  exact = np.where(counts, np.rint(given * factor), given * factor)
  least = np.where(counts, 1.0, _SHORTEST)
  exact = np.where(given > 0, np.maximum(exact, least), exact)[()]
  if integers and np.any(np.abs(exact) > MAX_COUNT):
    raise ValueError(
      f'{where} must be at most 2**31 - 1 = {MAX_COUNT}, got {steps!r} times '
      f'{factor!r}.'
    )
  if integers:
    return exact.astype(np.int32)
  near = whole(exact)
  return near if _is_integer(near) else whole(near.astype(np.float32))


# ---------------------------------------------------------------------------
# Cycles.


def floor_divide(count: Any, steps: Any) -> Any:
  """How many whole spans of `steps` are done."""
  if is_host(count) and is_host(steps):
    return count // _at_least_1(np.int64(steps))
  if np.issubdtype(steps.dtype, np.floating):
    fits = jnp.asarray(steps < MAX_COUNT)  # else no count gets that far
    whole = jnp.where(fits, steps, np.float32(1.0)).astype(np.int32)
    return jnp.where(fits, floor_divide(count, whole), np.int32(0))
  steps = _at_least_1(jnp.asarray(steps, np.int32))
  return jnp.asarray(count, np.int32) // steps


def modulo(count: Any, steps: Any) -> Any:
  """What is done of the span of `steps` that the count is in."""
  if is_host(count) and is_host(steps):
    return count % _at_least_1(np.int64(steps))
  steps = _at_least_1(jnp.asarray(steps, np.int32))
  return jnp.asarray(count, np.int32) % steps


def _at_least_1(steps: Any) -> Any:
  return (np if is_host(steps) else jnp).maximum(steps, 1)


def cycle(count: Any, period: Any, growth: Number) -> tuple[Span, Number]:
  """The cycle that the count is in: what is done of it, and its number.

  Cycle i lasts period * growth**i; it starts at the sum of those before it,
  period * (growth**i - 1) / (growth - 1).

  Args:
    count: a count, from `as_count`.
    period: the first cycle's length, an integer.
    growth: at least 1.

  Returns:
    The cycle, as a span of numbers, and how many there were before it.
  """
  n, first = number(count), number(_at_least_1(period))
  before = number(floor_divide(count, period))
  even = n - before * first
  if is_host(growth) and np.ndim(growth) == 0 and growth == 1:
    return Span(even, first - even, first), before
  grows = numerics.less(1.0, growth)
  growth = numerics.where(grows, growth, 2.0)
  more, log = growth - 1.0, numerics.log2(growth)

  def start(i: Number) -> Number:
    total = numerics.scaled_exp2(first, i * log, minus_one=True) / more
    # A boundary that is a whole number of steps must not miss it by a rounding.
    whole = numerics.floor(total + 0.5)
    close = numerics.less(numerics.absolute(total - whole), total * 2.0**-42)
    return numerics.where(close, _with_gradient_of(total, whole), total)

  index = numerics.floor(
    numerics.log2(n * more / first + 1.0) / log + 0.5
  )  # or one too many
  edge = start(index)
  early = numerics.less(n, edge)
  other = start(numerics.where(early, index - 1.0, index + 1.0))
  done = numerics.maximum(n - numerics.where(early, other, edge), 0.0)
  remaining = numerics.maximum(numerics.where(early, edge, other) - n, 0.0)
  done = numerics.where(grows, done, even)
  remaining = numerics.where(grows, remaining, first - even)
  index = numerics.where(early, index - 1.0, index)
  index = numerics.where(grows, index, before)
  return Span(done, remaining, done + remaining), index


def _with_gradient_of(x: Number, value: Number) -> Number:
  """`value`, but as differentiable as `x`."""
  return value if is_host(x) else value + (x - lax.stop_gradient(x))

"""Checks of the arguments that schedules are built from.

They look at concrete values only: a traced parameter is taken as it is. Each
returns the argument in the form that a schedule holds as a leaf, and raises an
error that names the function, the argument, the value and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp
import numpy as np

from flax_sched import numerics
from flax_sched import spans
from flax_sched import twofloat

_TOO_LONG = f'must be at most 2**31 - 1 = {spans.MAX_COUNT}'


def is_real(x: Any) -> bool:
  """Whether `x` is a real number, or a NumPy array of them."""
  if isinstance(x, int):  # NumPy has no type for large ones
    return not isinstance(x, bool)
  return twofloat.is_host(x) and np.asarray(x).dtype.kind in 'fiu'


def value(
  function: str,
  name: str,
  x: Any,
  *,
  low: float | None = None,
  high: float | None = None,
  positive: bool = False,
) -> Any:
  """A real number, or an array of them, as float32.

  Args:
    function: the function to name in errors.
    name: the argument to name in errors.
    x: the argument; a JAX array or tracer is converted and not checked.
    low: the smallest value allowed.
    high: the largest value allowed.
    positive: whether the value must be above 0.

  Raises:
    TypeError: if `x` is not a real number.
    ValueError: if it is out of range, NaN, infinite or beyond float32.
  """
  if isinstance(x, jax.Array):
    return lax.convert_element_type(x, np.dtype(np.float32))
  if not is_real(x):
    raise TypeError(f'{function}: {name} must be a real number, got {x!r}.')
  if not np.all(np.abs(x) <= numerics.MAX_FLOAT32):
    raise ValueError(f'{function}: {name} must be finite, got {x!r}.')
  exact = np.asarray(x, np.float64)
  if positive and not np.all(exact.astype(np.float32) > 0):
    raise ValueError(f'{function}: {name} must be positive, got {x!r}.')
  if low is not None and not np.all(exact >= low):
    raise ValueError(f'{function}: {name} must be at least {low}, got {x!r}.')
  if high is not None and not np.all(exact <= high):
    raise ValueError(f'{function}: {name} must be at most {high}, got {x!r}.')
  return exact.astype(np.float32)[()]


def steps(
  function: str, name: str, x: Any, *, zero: bool = False, hint: str = ''
) -> Any:
  """A number of steps: int32, or beyond its range the nearest float32.

  Args:
    function: the function to name in errors.
    name: the argument to name in errors.
    x: a positive integer; a float with an integral value counts as one. A
      traced one has no gradient.
    zero: whether 0 is allowed too.
    hint: a sentence to add to the error.

  Raises:
    TypeError: if `x` is not a real number.
    ValueError: if it is fractional, negative, 0 where that is not allowed, or
      2**62 and more.
  """
  if isinstance(x, jax.Array):
    if jnp.issubdtype(x.dtype, jnp.integer):
      return lax.convert_element_type(x, np.dtype(np.int32))
    # A slope that leaves out what the boundaries move would be half of one.
    return lax.stop_gradient(lax.convert_element_type(x, np.dtype(np.float32)))
  kind = 'a non-negative integer' if zero else 'a positive integer'
  message = f'{function}: {name} must be {kind}, got {x!r}. {hint}'.rstrip()
  if not is_real(x) or np.ndim(x):
    raise TypeError(message)
  if x >= 2**62 and x != np.inf:
    raise ValueError(f'{function}: {name} must be below 2**62, got {x!r}.')
  if not (0 if zero else 1) <= x < np.inf or x != int(x):
    raise ValueError(message)
  return np.int32(x) if x <= spans.MAX_COUNT else np.float32(x)


def boundaries(function: str, name: str, xs: Sequence[Any]) -> Any:
  """Strictly increasing steps, from 0 on, as an int32 array.

  Raises:
    TypeError: if one is not a number.
    ValueError: if one is fractional, negative, too large, or not above the one
      before it.
  """
  if any(isinstance(x, jax.Array) for x in xs):
    return jnp.stack([jnp.asarray(x, np.int32) for x in xs])
  items = [
    steps(function, f'{name}[{i}]', x, zero=True) for i, x in enumerate(xs)
  ]
  for i, x in enumerate(items):
    if isinstance(x, np.floating):
      raise ValueError(f'{function}: {name}[{i}] {_TOO_LONG}, got {xs[i]!r}.')
    if i and x <= items[i - 1]:
      raise ValueError(
        f'{function}: {name} must be strictly increasing, got {list(xs)!r}: '
        f'{xs[i]!r} follows {xs[i - 1]!r}.'
      )
  return np.asarray(items, np.int32)


def int32_steps(
  function: str,
  name: str,
  x: Any,
  *,
  zero: bool = False,
  negative: bool = False,
) -> Any:
  """As `steps`, where a length beyond int32 makes no sense.

  Args:
    function: the function to name in errors.
    name: the argument to name in errors.
    x: a positive integer; a float with an integral value counts as one.
    zero: whether 0 is allowed too.
    negative: whether any integer is.

  Raises:
    TypeError: if `x` is not a real number.
    ValueError: also if `x` is beyond 2**31 - 1.
  """
  if negative and is_real(x) and np.ndim(x) == 0:
    if x < 0:
      return -int32_steps(function, name, -x)
    zero = True
  x_steps = steps(function, name, x, zero=zero)
  if isinstance(x_steps, np.floating):
    raise ValueError(f'{function}: {name} {_TOO_LONG}, got {x!r}.')
  return x_steps


def boundaries_and_scales(function: str, mapping: Any) -> tuple[Any, Any]:
  """A mapping from boundaries to scales as two arrays, in ascending order.

  Keys may be strings of integers, since JSON and checkpoints make strings of
  integer keys.

  Raises:
    TypeError: if `mapping` is not a mapping from integers to numbers.
    ValueError: if it is empty, a boundary is not a positive integer or given
      twice, or a scale is negative or not finite.
  """
  name = 'boundaries_and_scales'
  if not isinstance(mapping, Mapping) and not hasattr(mapping, 'items'):
    raise TypeError(
      f'{function}: {name} must be a mapping from boundary to scale, such as '
      f'{{500: 1.0, 1000: 0.5}}, got {mapping!r}.'
    )
  if not mapping:
    raise ValueError(
      f'{function}: {name} must have at least one boundary, got {mapping!r}.'
    )
  pairs = {}
  for key, scale in mapping.items():
    boundary = int(key) if isinstance(key, str) and key.isdigit() else key
    boundary = int32_steps(function, f'{name} key', boundary)
    if boundary in pairs:
      raise ValueError(
        f'{function}: {name} has the boundary {boundary} twice: {mapping!r}.'
      )
    pairs[boundary] = value(function, f'{name}[{key!r}]', scale, low=0.0)
  keys = sorted(pairs)
  scales = [pairs[key] for key in keys]
  return np.asarray(keys, np.int32), stack(scales)


def fractions(function: str, named: Mapping[str, Any], total: Any) -> Any:
  """The steps at given fractions of a span, then its end, as an int32 array.

  Each fraction's step is rounded down, and stays above the one before it where
  the span has room, so that no phase is lost in a short run.

  Args:
    function: the function to name in errors.
    named: the fractions, in ascending order, by the argument's name.
    total: the span's length, an int32.

  Raises:
    TypeError: if a fraction is not a number.
    ValueError: if one is outside 0 to 1, or not above the one before it.
  """
  previous = None
  for name, x in named.items():
    checked = value(function, name, x, low=0.0, high=1.0)
    if twofloat.is_host(checked) and previous and not previous[1] < x:
      raise ValueError(
        f'{function}: {name} must be above {previous[0]}, got {name}={x!r} and '
        f'{previous[0]}={previous[1]!r}.'
      )
    previous = (name, x) if twofloat.is_host(checked) else None
  ends: list[Any] = []
  on_host = all(map(twofloat.is_host, [total, *named.values()]))
  for x in named.values():
    earliest = ends[-1] + 1 if ends else 0
    if on_host:
      ends.append(min(max(int(float(x) * int(total)), earliest), int(total)))
    else:
      end = jnp.floor(jnp.asarray(x, np.float32) * total).astype(np.int32)
      ends.append(jnp.minimum(jnp.maximum(end, earliest), total))
  return stack([*ends, total], np.int32)


def stack(values: Sequence[Any], dtype: Any = np.float32) -> Any:
  """Numbers as one array: NumPy unless one is on the device."""
  if all(map(twofloat.is_host, values)):
    return np.asarray(values, dtype)
  return jnp.stack([jnp.asarray(v, dtype) for v in values])

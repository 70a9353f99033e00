"""Which of several parts a count is in, and the entry of a table for it."""

from __future__ import annotations

import math
from typing import Any

from jax import lax
from jax import numpy as jnp
import numpy as np

from flax_sched.spans import MAX_COUNT
from flax_sched.twofloat import is_host


def look_up(table: Any, index: Any) -> Any:
  """table[index], for a table of parameters and an index within it."""
  if is_host(table) and is_host(index):
    return np.asarray(table)[index]
  table = lax.optimization_barrier(jnp.asarray(table))
  return table.at[index].get(mode='promise_in_bounds')


# XLA on CPU splits a reduction over more than this, into one kernel for each
# power of it. It does not where each of several axes is that short.
_SHORT = 32


def segment(boundaries: Any, count: Any) -> Any:
  """How many of the increasing `boundaries` are <= count.

  Args:
    boundaries: integers of shape (k,).
    count: a count, from `as_count`: an integer; on the host, of any shape.

  Returns:
    Integers of the shape of `count`.
  """
  if is_host(boundaries) and is_host(count):
    return boundaries.searchsorted(count, side='right')
  xp = np if is_host(boundaries) else jnp
  # No count is beyond the largest integer: such a boundary never passes.
  before, never = boundaries - np.int32(1), MAX_COUNT
  shape: tuple[int, ...] = (len(before),)
  while shape[0] > _SHORT:
    shape = (-(-shape[0] // _SHORT), *([_SHORT] * len(shape)))
  padding = math.prod(shape) - len(before)
  before = xp.pad(before, (0, padding), constant_values=never).reshape(shape)
  return jnp.sum(before < count, dtype=np.int32)


def clip_index(index: Any, last: int) -> Any:
  """index, at most `last`."""
  return np.minimum(index, last) if is_host(index) else jnp.minimum(index, last)


def prepend_zero(boundaries: Any) -> Any:
  """The starts of the parts that `boundaries` divide the counts into."""
  # Padded: on a mesh with Explicit axes, a constant has no place beside them.
  return (np if is_host(boundaries) else jnp).pad(boundaries, (1, 0))


def append_end(boundaries: Any) -> Any:
  """The ends of the parts that `boundaries` divide the counts into."""
  pad = (np if is_host(boundaries) else jnp).pad
  return pad(boundaries, (0, 1), constant_values=MAX_COUNT)


def within(count: Any, start: Any, end: Any) -> Any:
  """The count inside a part: from 0 at `start` to its length at `end`."""
  count = jnp.asarray(count, np.int32)
  start, end = jnp.asarray(start, np.int32), jnp.asarray(end, np.int32)
  return jnp.clip(count, start, end) - start

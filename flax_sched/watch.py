"""Which numbers of a state say what its hyperparameters follow.

They are copied with the values of a step, so that a change of them is seen when
these are read, and the record of that step can be taken then.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import injected
from flax_sched import ways

# A table of a million values is not copied at every step.
MOST = 4096


class Leaf(NamedTuple):
  """One of the arrays.

  Attributes:
    number: where it is among the leaves of the state.
    fixed: whether no update changes it: schedules' numbers, constants and
      overrides are so, counts are not.
  """

  number: int
  fixed: bool


def leaves(caller: str, numbered: Any) -> list[Leaf]:
  """What a record takes from a state but the values, what is fixed first.

  Nothing, if nothing is fixed: such a state follows the same for ever.

  Args:
    caller: the function to name in errors.
    numbered: the state, with the number of each leaf in its place.
  """
  fixed: list[Any] = []
  moving: list[Any] = []
  for _, s in ways.injected(caller, numbered):
    moving.append(s.count)
    if isinstance(s, injected.InjectHyperparamsState):
      follows = injected.parse(s.spec)
      for name, value in s.hyperparams.items():
        if follows.get(name) == injected.CONSTANT:
          fixed.append(value)
    else:
      fixed += [s.hyperparams_states.parameters, s.overrides]
  return (
    []
    if not fixed
    else [
      Leaf(index, trees is fixed)
      for trees in (fixed, moving)
      for index in jax.tree_util.tree_leaves(trees)
    ]
  )


def is_possible(values: Sequence[Any]) -> bool:
  """Whether arrays are few numbers, and all of them are of this process."""
  return sum(math.prod(np.shape(x)) for x in values) <= MOST and all(
    isinstance(x, jax.Array)
    and x.dtype.itemsize in (2, 4, 8)
    and (x.is_fully_addressable or x.is_fully_replicated)
    for x in values
  )


def halves(x: jax.Array) -> jax.Array:
  """The bits of an array, 16 at a time, as float32, which has them exactly."""
  bits = jax.lax.bitcast_convert_type(x, jnp.uint16)
  return bits.reshape(-1).astype(jnp.float32)


def number_of_halves(aval: Any) -> int:
  """How many numbers `halves` makes of an array."""
  return aval.size * aval.dtype.itemsize // 2


def whole(numbers: np.ndarray, aval: Any) -> np.ndarray:
  """The array of which `halves` made the numbers."""
  bits = numbers.astype('<u2').tobytes()
  return np.frombuffer(bits, aval.dtype).reshape(aval.shape)

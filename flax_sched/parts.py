"""Many schedules evaluated as few: those of one kind, by a table of numbers."""

from __future__ import annotations

from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import numerics
from flax_sched import segments
from flax_sched import twofloat
from flax_sched.formula import Formula


def kinds(schedules: Sequence[Formula]) -> list[list[int]]:
  """The schedules' positions, grouped by what one evaluation can serve."""
  found: dict[Any, list[int]] = {}
  for i, schedule in enumerate(schedules):
    leaves, treedef = jax.tree_util.tree_flatten(schedule)
    shapes = tuple((np.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    found.setdefault((treedef, shapes), []).append(i)
  return list(found.values())


def stack(schedules: Sequence[Formula]) -> Any:
  """One schedule whose leaves have a leading axis: the schedules' own."""

  def of_leaves(*leaves: Any) -> Any:
    on_host = all(map(twofloat.is_host, leaves))
    return np.stack(leaves) if on_host else jnp.stack(leaves)

  return jax.tree_util.tree_map(of_leaves, *schedules)


def chosen(schedules: Sequence[Formula], boundaries: Any, count: Any) -> Any:
  """The value, on the device, of the schedule whose part a count is in.

  The program grows with the number of kinds, not with that of schedules.

  Args:
    schedules: k + 1 schedules, each counting from its own start.
    boundaries: k increasing steps, int32 of shape (k,).
    count: the count, an int32 of shape ().

  Returns:
    The value, a number of `flax_sched.numerics`.
  """
  index = segments.segment(boundaries, count)
  starts = segments.prepend_zero(boundaries)
  ends = segments.append_end(boundaries)
  result: Any = None
  for members in kinds(schedules):
    if len(members) == 1:
      schedule, i = schedules[members[0]], members[0]
      local = segments.within(count, starts[i], ends[i])
      value, mine = schedule.value(local), index == i
    else:
      ranks = np.searchsorted(members, np.arange(len(schedules)))
      ranks = np.minimum(ranks, len(members) - 1)
      rank = segments.look_up(ranks.astype(np.int32), index)
      part = segments.look_up(np.asarray(members, np.int32), rank)
      local = segments.within(
        count, segments.look_up(starts, part), segments.look_up(ends, part)
      )
      schedule = jax.tree_util.tree_map(
        functools.partial(segments.look_up, index=rank),
        stack([schedules[i] for i in members]),
      )
      value, mine = schedule.value(local), index == part
    value = numerics.number(value)
    result = value if result is None else numerics.where(mine, value, result)
  return result

"""Schedules made of schedules."""

from __future__ import annotations

from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import numerics
from flax_sched import spans
from flax_sched import twofloat
from flax_sched.curves import Curve
from flax_sched.numerics import number
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Schedule


class Shift(Schedule):
  """A schedule that starts late: schedule(n - begin), held before.

  Attributes:
    schedule: the schedule.
    begin: the step at which it starts.
  """

  schedule: Schedule
  begin: Any

  def value(self, count: Any) -> Any:
    return self.schedule.value(spans.after(count, self.begin))


class Join(Schedule):
  """One schedule after another, each counting from its own start.

  `schedules[0]` holds before `boundaries[0]`, and so on; the last one holds
  from the last boundary on. A schedule never sees a count outside its own part.

  On the device, the schedules of one kind are evaluated together: their
  parameters become a table, looked up by the part that the count is in. So the
  program grows with the number of kinds, not with the number of schedules.

  Attributes:
    schedules: k + 1 schedules.
    boundaries: k increasing steps, int32 of shape (k,).
  """

  schedules: tuple[Schedule, ...]
  boundaries: Any

  def value(self, count: Any) -> Any:
    index = spans.segment(self.boundaries, count)
    if twofloat.is_host(index):
      if np.ndim(index) == 0:
        return self._part(index, count)
      result = np.empty(count.shape, np.float64)
      for i in np.unique(index):
        part = self._part(i, count[index == i])
        if not twofloat.is_host(part):  # of a function that uses JAX
          part = numerics.to_float32(part)
        result[index == i] = part
      return result
    return self._value_on_device(count, index)

  def _part(self, index: Any, count: Any) -> Any:
    """The value of one schedule at counts that are all in its part."""
    if index > 0:
      count = spans.after(count, self.boundaries[index - 1])
    return self.schedules[index].value(count)

  def _value_on_device(self, count: Any, index: Any) -> Any:
    starts = spans.prepend_zero(self.boundaries)
    ends = spans.append_end(self.boundaries)
    result: Any = None
    for members in _kinds(self.schedules):
      if len(members) == 1:
        schedule, i = self.schedules[members[0]], members[0]
        local = spans.within(count, starts[i], ends[i])
        value, mine = schedule.value(local), index == i
      else:
        ranks = np.searchsorted(members, np.arange(len(self.schedules)))
        ranks = np.minimum(ranks, len(members) - 1)
        rank = spans.look_up(ranks.astype(np.int32), index)
        part = spans.look_up(np.asarray(members, np.int32), rank)
        local = spans.within(
          count, spans.look_up(starts, part), spans.look_up(ends, part)
        )
        schedule = jax.tree_util.tree_map(
          functools.partial(spans.look_up, index=rank),
          _stack([self.schedules[i] for i in members]),
        )
        value, mine = schedule.value(local), index == part
      value = number(value)
      result = value if result is None else numerics.where(mine, value, result)
    return result


class Crossfade(Schedule):
  """A gradual change from one schedule to another.

  Up to `begin` it is the old one, from begin + T on the new one; between, at
  begin + m, it is (1 - m / T) old(n) + (m / T) new(n). Both count from 0 on.

  Attributes:
    old: the schedule to leave.
    new: the schedule to arrive at.
    begin: the last step of the old one alone.
    transition_steps: T, in steps.
  """

  old: Schedule
  new: Schedule
  begin: Any
  transition_steps: Any

  def value(self, count: Any) -> Any:
    done = spans.after(count, self.begin)
    return spans.mix(
      number(self.old.value(count)),
      number(self.new.value(count)),
      spans.span(done, self.transition_steps),
    )


def _kinds(schedules: tuple[Schedule, ...]) -> list[list[int]]:
  """The schedules' positions, grouped by what one evaluation can serve."""
  kinds: dict[Any, list[int]] = {}
  for i, schedule in enumerate(schedules):
    leaves, treedef = jax.tree_util.tree_flatten(schedule)
    shapes = tuple((np.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    kinds.setdefault((treedef, shapes), []).append(i)
  return list(kinds.values())


def stack_schedules(schedules: Sequence[Schedule]) -> Schedule:
  """The schedules of a population as one, to be mapped over by `jax.vmap`.

  Args:
    schedules: one for each member, all built by the same function.

  Returns:
    A schedule like each of them, whose numbers have a leading axis: the
    members. It has values only under `jax.vmap`, such as in the `init` and
    `update` of `inject_stateful_hyperparams`.

  Raises:
    ValueError: if there are none, or one is of another kind than the first.

  >>> import flax_sched as fs
  >>> import jax
  >>> population = stack_schedules(
  ...   [fs.linear_schedule(peak, 0.0, 10) for peak in (1.0, 0.5, 0.25)]
  ... )
  >>> jax.vmap(lambda schedule: schedule(5))(population)
  Array([0.5  , 0.25 , 0.125], dtype=float32)
  """
  schedules = [as_schedule(schedule) for schedule in schedules]
  if not schedules:
    raise ValueError('stack_schedules: schedules must not be empty.')
  kinds = _kinds(tuple(schedules))
  if len(kinds) > 1:
    other = kinds[1][0]
    raise ValueError(
      'stack_schedules: schedules must be alike, with equally many parts, '
      f'got {schedules[0]!r} and, at {other}, {schedules[other]!r}. Build '
      'all of them by the same function.'
    )
  return _stack(schedules)


def _stack(schedules: list[Schedule]) -> Schedule:
  """One schedule whose leaves have a leading axis: the schedules' own."""

  def stack(*leaves: Any) -> Any:
    on_host = all(map(twofloat.is_host, leaves))
    return np.stack(leaves) if on_host else jnp.stack(leaves)

  return jax.tree_util.tree_map(stack, *schedules)


class WarmRestarts(Schedule):
  """A curve that starts again and again: SGDR.

  Cycle i lasts period * t_mult**i steps, and the curve is stretched to fill it.

  Attributes:
    curve: what each cycle goes through.
    period: the length of the first cycle, in steps.
    t_mult: each cycle is this many times as long as the one before; at least 1.
  """

  curve: Curve
  period: Any
  t_mult: Any

  def value(self, count: Any) -> Any:
    return self.curve.between(
      spans.cycle(count, self.period, number(self.t_mult))
    )

"""Stateful schedules: the protocol, and the one that wraps a plain schedule.

A stateful schedule has `init()`, `update(state, **extra_args)` and
`__call__(state, **extra_args)`, as in Optax: the value may depend on what
training passes to the optimizer's update, such as the loss.
"""

from __future__ import annotations

from typing import Any

from flax import struct
import jax
from jax import numpy as jnp
import optax

from flax_sched.schedule import as_schedule
from flax_sched.schedule import Schedule


def is_stateful(x: Any) -> bool:
  """Whether `x` follows the protocol of stateful schedules."""
  return all(callable(getattr(x, m, None)) for m in ('init', 'update')) and (
    callable(x)
  )


class WrappedScheduleState(struct.PyTreeNode):
  """The state of a wrapped schedule.

  Attributes:
    count: int32 of shape (), the completed updates.
    schedule: the schedule, its parameters as arrays: what is followed, so that
      a restored or edited state does what it says.
  """

  count: jax.Array
  schedule: Schedule


class WrappedSchedule(struct.PyTreeNode):
  """A plain schedule as a stateful one: its parameters ride in the state.

  Attributes:
    schedule_fn: a `Schedule`; another callable of the count becomes one.

  >>> import flax_sched as fs
  >>> wrapped = fs.WrappedSchedule(fs.linear_schedule(1.0, 0.0, 4))
  >>> state = wrapped.init()
  >>> state = wrapped.update(state)
  >>> wrapped(state)
  Array(0.75, dtype=float32)
  """

  schedule_fn: Schedule

  def __post_init__(self) -> None:
    # This also runs when JAX unflattens, with tracers and placeholders, none
    # of which is callable.
    if callable(self.schedule_fn) and not isinstance(
      self.schedule_fn, Schedule
    ):
      object.__setattr__(self, 'schedule_fn', as_schedule(self.schedule_fn))

  def init(self) -> WrappedScheduleState:
    """The state at count 0."""
    # Copies: two states, or a state and its maker, must not share a buffer
    # that a jitted step may donate.
    schedule = jax.tree_util.tree_map(
      lambda leaf: jnp.array(leaf, copy=True), self.schedule_fn
    )
    return WrappedScheduleState(
      count=jnp.zeros((), jnp.int32), schedule=schedule
    )

  def update(
    self, state: WrappedScheduleState, **extra_args: Any
  ) -> WrappedScheduleState:
    """The state after one more update; extra arguments are ignored."""
    del extra_args
    return state.replace(count=optax.safe_increment(state.count))

  def __call__(self, state: WrappedScheduleState, **extra_args: Any) -> Any:
    """The value at the state's count, by the state's schedule."""
    del extra_args
    return state.schedule(state.count)

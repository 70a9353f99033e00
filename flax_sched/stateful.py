"""Stateful schedules, and how an optimizer's state holds schedules.

A stateful schedule has `init()`, `update(state, **extra_args)` and
`__call__(state, **extra_args)`, as in Optax: the value may depend on what
training passes to the optimizer's update, such as the loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
import math
from typing import Any

from flax import struct
import jax
from jax import numpy as jnp
import numpy as np
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


def with_counts(state: Any, count_of: Callable[[Any], Any]) -> Any:
  """The state of a stateful schedule, with other counts for plain ones.

  A product holds a count for each plain schedule in it.

  Args:
    state: the state.
    count_of: gives the new count for an old one.
  """
  return _map_wrapped(lambda s: s.replace(count=count_of(s.count)), state)


def without_schedules(state: Any) -> Any:
  """The state of a stateful schedule, without the plain schedules in it."""
  return _map_wrapped(lambda s: s.replace(schedule=None), state)


def is_wrapped(x: Any) -> bool:
  """Whether `x` is the state of a wrapped schedule."""
  return isinstance(x, WrappedScheduleState)


def _map_wrapped(f: Callable[[WrappedScheduleState], Any], state: Any) -> Any:
  return jax.tree_util.tree_map(
    lambda x: f(x) if is_wrapped(x) else x, state, is_leaf=is_wrapped
  )


class ScheduleStates(struct.PyTreeNode, Mapping[str, Any]):
  """What an optimizer's state keeps of each schedule: a read-only mapping.

  By name, it gives a plain schedule itself, its parameters as arrays of the
  state, and of a stateful schedule the state.

  A jitted step pays for each array of its state, about as much as for a small
  kernel. So the parameters of all plain schedules lie in one flat array for
  each dtype, in the order of `layout`; axes in front are those of a batch.

  Attributes:
    parameters: the flat arrays, by the name of their dtype.
    states: the states of stateful schedules, in the order of `stateful`.
    layout: the plain schedules, by name, with the shape and dtype of each
      parameter in its place.
    stateful: the names of the stateful schedules.
    specs: what each of these is, as JSON, in the same order.
  """

  parameters: dict[str, jax.Array]
  states: tuple[Any, ...]
  layout: tuple[tuple[str, Schedule], ...] = struct.field(pytree_node=False)
  stateful: tuple[str, ...] = struct.field(pytree_node=False)
  specs: tuple[str, ...] = struct.field(pytree_node=False)

  @classmethod
  def pack(
    cls, states: Mapping[str, Any], specs: Mapping[str, str]
  ) -> ScheduleStates:
    """Of plain schedules, and of states with their specs, by name."""
    schedules = {
      name: jax.tree_util.tree_map(_as_array, state)
      for name, state in sorted(states.items())
      if isinstance(state, Schedule)
    }
    flat: dict[str, list[Any]] = {}
    for leaf in jax.tree_util.tree_leaves(list(schedules.values())):
      if leaf.size:  # Orbax refuses empty arrays
        flat.setdefault(leaf.dtype.name, []).append(leaf.reshape(-1))
    names = tuple(sorted(states.keys() - schedules.keys()))
    return cls(
      parameters={dtype: _concatenate(parts) for dtype, parts in flat.items()},
      states=tuple(states[name] for name in names),
      layout=tuple(
        (name, jax.tree_util.tree_map(_shape, schedule))
        for name, schedule in schedules.items()
      ),
      stateful=names,
      specs=tuple(specs[name] for name in names),
    )

  def put(
    self, name: str, state: Any, spec: str = '', batch: tuple[int, ...] = ()
  ) -> ScheduleStates:
    """With another plain schedule, or state and its spec, under a name.

    Args:
      name: the hyperparameter.
      state: the schedule or state; in a population, one for each member, with
        `batch` as the first axes of all its leaves, or one for all.
      spec: what a stateful schedule is, as JSON.
      batch: the shape of the population.
    """
    leaves = jax.tree_util.tree_leaves(state)
    single = any(np.shape(leaf)[: len(batch)] != batch for leaf in leaves)

    def put_one(states: ScheduleStates, state: Any) -> ScheduleStates:
      specs = dict(zip(states.stateful, states.specs, strict=True))
      return self.pack({**states, name: state}, {**specs, name: spec})

    put = put_one
    for _ in batch:
      put = jax.vmap(put, in_axes=(0, None if single else 0))
    return put(self, state)

  def __getitem__(self, name: str) -> Any:
    if name in self.stateful:
      return self.states[self.stateful.index(name)]
    start: Counter[str] = Counter()  # of the next parameter, by dtype

    def take(shape: jax.ShapeDtypeStruct) -> Any:
      dtype, size = shape.dtype.name, math.prod(shape.shape)
      if not size:
        return jnp.zeros(shape.shape, shape.dtype)
      first = start[dtype]
      start[dtype] += size
      part = self.parameters[dtype][..., first : first + size]
      return part.reshape(part.shape[:-1] + shape.shape)

    for key, schedule in self.layout:
      if key == name:
        return jax.tree_util.tree_map(take, schedule)
      for shape in jax.tree_util.tree_leaves(schedule):
        start[shape.dtype.name] += math.prod(shape.shape)
    raise KeyError(name)

  def __iter__(self) -> Iterator[str]:
    yield from (name for name, _ in self.layout)
    yield from self.stateful

  def __len__(self) -> int:
    return len(self.layout) + len(self.stateful)


def _as_array(leaf: Any) -> Any:
  """A parameter as an array, Python numbers in single precision."""
  if type(leaf) is float:
    return np.asarray(leaf, np.float32)
  if type(leaf) is int:
    return np.asarray(leaf, np.int32)
  return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)


def _concatenate(parts: list[Any]) -> jax.Array:
  """One array of its own: a donated state shares no buffer with its maker."""
  if all(isinstance(part, np.ndarray) for part in parts):
    return jnp.array(np.concatenate(parts), copy=True)
  return jnp.concatenate(parts) if len(parts) > 1 else jnp.copy(parts[0])


def _shape(array: Any) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(array.shape, array.dtype)

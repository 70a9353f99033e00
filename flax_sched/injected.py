"""The states of injected transformations, and which schedules they follow."""

from __future__ import annotations

from collections.abc import Mapping
import functools
import json
from typing import Any

from flax import struct
import jax
import optax

from flax_sched import spec as spec_lib
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.stateful import ScheduleStates

# What a state's spec says of a hyperparameter whose value is the entry of that
# name in `hyperparams`.
CONSTANT = 'constant'


class InjectHyperparamsState(struct.PyTreeNode):
  """State of `inject_hyperparams`.

  Attributes:
    count: int32 of shape (), the completed updates.
    inner_state: the state of the transformation.
    hyperparams: float32 of shape () by name: what the last update used (after
      `init`: the values at count 0). A constant's entry is the constant: the
      next update uses it.
    spec: the schedules, as JSON: `{name: spec}`. It is static: an update
      follows it as constants of the compiled program.
    transformation: what the factory is, for checkpoints; see `Factory`.
  """

  count: jax.Array
  inner_state: optax.OptState
  hyperparams: dict[str, jax.Array]
  spec: str = struct.field(pytree_node=False, default='{}')
  transformation: str = struct.field(pytree_node=False, default='')


class InjectStatefulHyperparamsState(struct.PyTreeNode):
  """State of `inject_stateful_hyperparams`.

  Attributes:
    count: int32 of shape (), the completed updates.
    inner_state: the state of the transformation.
    hyperparams_states: by name, the schedule, its parameters as arrays; of a
      stateful schedule the state.
    hyperparams: float32 of shape () by name: what the last update used.
    overrides: float32 of shape (k,), for the k names in alphabetical order: the
      value to use in place of the schedule's; NaN for none.
    transformation: as in `InjectHyperparamsState`.
  """

  count: jax.Array
  inner_state: optax.OptState
  hyperparams_states: ScheduleStates
  hyperparams: dict[str, jax.Array]
  overrides: jax.Array
  transformation: str = struct.field(pytree_node=False, default='')


State = InjectHyperparamsState | InjectStatefulHyperparamsState


def describe(schedule: Any, *, strict: bool = False) -> Any:
  """What a state says of a schedule, as plain data.

  Raises:
    TypeError: if `strict`, and the schedule holds a function or a tracer.
  """
  if isinstance(schedule, Constant):
    return CONSTANT
  try:
    return spec_lib.to_spec(schedule)
  except TypeError:
    if strict:
      raise
    return spec_lib.fingerprint(schedule)


def is_injected(x: Any) -> bool:
  """Whether `x` is a state of one of the two wrappers."""
  return isinstance(x, State)


def schedules(state: State) -> dict[str, Schedule]:
  """The plain schedules that a state follows, by name.

  Those that only the transformation knows, and stateful ones, are left out.
  """
  if isinstance(state, InjectStatefulHyperparamsState):
    states = state.hyperparams_states
    return {name: states[name] for name, _ in states.layout}
  return {
    name: Constant(constant=state.hyperparams[name])
    if entry == CONSTANT
    else entry
    for name, entry in parse(state.spec).items()
    if entry is not None
  }


def last_value(schedule: Schedule, count: Any) -> Any:
  """What the last of `count` updates used; of none, what the first will."""
  return schedule(count - (count > 0))


@functools.lru_cache(maxsize=128)
def parse(spec: str) -> Mapping[str, Any]:
  """By name, the schedule, CONSTANT, or None for a function."""
  return {name: _built(entry) for name, entry in json.loads(spec).items()}


@functools.lru_cache(maxsize=128)
def parse_entry(spec: str) -> Any:
  """The stateful schedule of a description, None for a function."""
  return _built(json.loads(spec))


def _built(entry: Any) -> Any:
  if entry == CONSTANT:
    return CONSTANT
  if spec_lib.is_fingerprint(entry):
    return None
  return spec_lib.from_spec(entry)

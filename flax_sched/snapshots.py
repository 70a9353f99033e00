"""Numbers of a state, copied on their device and read some steps later.

The next step deletes the arrays of a state that is donated to it, so whoever
reads later needs copies. To start a program is what a copy costs: one program
copies all numbers of a step into one array; and one more for many steps puts
theirs together, to be read at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import math
import time
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import places

_BATCH = 64  # steps whose numbers are read together
_SECONDS = 1.0  # between looks for what is ready, where steps are slow


class _Group(NamedTuple):
  """Numbers that one array can hold: of one dtype, and in one place.

  Attributes:
    names: their names.
    indices: where they are among the values.
    replicated: whether each is on several devices.
  """

  names: list[str]
  indices: list[int]
  replicated: bool


class _Plan(NamedTuple):
  """How the values of a step are copied.

  Attributes:
    names: the names of all.
    groups: those on a device.
    host: the names of the others, and where these are among the values.
  """

  names: list[str]
  groups: list[_Group]
  host: list[tuple[str, int]]


class Copier:
  """Copies the numbers of one step after another.

  The steps of a run are alike: the states have one structure, in which the
  hyperparameters are always the same leaves. Only where something differs are
  they looked for.

  Attributes:
    structure: that of the last state, the same object until it changes.
  """

  def __init__(self, caller: str, prefix: str):
    """With the function to name in errors, and what names begin with."""
    self._caller = caller
    self._prefix = prefix
    self.structure: Any = None
    self._names: list[str] = []
    self._indices: list[int] = []
    self._scalars: tuple[str, ...] = ()
    self._kinds: list[Any] | None = None
    self._plan = _Plan([], [], [])

  def copy(self, x: Any, scalars: Mapping[str, Any]) -> Snapshot:
    """Copies the hyperparameters of a state, and more; waits for nothing.

    Args:
      x: anything that `hyperparams` takes.
      scalars: by name, arrays of JAX or NumPy, or Python numbers.

    Raises:
      ValueError: if there is no injected state in `x`, or a value has more than
        one element.
    """
    leaves, structure = jax.tree_util.tree_flatten(getattr(x, 'opt_state', x))
    if self.structure is None or structure != self.structure:
      self._find(x, structure)
    values = [leaves[index] for index in self._indices]
    values.extend(scalars.values())
    kinds = [
      (v.aval, v.sharding) if isinstance(v, jax.Array) else np.shape(v)
      for v in values
    ]
    if kinds != self._kinds or tuple(scalars) != self._scalars:
      self._plan = self._make_plan([*self._names, *scalars], values)
      self._kinds, self._scalars = kinds, tuple(scalars)
    plan, arrays = self._plan, []
    for group in plan.groups:
      parts = [values[index] for index in group.indices]
      if group.replicated:
        # Each process reads its own copy: nothing here waits for another one.
        parts = [part.addressable_data(0) for part in parts]
      arrays.append(_stack(*parts))
    numbers = {
      name: float(np.asarray(values[index]).reshape(()))
      for name, index in plan.host
    }
    return Snapshot(plan, arrays, numbers)

  def _find(self, x: Any, structure: Any) -> None:
    """Which leaf of a state of this structure each hyperparameter is."""
    places.injected(self._caller, x)  # raises where there is none
    numbered = jax.tree_util.tree_unflatten(
      structure, range(structure.num_leaves)
    )
    found = places.find(self._caller, numbered)
    self._names = [self._prefix + name for name in found]
    self._indices = [
      index
      for place in found.values()
      for index in jax.tree_util.tree_leaves(place.state.hyperparams[place.key])
    ]
    self.structure, self._kinds = structure, None

  def _make_plan(self, names: list[str], values: list[Any]) -> _Plan:
    groups: dict[Any, _Group] = {}
    host = []
    # Of two with one name, the last one counts.
    last = {name: index for index, name in enumerate(names)}
    for name, index in last.items():
      x = values[index]
      if math.prod(np.shape(x)) != 1:
        raise ValueError(
          f'{self._caller}: {name} must be a single number, got an array of '
          f'shape {np.shape(x)}.'
        )
      if not isinstance(x, jax.Array):
        host.append((name, index))
        continue
      replicated = x.is_fully_replicated and len(x.sharding.device_set) > 1
      sharding = (x.addressable_data(0) if replicated else x).sharding
      kind = sharding, x.dtype, replicated
      group = groups.setdefault(kind, _Group([], [], replicated))
      group.names.append(name)
      group.indices.append(index)
    return _Plan(list(last), list(groups.values()), host)


class Snapshot:
  """The numbers of one step, by name."""

  def __init__(self, plan: _Plan, arrays: list[Any], numbers: dict[str, float]):
    """With an array for each group of the plan, and the numbers on the host."""
    self.plan = plan
    self.arrays = arrays
    self._numbers = numbers
    self._together: _Together | None = None

  def is_ready(self) -> bool:
    """Whether `read` waits for no device."""
    return all(array.is_ready() for array in self.arrays)

  def read(self) -> dict[str, float]:
    """The numbers, as plain floats."""
    # Writers differ in what they make of arrays, and an asynchronous one would
    # read them too late.
    if self._together is not None and self._together.is_ready():
      with contextlib.suppress(Exception):
        self._together.read()  # where a step has failed, those before have not
    if self.arrays:
      rows = jax.device_get(self.arrays)
      self.fill([row.astype(float).tolist() for row in rows])
    return self._numbers

  def fill(self, rows: Sequence[list[float]]) -> None:
    """Takes the numbers of each group."""
    names, groups, host = self.plan
    if len(groups) == 1 and not host:
      self._numbers = dict(zip(names, rows[0], strict=True))
    else:
      for group, row in zip(groups, rows, strict=True):
        self._numbers.update(zip(group.names, row, strict=True))
      self._numbers = {name: self._numbers[name] for name in names}
    self.arrays, self._together = [], None

  def join(self, together: _Together) -> None:
    """Is read with others from now on, where that needs no waiting."""
    self._together = together


class _Together:
  """Many snapshots, one transfer."""

  def __init__(self, snapshots: Sequence[Snapshot]):
    self._snapshots = snapshots
    self._arrays: list[Any] = [
      _stack(*rows) for rows in zip(*(s.arrays for s in snapshots), strict=True)
    ]
    for array in self._arrays:
      array.copy_to_host_async()

  def is_ready(self) -> bool:
    return all(array.is_ready() for array in self._arrays)

  def read(self) -> None:
    tables = [
      table.reshape(len(self._snapshots), -1).astype(float).tolist()
      for table in jax.device_get(self._arrays)
    ]
    for snapshot, *rows in zip(self._snapshots, *tables, strict=True):
      if snapshot.arrays:
        snapshot.fill(rows)


class Queue:
  """Steps whose numbers are still to be written, in order."""

  def __init__(self) -> None:
    self._steps: deque[tuple[int, Snapshot]] = deque()
    self._alone = 0  # how many of them, the last ones, are not put together
    self._next_look = time.monotonic() + _SECONDS

  def add(self, step: int, snapshot: Snapshot) -> None:
    """Puts a step at the end."""
    self._steps.append((step, snapshot))
    self._alone += 1

  def due(self) -> Iterator[tuple[int, dict[str, float]]]:
    """Takes out what is to be written now. It may be nothing."""
    if self._alone >= _BATCH:
      # The device has had the time of a batch for the batch before. To wait for
      # it, if need be, keeps the host from running away.
      while len(self._steps) > _BATCH:
        yield self._pop()
      _put_together([snapshot for _, snapshot in self._steps])
      self._alone = 0
    elif time.monotonic() > self._next_look:
      while self._steps and self._steps[0][1].is_ready():
        yield self._pop()
      self._alone = min(self._alone, len(self._steps))
    else:
      return
    self._next_look = time.monotonic() + _SECONDS

  def rest(self) -> Iterator[tuple[int, dict[str, float]]]:
    """Takes out everything."""
    while self._steps:
      yield self._pop()
    self._alone = 0

  def newest(self) -> dict[str, float]:
    """The last numbers that are there without waiting; {} if none are."""
    for _, snapshot in reversed(self._steps):
      if snapshot.is_ready():
        return snapshot.read()
    return {}

  def _pop(self) -> tuple[int, dict[str, float]]:
    step, snapshot = self._steps.popleft()
    return step, snapshot.read()


def _put_together(snapshots: Sequence[Snapshot]) -> None:
  """Has the device put the numbers of a batch in one array.

  Where they are of different kinds, or read already, each stays alone.
  """
  plan = snapshots[0].plan
  if (
    len(snapshots) == _BATCH  # for each number of them, a program is compiled
    and plan.groups
    and all(s.arrays and s.plan is plan for s in snapshots)
  ):
    together = _Together(snapshots)
    for snapshot in snapshots:
      snapshot.join(together)


@jax.jit
def _stack(*arrays: jax.Array) -> jax.Array:
  """One new array of numbers, or of rows of numbers."""
  return jnp.stack([jnp.squeeze(x) for x in arrays])

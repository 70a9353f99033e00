"""Numbers of a state that were copied, read some steps later.

To read is to wait for the device: one program more for many steps puts theirs
together, to be read at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
import contextlib
import time
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import watch

_BATCH = 64  # steps whose numbers are read together
_SECONDS = 1.0  # between looks for what is ready, where steps are slow


class Group(NamedTuple):
  """Numbers that one array can hold: of one dtype, and in one place.

  Attributes:
    names: their names.
    indices: where they are among the values.
    watched: where arrays are that are copied behind them, as halves.
    replicated: whether each is on several devices.
  """

  names: list[str]
  indices: list[int]
  watched: list[int]
  replicated: bool


class Plan(NamedTuple):
  """How the values of a step are copied.

  Attributes:
    names: the names of all.
    groups: those on a device.
    host: the names of the others, and where these are among the values.
    structure: that of the state.
    watched: for each group, of the arrays behind its numbers, which leaves of
      the state they are, and their shapes and dtypes.
    values: by name, which leaves the values are, with shapes and dtypes.
    fixed: how many of each group's halves no update changes, the first ones.
  """

  names: list[str]
  groups: list[Group]
  host: list[tuple[str, int]]
  structure: Any = None
  watched: Sequence[list[tuple[int, Any]]] = ()
  values: Sequence[tuple[str, int, Any]] = ()
  fixed: Sequence[int] = ()


class Snapshot:
  """The numbers of one step, by name.

  Attributes:
    halves: once it is read, for each group, what is behind its numbers.
  """

  def __init__(self, plan: Plan, arrays: list[Any], numbers: dict[str, float]):
    """With an array for each group of the plan, and the numbers on the host."""
    self.plan = plan
    self.arrays = arrays
    self.halves: Sequence[np.ndarray] = ()
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
      self.fill(
        *_parts(self.plan, [x[None] for x in jax.device_get(self.arrays)])[0]
      )
    return self._numbers

  def fixed(self) -> bytes:
    """Once it is read, the bits of what no update changes; empty if unknown."""
    known = zip(self.halves, self.plan.fixed, strict=False)
    return b''.join(row[:fixed].tobytes() for row, fixed in known)

  def state(self) -> Any:
    """Once it is read, a state that has what a record takes from the step's."""
    plan = self.plan
    # A record takes nothing from the others, but reads them.
    leaves: list[Any] = [np.zeros(())] * plan.structure.num_leaves
    for name, index, aval in plan.values:
      leaves[index] = np.full(aval.shape, self._numbers[name], aval.dtype)
    for watched, row in zip(plan.watched, self.halves, strict=True):
      start = 0
      for index, aval in watched:
        end = start + watch.number_of_halves(aval)
        leaves[index] = watch.whole(row[start:end], aval)
        start = end
    return jax.tree_util.tree_unflatten(plan.structure, leaves)

  def fill(
    self, rows: Sequence[list[float]], halves: Sequence[np.ndarray]
  ) -> None:
    """Takes the numbers of each group, and what is behind them."""
    names, groups, host = self.plan[:3]
    self.halves = halves
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
      stack(*rows) for rows in zip(*(s.arrays for s in snapshots), strict=True)
    ]
    for array in self._arrays:
      array.copy_to_host_async()

  def is_ready(self) -> bool:
    return all(array.is_ready() for array in self._arrays)

  def read(self) -> None:
    tables = [
      table.reshape(len(self._snapshots), -1)
      for table in jax.device_get(self._arrays)
    ]
    parts = _parts(self._snapshots[0].plan, tables)
    for snapshot, part in zip(self._snapshots, parts, strict=True):
      if snapshot.arrays:
        snapshot.fill(*part)


def _parts(plan: Plan, tables: Sequence[np.ndarray]) -> list[Any]:
  """What `Snapshot.fill` takes, for each row of the groups' tables."""
  sizes = [len(group.indices) for group in plan.groups]
  each = [*zip(tables, sizes, strict=True)]
  numbers = [t[:, :size].astype(float).tolist() for t, size in each]
  halves = [t[:, size:] for t, size in each]
  return [
    *zip(zip(*numbers, strict=True), zip(*halves, strict=True), strict=True)
  ]


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

  def due(self) -> Iterator[tuple[int, Snapshot]]:
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

  def rest(self) -> Iterator[tuple[int, Snapshot]]:
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

  def _pop(self) -> tuple[int, Snapshot]:
    step, snapshot = self._steps.popleft()
    snapshot.read()
    return step, snapshot


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
def stack(*arrays: jax.Array) -> jax.Array:
  """One new array of numbers, or of rows of numbers."""
  return jnp.stack([jnp.squeeze(x) for x in arrays])

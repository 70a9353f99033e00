"""Copies of a state's numbers, on their device.

The next step deletes the arrays of a state that is donated to it, so whoever
reads later needs copies. To start a program is what a copy costs: one program
copies all numbers of a step into one array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
import math
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import places
from flax_sched import watch
from flax_sched import ways
from flax_sched.snapshots import Group
from flax_sched.snapshots import Plan
from flax_sched.snapshots import Snapshot
from flax_sched.snapshots import stack


class Copier:
  """Copies the numbers of one step after another.

  The steps of a run are alike: the states have one structure, in which the
  hyperparameters are always the same leaves. Only where something differs are
  they looked for.

  Attributes:
    structure: that of the last state, the same object until it changes.
  """

  def __init__(self, caller: str, prefix: str, watches: Callable[[], bool]):
    """Copies nothing yet.

    Args:
      caller: the function to name in errors.
      prefix: what names begin with.
      watches: whether to copy what records take too.
    """
    self._caller = caller
    self._prefix = prefix
    self._watches = watches
    self._watched: list[watch.Leaf] = []
    self.structure: Any = None
    self._names: list[str] = []
    self._indices: list[int] = []
    self._scalars: tuple[str, ...] = ()
    self._kinds: list[Any] | None = None
    self._plan = Plan([], [], [])

  def copy(self, x: Any, scalars: Mapping[str, Any]) -> Snapshot:
    """Copies the hyperparameters of a state, and more; waits for nothing.

    Args:
      x: anything that `hyperparams` takes.
      scalars: by name, arrays of JAX or NumPy, or Python numbers.

    Raises:
      TypeError: if a value is no number.
      ValueError: if there is no injected state in `x`, or a value has more than
        one element.
    """
    leaves, structure = jax.tree_util.tree_flatten(getattr(x, 'opt_state', x))
    if self.structure is None or structure != self.structure:
      self._find(x, structure)
    values = [leaves[index] for index in self._indices]
    values.extend(scalars.values())
    values.extend([leaves[leaf.number] for leaf in self._watched])
    kinds = [
      (v.aval, v.sharding) if isinstance(v, jax.Array) else np.shape(v)
      for v in values
    ]
    if kinds != self._kinds or tuple(scalars) != self._scalars:
      self._plan = self._make_plan([*self._names, *scalars], values)
      self._kinds, self._scalars = kinds, tuple(scalars)
    plan, arrays = self._plan, []
    for group in plan.groups:
      parts = [values[index] for index in group.indices + group.watched]
      if group.replicated:
        # Each process reads its own copy: nothing here waits for another one.
        parts = [part.addressable_data(0) for part in parts]
      if group.watched:
        arrays.append(_copy(len(group.indices), *parts))
      else:
        arrays.append(stack(*parts))
    numbers = {
      name: self._number(name, values[index]) for name, index in plan.host
    }
    return Snapshot(plan, arrays, numbers)

  def _number(self, name: str, x: Any) -> float:
    try:
      return float(np.asarray(x).reshape(()))
    except (TypeError, ValueError):
      raise TypeError(
        f'{self._caller}: {name} must be a single number, got {x!r}. Leave it '
        'out of the steps that have none.'
      ) from None

  def _find(self, x: Any, structure: Any) -> None:
    """Which leaf of a state of this structure each hyperparameter is."""
    ways.injected(self._caller, x)  # raises where there is none
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
    self._watched = []
    if self._watches():
      self._watched = watch.leaves(self._caller, numbered)
    self.structure, self._kinds = structure, None

  def _make_plan(self, names: list[str], values: list[Any]) -> Plan:
    groups: dict[Any, Group] = {}
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
      group = _group(groups, x, x.dtype)
      group.names.append(name)
      group.indices.append(index)
    if watch.is_possible(values[len(names) :]):
      for index, x in enumerate(values[len(names) :], len(names)):
        _group(groups, x, np.dtype(np.float32)).watched.append(index)
    plan = Plan(list(last), list(groups.values()), host)
    return self._with_watched(plan, names, values)

  def _with_watched(
    self, plan: Plan, names: list[str], values: list[Any]
  ) -> Plan:
    """A plan with what a record takes, and where it goes."""
    watched: list[list[tuple[int, Any]]] = []
    fixed = []
    for group in plan.groups:
      watched.append([])
      fixed.append(0)
      for i in group.watched:
        leaf, aval = self._watched[i - len(names)], values[i].aval
        watched[-1].append((leaf.number, aval))
        fixed[-1] += leaf.fixed * watch.number_of_halves(aval)
    own = zip(self._names, self._indices, values, strict=False)
    return plan._replace(
      structure=self.structure,
      watched=watched,
      values=[(name, index, jax.typeof(value)) for name, index, value in own],
      fixed=fixed,
    )


def _group(groups: dict[Any, Group], x: jax.Array, dtype: Any) -> Group:
  """The group of an array, for numbers of a dtype."""
  replicated = x.is_fully_replicated and len(x.sharding.device_set) > 1
  sharding = (x.addressable_data(0) if replicated else x).sharding
  kind = sharding, dtype, replicated
  return groups.setdefault(kind, Group([], [], [], replicated))


@functools.partial(jax.jit, static_argnums=0)
def _copy(numbers: int, *arrays: jax.Array) -> jax.Array:
  """One new array of the first arrays, each a number, and of others' halves."""
  first = [jnp.reshape(x, (1,)) for x in arrays[:numbers]]
  return jnp.concatenate([*first, *map(watch.halves, arrays[numbers:])])

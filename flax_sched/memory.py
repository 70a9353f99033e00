"""What stateful schedules remember, from a checkpoint into a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import json
from typing import Any, NamedTuple

import jax
import numpy as np

from flax_sched import access
from flax_sched import carry
from flax_sched import places
from flax_sched import stateful
from flax_sched import target as target_lib

Spec = dict[str, Any]


class Memory(NamedTuple):
  """What a stateful schedule is to remember.

  Attributes:
    start: its state before the first update.
    spec: its description.
    likes: what each leaf of that is to be like, by path.
    old: by path, where the checkpoint has what goes on.
    reduced: by path, values of `reduce_on_plateau` that go on with another
      `init_value` or `min_value`: the descriptions of then and now.
  """

  start: Any
  spec: Spec
  likes: Mapping[carry.Path, Any]
  old: dict[carry.Path, carry.Path]
  reduced: dict[carry.Path, tuple[Spec, Spec]]

  def wanted(self) -> dict[carry.Path, Any]:
    """What is to be read."""
    return {old: self.likes[path] for path, old in self.old.items()}

  def put(self, s: Any, key: str, read: Mapping[carry.Path, Any]) -> Any:
    """An injected state in which a hyperparameter has this memory."""
    # Copies: a donated state may not hold one buffer twice.
    count = places.on_host(s.count)
    start = stateful.with_counts(self.start, lambda old: count.copy())
    leaves = {
      path: target_lib.put(leaf, self.likes[path])
      for path, leaf in carry.flatten(start).items()
    }
    leaves |= carry.distinct(self.old, read)
    for path, (_, value) in self._scaled(read).items():
      leaves[path] = target_lib.put(value, self.likes[path])
    structure = jax.tree_util.tree_structure(self.start)
    state = jax.tree_util.tree_unflatten(structure, leaves.values())
    states = s.hyperparams_states
    return access.with_states(
      s, states.put(key, state, json.dumps(self.spec), s.count.shape)
    )

  def report(self, read: Mapping[carry.Path, Any]) -> Iterator[str]:
    """What of it does not go on as it was."""
    for before, after in self._scaled(read).values():
      if not np.array_equal(before, after):
        yield (
          f'what reduce_on_plateau has reached, {before}, is now {after}, in '
          'proportion to init_value and at least min_value'
        )

  def _scaled(
    self, read: Mapping[carry.Path, Any]
  ) -> dict[carry.Path, tuple[Any, Any]]:
    """Reduced values, as they were and as they are to be."""
    found = {}
    for path, (old, new) in self.reduced.items():
      value = places.on_host(read[self.old[path]])
      found[path] = value, _scaled(value, old, new)
    return found


def remember(
  start: Any,
  spec: Spec,
  likes: Mapping[carry.Path, Any],
  saved: Mapping[carry.Path, Any],
  above: carry.Path = (),
  saved_spec: Spec | None = None,
) -> Memory:
  """What a stateful schedule is to remember of a checkpoint.

  Of a product, each factor that reacts goes on from the first one of old that
  has all that it remembers; plain schedules are those of now, at the count.

  Args:
    start: its state before the first update.
    spec: its description.
    likes: what each leaf of that is to be like, by path.
    saved: the leaves of the checkpoint.
    above: where the checkpoint has the state of the old schedule.
    saved_spec: the description of that; None if there is none.
  """
  memory = Memory(start, spec, likes, {}, {})
  paths = list(carry.flatten(stateful.without_schedules(start)))
  rest = [] if saved_spec is None else _factors(saved_spec)
  for at, factor in _factors(spec):
    inside = [path[len(at) :] for path in paths if path[: len(at)] == at]
    for was, other in rest:
      found = {(*at, *path): (*above, *was, *path) for path in inside}
      if _is_plain(factor) != _is_plain(other) or not all(
        old in saved and tuple(saved[old].shape) == likes[path].shape
        for path, old in found.items()
      ):
        continue
      memory.old.update(found)
      if _is_rescaled(other, factor):
        memory.reduced[*at, 'value'] = (other, factor)
      if not _is_plain(other):  # which all have one count
        rest.remove((was, other))
      break
  return memory


def _factors(spec: Spec) -> list[tuple[carry.Path, Spec]]:
  """The factors, each with the place of its state."""
  if spec['kind'] != 'Product':
    return [((), spec)]
  return [((str(i),), factor) for i, factor in enumerate(spec['factors'])]


def _is_plain(factor: Spec) -> bool:
  return bool(factor['kind'] == 'WrappedSchedule')


def _is_rescaled(old: Spec, new: Spec) -> bool:
  return old['kind'] == new['kind'] == 'ReduceOnPlateau' and any(
    old[field] != new[field] for field in ('init_value', 'min_value')
  )


def _scaled(value: Any, old: Spec, new: Spec) -> Any:
  """A reduced value, as if it had begun at another one."""
  before, begin = np.float32(old['init_value']), np.float32(new['init_value'])
  if before == 0.0:  # which was never reduced
    value = np.full_like(value, begin)
  elif before != begin:
    value = value / before * begin
  return np.maximum(value, np.float32(new['min_value']))

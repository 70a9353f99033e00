"""What a checkpoint says of the hyperparameters that a target has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flax_sched import carry
from flax_sched import migrate
from flax_sched import record
from flax_sched import spec as spec_lib
from flax_sched.record import Entry
from flax_sched.storage import Saved
from flax_sched.target import Target


def of_checkpoint(
  saved: Saved, target: Target, pairing: carry.Pairing
) -> dict[str, Entry]:
  """The entries of a checkpoint, by the names that the target has for them.

  Without a record, they are the value and the count alone; also of what the
  target does not name, if it has another number there, `unnamed`.

  Raises:
    DamagedError: if the checkpoint can't be read.
  """
  if saved.record is None:
    return _unrecorded(saved, target, pairing.old_of)
  return _renamed(_recorded(saved), target, pairing.old_of)


def likeness(
  saved: Saved, target: Target
) -> Callable[[carry.Path, carry.Path], int]:
  """How alike two hyperparameters are, by the paths of their numbers.

  The first path is in the target, the second one in the checkpoint. What they
  follow says more than of which transformation they are.
  """
  new = {target.places[n].number: entry for n, entry in target.entries.items()}
  old = {x['path']: x for x in _recorded(saved).values() if 'path' in x}

  def compare(path: carry.Path, was: carry.Path) -> int:
    if path not in new or was not in old:
      return 0
    then, now = old[was]['schedule'], new[path]['schedule']
    same = then == now or record.is_on_the_way(then, now)
    kinds = {x.get('transformation') for x in (old[was], new[path])}
    return 2 * same + (len(kinds) == 1)

  return compare


def _recorded(saved: Saved) -> dict[str, Entry]:
  """The entries of the record, each with the `path` if it is known."""
  if saved.record is None:
    return {}
  paths = saved.record.get('paths', {})  # of earlier versions, none
  return {
    name: {**entry, 'path': tuple(paths[name])} if name in paths else entry
    for name, entry in saved.record['hyperparams'].items()
  }


def _renamed(
  entries: dict[str, Entry], target: Target, old_of: carry.Pairs
) -> dict[str, Entry]:
  """The entries of a record, which has a name by the path of then."""
  names = {x['path']: name for name, x in entries.items() if 'path' in x}
  found: dict[str, Entry] = {}

  def take(name: str, path: carry.Path | None) -> None:
    was = names.get(path or ())
    if was in entries and name not in found:
      found[name] = entries.pop(was)

  for name, place in target.places.items():
    take(name, old_of.get(place.number))
  for name, place in target.places.items():
    # A number that is new, in a state that is not. A count may serve two.
    count = old_of[*target.paths[name], 'count']
    take(name, (*count[:-1], 'hyperparams', place.key))
  go_on = {x['path'][:-1] for x in found.values()}
  for name, entry in entries.items():
    path = entry.get('path', ())
    # The name may be another one's now.
    moved = name in target.paths and path[:-1] in go_on
    found['/'.join(path) if name in found or moved else name] = entry
  return found


def _unrecorded(
  saved: Saved, target: Target, old_of: carry.Pairs
) -> dict[str, Entry]:
  """The values and counts of a checkpoint without a record."""
  found = {}
  for name, place in target.places.items():
    value = old_of.get(place.number)
    if value is not None:
      count = old_of[*target.paths[name], 'count']
      found[name] = {'value': value, 'count': count}
  unnamed = _unnamed(saved, target, old_of)
  found |= {name: entry for name, (entry, _) in unnamed.items()}
  wanted = {path for entry in found.values() for path in entry.values()}
  read = saved.read({path: np.zeros(()) for path in wanted})
  entries = {
    name: {key: spec_lib.plain(key, read[p]) for key, p in entry.items()}
    for name, entry in found.items()
  }
  for name, (entry, transformation) in unnamed.items():
    path = entry['value']
    used = np.asarray(read[path], saved.leaves[path].dtype)
    other = migrate.other_number(transformation, path[-1], used)
    if other is None:
      del entries[name]
    else:
      entries[name]['unnamed'] = other
  return entries


def _unnamed(
  saved: Saved, target: Target, old_of: carry.Pairs
) -> dict[str, tuple[dict[str, carry.Path], str]]:
  """Where `optax.inject_hyperparams` has what the target does not name.

  By name; with what the transformation of the target is.
  """
  found = {}
  states = {target.paths[n]: place for n, place in target.places.items()}
  for path, place in states.items():
    count = old_of[*path, 'count']
    above = (*count[:-1], 'hyperparams')
    for old in saved.leaves:
      key = old[-1]
      if old[:-1] == above and key not in place.state.hyperparams:
        name = '/'.join((*path, key)) if len(states) > 1 else key
        entry = {'value': old, 'count': count}
        found[name] = entry, place.state.transformation
  return found

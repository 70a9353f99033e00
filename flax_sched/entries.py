"""What a checkpoint says of the hyperparameters that a target has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

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


def alike(
  saved: Saved, target: Target
) -> Callable[[carry.Path, carry.Path], bool]:
  """Whether two leaves are hyperparameters that follow the same.

  The first is a path in the target, the second one in the checkpoint.
  """
  new = {_number(target.paths[n], n): x for n, x in target.entries.items()}
  entries = _recorded(saved)
  old = {path: entries[name] for path, name in _names(entries).items()}

  def is_alike(path: carry.Path, was: carry.Path) -> bool:
    if path not in new or was not in old:
      return False
    then, now = old[was]['schedule'], new[path]['schedule']
    return bool(then == now) or record.is_on_the_way(then, now)

  return is_alike


def _recorded(saved: Saved) -> dict[str, Entry]:
  """The entries of the record, each with the `path` if it is known."""
  if saved.record is None:
    return {}
  paths = saved.record.get('paths', {})  # of earlier versions, none
  return {
    name: {**entry, 'path': tuple(paths[name])} if name in paths else entry
    for name, entry in saved.record['hyperparams'].items()
  }


def _number(path: Iterable[str], name: str) -> carry.Path:
  """The path of a hyperparameter's number, by that of its injected state."""
  return (*path, 'hyperparams', name.rpartition('/')[-1])


def _names(entries: Mapping[str, Entry]) -> dict[carry.Path, str]:
  """The names in a record by the paths of the numbers."""
  return {
    _number(entry['path'], name): name
    for name, entry in entries.items()
    if 'path' in entry
  }


def _renamed(
  entries: dict[str, Entry], target: Target, old_of: carry.Pairs
) -> dict[str, Entry]:
  """The entries of a record, which has a name by the path of then."""
  names = _names(entries)
  found = {}
  for name, path in target.paths.items():
    was = names.get(_number(old_of[*path, 'count'][:-1], name))
    if was in entries:
      found[name] = entries.pop(was)
  for name, entry in entries.items():
    # Another one may be called so now.
    whole = '/'.join(_number(entry.get('path', ()), name))
    found[whole if name in found else name] = entry
  return found


def _unrecorded(
  saved: Saved, target: Target, old_of: carry.Pairs
) -> dict[str, Entry]:
  """The values and counts of a checkpoint without a record."""
  found = {}
  for name, path in target.paths.items():
    value = old_of.get(_number(path, name))
    if value is not None:
      found[name] = {'value': value, 'count': old_of[*path, 'count']}
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

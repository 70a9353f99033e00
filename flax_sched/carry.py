"""What belongs together in two states of one run, before and after a change.

Trees are nested dicts of shapes here, as a checkpoint's metadata name them: the
fields of a class by their names, the items of a sequence by '0', '1', and so
on, without what is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax

Path = tuple[str, ...]
Pairs = dict[Path, Path]

# Where a wrapper such as `optax.MultiSteps` or `optax.masked` keeps the state
# of what it wraps.
_INNER = ('inner_state', 'inner_opt_state')

# What an injected state says of its schedules: in the record of the checkpoint.
SCHEDULES = ('hyperparams_states', 'overrides')


def flatten(tree: Any) -> dict[Path, Any]:
  """The leaves of a pytree by path, in its order."""
  return {
    spell(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def spell(path: Iterable[Any]) -> Path:
  """JAX's path, in the names that a checkpoint's metadata have."""

  def name(key: Any) -> str:
    attributes = ('key', 'name', 'idx')
    return next(str(getattr(key, a)) for a in attributes if hasattr(key, a))

  return tuple(map(name, path))


def pair(
  new: Mapping[Path, tuple[int, ...]], old: Mapping[Path, tuple[int, ...]]
) -> Pairs:
  """For each path of `new`, the one of `old` whose value belongs there.

  Args:
    new: the shapes of the new state's leaves, by path.
    old: those of the old one.

  What has the same path belongs together; where the optimizer was built
  otherwise (a member more in a chain, a wrapper around it, injection or none),
  what has the same names and shapes. What has nothing to go with is left out,
  as are the schedules of injected states.
  """
  return _pair(_nest(new), _nest(old), (), ())


def unpaired(leaves: Iterable[Path], paired: Iterable[Path]) -> list[Path]:
  """The highest nodes of which nothing is paired.

  Args:
    leaves: the paths of a state.
    paired: those of them that are paired.

  Returns:
    The paths of the nodes, without hyperparameters and their schedules: these
    are compared by name.
  """
  leaves, paired = list(leaves), set(paired)
  inside = {path[:i] for path in paired for i in range(len(path) + 1)}
  nodes = {
    next(path[:i] for i in range(len(path) + 1) if path[:i] not in inside)
    for path in leaves
    if path not in paired and not _of_schedules(path)
  }
  return sorted(nodes)


def _of_schedules(path: Path) -> bool:
  return any(key in path for key in ('hyperparams', *SCHEDULES))


def _nest(leaves: Mapping[Path, Any]) -> Any:
  root: dict[str, Any] = {}
  for path, leaf in leaves.items():
    node = root
    for key in path[:-1]:
      node = node.setdefault(key, {})
    node[path[-1]] = leaf
  return root


def _is_injected(node: Any) -> bool:
  return isinstance(node, dict) and {'count', 'hyperparams'} <= node.keys()


def _pair(new: Any, old: Any, at: Path, was: Path) -> Pairs:
  if not isinstance(new, dict) or not isinstance(old, dict):
    leaves = not isinstance(new, dict) and not isinstance(old, dict)
    return {at: was} if leaves and new == old else {}
  injected = _is_injected(new), _is_injected(old)
  sequence = _is_sequence(new), _is_sequence(old)
  if injected[0] == injected[1] and sequence[0] == sequence[1]:
    if all(sequence):
      pairs = _by_key(new, old, at, was)
      whole = new.keys() == old.keys() and len(pairs) == len([*_paths(new, at)])
      return pairs if whole else _align(new, old, at, was)
    if new.keys() & old.keys():
      return _by_key(new, old, at, was)
  candidates = []
  if sequence[0] and not sequence[1]:
    candidates += [_pair(new[k], old, (*at, k), was) for k in _ordered(new)]
  if sequence[1] and not sequence[0]:
    candidates += [_pair(new, old[k], at, (*was, k)) for k in _ordered(old)]
  for key in _INNER:
    if key in new and not (injected[0] and injected[1]):
      pairs = _pair(new[key], old, (*at, key), was)
      if injected[0]:
        pairs |= _count(new, old, at, was, pairs)
      candidates.append(pairs)
    if key in old and not (injected[0] and injected[1]):
      candidates.append(_pair(new, old[key], at, (*was, key)))
  if injected[0] and 'inner_state' not in new:  # it is empty
    candidates.append(_count(new, old, at, was, {}))
  return max(candidates, key=len, default={})


def _by_key(new: Any, old: Any, at: Path, was: Path) -> Pairs:
  pairs: Pairs = {}
  for key in new.keys() & old.keys():
    if not (_is_injected(new) and key in SCHEDULES):
      pairs |= _pair(new[key], old[key], (*at, key), (*was, key))
  return pairs


def _align(new: Any, old: Any, at: Path, was: Path) -> Pairs:
  """The pairs of two sequences, in order, that are the most in all."""
  # Row i: the best for the first i of `new` and the first j of `old`.
  row: list[Pairs] = [{} for _ in range(len(old) + 1)]
  for k in _ordered(new):
    above, row = row, [{}]
    for j, m in enumerate(_ordered(old)):
      best = max(above[j + 1], row[j], key=len)
      if _may_match(new[k], old[m]):
        both = above[j] | _pair(new[k], old[m], (*at, k), (*was, m))
        best = max(both, best, key=len)
      row.append(best)
  return row[-1]


def _may_match(new: Any, old: Any) -> bool:
  """Whether two members of chains can be states of one transformation."""
  if not isinstance(new, dict) or not isinstance(old, dict):
    return isinstance(new, dict) == isinstance(old, dict)
  if _is_injected(new) or _is_injected(old):
    return True
  inside = set(_INNER) & (new.keys() | old.keys())
  both = _is_sequence(new) or _is_sequence(old)
  return bool(inside) or both or new.keys() == old.keys()


def _count(new: Any, old: Any, at: Path, was: Path, pairs: Pairs) -> Pairs:
  """The count of updates of plain Optax, for injection around it.

  Rather that of a schedule, which has no place of its own any more, than one
  that also serves bias correction.
  """
  counts = [p for p in _paths(old, was) if 'count' in p[-2:]]  # nnx: .value
  taken = set(pairs.values())
  counts.sort(key=lambda path: path in taken)
  [mine] = _paths(new['count'], (*at, 'count'))
  return {mine: counts[0]} if counts else {}


def _paths(node: Any, path: Path) -> Iterator[Path]:
  if not isinstance(node, dict):
    yield path
    return
  for key, child in node.items():
    yield from _paths(child, (*path, key))


def _is_sequence(node: dict[str, Any]) -> bool:
  return all(key.isdigit() for key in node)


def _ordered(node: Iterable[str]) -> list[str]:
  return sorted(node, key=int)

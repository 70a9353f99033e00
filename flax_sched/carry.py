"""What belongs together in two states of one run, before and after a change.

Trees are nested dicts of shapes here, as a checkpoint's metadata name them: the
fields of a class by their names, the items of a sequence by '0', '1', and so
on, without what is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp

from flax_sched import naming

Path = tuple[str, ...]
Pairs = dict[Path, Path]
Shape = tuple[int, ...]

# Where a wrapper such as `optax.MultiSteps` or `optax.masked` keeps the state
# of what it wraps.
_INNER = ('inner_state', 'inner_opt_state')

# What an injected state says of its schedules: in the record of the checkpoint.
_SCHEDULES = ('hyperparams_states', 'overrides')


def flatten(
  tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> dict[Path, Any]:
  """The leaves of a pytree by path, in its order."""
  leaves = {
    spell(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf)
  }
  inside: dict[Path, set[str]] = {}
  for path in leaves:
    for i, key in enumerate(path):
      inside.setdefault(path[:i], set()).add(key)

  def is_variable(path: Path) -> bool:
    # nnx wraps each array in a variable, whose one field this is.
    return inside.get(path[:-1]) == {'value'}

  return {
    path[:-1] if is_variable(path) else path: leaf
    for path, leaf in leaves.items()
  }


def spell(path: Iterable[Any]) -> Path:
  """JAX's path, in the names that a checkpoint's metadata have."""
  return tuple(map(naming.word, path))


def distinct(
  old_of: Mapping[Path, Path], read: Mapping[Path, Any]
) -> dict[Path, Any]:
  """By path, the array that was read from its old one.

  Copies, where two have one: a donated state may not hold one buffer twice.
  """
  values, used = {}, set()
  for path, old in old_of.items():
    values[path] = jnp.copy(read[old]) if old in used else read[old]
    used.add(old)
  return values


class Pairing(NamedTuple):
  """What belongs together in two states.

  Attributes:
    old_of: for a path in the new state, the one in the old whose value belongs
      there.
    fresh: the nodes of the new state, each as high as can be, of which nothing
      is paired; but for hyperparameters and their schedules, which are compared
      by name.
    dropped: those of the old one.
  """

  old_of: Pairs
  fresh: list[Path]
  dropped: list[Path]


def pair(
  new: Mapping[Path, Shape],
  old: Mapping[Path, Shape],
  likeness: Callable[[Path, Path], int],
) -> Pairing:
  """Pairs two states.

  What has the same path belongs together; where the optimizer was built
  otherwise (a member more in a chain, a wrapper around it, injection or none),
  what has the same names and shapes. Schedules of injected states are not
  paired.

  Args:
    new: the shapes of the new state's leaves, by path.
    old: those of the old one.
    likeness: how much two leaves have in common beside their names and shapes.
      Of two ways to pair as many, that with more of it is taken, and then the
      one that moves less.
  """
  new_tree, old_tree = _nest(new), _nest(old)
  old_of = _Search(likeness).pairs(new_tree, old_tree, (), ())
  return Pairing(
    old_of,
    sorted(_unpaired(new_tree, old_tree, _nodes(old_of))),
    sorted(_unpaired(old_tree, new_tree, _nodes(old_of.values()))),
  )


def _nodes(leaves: Iterable[Path]) -> set[Path]:
  return {path[:i] for path in leaves for i in range(len(path) + 1)}


def _unpaired(
  node: Any, other: Any, paired: set[Path], path: Path = ()
) -> Iterator[Path]:
  """The highest nodes of which nothing is paired, and the other has none."""
  if isinstance(node, dict) and (path in paired or isinstance(other, dict)):
    for key, child in node.items():
      if not (_is_injected(node) and key in ('hyperparams', *_SCHEDULES)):
        twin = other.get(key) if isinstance(other, dict) else None
        yield from _unpaired(child, twin, paired, (*path, key))
  elif path not in paired:
    yield path


# ---------------------------------------------------------------------------
# Trees.


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


def _is_sequence(node: dict[str, Any]) -> bool:
  return all(key.isdigit() for key in node)


def _members(node: dict[str, Any]) -> list[str]:
  """Under which keys the states of other transformations can be."""
  if _is_sequence(node):
    return sorted(node, key=int)
  inner = [key for key in _INNER if key in node]
  if inner or _is_injected(node):
    return inner
  # Of `optax.named_chain`, or a whole state. Transformations count.
  return [key for key, child in node.items() if list(_counts(child, ()))]


def _counts(node: Any, path: Path) -> Iterator[Path]:
  """The paths of all counts of updates."""
  if isinstance(node, dict):
    for key, child in node.items():
      yield from _counts(child, (*path, key))
  elif path[-1:] == ('count',):
    yield path


def _size(node: Any) -> int:
  return sum(map(_size, node.values())) if isinstance(node, dict) else 1


# ---------------------------------------------------------------------------
# The search.


class _Search:
  """Finds the pairs of two trees that are the most.

  Either tree is taken as it is, or one level inside of it; what was found for
  two nodes is kept, so that it takes no more than all pairs of nodes.
  """

  def __init__(self, likeness: Callable[[Path, Path], int]):
    self._likeness = likeness
    self._found: dict[tuple[Path, Path], Pairs] = {}

  def pairs(self, new: Any, old: Any, at: Path, was: Path) -> Pairs:
    """The pairs of `new`, which is at `at`, and `old`, which was at `was`."""
    if not isinstance(new, dict) or not isinstance(old, dict):
      leaves = not isinstance(new, dict) and not isinstance(old, dict)
      return {at: was} if leaves and new == old else {}
    if (at, was) not in self._found:
      self._found[at, was] = self._of_nodes(new, old, at, was)
    return self._found[at, was]

  def _of_nodes(self, new: Any, old: Any, at: Path, was: Path) -> Pairs:
    as_they_are = self._as_they_are(new, old, at, was)
    if len(set(as_they_are.values())) == min(_size(new), _size(old)):
      return as_they_are
    candidates = [as_they_are]
    if _is_injected(new) and not _is_injected(old):
      inside = new.get('inner_state', {})
      pairs = self.pairs(inside, old, (*at, 'inner_state'), was)
      candidates.append(pairs | _count(at, old, was, pairs))
    else:
      for key in _members(new):
        candidates.append(self.pairs(new[key], old, (*at, key), was))
    for key in _members(old):
      candidates.append(self.pairs(new, old[key], at, (*was, key)))
    return max(candidates, key=self._score)

  def _score(self, pairs: Pairs) -> tuple[int, ...]:
    """How good they are; a count may serve two, and is worse to lack."""
    return (
      len(pairs),
      len(set(pairs.values())),
      sum(path[-1:] == ('count',) for path in pairs),
      sum(self._likeness(at, was) for at, was in pairs.items()),
      sum(at == was for at, was in pairs.items()),
    )

  def _as_they_are(self, new: Any, old: Any, at: Path, was: Path) -> Pairs:
    if _is_injected(new) != _is_injected(old):
      return {}
    pairs: Pairs = {}
    for key in new.keys() & old.keys():
      if not (_is_injected(new) and key in _SCHEDULES):
        pairs |= self.pairs(new[key], old[key], (*at, key), (*was, key))
    same = new.keys() == old.keys()
    if _is_sequence(new) and _is_sequence(old):
      whole = same and len(pairs) == _size(new)
      return pairs if whole else self._align(new, old, at, was)
    # Any two transformations count: that alone makes them no pair.
    if same or _is_injected(new) or any(path[-1] != 'count' for path in pairs):
      return pairs
    return {}

  def _align(self, new: Any, old: Any, at: Path, was: Path) -> Pairs:
    """The pairs of two sequences, in order, that are the most in all."""
    # Row i: the best for the first i of `new` and the first j of `old`.
    row: list[Pairs] = [{} for _ in range(len(old) + 1)]
    for k in _members(new):
      above, row = row, [{}]
      for j, m in enumerate(_members(old)):
        here = self.pairs(new[k], old[m], (*at, k), (*was, m))
        best = max(above[j] | here, above[j + 1], row[j], key=self._score)
        row.append(best)
    return row[-1]


def _count(at: Path, old: Any, was: Path, pairs: Pairs) -> Pairs:
  """The count of updates of plain Optax, for injection around it.

  Rather that of a schedule, which has no place of its own any more, than one
  that also serves bias correction.
  """
  taken = set(pairs.values())
  counts = sorted(_counts(old, was), key=lambda path: path in taken)
  return {(*at, 'count'): counts[0]} if counts else {}

"""What a checkpoint is restored into: its leaves and its hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import functools
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import carry
from flax_sched import places
from flax_sched import record
from flax_sched import ways
from flax_sched.injected import State
from flax_sched.places import Place

_CALLER = 'restore'


class Target:
  """A state, concrete or abstract.

  Attributes:
    tree: the state itself.
    leaves: its leaves by path, each with its sharding if it is to be an array
      of JAX.
    places: its hyperparameters by name, with numbers also if it is abstract.
    paths: by name, the path of the injected state.
    entries: what each hyperparameter follows, as in a record.
  """

  def __init__(self, tree: Any):
    """Looks it over.

    Raises:
      ValueError: if it holds no hyperparameters, or too little about them.
    """
    self.tree = tree
    self.leaves = {
      path: _placed(path, leaf) for path, leaf in carry.flatten(tree).items()
    }
    self.places = _with_numbers(tree, places.find(_CALLER, tree))
    self.paths = {
      name: carry.spell(place.path) for name, place in self.places.items()
    }
    self.entries = record.entries_of(self.places)
    self._optimizers = [(*owner, 'opt_state') for owner, _ in _owners(tree)]
    owners = {path[:1] for path in self._optimizers}
    others = {path[:1] for path in self.paths.values()} - owners
    self._optimizers += others

  def is_of_optimizer(self, path: carry.Path) -> bool:
    """Whether a path is within what an optimizer stores."""
    return any(path[: len(part)] == part for part in self._optimizers)

  def filled(self, values: Mapping[carry.Path, Any]) -> Any:
    """The state with these values, and for the rest as it is when new.

    Raises:
      ValueError: if nobody knows how something is when new.
    """
    leaves = {**self.leaves, **self._numbers(), **values}
    structure = jax.tree_util.tree_structure(self.tree)
    state = jax.tree_util.tree_unflatten(structure, leaves.values())
    missing = {path: x for path, x in leaves.items() if _is_shape(x)}
    if not missing:
      return state
    leaves |= _initial(state, missing)
    return jax.tree_util.tree_unflatten(structure, leaves.values())

  def _numbers(self) -> dict[carry.Path, Any]:
    """The hyperparameters of an abstract target, where it is to have them."""
    states = {self.paths[n]: p.state for n, p in self.places.items()}
    numbers = {
      (*inside, *path): leaf
      for inside, state in states.items()
      for path, leaf in carry.flatten(_small(state)).items()
    }
    return {
      path: put(leaf, self.leaves[path])
      for path, leaf in numbers.items()
      if _is_shape(self.leaves[path])
    }


def shape(leaf: Any) -> tuple[int, ...]:
  """The shape that a leaf has in a checkpoint."""
  if places.is_key(leaf):
    leaf = jax.eval_shape(jax.random.key_data, leaf)
  return tuple(np.shape(leaf) if not hasattr(leaf, 'shape') else leaf.shape)


def put(value: Any, like: Any) -> Any:
  """A number of the library's own where the target has it."""
  value = np.asarray(places.unwrap(value))
  sharding = getattr(like, 'sharding', None)
  return value if sharding is None else places.put(value, sharding)


def _placed(path: carry.Path, leaf: Any) -> Any:
  """A leaf with a sharding if it is to be an array of JAX.

  Raises:
    ValueError: if it has none, and there are several processes.
  """
  if not _is_shape(leaf) or leaf.sharding is not None:
    return leaf
  if jax.process_count() > 1:
    raise ValueError(
      f'{_CALLER}: target must say where {"/".join(path)} is to be: with '
      'several processes, each jax.ShapeDtypeStruct needs its sharding.'
    )
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _is_shape(leaf: Any) -> bool:
  return isinstance(leaf, jax.ShapeDtypeStruct)


# ---------------------------------------------------------------------------
# What an abstract target does not say, but its optimizer knows.


def _small(s: State) -> State:
  """An injected state without what is large."""
  return s.replace(inner_state=())


def _with_numbers(tree: Any, found: dict[str, Place]) -> dict[str, Place]:
  """The places, the hyperparameters of an abstract target computed."""
  states = {place.path: _small(place.state) for place in found.values()}
  if not any(map(_is_shape, jax.tree_util.tree_leaves([*states.values()]))):
    return found
  numbers: dict[carry.Path, State] = {}
  for path, owner in _owners(tree):
    try:
      made = jax.jit(functools.partial(_small_states, owner))()
    except jax.errors.UnexpectedTracerError:
      continue  # its numbers were arguments, such as those of a population
    stored = ways.walk(owner.opt_state)
    for (way, _), state in zip(stored, made, strict=True):
      numbers[*path, 'opt_state', *carry.spell(way)] = state
  for path, state in states.items():
    structure = jax.tree_util.tree_structure(state)
    leaves = jax.tree_util.tree_leaves(numbers.get(carry.spell(path)))
    shapes = [leaf.shape for leaf in jax.tree_util.tree_leaves(state)]
    if [leaf.shape for leaf in leaves] != shapes:
      raise ValueError(
        f'{_CALLER}: target must say what its constants and schedules are, but '
        'it is abstract, and no TrainState whose tx says it. Pass the state '
        'itself, or a TrainState.'
      )
    states[path] = jax.tree_util.tree_unflatten(structure, leaves)
  return {
    name: place._replace(state=states[place.path])
    for name, place in found.items()
  }


def _owners(tree: Any) -> list[tuple[carry.Path, Any]]:
  """What has an optimizer and its state, such as a TrainState, by path."""

  def is_owner(x: Any) -> bool:
    return hasattr(x, 'tx') and hasattr(x, 'opt_state')

  def inside(x: Any, path: carry.Path) -> Iterator[tuple[carry.Path, Any]]:
    if is_owner(x):
      yield path, x
    for way, leaf in jax.tree_util.tree_leaves_with_path(
      x, is_leaf=lambda y: y is not x and is_owner(y)
    ):
      if leaf is not x and is_owner(leaf):
        yield from inside(leaf, (*path, *carry.spell(way)))

  return list(inside(tree, ()))


def _small_states(owner: Any) -> list[State]:
  """The injected states of an optimizer, new, without what is large."""
  params = getattr(owner, 'params', jax.ShapeDtypeStruct((), np.float32))
  zeros = jax.tree_util.tree_map(lambda p: jnp.zeros(p.shape, p.dtype), params)
  return [_small(state) for _, state in ways.walk(owner.tx.init(zeros))]


def _initial(
  state: Any, missing: Mapping[carry.Path, Any]
) -> dict[carry.Path, Any]:
  """What of an optimizer's new state a TrainState lacks, by path."""
  known = hasattr(state, 'tx') and hasattr(state, 'params')
  if not known or {path[0] for path in missing} != {'opt_state'}:
    raise ValueError(
      f'{_CALLER}: target must hold the new {"/".join(next(iter(missing)))}, '
      'which the checkpoint lacks, but it is abstract. Pass the state itself, '
      'or a TrainState.'
    )

  def init(params: Any) -> list[Any]:
    new = carry.flatten(state.tx.init(params))
    return [new[path[1:]] for path in missing]  # they begin with 'opt_state'

  shardings = [leaf.sharding for leaf in missing.values()]
  made = jax.jit(init, out_shardings=shardings)(state.params)
  return dict(zip(missing, made, strict=True))

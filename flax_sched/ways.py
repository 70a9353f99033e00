"""The injected states in a tree, and the ways to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import copy
import sys
from typing import Any

import jax

from flax_sched.injected import is_injected
from flax_sched.injected import State

# The way from an injected state to those of the transformation inside.
_INSIDE = jax.tree_util.GetAttrKey('inner_state')

# The way to the optimizer's state, of an object that JAX does not look into.
_STORED = (jax.tree_util.GetAttrKey('opt_state'),)


def map_injected(f: Callable[[tuple[Any, ...], State], State], x: Any) -> Any:
  """Applies f(path, state) to each injected state, outer ones first.

  The paths are those of `injected`. An `nnx.Optimizer` is changed in place.
  """

  def apply(tree: Any, path: tuple[Any, ...]) -> Any:
    found, treedef = jax.tree_util.tree_flatten_with_path(tree, is_injected)
    leaves = []
    for way, leaf in found:
      if is_injected(leaf):
        leaf = f(path + way, leaf)
        inner = apply(leaf.inner_state, (*path, *way, _INSIDE))
        leaf = leaf.replace(inner_state=inner)
      leaves.append(leaf)
    return jax.tree_util.tree_unflatten(treedef, leaves)

  if not _is_closed(x):
    return apply(x, ())
  opt_state = apply(x.opt_state, _STORED)
  if _is_optimizer(x):
    x.opt_state = opt_state
    return x
  x = copy.copy(x)
  object.__setattr__(x, 'opt_state', opt_state)  # also if it is frozen
  return x


def _is_optimizer(x: Any) -> bool:
  nnx = sys.modules.get('flax.nnx')  # where it is not, there are none
  return nnx is not None and isinstance(x, nnx.Optimizer)


def _is_closed(x: Any) -> bool:
  """Whether only the `opt_state` of `x` is looked into."""
  return hasattr(x, 'opt_state') and (
    _is_optimizer(x) or jax.tree_util.all_leaves([x])
  )


def walk(
  tree: Any, path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], State]]:
  """The injected states in a tree with the ways to them, outer ones first."""
  if not holds(tree, State):
    return  # without a way made
  for way, leaf in jax.tree_util.tree_leaves_with_path(tree, is_injected):
    if is_injected(leaf):
      yield path + way, leaf
      yield from walk(leaf.inner_state, (*path, *way, _INSIDE))


def holds(tree: Any, kind: Any) -> bool:
  """Whether a node of a tree is of a class, or of one of a union."""
  found = False

  def look(x: Any) -> bool:
    nonlocal found
    found = found or isinstance(x, kind)
    return found

  jax.tree_util.tree_leaves(tree, look)
  return found


def injected(caller: str, x: Any) -> list[tuple[tuple[Any, ...], State]]:
  """The injected states in `x`, those of its `opt_state` first."""
  # Field by field, since a log line comes here, and parameters are many.
  fields = [(_STORED, x.opt_state)] if _is_closed(x) else _fields(x)
  found = [place for way, field in fields for place in walk(field, way)]
  if not found:
    raise ValueError(
      f'{caller}: {type(x).__name__} holds no injected hyperparameters. Build '
      'the optimizer with flax_sched.inject_hyperparams(optax.adamw, '
      'learning_rate=...).'
    )
  own = stored_in(x)
  return sorted(found, key=lambda place: place[0][: len(own)] != own)


def stored_in(x: Any) -> tuple[Any, ...]:
  """The way to the `opt_state` of `x`; () if it has none."""
  if _is_closed(x):
    return _STORED
  if not hasattr(x, 'opt_state'):
    return ()
  return next((way for way, field in _fields(x) if field is x.opt_state), ())


def _fields(x: Any) -> list[tuple[tuple[Any, ...], Any]]:
  """The nodes below one, with the ways to them; an injected state is whole."""

  def is_field(node: Any) -> bool:
    return node is not x or is_injected(node)

  return jax.tree_util.tree_leaves_with_path(x, is_field)

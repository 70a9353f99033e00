"""Which sharding each leaf of a training state has, by the path to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flax import nnx
import jax
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from flax_sched import carry
from flax_sched import ways


def by_path(
  caller: str,
  state: Any,
  mesh: Mesh,
  param_shardings: Any,
  population_axis: str | None,
) -> dict[carry.Path, NamedSharding]:
  """The sharding of each leaf, by path."""
  first = () if population_axis is None else (population_axis,)
  if not set(first) <= set(mesh.axis_names):
    raise ValueError(
      f'{caller}: population_axis must be one of the axes of the mesh, '
      f'{mesh.axis_names}, got {population_axis!r}.'
    )
  everywhere = NamedSharding(mesh, PartitionSpec(*first))
  of_param = {
    path: (shape, _named(caller, mesh, path, shape, (*first, *spec)))
    for path, shape, spec in _chosen(caller, state, param_shardings, len(first))
  }
  of_schedules = {
    (*carry.spell(way), *path)
    for way, injected in ways.walk(state)
    for path in carry.flatten(injected.replace(inner_state=()))
  }

  def find(path: carry.Path, shape: tuple[int, ...]) -> NamedSharding:
    for start in range(len(path) + 1):  # the longest end first
      its_shape, sharding = of_param.get(path[start:], (None, everywhere))
      if its_shape == shape and path not in of_schedules:
        return sharding
    return everywhere

  return {
    path: find(path, tuple(np.shape(leaf)))
    for path, leaf in carry.flatten(state).items()
  }


def _chosen(
  caller: str, state: Any, param_shardings: Any, skip: int
) -> Iterator[tuple[carry.Path, tuple[int, ...], Any]]:
  """The path, the shape and the spec of each parameter.

  The first `skip` axes are those of a population.
  """
  params = _params(caller, state)
  given: dict[carry.Path, Any] = {}
  if param_shardings is not None and not callable(param_shardings):
    given = _flatten_shardings(param_shardings)
    for path in sorted(params.keys() ^ given.keys()):
      one, other = 'sharding', 'parameter'
      if path in params:
        one, other = other, one
      raise ValueError(
        f'{caller}: param_shardings must be like the parameters, but there is '
        f'a {one} {"/".join(path)} and no {other}. Pass a tree of the same '
        'structure, or a function of path and shape.'
      )
  for path, leaf in params.items():
    shape = tuple(np.shape(leaf))
    choice = given.get(path)
    if callable(param_shardings):
      choice = param_shardings(path, shape[skip:])
    spec = getattr(choice, 'spec', choice)
    if not (spec is None or isinstance(spec, PartitionSpec)):
      raise TypeError(
        f'{caller}: param_shardings must give {"/".join(path)} a PartitionSpec '
        f'or a NamedSharding, got {choice!r}.'
      )
    yield path, shape, spec or ()


def _params(caller: str, state: Any) -> dict[carry.Path, Any]:
  def is_module(x: Any) -> bool:
    return isinstance(x, nnx.Module)

  if hasattr(state, 'params'):
    return carry.flatten(state.params)
  if isinstance(state, Mapping) and 'params' in state:
    return carry.flatten(state['params'])
  found = filter(is_module, jax.tree_util.tree_leaves(state, is_module))
  params = [carry.flatten(nnx.state(module, nnx.Param)) for module in found]
  if not params:
    raise ValueError(
      f'{caller}: the state must hold parameters, got {type(state).__name__}. '
      "Pass a TrainState, a dict with 'params' in it, or one with an nnx "
      'module.'
    )
  return dict(item for each in params for item in each.items())


def _flatten_shardings(tree: Any) -> dict[carry.Path, Any]:
  def is_sharding(x: Any) -> bool:
    return x is None or isinstance(x, PartitionSpec | jax.sharding.Sharding)

  return carry.flatten(tree, is_sharding)


def _named(
  caller: str,
  mesh: Mesh,
  path: carry.Path,
  shape: tuple[int, ...],
  spec: tuple[Any, ...],
) -> NamedSharding:
  """The sharding that was chosen for a parameter.

  Raises:
    ValueError: if it is none on this mesh for this shape.
  """
  try:
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    sharding.shard_shape(shape)
  except (IndexError, ValueError) as error:
    raise ValueError(
      f'{caller}: param_shardings must give {"/".join(path)} of shape {shape} '
      f'axes of the mesh {dict(mesh.shape)} that divide it, got {spec}.'
    ) from error
  return sharding

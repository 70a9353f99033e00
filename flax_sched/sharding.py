"""Where each part of a training state lies on a mesh of devices.

Parameters lie where their sharding says, and whatever the optimizer stores for
each of them lies with it; hyperparameters, schedules, counts and all the rest
are on every device. A step that says where its results lie, by
`out_shardings=shardings(state, mesh, ...)`, compiles once; without, XLA may
choose others than the state came in with.

>>> import flax_sched as fs
>>> from flax_sched import sharding
>>> from flax.training.train_state import TrainState
>>> import jax, jax.numpy as jnp, optax
>>> mesh = jax.make_mesh((1,), ('data',))
>>> def init(key):
...   tx = fs.inject_hyperparams(optax.adam, learning_rate=0.1)
...   params = {'kernel': jax.random.normal(key, (8, 4))}
...   return TrainState.create(apply_fn=None, params=params, tx=tx)
>>> def rows(path, shape):
...   return jax.sharding.PartitionSpec('data')
>>> state = sharding.create(init, mesh, jax.random.key(0), param_shardings=rows)
>>> mu = state.opt_state.inner_state[0].mu
>>> mu['kernel'].sharding == state.params['kernel'].sharding
True
>>> state.opt_state.hyperparams['learning_rate'].sharding.is_fully_replicated
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flax import nnx
import jax
from jax import numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

from flax_sched import carry
from flax_sched import places

__all__ = ['abstract', 'create', 'place', 'shardings']


def shardings(
  abstract_state: Any,
  mesh: Mesh,
  param_shardings: Any = None,
  *,
  population_axis: str | None = None,
) -> Any:
  """The sharding of each array of a training state.

  What the optimizer stores for a parameter, such as a moment, or an average of
  it that a state keeps elsewhere, is known by its path, which ends in the
  parameter's, and by its shape. What has another shape, such as the factors of
  Adafactor, is on every device.

  Args:
    abstract_state: a state as `jax.eval_shape` or `nnx.eval_shape` gives it, or
      a concrete one: a `TrainState`, another pytree with `params` in it, or one
      with an nnx module, such as `{'model': model, 'optimizer': optimizer}`.
    mesh: the mesh; its axes may be Auto or Explicit.
    param_shardings: a pytree like the parameters, or a function of a
      parameter's path, such as ('dense', 'kernel'), and its shape; of
      `PartitionSpec`s or `NamedSharding`s. None: parameters are everywhere.
    population_axis: for a population, made by `jax.vmap`, the axis of the mesh
      over which the members lie, the first axis of every array;
      `param_shardings` is that of one member.

  Returns:
    The state with a `NamedSharding` in place of each array.

  Raises:
    TypeError: if a parameter's sharding is none.
    ValueError: if there are no parameters in the state, or `param_shardings`
      has no sharding for one of them, or names an axis that the mesh does not
      have, or that does not divide the parameter; or if the mesh has no
      `population_axis`.
  """
  wanted = _by_path(
    'shardings', abstract_state, mesh, param_shardings, population_axis
  )
  return _tree_of(abstract_state, wanted)


def create(
  init_fn: Callable[..., Any],
  mesh: Mesh,
  *args: Any,
  param_shardings: Any = None,
  population_axis: str | None = None,
) -> Any:
  """Makes a state on a mesh, in one program.

  No device ever holds more than its part, and the state is what a jitted step
  returns: the first steps compile once.

  Args:
    init_fn: makes the state, such as a function that calls
      `TrainState.create`.
    mesh: the mesh, perhaps of several processes, each of which calls this.
    *args: the arguments of `init_fn`, such as a random key.
    param_shardings: as in `shardings`.
    population_axis: as in `shardings`.

  Returns:
    The state.

  Raises:
    TypeError, ValueError: as `shardings`.
  """
  shapes = _shapes(init_fn, args)
  wanted = _by_path('create', shapes, mesh, param_shardings, population_axis)

  def leaves_of(*args: Any) -> list[Any]:
    # Only the leaves: two calls of init_fn may make two transformations, which
    # are no equal parts of two structures.
    return [_strong(leaf) for leaf in jax.tree_util.tree_leaves(init_fn(*args))]

  made = jax.jit(leaves_of, out_shardings=[*wanted.values()])(*args)
  return _tree_of(shapes, dict(zip(wanted, made, strict=True)))


def place(
  state: Any,
  mesh: Mesh,
  param_shardings: Any = None,
  *,
  population_axis: str | None = None,
) -> Any:
  """A state that was made on the host or on one device, on a mesh.

  Args:
    state: the state. With several processes, each has the same one.
    mesh: the mesh.
    param_shardings: as in `shardings`.
    population_axis: as in `shardings`.

  Returns:
    The state, in new arrays.

  Raises:
    TypeError, ValueError: as `shardings`.
  """
  wanted = _by_path('place', state, mesh, param_shardings, population_axis)
  leaves = carry.flatten(state)
  return _tree_of(
    state, {path: _placed(leaves[path], s) for path, s in wanted.items()}
  )


def abstract(
  init_fn: Callable[..., Any],
  mesh: Mesh,
  *args: Any,
  param_shardings: Any = None,
  population_axis: str | None = None,
) -> Any:
  """What `create` would make, as shapes: a target for `checkpoint.restore`.

  Nothing is computed, and no array is made.

  Args:
    init_fn: as in `create`.
    mesh: as in `create`.
    *args: as in `create`; shapes will do.
    param_shardings: as in `shardings`.
    population_axis: as in `shardings`.

  Returns:
    The state with a `jax.ShapeDtypeStruct` in place of each array, which has
    its sharding.

  Raises:
    TypeError, ValueError: as `shardings`.
  """
  shapes = _shapes(init_fn, args)
  wanted = _by_path('abstract', shapes, mesh, param_shardings, population_axis)
  leaves = carry.flatten(shapes)
  return _tree_of(
    shapes,
    {
      path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=wanted[path])
      for path, leaf in leaves.items()
    },
  )


def _shapes(init_fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
  # That of nnx gives modules back as such; it is JAX's for other states.
  return nnx.eval_shape(init_fn, *args)


def _tree_of(like: Any, leaves: Mapping[carry.Path, Any]) -> Any:
  structure = jax.tree_util.tree_structure(like)
  return jax.tree_util.tree_unflatten(structure, leaves.values())


# ---------------------------------------------------------------------------
# Which sharding.


def _by_path(
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
    for way, injected in places.walk(state)
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
  by_path: dict[carry.Path, Any] = {}
  if param_shardings is not None and not callable(param_shardings):
    by_path = _flatten_shardings(param_shardings)
    for path in sorted(params.keys() ^ by_path.keys()):
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
    choice = by_path.get(path)
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


# ---------------------------------------------------------------------------
# Leaves.


def _strong(leaf: Any) -> Any:
  """As an array without JAX's weak type, which no checkpoint keeps."""
  if places.is_key(leaf):
    return leaf
  array = jnp.asarray(leaf)
  return jnp.asarray(array, array.dtype)


def _placed(leaf: Any, sharding: NamedSharding) -> Any:
  is_global = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
  if sharding.is_fully_addressable or is_global:
    return jax.device_put(_strong(leaf), sharding, may_alias=False)
  if places.is_key(leaf):
    data = _placed(jax.random.key_data(leaf), sharding)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
  return places.put(_strong(leaf), sharding)

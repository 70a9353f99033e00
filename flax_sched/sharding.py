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
>>> from jax.sharding import AxisType
>>> mesh = jax.make_mesh((1,), ('data',), axis_types=(AxisType.Auto,))
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

from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx
import jax
from jax import numpy as jnp
from jax.sharding import Mesh
from jax.sharding import NamedSharding

from flax_sched import carry
from flax_sched import layout
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
  wanted = layout.by_path(
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
  wanted = layout.by_path(
    'create', shapes, mesh, param_shardings, population_axis
  )

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
  wanted = layout.by_path(
    'place', state, mesh, param_shardings, population_axis
  )
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
  wanted = layout.by_path(
    'abstract', shapes, mesh, param_shardings, population_axis
  )
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

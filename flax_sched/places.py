"""Where injected states are in a state, and the names of hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import json
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jax.experimental import multihost_utils
import numpy as np

from flax_sched import injected as injected_lib
from flax_sched import naming
from flax_sched import spec as spec_lib
from flax_sched import ways
from flax_sched.hints import did_you_mean
from flax_sched.injected import InjectHyperparamsState
from flax_sched.injected import State
from flax_sched.schedule import Schedule


class Place(NamedTuple):
  """Where a hyperparameter is.

  Attributes:
    path: the way to the injected state.
    state: the injected state.
    key: the hyperparameter's name in there.
  """

  path: tuple[Any, ...]
  state: State
  key: str

  @property
  def number(self) -> tuple[str, ...]:
    """The way to its value, in the names that a checkpoint has."""
    return (*map(naming.word, self.path), 'hyperparams', self.key)


def find(caller: str, x: Any) -> dict[str, Place]:
  """Each hyperparameter's place, by a stable name: short, and unique.

  Raises:
    ValueError: if there is none, or two can't be told apart.
  """
  places = [
    Place(path, state, key)
    for path, state in ways.injected(caller, x)
    for key in state.hyperparams
  ]
  found = [(place.path, place.key) for place in places]
  names = naming.names(caller, found, ways.stored_in(x))
  return dict(zip(names, places, strict=True))


def check_known(caller: str, name: str, known: Collection[str]) -> None:
  """Raises if there is no hyperparameter of this name."""
  if name not in known:
    raise ValueError(
      f'{caller}: {name!r} is no hyperparameter of this state.'
      f'{did_you_mean(name, known)} It has {", ".join(known)}.'
    )


def edit(
  caller: str,
  x: Any,
  changes: Mapping[str, Any],
  change: Callable[[State, str, Any], State],
) -> Any:
  """A copy of `x` with change(state, key, value) for each name in `changes`."""
  found = find(caller, x)
  for name in changes:
    check_known(caller, name, found)

  def apply(path: tuple[Any, ...], state: State) -> State:
    for name, value in changes.items():
      if found[name].path == path:
        state = change(state, found[name].key, value)
    return state

  return ways.map_injected(apply, x)


# ---------------------------------------------------------------------------
# Leaves.


def unwrap(leaf: Any) -> Any:
  """The array in a leaf: `nnx.Optimizer` wraps each in a variable."""
  return leaf[...] if _is_wrapped(leaf) else leaf


def _is_wrapped(leaf: Any) -> bool:
  return hasattr(leaf, 'get_metadata')


def like(new: Any, old: Any) -> Any:
  """An array where another is."""
  if _is_wrapped(old):
    return old.replace(like(new, old[...]))
  if isinstance(old, jax.core.Tracer) or isinstance(new, jax.core.Tracer):
    return jnp.asarray(new)
  new = jnp.array(new, copy=True)
  if isinstance(old, jax.Array) and old.committed:
    return put(new, old.sharding)
  return new


def filled(x: Any, old: Any) -> Any:
  """A value where an array is: in a population, one for all or for each."""
  array = unwrap(old)
  x = jnp.asarray(x, array.dtype)
  if x.ndim < array.ndim:
    x = jnp.broadcast_to(x, array.shape)
  return like(x, old)


def put(x: Any, sharding: jax.sharding.Sharding) -> jax.Array:
  """An array with a sharding; several processes have the same one each."""
  if sharding.is_fully_addressable:
    return jax.device_put(x, sharding)
  # Each fills its own part and waits for nobody. JAX's device_put compares what
  # the processes have, by which NaN is not itself; and gives a broken array
  # where x is one of JAX already.
  host = on_host(x)
  return jax.make_array_from_callback(
    host.shape, sharding, lambda index: host[index]
  )


def is_key(leaf: Any) -> bool:
  """Whether a leaf holds typed random keys."""
  dtype = getattr(leaf, 'dtype', None)
  return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def on_host(tree: Any) -> Any:
  """The tree with NumPy arrays, also where its own are of several processes."""

  def read(x: Any) -> Any:
    x = unwrap(x)
    if isinstance(x, jax.Array) and not (
      x.is_fully_addressable or x.is_fully_replicated
    ):
      x = multihost_utils.process_allgather(x, tiled=True)
    return np.asarray(x)

  return jax.tree_util.tree_map(read, tree, is_leaf=_is_wrapped)


def override(state: State, key: str) -> Any:
  """The value that is used in place of a schedule's, None if there is none."""
  if isinstance(state, InjectHyperparamsState):
    return None
  index = sorted(state.hyperparams_states).index(key)
  value = on_host(state.overrides)[..., index]
  return None if np.all(np.isnan(value)) else value


# ---------------------------------------------------------------------------
# What an injected state says, on the host.


def plain_schedule(
  caller: str, s: State, key: str, name: str, remedy: str
) -> Schedule:
  """The plain schedule that a hyperparameter follows."""
  schedule = injected_lib.schedules(s).get(key)
  if schedule is not None:
    schedule = on_host(schedule)
    try:
      spec_lib.to_spec(schedule)
    except TypeError:
      schedule = None
  if schedule is None:
    raise ValueError(
      f'{caller}: {name} must follow a schedule that plain data can hold, got '
      f'{described(s, key)}. {remedy}'
    )
  return schedule


def described(s: State, key: str) -> str:
  """What a hyperparameter follows, where it is no plain schedule."""
  if isinstance(s, InjectHyperparamsState):
    entry = json.loads(s.spec)[key]
  elif key in s.hyperparams_states.stateful:
    states = s.hyperparams_states
    entry = json.loads(states.specs[states.stateful.index(key)])
    return f'the stateful schedule {entry.get("function", entry["kind"])}'
  else:
    entry = spec_lib.fingerprint(s.hyperparams_states[key])
  return f'the function {entry["function"]}'


def single_count(
  caller: str, s: State, key: str, name: str, remedy: str
) -> int:
  """The count of a state that is of one run."""
  for array in (s.count, s.hyperparams[key]):
    shape = np.shape(unwrap(array))
    if shape:
      raise ValueError(
        f'{caller}: {name} must be of one run, got a population of {shape[0]}. '
        f'{remedy}'
      )
  return int(on_host(s.count))

"""A checkpoint and a target side by side, and the state that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import functools
import json
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched import access
from flax_sched import carry
from flax_sched import places
from flax_sched import record
from flax_sched import spec as spec_lib
from flax_sched import storage
from flax_sched.inject import InjectHyperparamsState
from flax_sched.inject import InjectStatefulHyperparamsState
from flax_sched.places import Place
from flax_sched.places import State
from flax_sched.record import Entry
from flax_sched.stateful import WrappedScheduleState

_CALLER = 'restore'


class Merge:
  """A checkpoint and a target side by side.

  Attributes:
    saved: the checkpoint.
    then: what each hyperparameter follows by the checkpoint: an entry of its
      record, or in one without, only the value and the count.
    now: what it follows by the target.
    fresh: the paths of what the optimizer stores that is new.
    dropped: the paths of what it has stored that has no place any more.
  """

  def __init__(self, saved: storage.Saved, target: Any):
    """Compares the two.

    Raises:
      DamagedError: if the checkpoint can't be read.
      ValueError: if they differ in parameters, shapes or dtypes, or the target
        says too little.
    """
    self.saved, self._target = saved, target
    self._leaves = carry.flatten(target)
    self._pairs = carry.pair(
      {path: _shape(leaf) for path, leaf in self._leaves.items()},
      {path: tuple(leaf.shape) for path, leaf in saved.leaves.items()},
    )
    self._places = _with_numbers(target, places.find(_CALLER, target))
    root = ('opt_state',) if hasattr(target, 'opt_state') else ()
    self._paths = {
      name: root + carry.spell(place.path)
      for name, place in self._places.items()
    }
    self.fresh = carry.unpaired(self._leaves, self._pairs)
    self.dropped = carry.unpaired(saved.leaves, self._pairs.values())
    self._check()
    self.now = record.entries_of(self._places)
    self.then = self._entries_of_checkpoint()

  # -------------------------------------------------------------------------
  # The checks.

  def _check(self) -> None:
    problems = [*self._differences_elsewhere(), *self._differences_of_dtype()]
    if problems:
      raise ValueError(
        f'{_CALLER}: target must be like the state in {self.saved.path}, but '
        f'{"; ".join(problems)}.'
      )
    for name, path in self._paths.items():
      if self._pair_of((*path, 'count')) is None:
        raise ValueError(
          f'{_CALLER}: the state in {self.saved.path} holds no count of '
          f'updates for {name}. Restore it as it was saved, and pass its '
          'optimizer state to from_optax_state(tx, ..., count=...).'
        )

  def _differences_elsewhere(self) -> Iterator[str]:
    """Those that neither schedules nor optimizers explain."""
    parts = _optimizer_parts(self._target, self._paths.values())

    def elsewhere(path: carry.Path) -> bool:
      return not any(path[: len(part)] == part for part in parts)

    for path in filter(elsewhere, self.fresh):
      if path in self.dropped:
        old, new = self.saved.leaves.get(path), self._leaves.get(path)
        shapes = (_shape(x) if x is not None else 'a tree' for x in (old, new))
        yield '{} is {} in the checkpoint and {} in the target'.format(
          '/'.join(path), *shapes
        )
      else:
        yield f'{"/".join(path)} is not in the checkpoint'
    for path in filter(elsewhere, self.dropped):
      if path not in self.fresh:
        yield f'{"/".join(path)} is not in the target'

  def _differences_of_dtype(self) -> Iterator[str]:
    for path, old in self._pairs.items():
      new, saved = self._leaves[path], self.saved.leaves[old]
      if storage.is_number(saved) or not hasattr(new, 'dtype') or _is_key(new):
        continue
      if np.dtype(saved.dtype) != new.dtype:
        yield (
          f'{"/".join(path)} is {np.dtype(saved.dtype)} in the checkpoint and '
          f'{new.dtype} in the target (restore it as it is, then convert it)'
        )

  def _pair_of(self, path: carry.Path) -> carry.Path | None:
    """Where the checkpoint has a leaf, which nnx wraps in a variable."""
    return self._pairs.get(path) or self._pairs.get((*path, 'value'))

  def _entries_of_checkpoint(self) -> dict[str, Entry]:
    if self.saved.record is not None:
      return dict(self.saved.record['hyperparams'])
    found = {}
    for name, place in self._places.items():
      path = self._paths[name]
      value = self._pair_of((*path, 'hyperparams', place.key))
      count = self._pair_of((*path, 'count'))
      if value is not None and count is not None:
        found[name] = {'value': value, 'count': count}
    wanted = {path for entry in found.values() for path in entry.values()}
    read = self.saved.read({path: np.zeros(()) for path in wanted})
    return {
      name: {key: spec_lib.plain(key, read[p]) for key, p in entry.items()}
      for name, entry in found.items()
    }

  # -------------------------------------------------------------------------
  # The state.

  def build(self, follow: Mapping[str, Entry]) -> Any:
    """The state.

    Args:
      follow: by name, what is followed other than what the target says.

    Raises:
      DamagedError: if an array can't be read.
      ValueError: if something starts as in the target, which is abstract.
    """
    memories = {
      name: self._memory(name, follow.get(name))
      for name, entry in {**self.now, **follow}.items()
      if 'memory' in entry
    }
    wanted = {
      old: _placed(path, self._leaves[path])
      for path, old in self._pairs.items()
    }
    for memory in memories.values():
      wanted |= memory.wanted()
    read = self.saved.read(wanted)
    names = {(p.path, p.key): name for name, p in self._places.items()}

    def edit(path: tuple[Any, ...], s: State) -> State:
      for key in s.hyperparams:
        name = names[path, key]
        if name in memories:
          s = memories[name].put(s, key, read)
        elif name in follow:
          s = _follow(s, key, follow[name])
        elif isinstance(s, InjectHyperparamsState) and self._is_constant(name):
          # Its number was read, since it is what the last update has used.
          s = _follow(s, key, self.now[name])
      return s

    return places.map_injected(edit, self._fill(read))

  def _is_constant(self, name: str) -> bool:
    return bool(self.now[name]['schedule']['kind'] == 'Constant')

  def _fill(self, read: Mapping[carry.Path, Any]) -> Any:
    """The target with what was read, and for the rest as it is when new."""
    numbers = {
      (*self._paths[name], *path): leaf
      for name, place in self._places.items()
      for path, leaf in carry.flatten(_small(place.state)).items()
    }
    values, used, missing = {}, set(), []
    for path, leaf in self._leaves.items():
      old = self._pairs.get(path)
      if old is not None:
        # A donated state may not hold one buffer twice.
        values[path] = jnp.copy(read[old]) if old in used else read[old]
        used.add(old)
        _check_type(path, values[path], leaf)
      elif not isinstance(leaf, jax.ShapeDtypeStruct):
        values[path] = leaf
      elif path in numbers:
        values[path] = _put(numbers[path], _placed(path, leaf))
      elif path[:-1] in numbers:  # of a variable of nnx
        values[path] = _put(numbers[path[:-1]], _placed(path, leaf))
      else:
        values[path] = leaf
        missing.append(path)
    structure = jax.tree_util.tree_structure(self._target)
    state = jax.tree_util.tree_unflatten(structure, values.values())
    if not missing:
      return state
    values |= _initial(state, {p: self._leaves[p] for p in missing})
    return jax.tree_util.tree_unflatten(structure, values.values())

  def _memory(self, name: str, entry: Entry | None) -> _Memory:
    """What a stateful schedule is to remember."""
    place, path = self._places[name], self._paths[name]
    if entry is None or spec_lib.is_fingerprint(entry['schedule']):
      assert isinstance(place.state, InjectStatefulHyperparamsState)
      states = place.state.hyperparams_states
      index = states.stateful.index(place.key)
      start, spec = states.states[index], states.specs[index]
      inside = (*path, 'hyperparams_states', 'states', str(index))
      likes = {
        p: _placed(p, self._leaves[*inside, *p]) for p in carry.flatten(start)
      }
    else:
      start = spec_lib.from_spec(entry['schedule']).init()
      spec = json.dumps(entry['schedule'])
      sharding = _placed(path, self._leaves[*path, 'overrides']).sharding
      likes = {
        p: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        for p, leaf in carry.flatten(start).items()
      }
    # Where no record says, it is where the target has it.
    source = self.then.get(name, {}) if self.saved.record else self.now[name]
    if 'memory' not in source:
      return _Memory(start, spec, likes, {})
    count = self._pair_of((*path, 'count')) or ()
    above = count[:-2] if count[-1] == 'value' else count[:-1]
    above = (*above, 'hyperparams_states', 'states', str(source['memory']))
    old = {p: (*above, *p) for p in likes}
    shapes = {p: self.saved.leaves.get(path) for p, path in old.items()}
    whole = all(
      saved is not None and _shape(saved) == _shape(likes[p])
      for p, saved in shapes.items()
    )
    return _Memory(start, spec, likes, old if whole else {})


class _Memory(NamedTuple):
  """What a stateful schedule is to remember.

  Attributes:
    start: its state before the first update.
    spec: its description.
    likes: what each leaf of that is to be like, by path.
    old: where the checkpoint has them; empty if it has none such.
  """

  start: Any
  spec: str
  likes: dict[carry.Path, Any]
  old: dict[carry.Path, carry.Path]

  def wanted(self) -> dict[carry.Path, Any]:
    """What is to be read."""
    return {old: self.likes[path] for path, old in self.old.items()}

  def put(self, s: Any, key: str, read: Mapping[carry.Path, Any]) -> Any:
    """An injected state in which a hyperparameter has this memory."""
    structure = jax.tree_util.tree_structure(self.start)
    start = {
      path: _put(leaf, self.likes[path])
      for path, leaf in carry.flatten(self.start).items()
    }
    memory = start | {path: read[old] for path, old in self.old.items()}
    # A plain schedule in a product counts on, but is what it is now.
    merged = jax.tree_util.tree_map(
      lambda new, old: (
        old.replace(schedule=new.schedule)
        if isinstance(new, WrappedScheduleState)
        else old
      ),
      *(
        jax.tree_util.tree_unflatten(structure, leaves.values())
        for leaves in (start, memory)
      ),
      is_leaf=lambda x: isinstance(x, WrappedScheduleState),
    )
    return access.with_states(
      s, s.hyperparams_states.put(key, merged, self.spec)
    )


def _follow(s: State, key: str, entry: Entry) -> State:
  """An injected state in which a hyperparameter follows a plain schedule."""
  if spec_lib.is_fingerprint(entry['schedule']):
    return s
  s = access.with_schedule(s, key, spec_lib.from_spec(entry['schedule']))
  override = entry.get('override')
  if override is None:
    return s
  with_nan = np.asarray(override, np.float32)  # in a population, None for none
  return access.with_override(s, key, with_nan)


# ---------------------------------------------------------------------------
# The target.


def _small(s: State) -> State:
  """An injected state without what is large."""
  return s.replace(inner_state=())


def _with_numbers(target: Any, found: dict[str, Place]) -> dict[str, Place]:
  """The places, the hyperparameters of an abstract target computed.

  Raises:
    ValueError: if it holds no optimizer to ask.
  """
  states = {place.path: _small(place.state) for place in found.values()}
  if not any(map(_is_abstract, states.values())):
    return found
  numbers: dict[Any, State] = {}
  for path, owner in _owners(target):
    made = jax.jit(functools.partial(_small_states, owner))()
    ways = [path + way for way, _ in places.injected(_CALLER, owner)]
    numbers |= dict(zip(ways, made, strict=True))
  for path, state in states.items():
    structure = jax.tree_util.tree_structure(state)
    leaves = jax.tree_util.tree_leaves(numbers.get(path))
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


def _is_abstract(tree: Any) -> bool:
  leaves = jax.tree_util.tree_leaves(tree)
  return any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)


def _owners(target: Any) -> list[tuple[tuple[Any, ...], Any]]:
  """What has an optimizer and its state, such as a TrainState, by path."""

  def is_owner(x: Any) -> bool:
    return hasattr(x, 'tx') and hasattr(x, 'opt_state')

  found = jax.tree_util.tree_leaves_with_path(target, is_leaf=is_owner)
  return [(path, leaf) for path, leaf in found if is_owner(leaf)]


def _small_states(owner: Any) -> list[State]:
  """The injected states of an optimizer, new, without what is large."""
  params = getattr(owner, 'params', jax.ShapeDtypeStruct((), np.float32))
  zeros = jax.tree_util.tree_map(lambda p: jnp.zeros(p.shape, p.dtype), params)
  found = places.injected(_CALLER, owner.tx.init(zeros))
  return [_small(state) for _, state in found]


def _initial(
  state: Any, missing: Mapping[carry.Path, Any]
) -> dict[carry.Path, Any]:
  """What of an optimizer's new state a TrainState lacks, by path."""
  if not (hasattr(state, 'tx') and hasattr(state, 'params')):
    raise ValueError(
      f'{_CALLER}: target must hold the new {"/".join(next(iter(missing)))}, '
      'which the checkpoint lacks, but it is abstract. Pass the state itself, '
      'or a TrainState.'
    )
  shardings = [_placed(path, leaf).sharding for path, leaf in missing.items()]

  def init(params: Any) -> list[Any]:
    new = carry.flatten(state.tx.init(params))
    return [new[path[1:]] for path in missing]  # they begin with 'opt_state'

  made = jax.jit(init, out_shardings=shardings)(state.params)
  return dict(zip(missing, made, strict=True))


def _optimizer_parts(
  target: Any, injected: Iterable[carry.Path]
) -> list[carry.Path]:
  """The parts of a target that are the states of optimizers."""
  owners = [(*carry.spell(path), 'opt_state') for path, _ in _owners(target)]
  others = [path[:1] for path in injected]
  return owners + [
    path for path in others if not any(path == own[:1] for own in owners)
  ]


# ---------------------------------------------------------------------------
# Leaves.


def _shape(leaf: Any) -> tuple[int, ...]:
  """The shape that a leaf has in a checkpoint."""
  if _is_key(leaf):
    leaf = jax.eval_shape(jax.random.key_data, leaf)
  return tuple(np.shape(leaf) if not hasattr(leaf, 'shape') else leaf.shape)


def _is_key(leaf: Any) -> bool:
  dtype = getattr(leaf, 'dtype', None)
  return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _placed(path: carry.Path, leaf: Any) -> Any:
  """A leaf of the target, with a sharding if it is to be an array of JAX.

  Raises:
    ValueError: if it has none, and there are several processes.
  """
  if not isinstance(leaf, jax.ShapeDtypeStruct) or leaf.sharding is not None:
    return leaf
  if jax.process_count() > 1:
    raise ValueError(
      f'{_CALLER}: target must say where {"/".join(path)} is to be: with '
      'several processes, each jax.ShapeDtypeStruct needs its sharding.'
    )
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _put(value: Any, like: Any) -> Any:
  """A number of the library's own where the target has it."""
  value = np.asarray(places.unwrap(value))
  sharding = getattr(like, 'sharding', None)
  return value if sharding is None else jax.device_put(value, sharding)


def _check_type(path: carry.Path, value: Any, like: Any) -> None:
  """Raises if Orbax gave another shape or dtype than it was asked for."""
  if hasattr(like, 'dtype') and (value.dtype, value.shape) != (
    like.dtype,
    like.shape,
  ):
    raise storage.DamagedError(
      f'{"/".join(path)} was read as {value.dtype}{value.shape}, and is '
      f'{like.dtype}{like.shape} in the target'
    )

"""A checkpoint and a target side by side, and the state that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import json
import logging
from typing import Any

import jax
import numpy as np

from flax_sched import access
from flax_sched import carry
from flax_sched import entries
from flax_sched import injected
from flax_sched import places
from flax_sched import spec as spec_lib
from flax_sched import storage
from flax_sched import target as target_lib
from flax_sched import ways
from flax_sched.injected import InjectHyperparamsState
from flax_sched.injected import InjectStatefulHyperparamsState
from flax_sched.injected import State
from flax_sched.memory import Memory
from flax_sched.memory import remember
from flax_sched.record import Entry
from flax_sched.target import Target

_CALLER = 'restore'

_log = logging.getLogger('flax_sched.checkpoint')


class Merge:
  """A checkpoint and a target side by side.

  Attributes:
    saved: the checkpoint.
    target: what it is to be restored into.
    pairing: what of the two belongs together.
    then: what each hyperparameter follows by the checkpoint: an entry of its
      record, or in one without, only the value and the count; also of what
      the target does not name, if it has another number there, `unnamed`.
    now: what it follows by the target.
  """

  def __init__(self, saved: storage.Saved, tree: Any):
    """Compares the two.

    Raises:
      DamagedError: if the checkpoint can't be read.
      ValueError: if they differ in parameters, shapes or dtypes, or the target
        says too little.
    """
    self.saved, self.target = saved, Target(tree)
    self.pairing = carry.pair(
      {path: target_lib.shape(x) for path, x in self.target.leaves.items()},
      {path: tuple(leaf.shape) for path, leaf in saved.leaves.items()},
      entries.likeness(saved, self.target),
    )
    self._check()
    self.now = self.target.entries
    self.then = entries.of_checkpoint(saved, self.target, self.pairing)

  # -------------------------------------------------------------------------
  # The checks.

  def _check(self) -> None:
    problems = [*self._differences_elsewhere(), *self._differences_of_dtype()]
    if problems:
      raise ValueError(
        f'{_CALLER}: target must be like the state in {self.saved.path}, but '
        f'{"; ".join(problems)}.'
      )
    for name, path in self.target.paths.items():
      if (*path, 'count') not in self.pairing.old_of:
        raise ValueError(
          f'{_CALLER}: the state in {self.saved.path} holds no count of '
          f'updates for {name}. Restore it as it was saved, and pass its '
          'optimizer state to from_optax_state(tx, ..., count=...), within '
          'optax.MultiSteps without count.'
        )

  def _differences_elsewhere(self) -> Iterator[str]:
    """Those that neither schedules nor optimizers explain."""
    fresh, dropped = (
      [path for path in paths if not self.target.is_of_optimizer(path)]
      for paths in (self.pairing.fresh, self.pairing.dropped)
    )
    for path in fresh:
      if path in dropped:
        yield (
          f'{"/".join(path)} is {self.saved.leaves[path].shape} in the '
          f'checkpoint and {target_lib.shape(self.target.leaves[path])} in the '
          'target'
        )
      else:
        yield f'{"/".join(path)} is not in the checkpoint'
    for path in dropped:
      if path not in fresh:
        yield f'{"/".join(path)} is not in the target'

  def _differences_of_dtype(self) -> Iterator[str]:
    for path, old in self.pairing.old_of.items():
      new, saved = self.target.leaves[path], self.saved.leaves[old]
      typed = hasattr(new, 'dtype') and not places.is_key(new)
      if typed and not storage.is_number(saved) and saved.dtype != new.dtype:
        yield (
          f'{"/".join(path)} is {np.dtype(saved.dtype)} in the checkpoint and '
          f'{new.dtype} in the target (restore it as it is, then convert it)'
        )

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
      old: self.target.leaves[path] for path, old in self.pairing.old_of.items()
    }
    for memory in memories.values():
      wanted |= memory.wanted()
    read = self.saved.read(wanted)
    for name, memory in memories.items():
      for line in memory.report(read):
        _log.warning('restore, step %d: %s: %s', self.saved.step, name, line)
    names = {(p.path, p.key): n for n, p in self.target.places.items()}

    def edit(path: tuple[Any, ...], s: State) -> State:
      for key in s.hyperparams:
        name = names[path, key]
        if name in memories:
          s = memories[name].put(s, key, read)
          if name in follow:
            s = _set(s, key, follow[name])
        elif name in follow:
          s = _follow(s, key, follow[name])
        elif isinstance(s, InjectHyperparamsState) and self._is_constant(name):
          # Its number was read, since it is what the last update has used.
          s = _follow(s, key, self.now[name])
        if self.target.places[name].number not in self.pairing.old_of:
          s = _with_last_value(s, key)
      return s

    state = self.target.filled(self._carried(read))
    return ways.map_injected(edit, state)

  def _is_constant(self, name: str) -> bool:
    return bool(self.now[name]['schedule']['kind'] == 'Constant')

  def _carried(self, read: Mapping[carry.Path, Any]) -> dict[carry.Path, Any]:
    """What was read, by its path in the target."""
    values = carry.distinct(self.pairing.old_of, read)
    for path, value in values.items():
      _check_type(path, value, self.target.leaves[path])
    return values

  def _memory(self, name: str, entry: Entry | None) -> Memory:
    """What a stateful schedule is to remember."""
    place, path = self.target.places[name], self.target.paths[name]
    likes: dict[carry.Path, Any]
    if entry is None:
      assert isinstance(place.state, InjectStatefulHyperparamsState)
      states = place.state.hyperparams_states
      index = states.stateful.index(place.key)
      start, spec = states.states[index], json.loads(states.specs[index])
      inside = (*path, 'hyperparams_states', 'states', str(index))
      likes = {p: self.target.leaves[*inside, *p] for p in carry.flatten(start)}
    else:
      spec = entry['schedule']
      members = np.shape(places.unwrap(place.state.count))
      start = jax.tree_util.tree_map(
        lambda leaf: np.broadcast_to(leaf, (*members, *np.shape(leaf))),
        spec_lib.from_spec(spec).init(),
      )
      sharding = self.target.leaves[*path, 'overrides'].sharding
      likes = {
        p: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        for p, leaf in carry.flatten(start).items()
      }
    # Where no record says, it is where the target has it.
    source = self.then.get(name, {}) if self.saved.record else self.now[name]
    if 'memory' not in source:
      return remember(start, spec, likes, {})
    above = self.pairing.old_of[*path, 'count'][:-1]
    if 'path' in source:
      above = source['path'][:-2]
    above = (*above, 'hyperparams_states', 'states', str(source['memory']))
    return remember(
      start, spec, likes, self.saved.leaves, above, source['schedule']
    )


def _follow(s: State, key: str, entry: Entry) -> State:
  """An injected state in which a hyperparameter follows a plain schedule."""
  if spec_lib.is_fingerprint(entry['schedule']):
    return s
  s = access.with_schedule(s, key, spec_lib.from_spec(entry['schedule']))
  return _set(s, key, entry)


def _set(s: State, key: str, entry: Entry) -> State:
  """An injected state in which what was set is as in an entry."""
  if isinstance(s, InjectHyperparamsState):
    return s
  # None is none, and becomes NaN; in a population also that of a member.
  override = np.asarray(entry.get('override'), np.float32)
  return access.with_override(s, key, override)


def _with_last_value(s: State, key: str) -> State:
  """An injected state that says what the last update, without it, has used."""
  schedule = injected.schedules(s).get(key)
  if schedule is None or np.ndim(places.unwrap(s.count)):  # a population
    return s
  value = injected.last_value(places.on_host(schedule), places.on_host(s.count))
  old = s.hyperparams[key]
  value = target_lib.put(np.asarray(value, places.unwrap(old).dtype), old)
  return s.replace(hyperparams={**s.hyperparams, key: value})


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

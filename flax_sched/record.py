"""What a checkpoint remembers of hyperparameters, and how two such differ.

A record is plain data, so that it is JSON and a person can read it:

>>> import flax_sched as fs
>>> import jax.numpy as jnp, json, optax
>>> lr = fs.linear_schedule(0.5, 0.0, 10)
>>> tx = fs.inject_hyperparams(optax.sgd, learning_rate=lr)
>>> print(json.dumps(record(tx.init(jnp.ones(3))), indent=1))
{
 "format": 1,
 "unit": "update",
 "hyperparams": {
  "learning_rate": {
   "schedule": {
    "kind": "Linear",
    "init_value": 0.5,
    "end_value": 0.0,
    "transition_steps": 10
   },
   "count": 0,
   "value": 0.5,
   "wrapper": "inject_hyperparams",
   "transformation": "sgd"
  }
 }
}

The unit is that of counts and of lengths: the updates of the transformation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import json
import re
from typing import Any

import jax
import numpy as np

from flax_sched import injected
from flax_sched import places
from flax_sched import spec as spec_lib
from flax_sched import ways
from flax_sched.injected import InjectStatefulHyperparamsState
from flax_sched.injected import State

# Of the record and of what stands beside it in a checkpoint. A test keeps a
# checkpoint of each.
FORMAT = 1

# The name of a text in a log, behind the logger's prefix.
TAG = 'record'

# How many a logger writes. Of two states that take turns, each has another
# structure than the one before; and a step may change a schedule each time.
MOST = 100

Entry = dict[str, Any]


def record(x: Any) -> dict[str, Any]:
  """The record of a state.

  Args:
    x: a `TrainState` or another pytree with injected states; its
      hyperparameters are concrete.

  Returns:
    `{'format': 1, 'unit': 'update', 'hyperparams': {name: entry, ...}}`. Each
    entry has the spec of the `schedule`; the `count` of completed updates; the
    `value` that the last update used; the `wrapper` that injects it, and if it
    is Optax's, the `transformation`; the `override`, if one is in force; and
    for a stateful schedule `memory`, the place of its state.
  """
  return _of_places(places.find('save', x))


def _of_places(found: Mapping[str, places.Place]) -> dict[str, Any]:
  entries = entries_of(found)
  return {'format': FORMAT, 'unit': 'update', 'hyperparams': entries}


def for_checkpoint(x: Any) -> dict[str, Any]:
  """The record of a state, and the `paths` of the numbers in it, by name.

  A name is only as much of a path as tells it from the other names.
  """
  found = places.find('save', x)
  paths = {name: [*place.number] for name, place in found.items()}
  return {**_of_places(found), 'paths': paths}


def is_local(x: Any) -> bool:
  """Whether `record` takes this process alone: it has all that is read."""
  states = [s.replace(inner_state=()) for _, s in ways.injected('save', x)]
  return all(
    leaf.is_fully_addressable or leaf.is_fully_replicated
    for leaf in map(places.unwrap, jax.tree_util.tree_leaves(states))
    if isinstance(leaf, jax.Array)
  )


def to_text(x: Mapping[str, Any]) -> str:
  """A record as Markdown, which is how TensorBoard shows a text.

  >>> from_text(to_text({'format': 1, 'hyperparams': {}}))
  {'format': 1, 'hyperparams': {}}
  """
  return f'```json\n{json.dumps(x, indent=1)}\n```'


def from_text(text: str) -> dict[str, Any] | None:
  """The record in a text of `to_text`, of whatever format; None if none is."""
  inside = re.fullmatch(r'```json\n(.*)\n```', text.strip(), re.DOTALL)
  with contextlib.suppress(ValueError):
    found = json.loads(inside[1] if inside else 'null')
    if isinstance(found, dict) and isinstance(found.get('hyperparams'), dict):
      return found
  return None


def entries_of(found: Mapping[str, places.Place]) -> dict[str, Entry]:
  """The entries of hyperparameters by name."""
  small: dict[int, State] = {}  # one read of each state
  for place in found.values():
    if id(place.state) not in small:
      small[id(place.state)] = _without_moments(place.state)
  return {
    name: _entry(small[id(place.state)], place.key)
    for name, place in found.items()
  }


def _without_moments(s: State) -> State:
  """A state on the host, without what is large."""
  return places.on_host(s.replace(inner_state=()))


def _entry(s: State, key: str) -> Entry:
  entry = {
    'schedule': _spec(s, key),
    'count': spec_lib.plain('count', s.count),
    'value': spec_lib.plain(key, s.hyperparams[key]),
    'wrapper': 'inject_hyperparams',
  }
  if s.transformation:
    entry['transformation'] = s.transformation
  if isinstance(s, InjectStatefulHyperparamsState):
    entry['wrapper'] = 'inject_stateful_hyperparams'
    override = places.override(s, key)
    if override is not None:
      entry['override'] = _without_nan(spec_lib.plain(key, override))
    if key in s.hyperparams_states.stateful:
      entry['memory'] = s.hyperparams_states.stateful.index(key)
  return entry


def _without_nan(x: Any) -> Any:
  if isinstance(x, list):
    return [_without_nan(item) for item in x]
  return None if np.isnan(x) else x


def _spec(s: State, key: str) -> Any:
  if isinstance(s, InjectStatefulHyperparamsState):
    states = s.hyperparams_states
    if key in states.stateful:
      return json.loads(states.specs[states.stateful.index(key)])
  schedule = injected.schedules(s).get(key)
  if schedule is None:  # a function, which only the transformation knows
    return json.loads(getattr(s, 'spec', '{}'))[key]
  try:
    return spec_lib.to_spec(schedule)
  except TypeError:
    return spec_lib.fingerprint(schedule)


# ---------------------------------------------------------------------------
# Two records.


@dataclasses.dataclass(frozen=True)
class Difference:
  """One difference between a checkpoint and a config.

  Attributes:
    name: the hyperparameter.
    field: the way to the field in its schedule; empty for the whole schedule.
    checkpoint: what the checkpoint says, as plain data; None for nothing.
    config: what the config says.
  """

  name: str
  field: str
  checkpoint: Any
  config: Any

  def __str__(self) -> str:
    dot = '' if self.field[:1] in ('', '(', '[') else '.'
    where = f'{self.name}{dot}{self.field}'
    return f'{where}: checkpoint {_show(self.checkpoint)} -> config ' + _show(
      self.config
    )


def _show(x: Any) -> str:
  if x is None:
    return 'none'
  if spec_lib.is_fingerprint(x):
    return f'the function {x["function"]}'
  if isinstance(x, dict) and 'kind' in x:
    with contextlib.suppress(ValueError, ImportError):
      return repr(spec_lib.from_spec(x))
  return json.dumps(x)


def differences(
  saved: Mapping[str, Entry], current: Mapping[str, Entry]
) -> Iterator[Difference]:
  """How the hyperparameters of a checkpoint and of a config differ.

  Args:
    saved: the entries of the checkpoint.
    current: the entries of the config.

  Yields:
    Each difference, in the order of the config.
  """
  for name in [*current, *(name for name in saved if name not in current)]:
    if name not in saved:
      yield Difference(name, '', None, current[name]['schedule'])
    elif name not in current:
      yield Difference(name, '', saved[name]['schedule'], None)
    else:
      yield from _of_entries(name, saved[name], current[name])


def _of_entries(
  name: str, saved: Entry, current: Entry
) -> Iterator[Difference]:
  old, new = saved['schedule'], current['schedule']
  if not is_on_the_way(old, new):
    path = ''
    if old['kind'] == 'Crossfade' and new['kind'] != 'Crossfade':
      old, path = old['new'], 'new'  # what it moves to, by an earlier rebase
    for field, a, b in spec_lib.differences(old, new, path):
      yield Difference(name, field, a, b)
  override = saved.get('override'), current.get('override')
  if override[0] != override[1]:
    yield Difference(name, 'override', *override)


def is_on_the_way(old: Any, new: Any) -> bool:
  """Whether a schedule moves to another one already, by an earlier rebase."""
  return old['kind'] == 'Crossfade' and old['new'] == new


def value(entry: Entry, count: int) -> float | None:
  """The value at a count by an entry; None if only a run can tell."""
  if entry.get('override') is not None:
    return entry['override']
  with contextlib.suppress(Exception):  # of a user's class: not what is wrong
    return float(spec_lib.from_spec(entry['schedule'])(count))
  return None

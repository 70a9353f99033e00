"""A state from a checkpoint and a target whose schedules may differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
import logging
from typing import Any

import numpy as np

from flax_sched import arguments
from flax_sched import places
from flax_sched import record
from flax_sched import spec as spec_lib
from flax_sched.compose import Crossfade
from flax_sched.hints import did_you_mean
from flax_sched.merge import Merge
from flax_sched.record import Difference
from flax_sched.record import Entry
from flax_sched.restart import arrived
from flax_sched.storage import Saved

_CALLER = 'restore'
_CHOICES = ('error', 'config', 'checkpoint', 'rebase')

_log = logging.getLogger('flax_sched.checkpoint')


class ScheduleMismatchError(ValueError):
  """A checkpoint and a config differ, and nobody said which one to follow.

  Attributes:
    differences: what differs in the hyperparameters, each with its `name`,
      `field`, `checkpoint` and `config`.
  """

  __module__ = 'flax_sched.checkpoint'  # where users find it

  def __init__(self, message: str, differences: Iterable[Difference]):
    super().__init__(message)
    self.differences = tuple(differences)


class Policy:
  """What to do where a hyperparameter of checkpoint and config differ."""

  def __init__(
    self, on_change: str | Mapping[str, str], rebase_steps: int | None
  ):
    """Checks the arguments of `restore` of these names."""
    self._by_name: dict[str, str] = {}
    self._default = 'error'
    if isinstance(on_change, str):
      self._default = on_change
    else:
      self._by_name = dict(on_change)
    choices = [*self._by_name.values(), self._default]
    for choice in choices:
      if choice not in _CHOICES:
        raise ValueError(
          f'{_CALLER}: on_change must be one of {", ".join(_CHOICES)}, got '
          f'{choice!r}.{did_you_mean(choice, _CHOICES)}'
        )
    if ('rebase' in choices) != (rebase_steps is not None):
      raise ValueError(
        f"{_CALLER}: rebase_steps must be given with on_change='rebase', and "
        f'only with it, got {rebase_steps!r}.'
      )
    self.rebase_steps = rebase_steps and arguments.steps(
      _CALLER, 'rebase_steps', rebase_steps
    )

  def check_names(self, known: Iterable[str]) -> None:
    """Raises if a name is of no hyperparameter."""
    for name in self._by_name:
      places.check_known(_CALLER, name, [*known])

  def of(self, name: str) -> str:
    """The choice for a hyperparameter."""
    return self._by_name.get(name, self._default)

  @property
  def of_the_rest(self) -> str:
    """The choice for what the optimizer stores."""
    return self._default


def resume(saved: Saved, target: Any, policy: Policy) -> Any:
  """The state of `saved` in the form of `target`; see `checkpoint.restore`."""
  _check_format(saved)
  merge = Merge(saved, target)
  policy.check_names({**merge.now, **merge.then})
  found = list(_differences(merge))
  by_name: dict[str, list[Difference]] = {}
  for difference in found:
    by_name.setdefault(difference.name, []).append(difference)
  rest = list(_rest(merge))
  refused = [name for name in by_name if policy.of(name) == 'error']
  if refused or (rest and policy.of_the_rest == 'error'):
    raise ScheduleMismatchError(_message(merge, by_name, rest), found)
  for line in _report(merge, by_name, rest):
    _log.warning('restore, step %d: %s', saved.step, line)
  follow = _on_the_way(merge, by_name)
  for name in by_name:
    if name in merge.now and name in merge.then:
      follow |= _chosen(merge, name, policy)
  return merge.build(follow)


def _check_format(saved: Saved) -> None:
  if saved.record is None:
    _log.warning(
      'restore, step %d: %s was not written by flax_sched.checkpoint.save, and '
      'does not say what its hyperparameters followed: the schedules of the '
      'target go on at its count.',
      saved.step,
      saved.path,
    )
  elif saved.record['format'] > record.FORMAT:
    raise ValueError(
      f'{_CALLER}: {saved.path} has format {saved.record["format"]}, of a '
      f'newer flax_sched than this one, which knows up to {record.FORMAT}. '
      'Install that.'
    )


def _differences(merge: Merge) -> Iterator[Difference]:
  if merge.saved.record is not None:
    yield from record.differences(merge.then, merge.now)
    return
  for name, then in merge.then.items():
    # All that is known: the value of the last update.
    last = max(int(np.max(then['count'])) - 1, 0)
    field = f'value at update {last}'
    if name not in merge.now:
      yield Difference(name, field, then['value'], then['unnamed'])
      continue
    value = record.value(merge.now[name], last)
    if value is not None and not _close(then['value'], value, merge.now[name]):
      yield Difference(name, field, then['value'], value)


def _close(old: Any, new: float, entry: Entry) -> bool:
  """Whether two values are of one schedule, perhaps computed less exactly."""
  values = [record.value(entry, count) or 0.0 for count in (0, 10, 1000, 10**5)]
  size = max(abs(new), *map(abs, values))
  return bool(np.all(np.abs(np.subtract(old, new)) <= 1e-5 * size))


def _rest(merge: Merge) -> Iterator[str]:
  """What differs in what the optimizers store."""
  names: dict[tuple[str, str], list[str]] = {}
  for name in sorted(merge.now.keys() & merge.then.keys()):
    old, new = (
      str(side[name].get('transformation', ''))
      for side in (merge.then, merge.now)
    )
    if old and new and old != new:
      names.setdefault((old, new), []).append(name)
  for (old, new), ones in names.items():
    yield f'{", ".join(ones)}: of {old} in the checkpoint, of {new} now'
  for path in merge.pairing.fresh:
    yield f'{"/".join(path)} is new, and starts as in the target'
  for path in merge.pairing.dropped:
    yield f'{"/".join(path)} has no place any more, and is left out'


# ---------------------------------------------------------------------------
# What to follow.


def _on_the_way(merge: Merge, by_name: Collection[str]) -> dict[str, Entry]:
  """The schedules that still move to the target's, by an earlier rebase.

  Where checkpoint and config differ, such as by an override, a choice decides.
  """
  if merge.saved.record is None:
    return {}
  follow = {}
  for name in merge.now.keys() & merge.then.keys() - by_name:
    old, new = merge.then[name], merge.now[name]
    if record.is_on_the_way(old['schedule'], new['schedule']):
      crossfade = spec_lib.from_spec(old['schedule'])
      if arrived(crossfade, old['count']) is crossfade:
        follow[name] = old
  return follow


def _chosen(merge: Merge, name: str, policy: Policy) -> dict[str, Entry]:
  """What to follow where checkpoint and config differ; nothing: the config."""
  choice, old, new = policy.of(name), merge.then[name], merge.now[name]
  if choice == 'config':
    return {}
  if 'schedule' not in old:  # no record: a constant is its value
    if new['schedule']['kind'] != 'Constant':
      raise _impossible(name, choice, 'the checkpoint does not say what it is')
    old = {**old, 'schedule': _constant(old['value'])}
  if spec_lib.is_fingerprint(old['schedule']):
    raise _impossible(name, choice, 'a checkpoint cannot hold its function')
  if choice == 'checkpoint':
    fast = new['wrapper'] == 'inject_hyperparams'
    if fast and ('memory' in old or old.get('override') is not None):
      if 'memory' in old:
        raise _impossible(
          name, choice, 'a stateful schedule needs inject_stateful_hyperparams'
        )
      constant = _constant(old['override'])
      old = {**old, 'schedule': constant, 'override': None}
    return {name: old}
  for entry in (old, new):
    if 'memory' in entry or spec_lib.is_fingerprint(entry['schedule']):
      raise _impossible(name, choice, 'only plain schedules move to others')
  if np.ndim(old['count']):
    raise _impossible(name, choice, 'the members of a population differ')
  before, after = (
    arrived(spec_lib.from_spec(entry['schedule']), old['count'])
    if entry.get('override') is None
    else spec_lib.from_spec(_constant(entry['override']))
    for entry in (old, new)
  )
  crossfade = Crossfade(
    old=before,
    new=after,
    begin=np.int32(old['count']),
    transition_steps=policy.rebase_steps,
  )
  return {name: {'schedule': spec_lib.to_spec(crossfade)}}


def _constant(value: Any) -> dict[str, Any]:
  return {'kind': 'Constant', 'constant': value}


def _impossible(name: str, choice: str, reason: str) -> ValueError:
  return ValueError(
    f'{_CALLER}: on_change must be another one than {choice!r} for {name}, '
    f"since {reason}. Take 'config', or build the optimizer as it was."
  )


# ---------------------------------------------------------------------------
# Words.


def _report(
  merge: Merge, by_name: Mapping[str, list[Difference]], rest: list[str]
) -> Iterator[str]:
  for name, found in by_name.items():
    yield from map(str, found[:_MOST])
    if len(found) > _MOST:
      yield f'{name}: {len(found) - _MOST} more differences'
    then, now = merge.then.get(name), merge.now.get(name)
    if then is not None and now is not None and np.ndim(then['count']) == 0:
      count = int(then['count'])
      old, new = record.value(then, count), record.value(now, count)
      if old is not None and new is not None:
        yield f'{name} at update {count}: {old:.6g} -> {new:.6g}'
  yield from rest


_MOST = 20


def _message(
  merge: Merge, by_name: Mapping[str, list[Difference]], rest: list[str]
) -> str:
  lines = '\n  '.join(_report(merge, by_name, rest))
  return (
    f'{_CALLER}: the checkpoint at {merge.saved.path} and the config of the '
    f"target differ:\n  {lines}\nPass on_change='config' to follow the config "
    "from here on, 'checkpoint' to go on as before, or 'rebase' with "
    'rebase_steps=... to move from the one to the other without a jump; for '
    "single hyperparameters, a mapping such as {'learning_rate': 'config'}."
  )

"""What changes from one session of a run to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flax_sched import inspection
from flax_sched import record


class Change(NamedTuple):
  """What is not as it was in the session before.

  Attributes:
    step: from which step on.
    name: the hyperparameter, or the name of a setting.
    field: the way to the field in its schedule; empty for the whole.
    before: what it was, as plain data; None for nothing.
    now: what it is.
    note: what else is to be said, such as how it moves there.
  """

  step: int
  name: str
  field: str
  before: Any
  now: Any
  note: str = ''

  def __str__(self) -> str:
    dot = '' if self.field[:1] in ('', '(', '[') else '.'
    one, other = inspection.shown(self.before), inspection.shown(self.now)
    note = f', {self.note}' if self.note else ''
    return f'{self.name}{dot}{self.field}: {one} -> {other}{note}'


class Plan(NamedTuple):
  """What the hyperparameters follow from a step on.

  Attributes:
    start: the first step of which that is so.
    step: the update after which the record was taken.
    entries: those of the record, by tag.
  """

  start: int
  step: int
  entries: dict[str, record.Entry]


def changes(
  before: Plan, now: Plan, names: Mapping[str, str]
) -> Iterator[Change]:
  """How two plans differ."""
  moves, target = {}, {}
  for tag, entry in now.entries.items():
    new, old = entry['schedule'], before.entries.get(tag, entry)['schedule']
    target[tag] = entry
    if new['kind'] == 'Crossfade' and new['old'] == old:
      # A resume with 'rebase': what matters is where it moves to.
      target[tag] = {**entry, 'schedule': new['new']}
      moves[tag] = (
        f'over {new["transition_steps"]:,} updates from update '
        f'{new["begin"]:,} on'
      )
  for found in record.differences(before.entries, target):
    note = moves.get(found.name, '') if found.field != 'override' else ''
    old, new, name = found.checkpoint, found.config, names[found.name]
    yield Change(now.start, name, found.field, old, new, note)
  for tag in target.keys() & before.entries.keys():
    old, new = before.entries[tag]['count'], target[tag]['count']
    if new < old + min(now.step - before.step, 0):
      note = 'its schedule starts again'
      yield Change(now.start, names[tag], 'count', old, new, note)


def settings(
  step: int, before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[Change]:
  """How the settings of two sessions differ."""
  for name in dict.fromkeys([*before, *now]) if before and now else []:
    if before.get(name) != now.get(name):
      yield Change(step, name, '', before.get(name), now.get(name))

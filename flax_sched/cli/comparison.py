"""How two configs or checkpoints differ, hyperparameter by hyperparameter."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from flax_sched import inspection
from flax_sched import record
from flax_sched import spec as spec_lib
from flax_sched.cli import loading
from flax_sched.cli.sources import ConfigError
from flax_sched.hints import did_you_mean
from flax_sched.timeline import number
from flax_sched.wording import shown


@dataclasses.dataclass(frozen=True)
class Side:
  """One of the two.

  Attributes:
    name: as the command line names it.
    entries: by hyperparameter, as in a record; of a config, the schedules only.
    saved: whether it is a checkpoint.
    single: whether it is one schedule, not an optimizer's.
  """

  name: str
  entries: dict[str, record.Entry]
  saved: bool = False
  single: bool = False


def side(text: str, options: loading.Options, step: int | None) -> Side:
  """Reads a config or a checkpoint.

  Args:
    text: which, as on the command line.
    options: what else is said of configs.
    step: which step of a checkpoint; None: the latest.

  Raises:
    ConfigError: if the config is wrong.
    OSError: if one can't be read.
  """
  if not loading.is_config(text):
    if not os.path.isdir(text) and '://' not in text:
      raise ConfigError(
        f'{text}: must be a config, which ends in .py or .json, or the '
        'directory of a checkpoint.'
      )
    found = inspection.find(text, step)
    at = '' if found.step is None else f' (step {found.step:,})'
    return Side(f'{text}{at}', found.entries, saved=True)
  plan = loading.load(text, options)
  entries = {name: _entry(s) for name, s in plan.schedules.items()}
  return Side(text, entries, single=plan.optimizer is None)


def _entry(schedule: Any) -> record.Entry:
  try:
    return {'schedule': spec_lib.to_spec(schedule)}
  except TypeError:  # it holds a function
    return {'schedule': spec_lib.fingerprint(schedule)}


def compare(a: Side, b: Side) -> tuple[str, dict[str, Any], int]:
  """The differences as text and as plain data, and whether there are any.

  A checkpoint that already moves to the other's schedule, after a resume with
  'rebase', does not differ from it.

  Args:
    a: one of the two.
    b: the other one.

  Returns:
    The text, the data, and the exit code: 0 if they are equal, 1 if not.

  Raises:
    ConfigError: if one is a single schedule, and the other has none like it.
  """
  if a.single and b.single:  # whatever their names
    named = zip(a.entries, b.entries.values(), strict=True)
    b = dataclasses.replace(b, entries=dict(named))
  else:
    a, b = _like(a, b), _like(b, a)
  swapped = b.saved and not a.saved  # the checkpoint comes first in a record
  old, new = (b, a) if swapped else (a, b)
  found = []
  for difference in record.differences(old.entries, new.entries):
    one, other = difference.checkpoint, difference.config
    one, other = (other, one) if swapped else (one, other)
    found.append(
      {
        'name': difference.name,
        'field': difference.field,
        'a': one,
        'b': other,
      }
    )
  values = _values(a, b, list(dict.fromkeys(each['name'] for each in found)))
  lines = [f'a: {a.name}', f'b: {b.name}', '']
  for i, each in enumerate(found):
    dot = '' if each['field'][:1] in ('', '(', '[') else '.'
    where = f'{each["name"]}{dot}{each["field"]}'
    one, other = (inspection.shown(each[key]) for key in ('a', 'b'))
    if len(line := f'{where}: {one} -> {other}') <= 100:
      lines.append(line)
    else:
      lines += [where, f'  a: {one}', f'  b: {other}']
    last = i + 1 == len(found) or found[i + 1]['name'] != each['name']
    if last and each['name'] in values:
      at = values[each['name']]
      lines.append(
        f'  at count {at["count"]:,}: {shown(at["a"])} -> {shown(at["b"])}'
      )
  if not found:
    lines.append('no differences')
  data = {
    'a': a.name,
    'b': b.name,
    'equal': not found,
    'differences': found,
    'values': values,
  }
  return '\n'.join(lines), data, int(bool(found))


def _like(own: Side, other: Side) -> Side:
  """A side, with no more than the other one has if that is one schedule."""
  if not other.single:
    return own
  (name,) = other.entries
  if name not in own.entries:
    raise ConfigError(
      f'{other.name} is one schedule, {name!r}, and {own.name} has none of '
      f'that name.{did_you_mean(name, own.entries)} There are '
      f'{", ".join(own.entries)}. Name one by #PATH.'
    )
  return dataclasses.replace(own, entries={name: own.entries[name]})


def _values(a: Side, b: Side, names: list[str]) -> dict[str, Any]:
  """Both values at the checkpoint's count, where they can be told."""
  values = {}
  for name in names:
    entries = [side.entries.get(name) for side in (a, b)]
    counts = [entry['count'] for entry in entries if entry and 'count' in entry]
    if counts and isinstance(counts[-1], int):
      one, other = (
        _value(entry, counts[-1]) if entry else None for entry in entries
      )
      values[name] = {'count': counts[-1], 'a': one, 'b': other}
  return values


def _value(entry: record.Entry, count: int) -> Any:
  value = record.value(entry, count)
  return number(value) if isinstance(value, float) else value

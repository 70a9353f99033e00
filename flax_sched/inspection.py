"""What a checkpoint on disk remembers of hyperparameters, read and left alone.

No model is built, no array is read, and no manager is opened, which would
tidy up under a run that still saves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import re
from typing import Any

from flax_sched import record
from flax_sched import spec as spec_lib
from flax_sched import wording

# What is in the directory of a step, and not in a manager's.
_MARKS = ('_CHECKPOINT_METADATA', 'hyperparams', 'state', 'default')


class CheckpointError(OSError):
  """A checkpoint can't be read, or has no record."""


@dataclasses.dataclass(frozen=True)
class Found:
  """A checkpoint.

  Attributes:
    path: the directory of its step.
    step: the step, by the name of the directory; None where that has none.
    entries: the record's, by hyperparameter. See `flax_sched.record`.
  """

  path: str
  step: int | None
  entries: dict[str, record.Entry]


def find(directory: str, step: int | None = None) -> Found:
  """Reads the record of a checkpoint.

  Args:
    directory: that of an Orbax `CheckpointManager`, or of one step.
    step: which one; None: the latest.

  Raises:
    CheckpointError: if there is none, it has no record, or it is damaged.
  """
  epath: Any = importlib.import_module('etils.epath')  # Orbax's paths

  path = epath.Path(directory)
  if not path.is_dir():
    raise CheckpointError(f'{directory}: no such directory.')
  if any((path / mark).exists() for mark in _MARKS) or _is_bare(path):
    number = _number(path.name)
    if step is not None and step != number:
      raise CheckpointError(
        f'{directory} is the checkpoint of one step. Leave out --step, or name '
        'the directory above.'
      )
    return _read(path, number)
  steps = _steps(path)
  if not steps:
    near = [child for child in path.iterdir() if child.is_dir()]
    near = [child for child in near if _steps(child)]
    hint = f' Did you mean {near[0]}?' if near else ''
    raise CheckpointError(f'{directory}: holds no checkpoint.{hint}')
  if step is not None and step not in steps:
    listing = ', '.join(map(str, sorted(steps)))
    raise CheckpointError(f'{directory}: has no step {step}, but {listing}.')
  latest = max(steps) if step is None else step
  return _read(steps[latest], latest)


def _is_bare(path: Any) -> bool:
  """Whether Orbax wrote a single tree here, without a manager."""
  return (path / '_METADATA').exists() or (path / 'manifest.ocdbt').exists()


def _number(name: str) -> int | None:
  """The step in a name, whatever prefix and zeros it has."""
  number = re.fullmatch(r'(?:.*_)?0*(\d+)', name)
  return int(number[1]) if number else None


def _steps(path: Any) -> dict[int, Any]:
  """The directories of the steps that are complete."""
  return {
    number: child
    for child in path.iterdir()
    if (number := _number(child.name)) is not None
    and any((child / mark).exists() for mark in _MARKS)
  }


def _read(path: Any, step: int | None) -> Found:
  from flax_sched import storage

  try:
    found = storage.Saved(path, step or 0).record
    if found is not None:
      entries = dict(found['hyperparams'].items())
      for entry in entries.values():
        _check(entry)
      return Found(str(path), step, entries)
  except (storage.DamagedError, KeyError, TypeError) as error:
    text = str(error) or type(error).__name__
    raise CheckpointError(f'{path} is damaged or incomplete: {text}') from error
  raise CheckpointError(
    f'{path} has no record of hyperparameters, since '
    'flax_sched.checkpoint.save did not write it. ' + _contents(path)
  )


def _check(entry: Any) -> None:
  missing = {'schedule', 'count', 'value', 'wrapper'} - set(entry)
  if missing or 'kind' not in entry['schedule']:
    raise TypeError(f'a record needs {", ".join(sorted(missing)) or "kind"}.')


def _contents(path: Any) -> str:
  """What Orbax has in a checkpoint, as far as its notes say."""
  said = []
  items = [path] if _is_bare(path) else sorted(path.iterdir())
  for item in items:
    if not item.is_dir() or item.name.startswith('_'):
      continue
    text = 'arrays' if item == path else item.name
    with contextlib.suppress(Exception):  # notes of another version
      tree = json.loads((item / '_METADATA').read_text())['tree_metadata']
      keys = [leaf['key_metadata'][0]['key'] for leaf in tree.values()]
      tops = ', '.join(dict.fromkeys(map(str, keys)))
      text = f'{text} ({len(keys)} arrays in {tops})'
    said.append(text)
  return f'It holds {"; ".join(said) or "nothing"}.'


def shown(spec: Any) -> str:
  """A spec as a person would write the schedule.

  Args:
    spec: of a record's entry.

  >>> shown({'kind': 'Constant', 'constant': 0.1})
  'Constant(constant=0.1)'
  """
  if spec_lib.is_fingerprint(spec):
    return f'the function {spec["function"]}'
  if isinstance(spec, dict) and 'kind' in spec:
    with contextlib.suppress(Exception):  # its module is elsewhere
      return wording.written(spec_lib.from_spec(spec))
  return 'none' if spec is None else json.dumps(spec)

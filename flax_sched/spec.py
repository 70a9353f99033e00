"""A schedule as plain data and back: what a state and a checkpoint remember.

A spec is made of dicts, lists, strings, numbers, booleans and None, so that it
is JSON; numbers survive exactly, and a person can read it:

>>> import flax_sched as fs
>>> to_spec(fs.cosine_decay_schedule(0.001, 1000))
{'kind': 'Cosine', 'init_value': 0.001, 'end_value': 0.0, 'decay_steps': 1000}
"""

from __future__ import annotations

import importlib
from typing import Any

import jax
import numpy as np

from flax_sched import compose
from flax_sched import curves
from flax_sched import schedule as schedule_lib
from flax_sched import twofloat
from flax_sched.schedule import Schedule

_MODULES = (schedule_lib, curves, compose)


def to_spec(schedule: Schedule) -> dict[str, Any]:
  """A schedule as plain data.

  Args:
    schedule: the schedule; its numbers are concrete.

  Returns:
    `{'kind': class, field: value, ...}`. The kind is the name of one of the
    library's classes, or 'module:Class' for others.

  Raises:
    TypeError: if the schedule holds what plain data can't: a function, a
      tracer, or a class that can't be imported.

  >>> import flax_sched as fs
  >>> from_spec(to_spec(fs.constant_schedule(0.1))) == fs.constant_schedule(0.1)
  True
  """
  cls = type(schedule)
  if cls.__module__ in {module.__name__ for module in _MODULES}:
    kind = cls.__name__
  elif '<' in cls.__qualname__:
    raise TypeError(
      f'to_spec: {cls.__qualname__} must be defined at the top level of a '
      'module, so that a checkpoint can name it.'
    )
  else:
    kind = f'{cls.__module__}:{cls.__qualname__}'
  fields = {
    name: _plain(f'{cls.__name__}.{name}', getattr(schedule, name))
    for name in cls.__dataclass_fields__
  }
  return {'kind': kind, **fields}


def _plain(name: str, x: Any) -> Any:
  if isinstance(x, Schedule):
    return to_spec(x)
  if x is None or isinstance(x, (bool, str)):
    return x
  if isinstance(x, (tuple, list)):
    return [_plain(f'{name}[{i}]', item) for i, item in enumerate(x)]
  concrete = isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)
  if concrete or twofloat.is_host(x):
    array = np.asarray(x)
    if array.ndim:
      return [_plain(name, item) for item in array]
    if array.dtype.kind in 'iu':
      return int(array)
    # The shortest decimal that is this float32 again.
    return float(str(array.astype(np.float32)))
  raise TypeError(f'to_spec: {name} must be plain data, got {x!r}.')


def from_spec(spec: dict[str, Any]) -> Schedule:
  """The schedule that `to_spec` described.

  Args:
    spec: what `to_spec` returned, perhaps by way of JSON.

  Returns:
    The schedule, equal to the original.

  Raises:
    ValueError: if the kind is unknown, or a field is missing or unknown.
  """
  fields = dict(spec)
  cls = _class(fields.pop('kind', None))
  if set(fields) != set(cls.__dataclass_fields__):
    raise ValueError(
      f'from_spec: {cls.__name__} must have the fields '
      f'{list(cls.__dataclass_fields__)}, got {list(fields)}.'
    )
  return cls(**{name: _leaf(x) for name, x in fields.items()})


def _class(kind: Any) -> type[Schedule]:
  found: Any = None
  if isinstance(kind, str) and ':' in kind:
    path, _, name = kind.partition(':')
    found = importlib.import_module(path)
    for part in name.split('.'):
      found = getattr(found, part, None)
  elif isinstance(kind, str):
    for module in _MODULES:
      found = getattr(module, kind, None) or found
  if isinstance(found, type) and issubclass(found, Schedule):
    return found
  raise ValueError(f'from_spec: kind must name a Schedule class, got {kind!r}.')


def _leaf(x: Any) -> Any:
  if isinstance(x, dict):
    return from_spec(x)
  if isinstance(x, list):
    items = [_leaf(item) for item in x]
    if any(isinstance(item, Schedule) for item in items):
      return tuple(items)
    floats = any(isinstance(item, np.floating) for item in items)
    return np.asarray(items, np.float32 if floats else np.int32)
  if isinstance(x, bool) or not isinstance(x, (int, float)):
    return x
  return np.float32(x) if isinstance(x, float) else np.int32(x)

"""A schedule as plain data and back: what a state and a checkpoint remember.

A spec is made of dicts, lists, strings, numbers, booleans and None, so that it
is JSON; numbers survive exactly, and a person can read it:

>>> import flax_sched as fs
>>> to_spec(fs.cosine_decay_schedule(0.001, 1000))
{'kind': 'Cosine', 'init_value': 0.001, 'end_value': 0.0, 'decay_steps': 1000}
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import jax
import numpy as np

from flax_sched import compose
from flax_sched import curves
from flax_sched import decays
from flax_sched import following
from flax_sched import reactive
from flax_sched import schedule as schedule_lib
from flax_sched import stateful
from flax_sched import tables
from flax_sched import twofloat
from flax_sched.formula import parameters
from flax_sched.schedule import Schedule

_MODULES = (
  schedule_lib,
  curves,
  decays,
  tables,
  compose,
  following,
  stateful,
  reactive,
)
KINDS = (Schedule, reactive.Reactive, stateful.WrappedSchedule)


def to_spec(schedule: Any) -> dict[str, Any]:
  """A schedule as plain data.

  Args:
    schedule: the schedule, plain or stateful; its numbers are concrete.

  Returns:
    `{'kind': class, field: value, ...}`. The kind is the name of one of the
    library's classes, or 'module:Class' for others.

  Raises:
    TypeError: if it holds what plain data can't: a function, a tracer, or a
      class that can't be imported; or is no schedule of a class with fields.

  >>> import flax_sched as fs
  >>> from_spec(to_spec(fs.constant_schedule(0.1))) == fs.constant_schedule(0.1)
  True
  """
  if not isinstance(schedule, KINDS):
    raise TypeError(f'to_spec: schedule must be a Schedule, got {schedule!r}.')
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
    name: plain(f'{cls.__name__}.{name}', getattr(schedule, name))
    for name in parameters(cls)
  }
  return {'kind': kind, **fields}


_PROBES = (0, *(10**i for i in range(7)))


def fingerprint(schedule: Any) -> dict[str, Any]:
  """What can be said of a schedule that has no spec: its name, some values.

  Args:
    schedule: a schedule, plain or stateful.

  Returns:
    `{'kind': 'Function', 'function': name, 'values': {count: value, ...}}`: for
    a plain one, the values at the counts 0, 1, 10, ..., 1,000,000. There are
    none where the schedule can't be evaluated now.

  >>> import flax_sched as fs
  >>> fingerprint(fs.as_schedule(lambda count: 0.5))['values']['1000']
  0.5
  """
  function = getattr(schedule, 'function', type(schedule))
  name = getattr(function, '__qualname__', type(function).__qualname__)
  values = {}
  if isinstance(schedule, Schedule):
    # A function may refuse large counts, or hold a tracer.
    with contextlib.suppress(Exception), jax.ensure_compile_time_eval():
      for count in _PROBES:
        values[str(count)] = plain(name, schedule(count))
  path = f'{getattr(function, "__module__", "")}:{name}'
  return {'kind': 'Function', 'function': path, 'values': values}


def is_fingerprint(spec: Any) -> bool:
  """Whether this is of `fingerprint`, and no schedule can be built from it."""
  return isinstance(spec, dict) and spec.get('kind') == 'Function'


def plain(name: str, x: Any) -> Any:
  """Numbers, arrays, strings, None and schedules, in sequences, as plain data.

  Raises:
    TypeError: if `x` is none of these; it says that `name` must be.
  """
  if isinstance(x, KINDS):
    return to_spec(x)
  if x is None or isinstance(x, (bool, str)):
    return x
  if isinstance(x, (tuple, list)):
    return [plain(f'{name}[{i}]', item) for i, item in enumerate(x)]
  concrete = isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)
  if concrete or twofloat.is_host(x):
    array = np.asarray(x)
    if array.ndim:
      return [plain(name, item) for item in array]
    if array.dtype.kind in 'iu':
      return int(array)
    # The shortest decimal that is this float32 again.
    return float(str(array.astype(np.float32)))
  raise TypeError(f'to_spec: {name} must be plain data, got {x!r}.')


def from_spec(spec: dict[str, Any]) -> Any:
  """The schedule that `to_spec` described.

  Args:
    spec: what `to_spec` returned, perhaps by way of JSON.

  Returns:
    The schedule, equal to the original.

  Raises:
    ValueError: if the kind is unknown, a field is missing or unknown, or it is
      the fingerprint of a function.
  """
  if is_fingerprint(spec):
    raise ValueError(
      f'from_spec: spec must be of a schedule, got that of the function '
      f'{spec["function"]!r}, which plain data cannot hold.'
    )
  fields = dict(spec)
  cls = class_of(fields.pop('kind', None))
  if set(fields) != set(parameters(cls)):
    raise ValueError(
      f'from_spec: {cls.__name__} must have the fields '
      f'{list(parameters(cls))}, got {list(fields)}.'
    )
  return cls(**{name: leaf(x) for name, x in fields.items()})


def class_of(kind: Any) -> type[Any]:
  """The class that a kind names.

  Raises:
    ImportError: if it is in a module that can't be imported.
    ValueError: if it names none.
  """
  found: Any = None
  if isinstance(kind, str) and ':' in kind:
    path, _, name = kind.partition(':')
    found = importlib.import_module(path)
    for part in name.split('.'):
      found = getattr(found, part, None)
  elif isinstance(kind, str):
    for module in _MODULES:
      found = getattr(module, kind, None) or found
  if isinstance(found, type) and issubclass(found, KINDS):
    return found
  raise ValueError(f'from_spec: kind must name a Schedule class, got {kind!r}.')


def leaf(x: Any) -> Any:
  """A field of a spec as the parameter of a schedule."""
  if isinstance(x, dict):
    return from_spec(x)
  if isinstance(x, list):
    items = [leaf(item) for item in x]
    if any(isinstance(item, KINDS) for item in items):
      return tuple(items)
    floats = any(isinstance(item, np.floating) for item in items)
    return np.asarray(items, np.float32 if floats else np.int32)
  if isinstance(x, bool) or not isinstance(x, (int, float)):
    return x
  return np.float32(x) if isinstance(x, float) else np.int32(x)


def differences(
  old: Any, new: Any, path: str = ''
) -> list[tuple[str, Any, Any]]:
  """Where two specs differ, field by field.

  Args:
    old: a spec.
    new: another one.
    path: the way to both.

  Returns:
    Triples (path, old, new), such as ('schedules[1].decay_steps', 10, 20). Of
    schedules of different kinds, the specs as wholes.

  >>> import flax_sched as fs
  >>> differences(
  ...   to_spec(fs.cosine_decay_schedule(1.0, 100)),
  ...   to_spec(fs.cosine_decay_schedule(1.0, 200)),
  ... )
  [('decay_steps', 100, 200)]
  """
  if (
    isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys()
  ):
    if old.get('kind') != new.get('kind'):
      return [(path, old, new)]
    if is_fingerprint(old):
      return _of_functions(old, new, path)
    return [
      found
      for key in old
      for found in differences(old[key], new[key], f'{path}.{key}'.strip('.'))
    ]
  lists = isinstance(old, list) and isinstance(new, list)
  if lists and len(old) == len(new):
    return [
      found
      for i, (a, b) in enumerate(zip(old, new, strict=True))
      for found in differences(a, b, f'{path}[{i}]')
    ]
  return [] if old == new else [(path, old, new)]


def _of_functions(old: Any, new: Any, path: str) -> list[tuple[str, Any, Any]]:
  """Where two functions differ, by what a few values can tell."""
  if old['function'] != new['function']:
    return [(path, old, new)]
  a, b = old['values'], new['values']
  # Another device may round otherwise, and what is left of a decay to 0 is
  # all rounding.
  size = max(map(_size, [*a.values(), *b.values()]), default=0.0)
  return [
    (f'{path}({count})', a[count], b[count])
    for count in a
    if count in b and _size(np.subtract(a[count], b[count])) > 1e-5 * size
  ]


def _size(value: Any) -> float:
  return float(np.max(np.abs(value)))

"""Schedules by the names of their classes, from what a config gives them.

The classes check nothing themselves: JAX makes them of whatever it maps over,
and what a checkpoint remembers was checked when its schedule was built.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from flax_sched import arguments
from flax_sched import forms
from flax_sched import pieces
from flax_sched import reactive
from flax_sched import spans
from flax_sched import spec as spec_lib
from flax_sched import twofloat
from flax_sched.decays import Exponential
from flax_sched.decays import PowerLaw
from flax_sched.following import Follow
from flax_sched.formula import step_names
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Divide
from flax_sched.schedule import Join
from flax_sched.schedule import Multiply
from flax_sched.schedule import Schedule
from flax_sched.stateful import is_stateful
from flax_sched.stateful import WrappedSchedule
from flax_sched.tables import PiecewiseConstant
from flax_sched.tables import PiecewiseInterpolate

# The fields that hold one schedule.
_SCHEDULES = ('schedule', 'curve', 'old', 'new')
# The fields that hold several numbers, along their last axis.
_SEQUENCES = ('boundaries', 'scales', 'points', 'values')
# What numbers must be. A power law's exponent may be any.
_POSITIVE = ('beta', 'decay_rate', 'exponent', 'factor', 'k', 'power')
_LIMITS: dict[str, dict[str, Any]] = {
  **{name: {'positive': True} for name in _POSITIVE},
  **{name: {'low': -20.0, 'high': 20.0} for name in ('start', 'stop')},
  't_mult': {'low': 1.0},
}
# The numbers of steps that must not be 0, and those that need not be whole.
_POSITIVE_STEPS = ('period', 'steps', 'timescale')
_PARTIAL_STEPS = ('offset', 'timescale')
# How many there must be of one field: so many more than of another one.
_LENGTHS: dict[type[Any], tuple[str, int, str]] = {
  Follow: ('values', 0, 'points'),
  Join: ('boundaries', -1, 'schedules'),
  PiecewiseConstant: ('scales', 1, 'boundaries'),
  PiecewiseInterpolate: ('scales', 1, 'boundaries'),
}
_MORE = {-1: 'one fewer than', 0: 'as many as', 1: 'one more than'}


def build(cls: type[Any], given: Mapping[str, Any]) -> Any:
  """An instance of a class of schedules, its fields checked.

  Args:
    cls: the class.
    given: its fields, the schedules in them built.

  Raises:
    TypeError: if a field is of another type.
    ValueError: if one is out of range, or they do not fit together.
  """
  inside = [x for each in given.values() for x in _parts(each)]
  if cls is WrappedSchedule:
    return WrappedSchedule(as_schedule(given['schedule_fn']))
  if cls is reactive.ReduceOnPlateau:
    return reactive.reduce_on_plateau(**given)
  for name in ('schedules', 'factors'):
    if not given.get(name, True):
      raise ValueError(f'{cls.__name__}: {name} must not be empty.')
  if cls is reactive.Product or (
    cls is Multiply and any(map(is_stateful, inside))
  ):
    return reactive.product(*inside)
  for x in inside:
    if is_stateful(x) and issubclass(cls, Schedule):
      raise TypeError(
        f'{cls.__name__}: a stateful schedule is only multiplied, got {x!r}. '
        "Use it in {'name': 'Multiply', 'schedules': {...}}, or alone."
      )
  # Of a user's class, a parameter may be anything.
  own = issubclass(cls, Schedule) and cls.__module__.startswith('flax_sched.')
  fields = {name: _field(cls, name, x, own=own) for name, x in given.items()}
  if own:
    _check_together(cls, fields, given)
  return cls(**fields)


def _parts(x: Any) -> tuple[Any, ...]:
  return tuple(x) if isinstance(x, (list, tuple)) else (x,)


def _field(cls: type[Any], name: str, x: Any, *, own: bool) -> Any:
  """A field, checked by itself."""
  if name in step_names(cls):
    return _steps(cls.__name__, name, x, own=own)
  if isinstance(x, (list, tuple)) and any(isinstance(y, Schedule) for y in x):
    return tuple(x)
  if not own or x is None:
    return spec_lib.leaf(x)
  if name == 'curve':
    return forms.curve(cls.__name__, name, x)
  if name in _SCHEDULES:
    return x
  if name == 'interpolate_type':
    return pieces.interpolation(cls.__name__, x)
  if name == 'staircase' and not isinstance(x, (bool, np.bool_)):
    raise TypeError(f'{cls.__name__}: {name} must be a bool, got {x!r}.')
  if name == 'function' and not callable(x):
    raise TypeError(f'{cls.__name__}: {name} must be callable, got {x!r}.')
  field = {field.name: field for field in dataclasses.fields(cls)}[name]
  if not field.metadata.get('pytree_node', True):
    return x
  plain = np.asarray(x) if isinstance(x, (list, tuple)) else x
  limits = {} if cls is PowerLaw else _LIMITS.get(name, {})
  return arguments.value(cls.__name__, name, plain, **limits)


def _steps(function: str, name: str, x: Any, *, own: bool) -> Any:
  """A number of steps, or several."""
  if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim):
    items = np.asarray(
      [_steps(function, f'{name}[{i}]', y, own=own) for i, y in enumerate(x)],
      None if len(x) else np.int32,
    )
    # Phases of no length have equal boundaries.
    if name == 'boundaries' and np.any(np.diff(items) < 0):
      raise ValueError(f'{function}: {name} must be increasing, got {x!r}.')
    return items
  field = name.partition('[')[0]
  partial = isinstance(x, (float, np.floating)) and not float(x).is_integer()
  if partial and (field in _PARTIAL_STEPS or not own):
    return arguments.value(function, name, x, positive=True)
  zero = not own or field not in _POSITIVE_STEPS
  if arguments.is_real(x) and x > spans.MAX_COUNT:
    return arguments.steps(function, name, x)
  early = name == 'begin'
  return arguments.int32_steps(function, name, x, zero=zero, negative=early)


def _check_together(
  cls: type[Any], fields: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
  """Raises a ValueError for fields that do not fit together."""

  def refused(name: str, must: str, remedy: str = '') -> ValueError:
    got = f'got {given[name]!r}. {remedy}'.rstrip()
    return ValueError(f'{cls.__name__}: {name} must {must}, {got}')

  counts = {}
  for name, x in fields.items():
    if name in _SEQUENCES and np.ndim(x) == 0:
      raise refused(name, 'be a sequence of numbers')
    if name in _SEQUENCES or name == 'schedules':
      counts[name] = len(x) if isinstance(x, tuple) else x.shape[-1]
  if cls in _LENGTHS:
    name, more, other = _LENGTHS[cls]
    if counts[name] != counts[other] + more:
      remedy = f'Give {counts[other] + more}.'
      raise refused(name, f'be {_MORE[more]} {other}', remedy)
  for name in ('values', *['boundaries'] * (cls is PiecewiseInterpolate)):
    if not counts.get(name, 1):
      raise refused(name, 'not be empty')

  # What is traced is taken as it is.
  known = {name: x for name, x in fields.items() if twofloat.is_host(x)}
  if np.any(np.diff(known.get('points', [])) <= 0):
    remedy = 'Sort them, and their values with them.'
    raise refused('points', 'be strictly increasing', remedy)
  if np.any(known.get('start', -np.inf) >= known.get('stop', np.inf)):
    raise refused('stop', f'be above start={given["start"]!r}')
  # With an end value, it may be a warm-up of no steps, which no count sees.
  endless = cls is Exponential and fields.get('end_value') is None
  if endless and not np.all(known.get('transition_steps', 1)):
    raise refused('transition_steps', 'be positive without an end_value')
  if cls is Divide and any(map(_is_zero, fields['schedules'][1:])):
    raise refused('schedules', 'have no divisor that is 0')


def _is_zero(schedule: Schedule) -> bool:
  if not isinstance(schedule, Constant):
    return False
  return twofloat.is_host(schedule.constant) and not np.all(schedule.constant)

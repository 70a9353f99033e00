"""A gradient transformation as a function of its hyperparameters.

Injection calls a transformation's factory anew at each update, with that
update's values. This module finds the factory, tells hyperparameters from other
arguments, and lets a learning rate multiply what has none of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
import inspect
import re
import types
import typing
from typing import Any

import jax
import numpy as np
import optax

from flax_sched import recovery
from flax_sched import twofloat
from flax_sched.hints import did_you_mean
from flax_sched.schedule import Schedule
from flax_sched.stateful import is_stateful

# A type that numbers have, in annotations that are strings.
_NUMERIC = re.compile(r'float|Scalar|Numeric|ArrayLike|Schedule')

# A name for a learning rate, in a factory that is not Optax's.
_RATE = re.compile(r'^(lr|eta)$|^lr_|_lr$')

# A name for a number of things, or for a source of randomness, whatever its
# annotation says.
_WHOLE = re.compile(
  r'(steps|period|interval|gap|rank|memory_size)$|^num_|^(key|seed)$'
)


class Factory:
  """Builds a transformation from values of its hyperparameters.

  Attributes:
    name: the factory's name, for messages.
    description: of a factory of Optax, its name and its plain arguments that
      are no hyperparameters, such as 'adam(nesterov=True)'; of others nothing,
      since their names say less than they may change.
    hyperparams: the arguments that are hyperparameters, by name: numbers,
      schedules, stateful schedules or other callables of the count.
  """

  def __init__(
    self,
    caller: str,
    transformation: Any,
    static_args: str | Collection[str],
    arguments: Mapping[str, Any],
  ):
    """Sorts the arguments into hyperparameters and others.

    Args:
      caller: the function to name in errors.
      transformation: a factory, or a built transformation.
      static_args: names of arguments to pass through as they are.
      arguments: the factory's arguments.

    Raises:
      TypeError: if `transformation` is neither, or an argument is unknown or
        missing.
      ValueError: if a built transformation's arguments can't be recovered, or a
        learning rate would multiply a transformation that has a step size.
    """
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    if isinstance(transformation, optax.GradientTransformation):
      factory, constants = recovery.recover(caller, transformation)
    elif callable(transformation):
      factory, constants = transformation, {}
    else:
      raise TypeError(
        f'{caller}: transformation must be a factory such as optax.adamw, or '
        f'what it returned, got {transformation!r}.'
      )
    self.name = getattr(factory, '__name__', None) or repr(factory)
    parameters = inspect.signature(factory).parameters
    self._factory = factory
    self._scales = _multiplies(
      caller, factory, self.name, parameters, arguments
    )
    _check_names(caller, self.name, parameters, static, arguments, constants)
    self.hyperparams = {}
    self._constants = dict(constants)
    for name, value in arguments.items():
      scales = name == 'learning_rate' and self._scales
      if scales or (
        name not in static and is_hyperparam(parameters.get(name), value)
      ):
        _check_schedulable(caller, self.name, parameters.get(name), value)
        self.hyperparams[name] = value
      else:
        self._constants[name] = value
    self.description = _describe(factory, self.name, self._constants)

  def __call__(
    self, values: Mapping[str, Any]
  ) -> optax.GradientTransformationExtraArgs:
    """The transformation with these values of the hyperparameters."""
    values = dict(values)
    rate = values.pop('learning_rate') if self._scales else None
    inner = self._factory(**{**self._constants, **values})
    inner = optax.with_extra_args_support(inner)
    if rate is None:
      return inner

    def update(
      updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
      updates, state = inner.update(updates, state, params, **extra)
      return jax.tree_util.tree_map(lambda u: rate * u, updates), state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _is_of_optax(factory: Any) -> bool:
  return str(getattr(factory, '__module__', '')).split('.')[0] == 'optax'


def _describe(factory: Any, name: str, constants: Mapping[str, Any]) -> str:
  if not _is_of_optax(factory):
    return ''
  plain = (bool, int, float, str)
  arguments = sorted(
    f'{k}={v!r}' for k, v in constants.items() if isinstance(v, plain)
  )
  return f'{name}({", ".join(arguments)})' if arguments else name


def _multiplies(
  caller: str,
  factory: Any,
  name: str,
  parameters: Mapping[str, inspect.Parameter],
  arguments: Mapping[str, Any],
) -> bool:
  """Whether the learning rate is to multiply the updates."""
  if 'learning_rate' not in arguments or 'learning_rate' in parameters:
    return False
  if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
    return False
  for other in parameters:
    if (
      'step_size' in other
      or 'learning_rate' in other
      or (_RATE.search(other) and not _is_of_optax(factory))
    ):
      raise ValueError(
        f'{caller}: {name} scales by a step size already ({other}), so '
        'learning_rate would scale its updates twice. Pass the schedule as '
        f'{other}, or inject into the transformation before it.'
      )
  return True


def _check_names(
  caller: str,
  name: str,
  parameters: Mapping[str, inspect.Parameter],
  static: set[str],
  arguments: Mapping[str, Any],
  constants: Mapping[str, Any],
) -> None:
  accepted = [*parameters]
  if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
    return
  for argument in [*arguments, *static]:
    if argument in parameters or argument == 'learning_rate':
      continue
    raise TypeError(
      f'{caller}: {name} has no argument {argument!r}.'
      f'{did_you_mean(argument, accepted)} It takes {", ".join(accepted)}.'
    )
  for p in parameters.values():
    required = p.default is p.empty and p.kind is not p.VAR_POSITIONAL
    if required and p.name not in arguments and p.name not in constants:
      raise TypeError(
        f'{caller}: {name} needs {p.name}: pass a number or a schedule as '
        f'{p.name}=...'
      )


def _check_schedulable(
  caller: str, factory: str, p: inspect.Parameter | None, value: Any
) -> None:
  """Refuses a schedule for what is not a number that may change."""
  if p is None or not callable(value):
    return
  numeric, integer = _annotated(p)
  whole = 'a whole number, such as a size or a count'
  remedy = 'Pass a constant.'
  if isinstance(p.default, bool):
    kind = 'a switch'
  elif _WHOLE.search(p.name):
    kind = whole
  elif not numeric and (type(p.default) is int or integer):
    kind = whole
    default = f' = {float(p.default)}' if type(p.default) is int else ''
    remedy = (
      'Pass a constant, or if your factory takes any number, declare it as '
      f'{p.name}: float{default}.'
    )
  else:
    return
  raise TypeError(
    f'{caller}: {p.name} of {factory} is {kind}, and cannot follow a schedule, '
    f'got {value!r}. {remedy}'
  )


def is_hyperparam(p: inspect.Parameter | None, value: Any) -> bool:
  """Whether an argument is a hyperparameter, rather than passed through."""
  if isinstance(value, Schedule) or is_stateful(value):
    return True
  if isinstance(value, (bool, np.bool_, type, np.dtype)):
    return False
  default = None if p is None else p.default
  numeric, integer = _annotated(p)
  if p is not None and not callable(value) and _WHOLE.search(p.name):
    return False
  if isinstance(value, (int, np.integer)):  # perhaps a size
    return type(default) is not int and (numeric or not integer)
  if twofloat.is_host(value) or isinstance(value, jax.Array):
    return np.ndim(value) == 0
  if not callable(value):
    return False
  bare = p is None or (p.default is p.empty and p.annotation is p.empty)
  return numeric or bare or type(default) in (int, float)


def _annotated(p: inspect.Parameter | None) -> tuple[bool, bool]:
  """Whether a parameter's annotation accepts floats, and integers."""
  if p is None or p.annotation is p.empty:
    return False, False
  if isinstance(p.annotation, str):
    integer = re.search(r'\bint\b', p.annotation)
    return bool(_NUMERIC.search(p.annotation)), bool(integer)
  # The members alone: a mask may be a function of arrays that hold floats.
  union = typing.get_origin(p.annotation) in (typing.Union, types.UnionType)
  members = typing.get_args(p.annotation) if union else (p.annotation,)
  return float in members, int in members

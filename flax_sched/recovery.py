"""The factory and the arguments of a transformation that is built already."""

from __future__ import annotations

from collections.abc import Callable
import inspect
import sys
from types import FunctionType
from typing import Any

import jax
import numpy as np
import optax


def recover(
  caller: str, transformation: optax.GradientTransformation
) -> tuple[Callable[..., Any], dict[str, Any]]:
  """The factory and the arguments that a transformation was built with.

  Its functions are closures inside the factory, which hold the arguments. They
  are right if the factory, called with them, makes the same closures again.

  Raises:
    ValueError: if they can't be recovered.
  """
  update = transformation.update
  name, _, inner = update.__qualname__.partition('.<locals>.')
  factory = getattr(sys.modules.get(update.__module__), name, None)
  remedy = (
    f'{caller}: the arguments that {name}(...) was built with cannot be '
    'recovered. Pass the factory and its arguments instead, such as '
    f'{caller}(optax.adamw, learning_rate=..., weight_decay=0.1); for a chain, '
    'write a function that builds it.'
  )
  if not (inner and isinstance(factory, FunctionType)):
    raise ValueError(remedy)
  held = _held(transformation)
  arguments = {}
  for p in inspect.signature(factory).parameters.values():
    if p.name in held and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
      arguments[p.name] = held[p.name]
    elif p.default is p.empty:
      raise ValueError(remedy)
  try:
    again = factory(**arguments)
  except (TypeError, ValueError) as error:
    raise ValueError(remedy) from error
  if not _same(tuple(transformation), tuple(again)):
    raise ValueError(remedy)
  return factory, arguments


def _held(functions: Any) -> dict[str, Any]:
  """The variables that closures hold, those of outer functions first."""
  held: dict[str, Any] = {}
  for f in functions:
    if isinstance(f, FunctionType) and f.__closure__:
      for variable, cell in zip(
        f.__code__.co_freevars, f.__closure__, strict=True
      ):
        held.setdefault(variable, cell.cell_contents)
  inner = [x for x in held.values() if isinstance(x, FunctionType)]
  return {**_held(inner), **held} if inner else held


def _same(a: Any, b: Any, depth: int = 0) -> bool:
  """Whether two values of closures are equal, functions by what they hold."""
  if a is b:
    return True
  if type(a) is not type(b) or depth > 20:
    return False
  if isinstance(a, FunctionType):
    if a.__code__ is not b.__code__ or a.__defaults__ != b.__defaults__:
      return False
    return _same(_held([a]), _held([b]), depth + 1)
  if isinstance(a, dict):
    return a.keys() == b.keys() and all(
      _same(a[key], b[key], depth + 1) for key in a
    )
  if isinstance(a, (tuple, list)):
    return len(a) == len(b) and all(
      _same(x, y, depth + 1) for x, y in zip(a, b, strict=True)
    )
  if isinstance(a, (np.ndarray, jax.Array)):
    return a.dtype == b.dtype and np.array_equal(a, b)
  return bool(a == b)

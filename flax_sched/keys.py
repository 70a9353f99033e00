"""The keys of a config: names, unknown and missing keys, what each may hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import inspect
import re
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched.arguments import is_real
from flax_sched.hints import did_you_mean
from flax_sched.transformation import is_hyperparam

SCALES = 'boundaries_and_scales'


def pop_name(
  kind: str,
  find: Any,
  known: Iterable[str],
  arguments: dict[str, Any],
  path: str,
) -> Any:
  """Takes the name from the arguments, which must be a known one."""
  where = dotted(path, 'name')
  names = f'Known are {", ".join(sorted(known))}.'
  if arguments.get('name') is None:
    raise ValueError(
      f'{where} is missing: it says which {kind} this is. There are '
      f'{listing(arguments)}. {names}'
    )
  name = arguments.pop('name')
  if find(name) is None:
    near = did_you_mean(name, known)
    raise ValueError(f'{where}: {name!r} is no known {kind}.{near} {names}')
  return name


def check_keys(
  name: str,
  parameters: Mapping[str, bool],
  arguments: Mapping[str, Any],
  path: str,
) -> None:
  """Raises a ValueError for a key that is unknown, or missing."""
  takes = f'{name} takes {listing(_accepted(parameters))}.'
  for key in arguments:
    if key not in parameters:
      near = did_you_mean(key, _accepted(parameters))
      raise ValueError(f'{dotted(path, str(key))}: unknown key.{near} {takes}')
  for key, required in parameters.items():
    if required and arguments.get(key) is None:
      if key == SCALES:
        takes = f'Give it as a mapping, or give boundaries and scales. {takes}'
      given = ' (None, or a placeholder that is not set)' * (key in arguments)
      raise ValueError(f'{dotted(path, key)} is missing{given}. {takes}')


def _accepted(parameters: Iterable[str]) -> list[str]:
  return [
    name
    for parameter in parameters
    for name in (
      (parameter, 'boundaries', 'scales')
      if parameter == SCALES
      else (parameter,)
    )
  ]


def listing(names: Iterable[Any], none: str = 'no keys') -> str:
  """Names for an error."""
  return ', '.join(map(str, names)) or none


# ---------------------------------------------------------------------------
# Hyperparameters.


def takes_number(parameter: inspect.Parameter) -> bool:
  """Whether an optimizer's argument is a number that may follow a schedule."""

  def function(count: Any) -> Any:
    return count

  # Optax 0.2.6 says that a switch of Adafactor is a float. A dtype may not
  # follow a function, nor a seed be a fraction.
  return not isinstance(parameter.default, bool) and all(
    is_hyperparam(parameter, value) for value in (0.5, function)
  )


def check_number(
  parameter: inspect.Parameter,
  value: Any,
  shared: Iterable[str],
  path: str,
  where: str,
) -> None:
  """Raises an error for what is neither a number nor a schedule.

  Args:
    parameter: the optimizer's, which is a number.
    value: what it is given, once configs and names are schedules.
    shared: the names of schedules.
    path: where the value is, for the error.
    where: where the named schedules are.

  Raises:
    ValueError: for a string.
    TypeError: for anything else.
  """
  if is_real(value) or (callable(value) and not isinstance(value, type)):
    return
  if isinstance(value, jax.Array) and any(
    jnp.issubdtype(value.dtype, kind) for kind in (np.floating, np.integer)
  ):
    return
  hint = ''
  if value is None:
    annotation = str(parameter.annotation)
    if parameter.default is None or re.search('None|Optional', annotation):
      return
    hint = f' Without the key it is {parameter.default!r}.'
  elif isinstance(value, str):
    names = f' Names there: {listing(shared, "none")}.'
    hint = _unquoted(value) or did_you_mean(value, shared) + names
  kind = ValueError if isinstance(value, str) else TypeError
  raise kind(
    f"{path} must be a number, a schedule (a mapping with a 'name', a name in "
    f'{where}, or an object), or a function of the count, got {value!r}.{hint}'
  )


def _unquoted(text: str) -> str:
  """A sentence for a number that is given as a string."""
  try:
    return f' Write the number {float(text)!r}, not a string.'
  except ValueError:
    return ''


def passed(value: Any) -> Any:
  """A value as it is, but a ConfigDict as a dict: JAX knows no other tree."""
  if is_mapping(value) and not isinstance(value, Mapping):
    return {key: passed(x) for key, x in value.items()}
  return value


# ---------------------------------------------------------------------------
# Arguments that have more than one form.


def pair_scales(arguments: dict[str, Any], path: str) -> None:
  """Makes `boundaries_and_scales` of `boundaries` and `scales`."""
  given = [key for key in ('boundaries', 'scales') if key in arguments]
  if not given:
    if is_mapping(arguments.get(SCALES)):
      arguments[SCALES] = dict(arguments[SCALES].items())
    return
  if SCALES in arguments:
    raise ValueError(
      f'{dotted(path, given[0])}: boundaries and scales must not be given '
      f'beside {SCALES}. Remove one or the other.'
    )
  if len(given) == 1:
    other = 'scales' if given == ['boundaries'] else 'boundaries'
    raise ValueError(f'{dotted(path, other)} is missing beside {given[0]}.')
  boundaries, scales = arguments.pop('boundaries'), arguments.pop('scales')
  for key, value in (('boundaries', boundaries), ('scales', scales)):
    if isinstance(value, str) or not isinstance(value, Iterable):
      raise ValueError(
        f'{dotted(path, key)} must be a sequence of numbers, got {value!r}.'
      )
  boundaries, scales = tuple(boundaries), tuple(scales)
  if len(boundaries) != len(scales):
    raise ValueError(
      f'{dotted(path, "scales")} must be as many as boundaries, got '
      f'{len(scales)} scales for {len(boundaries)} boundaries.'
    )
  if len(set(boundaries)) < len(boundaries):
    raise ValueError(
      f'{dotted(path, "boundaries")} must differ, got {boundaries!r}.'
    )
  arguments[SCALES] = dict(zip(boundaries, scales, strict=True))


def in_order(parts: Any, path: str) -> list[tuple[Any, Any]]:
  """The parts of a join with their names, in order."""
  if not is_mapping(parts):
    if isinstance(parts, str) or not isinstance(parts, Iterable):
      raise ValueError(
        f'{path} must be a sequence or a mapping of schedules, got {parts!r}.'
      )
    return list(enumerate(parts))
  places = {}
  for key in parts:
    number = re.search(r'\d+', str(key))
    place = int(number.group()) if number else None
    if place is None or place in places:
      raise ValueError(
        f'{dotted(path, str(key))}: the keys must hold the place of each '
        f"schedule as a number, such as 's0', 's1' or '0_warmup', '1_decay', "
        f'got {listing(parts)}. (A ConfigDict sorts its keys.)'
      )
    places[place] = key
  return [(places[place], parts[places[place]]) for place in sorted(places)]


def is_mapping(x: Any) -> bool:
  """Whether this is a config, not a number or a schedule."""
  # A ConfigDict is neither a dict nor a Mapping.
  return isinstance(x, Mapping) or (
    hasattr(x, 'items') and hasattr(x, 'keys') and not isinstance(x, type)
  )


def dotted(*parts: str) -> str:
  """A path in a config, such as 'optimizer.learning_rate'."""
  return '.'.join(part for part in parts if part)


@contextlib.contextmanager
def errors_at(path: str) -> Iterator[None]:
  """Makes the errors of a block say where in the config they come from."""
  try:
    yield
  except (TypeError, ValueError) as error:
    kind = TypeError if isinstance(error, TypeError) else ValueError
    raise kind(f'{path}: {error}' if path else str(error)) from error

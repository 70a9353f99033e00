"""Schedules and optimizers from plain data, such as `ml_collections` configs.

A schedule is a mapping with the `name` of a schedule function and its
arguments; an optimizer is a mapping with the `name` of one of Optax's and its
hyperparameters, each a number or a schedule:

>>> tx = build_optimizer({
...   'name': 'adamw',
...   'learning_rate': {
...     'name': 'warmup_cosine_decay_schedule',
...     'init_value': 0.0,
...     'peak_value': 1e-3,
...     'warmup_steps': 1000,
...     'decay_steps': 9000,
...   },
...   'weight_decay': 0.1,
... })

A mapping may be a dict, what JSON makes of one, or a (Frozen)ConfigDict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import difflib
import inspect
import re
from typing import Any

import optax

from flax_sched import averages
from flax_sched import compose
from flax_sched import cycles
from flax_sched import pieces
from flax_sched import shapes
from flax_sched import warmups
from flax_sched.inject import inject_hyperparams
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Schedule

_SCHEDULE_FUNCTIONS = {
  name: function
  for module in (shapes, warmups, pieces, cycles, averages, compose)
  for name, function in vars(module).items()
  if inspect.isfunction(function)
  and function.__module__ == module.__name__
  and not name.startswith('_')
}

_SCALES = 'boundaries_and_scales'


def build_schedule(config: Any, *, path: str = '') -> Schedule:
  """Builds the schedule that a config describes.

  Args:
    config: one of:

      - a mapping with the `name` of a schedule function of `flax_sched` and
        that function's arguments. The arguments that are schedules are
        described in the same way. `schedules`, of `join_schedules`, is a
        sequence, or a mapping whose keys hold their place as a number ('s0',
        's1', or '0_warmup', '1_decay'), since a ConfigDict sorts its keys and
        the order must not depend on that. `boundaries_and_scales` is a mapping,
        or two sequences `boundaries` and `scales` in its place, which the
        command line and a FrozenConfigDict can express;
      - a number: a constant schedule;
      - a `Schedule`, or another callable of the count.
    path: where the config is in a larger one, for errors.

  Returns:
    The schedule.

  Raises:
    ValueError: if the name or a key is unknown, a key is missing, or an
      argument is out of range; it says where.
    TypeError: if an argument is of a wrong type; it says where.

  >>> build_schedule({
  ...   'name': 'join_schedules',
  ...   'schedules': {
  ...     's0': {'name': 'linear_schedule', 'init_value': 0.0,
  ...            'end_value': 1.0, 'transition_steps': 10},
  ...     's1': 1.0,
  ...   },
  ...   'boundaries': (10,),
  ... })(5)
  np.float32(0.5)
  """
  if not _is_mapping(config):
    with _errors_at(path):
      return as_schedule(config)
  arguments = dict(config.items())
  function = _pop_function('schedule', _SCHEDULE_FUNCTIONS, arguments, path)
  parameters = inspect.signature(function).parameters
  if _SCALES in parameters:
    _pair_scales(arguments, path)
  _check_keys(function, parameters, arguments, path)
  for key in arguments:
    if key == 'schedules':
      arguments[key] = [
        build_schedule(part, path=_join(path, key, str(name)))
        for name, part in _in_order(arguments[key], _join(path, key))
      ]
    elif key in _SCHEDULE_FUNCTIONS:  # sgdr_schedule's base schedule
      arguments[key] = build_schedule(arguments[key], path=_join(path, key))
  with _errors_at(path):
    return function(**arguments)


def build_optimizer(
  config: Any, *, path: str = 'optimizer'
) -> optax.GradientTransformationExtraArgs:
  """Builds the optimizer that a config describes, its hyperparameters injected.

  Args:
    config: a mapping with the `name` of an optimizer of Optax (one that takes a
      learning rate) and its arguments. Each is a schedule's config (see
      `build_schedule`), a number, or what is no hyperparameter (a boolean, a
      mask, a dtype), which passes through.
    path: where the config is in a larger one, for errors.

  Returns:
    The transformation, by `inject_hyperparams`.

  Raises:
    ValueError: if a name or a key is unknown, a key is missing, or an argument
      is out of range; it says where.
    TypeError: if an argument is of a wrong type; it says where.

  >>> import jax.numpy as jnp
  >>> import flax_sched as fs
  >>> tx = build_optimizer({'name': 'sgd', 'learning_rate': 0.5})
  >>> fs.hyperparams(tx.init(jnp.ones(3)))
  {'learning_rate': Array(0.5, dtype=float32)}
  """
  if not _is_mapping(config):
    raise ValueError(
      f'{path or "build_optimizer"}: an optimizer must be a mapping with a '
      f"'name', such as {{'name': 'adamw', 'learning_rate': 0.001}}, got "
      f'{config!r}.'
    )
  arguments = dict(config.items())
  factory = _pop_function('optimizer', _optimizers(), arguments, path)
  parameters = inspect.signature(factory).parameters
  _check_keys(factory, parameters, arguments, path)
  for key, value in arguments.items():
    if _is_mapping(value):
      arguments[key] = build_schedule(value, path=_join(path, key))
  with _errors_at(path):
    return inject_hyperparams(factory, **arguments)


def _optimizers() -> dict[str, Callable[..., Any]]:
  """Optax's functions that take a learning rate, and descend, by name."""
  return {
    name: function
    for name, function in vars(optax).items()
    if inspect.isfunction(function)
    and not name.startswith(('_', 'scale_by_'))
    and any(
      'learning_rate' in p for p in inspect.signature(function).parameters
    )
  }


# ---------------------------------------------------------------------------
# Names and keys.


def _pop_function(
  kind: str,
  known: Mapping[str, Callable[..., Any]],
  arguments: dict[str, Any],
  path: str,
) -> Callable[..., Any]:
  """Takes the name from the arguments: the function that has it."""
  where = _join(path, 'name')
  names = f'Known are {", ".join(sorted(known))}.'
  if 'name' not in arguments:
    raise ValueError(
      f'{where} is missing: it says which {kind} this is. There are '
      f'{_listing(arguments)}. {names}'
    )
  name = arguments.pop('name')
  if not isinstance(name, str) or name not in known:
    near = _did_you_mean(name, known)
    raise ValueError(f'{where}: {name!r} is no known {kind}.{near} {names}')
  return known[name]


def _check_keys(
  function: Any,
  parameters: Mapping[str, inspect.Parameter],
  arguments: Mapping[str, Any],
  path: str,
) -> None:
  takes = f'{function.__name__} takes {_listing(_accepted(parameters))}.'
  for key in arguments:
    if key not in parameters:
      near = _did_you_mean(key, _accepted(parameters))
      raise ValueError(f'{_join(path, str(key))}: unknown key.{near} {takes}')
  for key, parameter in parameters.items():
    required = parameter.default is inspect.Parameter.empty
    if required and key not in arguments:
      if key == _SCALES:
        takes = f'Give it as a mapping, or give boundaries and scales. {takes}'
      raise ValueError(f'{_join(path, key)} is missing. {takes}')


def _accepted(parameters: Iterable[str]) -> list[str]:
  return [
    name
    for parameter in parameters
    for name in (
      (parameter, 'boundaries', 'scales')
      if parameter == _SCALES
      else (parameter,)
    )
  ]


def _did_you_mean(name: Any, known: Iterable[str]) -> str:
  near = difflib.get_close_matches(str(name), known, 1)
  return f' Did you mean {near[0]!r}?' if near else ''


def _listing(names: Iterable[Any]) -> str:
  return ', '.join(map(str, names)) or 'no keys'


# ---------------------------------------------------------------------------
# Arguments that have more than one form.


def _pair_scales(arguments: dict[str, Any], path: str) -> None:
  """Makes `boundaries_and_scales` of `boundaries` and `scales`."""
  given = [key for key in ('boundaries', 'scales') if key in arguments]
  if not given:
    if _is_mapping(arguments.get(_SCALES)):
      arguments[_SCALES] = dict(arguments[_SCALES].items())
    return
  if _SCALES in arguments:
    raise ValueError(
      f'{_join(path, given[0])}: boundaries and scales must not be given '
      f'beside {_SCALES}. Remove one or the other.'
    )
  if len(given) == 1:
    other = 'scales' if given == ['boundaries'] else 'boundaries'
    raise ValueError(f'{_join(path, other)} is missing beside {given[0]}.')
  boundaries, scales = arguments.pop('boundaries'), arguments.pop('scales')
  for key, value in (('boundaries', boundaries), ('scales', scales)):
    if isinstance(value, str) or not isinstance(value, Iterable):
      raise ValueError(
        f'{_join(path, key)} must be a sequence of numbers, got {value!r}.'
      )
  boundaries, scales = tuple(boundaries), tuple(scales)
  if len(boundaries) != len(scales):
    raise ValueError(
      f'{_join(path, "scales")} must be as many as boundaries, got '
      f'{len(scales)} scales for {len(boundaries)} boundaries.'
    )
  if len(set(boundaries)) < len(boundaries):
    raise ValueError(
      f'{_join(path, "boundaries")} must differ, got {boundaries!r}.'
    )
  arguments[_SCALES] = dict(zip(boundaries, scales, strict=True))


def _in_order(parts: Any, path: str) -> list[tuple[Any, Any]]:
  """The parts of a join with their names, in order."""
  if not _is_mapping(parts):
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
        f'{_join(path, str(key))}: the keys must hold the place of each '
        f"schedule as a number, such as 's0', 's1' or '0_warmup', '1_decay', "
        f'got {_listing(parts)}. (A ConfigDict sorts its keys.)'
      )
    places[place] = key
  return [(places[place], parts[places[place]]) for place in sorted(places)]


def _is_mapping(x: Any) -> bool:
  # A ConfigDict is neither a dict nor a Mapping.
  return isinstance(x, Mapping) or (
    hasattr(x, 'items') and hasattr(x, 'keys') and not isinstance(x, type)
  )


def _join(*parts: str) -> str:
  return '.'.join(part for part in parts if part)


@contextlib.contextmanager
def _errors_at(path: str) -> Iterator[None]:
  """Makes the errors of a block say where in the config they come from."""
  try:
    yield
  except (TypeError, ValueError) as error:
    kind = TypeError if isinstance(error, TypeError) else ValueError
    raise kind(f'{path}: {error}' if path else str(error)) from error

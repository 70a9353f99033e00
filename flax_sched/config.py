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
...     'warmup_steps': '10%',
...     'decay_steps': '90%',
...   },
...   'weight_decay': 0.1,
... }, run={'total_steps': 10_000})

A mapping may be a dict, what JSON makes of one, or a (Frozen)ConfigDict. Step
counts may be durations, which `run` resolves: see `flax_sched.durations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import inspect
import re
from typing import Any

import optax

from flax_sched import catalog
from flax_sched import durations
from flax_sched import spec as spec_lib
from flax_sched.arguments import is_real
from flax_sched.catalog import did_you_mean
from flax_sched.catalog import register
from flax_sched.durations import Run
from flax_sched.inject import inject_hyperparams
from flax_sched.schedule import as_schedule

__all__ = [
  'Run',
  'build_optimizer',
  'build_schedule',
  'build_schedules',
  'register',
  'to_config',
]

_SCALES = 'boundaries_and_scales'
# Arguments that are schedules, so that a string there is the name of one.
_SCHEDULES = ('schedule', 'cosine_decay_schedule', 'curve', 'old', 'new')
# Lengths that follow one another, in this order.
_PHASES = (
  'warmup_steps',
  'stable_steps',
  'up_steps',
  'down_steps',
  'transition_begin',
  'transition_steps',
  'decay_steps',
  'cooldown_begin',
  'cooldown_steps',
)


def build_schedule(
  config: Any,
  *,
  run: Run | Mapping[str, Any] | None = None,
  schedules: Mapping[str, Any] | None = None,
  path: str = '',
) -> Any:
  """Builds the schedule that a config describes.

  Args:
    config: one of:

      - a mapping with the `name` of a schedule function of `flax_sched` and
        that function's arguments, or with the name of a class of schedules and
        its parameters, as `to_config` writes them, or with a name that was
        given to `register`. The arguments that are schedules are described in
        the same way. `schedules`, of `join_schedules` and others, is a
        sequence, or a mapping whose keys hold their place as a number ('s0',
        's1', or '0_warmup', '1_decay'), since a ConfigDict sorts its keys and
        the order must not depend on that. `boundaries_and_scales` is a mapping,
        or two sequences `boundaries` and `scales` in its place, which the
        command line and a FrozenConfigDict can express;
      - a number: a constant schedule;
      - a string: a name in `schedules`;
      - a `Schedule`, or another callable of the count.
    run: what the run is made of, to resolve the durations among the step
      counts, such as '5%' or '10ep': a `Run`, or a mapping with its arguments.
    schedules: configs by name, that several places can refer to.
    path: where the config is in a larger one, for errors.

  Returns:
    The schedule.

  Raises:
    ValueError: if the name or a key is unknown, a key is missing or given
      twice, a duration can't be resolved, or an argument is out of range; it
      says where.
    TypeError: if an argument is of a wrong type; it says where.

  >>> build_schedule({
  ...   'name': 'join_schedules',
  ...   'schedules': {
  ...     's0': {'name': 'linear_schedule', 'init_value': 0.0,
  ...            'end_value': 1.0, 'transition_steps': '10%'},
  ...     's1': 1.0,
  ...   },
  ...   'boundaries': ('10%',),
  ... }, run={'total_steps': 100})(5)
  np.float32(0.5)
  """
  shared = dict(schedules.items()) if schedules is not None else {}
  return _Reader(durations.as_run(run), shared).schedule(config, path, 0)


def build_optimizer(
  config: Any,
  *,
  run: Run | Mapping[str, Any] | None = None,
  inject: Callable[..., Any] = inject_hyperparams,
  path: str = 'optimizer',
) -> optax.GradientTransformationExtraArgs:
  """Builds the optimizer that a config describes, its hyperparameters injected.

  Args:
    config: a mapping with the `name` of an optimizer of Optax (one that takes a
      learning rate) and its arguments. Each is a schedule's config (see
      `build_schedule`), a number, or what is no hyperparameter (a boolean, a
      mask, a dtype), which passes through. `schedules` may be a mapping of
      configs that several hyperparameters refer to, by name.
    run: what the run is made of, to resolve durations: see `build_schedule`.
    inject: `inject_hyperparams` or `inject_stateful_hyperparams`.
    path: where the config is in a larger one, for errors.

  Returns:
    The transformation.

  Raises:
    ValueError: if a name or a key is unknown, a key is missing, or an argument
      is out of range; it says where.
    TypeError: if an argument is of a wrong type; it says where.

  >>> import jax.numpy as jnp
  >>> import flax_sched as fs
  >>> tx = build_optimizer({
  ...   'name': 'adamw',
  ...   'schedules': {
  ...     'main': {'name': 'cosine_decay_schedule', 'init_value': 0.5,
  ...              'decay_steps': 100},
  ...   },
  ...   'learning_rate': 'main',
  ...   'weight_decay': {'name': 'Multiply', 'schedules': ('main', 0.1)},
  ... })
  >>> fs.hyperparams(tx.init(jnp.ones(3)))['weight_decay']
  Array(0.05, dtype=float32)
  """
  factory, arguments = _read_optimizer(config, run, path)
  with _errors_at(path):
    return inject(factory, **arguments)


def build_schedules(
  config: Any,
  *,
  run: Run | Mapping[str, Any] | None = None,
  path: str = 'optimizer',
) -> dict[str, Any]:
  """Builds the schedules of an optimizer's config: to draw, check or log them.

  Args:
    config: an optimizer's config: see `build_optimizer`.
    run: what the run is made of, to resolve durations: see `build_schedule`.
    path: where the config is in a larger one, for errors.

  Returns:
    By the name of the argument, what is a schedule; numbers as constants.

  Raises:
    ValueError: as `build_optimizer`.
    TypeError: as `build_optimizer`.

  >>> build_schedules({'name': 'adamw', 'learning_rate': 0.1, 'nesterov': True})
  {'learning_rate': Constant(constant=0.1)}
  """
  _, arguments = _read_optimizer(config, run, path)
  return {
    name: as_schedule(value) if is_real(value) else value
    for name, value in arguments.items()
    if is_real(value) or isinstance(value, spec_lib.KINDS)
  }


def _read_optimizer(
  config: Any, run: Any, path: str
) -> tuple[Callable[..., Any], dict[str, Any]]:
  """The factory of an optimizer's config, and its arguments."""
  if not is_mapping(config):
    raise ValueError(
      f'{path or "the config"}: an optimizer must be a mapping with a '
      f"'name', such as {{'name': 'adamw', 'learning_rate': 0.001}}, got "
      f'{config!r}.'
    )
  arguments = dict(config.items())
  shared = arguments.pop('schedules', None)
  if shared is not None and not is_mapping(shared):
    raise ValueError(
      f'{_join(path, "schedules")} must be a mapping of configs by name, got '
      f'{shared!r}.'
    )
  reader = _Reader(
    durations.as_run(run),
    dict(shared.items()) if shared else {},
    _join(path, 'schedules'),
  )
  optimizers = _optimizers()
  name = _pop_name('optimizer', optimizers.get, optimizers, arguments, path)
  factory = optimizers[name]
  parameters = {
    parameter.name: parameter.default is inspect.Parameter.empty
    for parameter in inspect.signature(factory).parameters.values()
  }
  _check_keys(name, parameters, arguments, path)
  for key, value in arguments.items():
    if is_mapping(value) or (isinstance(value, str) and value in reader.shared):
      arguments[key] = reader.schedule(value, _join(path, key), 0)
  return factory, arguments


def to_config(schedule: Any) -> dict[str, Any]:
  """The config of a schedule: `build_schedule` of it is an equal schedule.

  Args:
    schedule: a schedule, or a stateful one; its numbers are concrete.

  Returns:
    A mapping that is JSON, with the `name` of the class and its parameters: the
    formula itself, whichever function has built it. Schedules inside are
    mappings with the keys 's0', 's1', ..., so that the command line can set
    every number.

  Raises:
    TypeError: if it holds what plain data can't: a function, or a tracer.

  >>> import flax_sched as fs
  >>> to_config(0.5 * fs.linear_schedule(1.0, 0.0, 10))['schedules']['s0']
  {'name': 'Constant', 'constant': 0.5}
  """
  if not isinstance(schedule, spec_lib.KINDS):
    schedule = as_schedule(schedule)
  return _renamed(spec_lib.to_spec(schedule))


def _renamed(spec: Any) -> Any:
  """A spec with names for kinds, and its schedules as mappings."""
  if isinstance(spec, list):
    if any(isinstance(item, dict) for item in spec):
      return {f's{i}': _renamed(item) for i, item in enumerate(spec)}
    return spec
  if not isinstance(spec, dict):
    return spec
  fields = {key: _renamed(x) for key, x in spec.items() if key != 'kind'}
  cls = spec_lib.class_of(spec['kind'])
  return {'name': catalog.name_of(cls) or spec['kind'], **fields}


@dataclasses.dataclass(frozen=True)
class _Reader:
  """What the parts of a config share.

  Attributes:
    run: to resolve durations.
    shared: configs by name.
    where: where those are, for errors.
    inside: the names of those that are being built, against circles.
  """

  run: Run
  shared: Mapping[str, Any]
  where: str = 'schedules'
  inside: tuple[str, ...] = ()

  def schedule(self, config: Any, path: str, start: int) -> Any:
    """The schedule of a config, which counts from step `start` of the run."""
    if isinstance(config, str):
      return self._named(config, path, start)
    if not is_mapping(config):
      with _errors_at(path):
        return as_schedule(config)
    arguments = dict(config.items())
    name = _pop_name('schedule', catalog.find, catalog.known(), arguments, path)
    builder = catalog.find(name)
    assert builder is not None
    if _SCALES in builder.parameters:
      _pair_scales(arguments, path)
    _check_keys(name, builder.parameters, arguments, path)
    steps = {key for key in arguments if key in builder.steps}
    arguments.update(self._steps(arguments, steps, path, start))
    for key in arguments:
      if key not in steps:
        arguments[key] = self._argument(key, arguments, path, start)
    with _errors_at(path):
      return builder.build(**arguments)

  def _named(self, name: str, path: str, start: int) -> Any:
    if name not in self.shared:
      raise ValueError(
        f'{path or "build_schedule"}: a string must be a name in {self.where}, '
        f'got {name!r}.{did_you_mean(name, self.shared)} There are '
        f'{_listing(self.shared, "none")}. A config of its own is a mapping, '
        f"such as {{'name': 'constant_schedule', 'value': 0.1}}."
      )
    if name in self.inside:
      circle = ' -> '.join((*self.inside, name))
      raise ValueError(f'{_join(self.where, name)} contains itself: {circle}.')
    reader = dataclasses.replace(self, inside=(*self.inside, name))
    return reader.schedule(self.shared[name], _join(self.where, name), start)

  def _argument(
    self, key: str, arguments: Mapping[str, Any], path: str, start: int
  ) -> Any:
    """An argument: the schedules in it built."""
    value, path = arguments[key], _join(path, key)
    if key in ('schedules', 'factors'):
      starts = _starts(arguments, start)
      return tuple(
        self.schedule(part, _join(path, str(name)), starts.get(i, start))
        for i, (name, part) in enumerate(_in_order(value, path))
      )
    if key in _SCHEDULES:
      after = arguments.get('warmup_steps')
      late = after if isinstance(after, int) else 0
      return self.schedule(value, path, start + late)
    if is_mapping(value):
      if 'name' in value:
        return self.schedule(value, path, start)
      return dict(value.items())
    return value

  def _steps(
    self,
    arguments: Mapping[str, Any],
    names: Iterable[str],
    path: str,
    start: int,
  ) -> dict[str, Any]:
    """The arguments that are numbers of steps, their durations resolved."""
    lengths = {
      name: arguments[name] for name in _PHASES if _is_duration(name, arguments)
    }
    found = durations.phases(
      {k: v for k, v in lengths.items() if k in names},
      self.run,
      path=path,
      start=start,
    )

    def resolved(x: Any, where: str) -> Any:
      if isinstance(x, str):
        return durations.resolve(x, self.run, path=where, start=start)
      return x

    for name in names:
      value, where = arguments[name], _join(path, name)
      if name in found:
        continue
      if is_mapping(value):
        pairs = [
          (resolved(key, _join(where, str(key))), x) for key, x in value.items()
        ]
        found[name] = dict(pairs)
        if len(found[name]) < len(pairs):
          raise ValueError(
            f'{where} has a boundary twice: {dict(value.items())!r}.'
          )
      elif isinstance(value, (list, tuple)):
        found[name] = [
          resolved(x, f'{where}[{i}]') for i, x in enumerate(value)
        ]
      else:
        found[name] = resolved(value, where)
    return found


def _is_duration(name: str, arguments: Mapping[str, Any]) -> bool:
  """Whether an argument is given as a duration, or a plain number of steps."""
  x = arguments.get(name)
  return isinstance(x, (str, int, float)) and not isinstance(x, bool)


def _starts(arguments: Mapping[str, Any], start: int) -> dict[int, int]:
  """Where the parts of a join begin, as far as that is known."""
  boundaries = arguments.get('boundaries')
  if not isinstance(boundaries, Sequence):
    return {}
  return {
    i + 1: start + boundary
    for i, boundary in enumerate(boundaries)
    if isinstance(boundary, int)
  }


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


def _pop_name(
  kind: str,
  find: Any,
  known: Iterable[str],
  arguments: dict[str, Any],
  path: str,
) -> Any:
  """Takes the name from the arguments, which must be a known one."""
  where = _join(path, 'name')
  names = f'Known are {", ".join(sorted(known))}.'
  if arguments.get('name') is None:
    raise ValueError(
      f'{where} is missing: it says which {kind} this is. There are '
      f'{_listing(arguments)}. {names}'
    )
  name = arguments.pop('name')
  if find(name) is None:
    near = did_you_mean(name, known)
    raise ValueError(f'{where}: {name!r} is no known {kind}.{near} {names}')
  return name


def _check_keys(
  name: str,
  parameters: Mapping[str, bool],
  arguments: Mapping[str, Any],
  path: str,
) -> None:
  takes = f'{name} takes {_listing(_accepted(parameters))}.'
  for key in arguments:
    if key not in parameters:
      near = did_you_mean(key, _accepted(parameters))
      raise ValueError(f'{_join(path, str(key))}: unknown key.{near} {takes}')
  for key, required in parameters.items():
    if required and arguments.get(key) is None:
      if key == _SCALES:
        takes = f'Give it as a mapping, or give boundaries and scales. {takes}'
      given = ' (None, or a placeholder that is not set)' * (key in arguments)
      raise ValueError(f'{_join(path, key)} is missing{given}. {takes}')


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


def _listing(names: Iterable[Any], none: str = 'no keys') -> str:
  return ', '.join(map(str, names)) or none


# ---------------------------------------------------------------------------
# Arguments that have more than one form.


def _pair_scales(arguments: dict[str, Any], path: str) -> None:
  """Makes `boundaries_and_scales` of `boundaries` and `scales`."""
  given = [key for key in ('boundaries', 'scales') if key in arguments]
  if not given:
    if is_mapping(arguments.get(_SCALES)):
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
        f'{_join(path, str(key))}: the keys must hold the place of each '
        f"schedule as a number, such as 's0', 's1' or '0_warmup', '1_decay', "
        f'got {_listing(parts)}. (A ConfigDict sorts its keys.)'
      )
    places[place] = key
  return [(places[place], parts[places[place]]) for place in sorted(places)]


def is_mapping(x: Any) -> bool:
  """Whether this is a config, not a number or a schedule."""
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

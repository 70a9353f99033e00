"""From a config to a schedule: names, keys, durations, and where errors are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import re
from typing import Any

from flax_sched import catalog
from flax_sched import durations
from flax_sched.catalog import did_you_mean
from flax_sched.durations import Run
from flax_sched.schedule import as_schedule

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


@dataclasses.dataclass(frozen=True)
class Reader:
  """Builds the schedules of a config, whose parts share some things.

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
      with errors_at(path):
        return as_schedule(config)
    arguments = dict(config.items())
    name = pop_name('schedule', catalog.find, catalog.known(), arguments, path)
    builder = catalog.find(name)
    assert builder is not None
    if _SCALES in builder.parameters:
      _pair_scales(arguments, path)
    check_keys(name, builder.parameters, arguments, path)
    steps = {key for key in arguments if key in builder.steps}
    arguments.update(self._steps(arguments, steps, path, start))
    for key in arguments:
      if key not in steps:
        arguments[key] = self._argument(key, arguments, path, start)
    with errors_at(path):
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
      raise ValueError(f'{dotted(self.where, name)} contains itself: {circle}.')
    reader = dataclasses.replace(self, inside=(*self.inside, name))
    return reader.schedule(self.shared[name], dotted(self.where, name), start)

  def _argument(
    self, key: str, arguments: Mapping[str, Any], path: str, start: int
  ) -> Any:
    """An argument: the schedules in it built."""
    value, path = arguments[key], dotted(path, key)
    if key in ('schedules', 'factors'):
      starts = _starts(arguments, start)
      return tuple(
        self.schedule(part, dotted(path, str(name)), starts.get(i, start))
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
      value, where = arguments[name], dotted(path, name)
      if name in found:
        continue
      if is_mapping(value):
        pairs = [
          (resolved(key, dotted(where, str(key))), x)
          for key, x in value.items()
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


# ---------------------------------------------------------------------------
# Names and keys.


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
      f'{_listing(arguments)}. {names}'
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
  takes = f'{name} takes {_listing(_accepted(parameters))}.'
  for key in arguments:
    if key not in parameters:
      near = did_you_mean(key, _accepted(parameters))
      raise ValueError(f'{dotted(path, str(key))}: unknown key.{near} {takes}')
  for key, required in parameters.items():
    if required and arguments.get(key) is None:
      if key == _SCALES:
        takes = f'Give it as a mapping, or give boundaries and scales. {takes}'
      given = ' (None, or a placeholder that is not set)' * (key in arguments)
      raise ValueError(f'{dotted(path, key)} is missing{given}. {takes}')


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
      f'{dotted(path, given[0])}: boundaries and scales must not be given '
      f'beside {_SCALES}. Remove one or the other.'
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
        f'{dotted(path, str(key))}: the keys must hold the place of each '
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

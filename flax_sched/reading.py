"""From a config to a schedule: names, keys, durations, and where errors are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
import dataclasses
from typing import Any

from flax_sched import catalog
from flax_sched import durations
from flax_sched import keys
from flax_sched.hints import did_you_mean
from flax_sched.keys import dotted
from flax_sched.keys import is_mapping
from flax_sched.runs import as_start
from flax_sched.runs import Run
from flax_sched.runs import Start
from flax_sched.schedule import as_schedule

# Arguments that are schedules, so that a string there is the name of one.
_SCHEDULES = ('schedule', 'cosine_decay_schedule', 'curve', 'old', 'new')
# Lengths that follow one another, in this order.
_PHASES = (
  'warmup_steps',
  'stable_steps',
  'up_steps',
  'down_steps',
  'begin',
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

  def schedule(self, config: Any, path: str, start: Start | int) -> Any:
    """The schedule of a config, which counts from step `start` of the run."""
    start = as_start(start)
    if isinstance(config, str):
      return self._named(config, path, start)
    if not is_mapping(config):
      with keys.errors_at(path):
        return as_schedule(config)
    arguments = dict(config.items())
    name = keys.pop_name(
      'schedule', catalog.find, catalog.known(), arguments, path
    )
    builder = catalog.find(name)
    assert builder is not None
    if keys.SCALES in builder.parameters:
      keys.pair_scales(arguments, path)
    keys.check_keys(name, builder.parameters, arguments, path)
    steps = {key for key in arguments if key in builder.steps}
    built = self._steps(arguments, steps, path, start)
    for key in arguments:
      if key not in steps:
        built[key] = self._argument(key, name, arguments, path, start)
    with keys.errors_at(path):
      return builder.build(**built)

  def _named(self, name: str, path: str, start: Start) -> Any:
    if name not in self.shared:
      raise ValueError(
        f'{path or "build_schedule"}: a string must be a name in {self.where}, '
        f'got {name!r}.{did_you_mean(name, self.shared)} There are '
        f'{keys.listing(self.shared, "none")}. A config of its own is a '
        f"mapping, such as {{'name': 'constant_schedule', 'value': 0.1}}."
      )
    if name in self.inside:
      circle = ' -> '.join((*self.inside, name))
      raise ValueError(f'{dotted(self.where, name)} contains itself: {circle}.')
    reader = dataclasses.replace(self, inside=(*self.inside, name))
    return reader.schedule(self.shared[name], dotted(self.where, name), start)

  def _argument(
    self,
    key: str,
    name: str,
    arguments: Mapping[str, Any],
    path: str,
    start: Start,
  ) -> Any:
    """An argument of what has this name: the schedules in it built."""
    value, where = arguments[key], dotted(path, key)
    if key in ('schedules', 'factors'):
      starts = self._starts(arguments.get('boundaries'), path, start)
      return tuple(
        self.schedule(part, dotted(where, str(place)), starts.get(i, start))
        for i, (place, part) in enumerate(keys.in_order(value, where))
      )
    if key in _SCHEDULES:
      before = 'begin' if name == 'Shift' else 'warmup_steps'
      if before in arguments:
        start = self._after(arguments[before], dotted(path, before), start)
      return self.schedule(value, where, start)
    if is_mapping(value):
      if 'name' in value:
        return self.schedule(value, where, start)
      return dict(value.items())
    return value

  def _starts(
    self, boundaries: Any, path: str, start: Start
  ) -> dict[int, Start]:
    """Where the parts of a join begin, after the first one."""
    several = isinstance(boundaries, (list, tuple)) or (
      getattr(boundaries, 'ndim', 0) == 1
    )
    return {
      i + 1: self._after(boundary, f'{dotted(path, "boundaries")}[{i}]', start)
      for i, boundary in enumerate(boundaries if several else ())
    }

  def _after(self, duration: Any, path: str, start: Start) -> Start:
    return durations.after(duration, self.run, path=path, start=start)

  def _steps(
    self,
    arguments: Mapping[str, Any],
    names: Collection[str],
    path: str,
    start: Start,
  ) -> dict[str, Any]:
    """The arguments that are numbers of steps, their durations resolved."""
    found = durations.phases(
      {name: arguments[name] for name in _PHASES if name in names},
      self.run,
      path=path,
      start=start,
    )

    def resolved(x: Any, where: str, start: Start) -> Any:
      if isinstance(x, str):
        return durations.resolve(x, self.run, path=where, start=start)
      return x

    for name in names:
      value, where = arguments[name], dotted(path, name)
      if is_mapping(value):
        pairs = [
          (resolved(key, dotted(where, str(key)), start), x)
          for key, x in value.items()
        ]
        found[name] = dict(pairs)
        if len(found[name]) < len(pairs):
          raise ValueError(
            f'{where} has a boundary twice: {dict(value.items())!r}.'
          )
      elif isinstance(value, (list, tuple)):
        found[name] = [
          resolved(x, f'{where}[{i}]', start) for i, x in enumerate(value)
        ]
      elif name not in found:
        # A period, say, which is as long wherever it begins.
        found[name] = resolved(value, where, start.rounded())
    return found

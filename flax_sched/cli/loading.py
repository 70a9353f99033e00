"""The configs that a command line names: from a file to schedules."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import re
from typing import Any, NamedTuple

import optax

from flax_sched import catalog
from flax_sched import config as config_lib
from flax_sched import durations
from flax_sched import runs
from flax_sched.arguments import is_real
from flax_sched.cli import sources
from flax_sched.cli.sources import ConfigError
from flax_sched.keys import dotted
from flax_sched.keys import is_mapping
from flax_sched.runs import Run

_CONFIG = re.compile(
  r'(?P<file>.*?\.(?:py|json))(?::(?P<argument>.*?))?(?:#(?P<path>.*))?'
)
RUN_FIELDS = tuple(field.name for field in dataclasses.fields(Run))


@dataclasses.dataclass(frozen=True)
class Options:
  """What the command line says of all configs.

  Attributes:
    path: where the optimizer or the schedule is in the config.
    overrides: 'path=value', what to change in the config.
    run: the arguments of `Run`; None where the config is to say it.
  """

  path: str | None = None
  overrides: tuple[str, ...] = ()
  run: Mapping[str, int | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Plan:
  """The schedules of a config.

  Attributes:
    config: the config, as the command line names it.
    optimizer: the name of the optimizer; None for a single schedule.
    schedules: by hyperparameter.
    peaks: the largest values that the config means, where it says so.
    run: what the durations were resolved by.
  """

  config: str
  optimizer: str | None
  schedules: dict[str, Any]
  peaks: dict[str, float]
  run: Run

  @property
  def updates(self) -> int:
    """The updates of the run.

    Raises:
      ConfigError: if the length of the run is not known.
    """
    if self.run.total_steps is None:
      raise ConfigError(
        f'{self.config}: how long is the run? Pass --total-steps N, or let the '
        'config have total_steps.'
      )
    return int(durations.resolve('100%', self.run, path='total_steps'))

  @property
  def title(self) -> str:
    """The config in a line."""
    steps = f'{self.updates:,} updates'
    if self.run.gradient_accumulation > 1:
      steps += f' of {self.run.gradient_accumulation} training steps each'
    return f'{self.config}: {self.optimizer or "a schedule"}, {steps}'

  @property
  def about(self) -> dict[str, Any]:
    """The same as plain data."""
    return {
      'config': self.config,
      'optimizer': self.optimizer,
      'updates': self.updates,
    }


class _Place(NamedTuple):
  """Where in a config."""

  way: list[Any]  # the values from the root on
  path: str


def is_config(text: str) -> bool:
  """Whether this names a config, by the suffix of its file.

  >>> is_config('configs/gpt.py#optimizer'), is_config('runs/1000')
  (True, False)
  """
  return _CONFIG.fullmatch(text) is not None


def load(text: str, options: Options) -> Plan:
  """Reads a config.

  Args:
    text: 'FILE', 'FILE:ARGUMENT', 'FILE#PATH' or 'FILE:ARGUMENT#PATH', where
      the file is JSON, or Python with a function `get_config`.
    options: what to change, and what else the run is made of.

  Returns:
    The schedules in it.

  Raises:
    ConfigError: if the config can't be read, or it is wrong; it says where.
    OSError: if the file can't be read.
  """
  named = _CONFIG.fullmatch(text)
  if not named:
    raise ConfigError(
      f'{text}: a config must be a file that ends in .py or .json, as in '
      'FILE.py:ARGUMENT#PATH.'
    )
  root = sources.read(named['file'], named['argument'])
  try:
    for override in options.overrides:
      sources.override(root, override)
    given = {
      name: root.get(name) if is_mapping(root) else None for name in RUN_FIELDS
    }
    given |= {k: v for k, v in options.run.items() if v is not None}
    run = runs.as_run(given)
    path = named['path'] or options.path or ''
    place = _wanted(_Place(sources.way(root, path), path), named['file'])
    return _build(text, place, run)
  except ConfigError as error:
    raise ConfigError(f'{named["file"]}: {error}') from error
  except Exception as error:  # also of a user's own functions
    kind = type(error)
    known = kind in (ValueError, TypeError)
    message = str(error) if known else f'{kind.__name__}: {error}'
    # What Python is to pass is an option here.
    message = re.sub(
      r'Pass run=Run\((\w+)=\.\.\.\)',
      lambda match: f'Pass --{match[1].replace("_", "-")} N',
      message,
    )
    raise ConfigError(f'{named["file"]}: {message}') from error


# ---------------------------------------------------------------------------
# What a config is of.


def _is_optimizer(x: Any) -> bool:
  """Whether this names an optimizer, and no schedule."""
  name = x.get('name') if is_mapping(x) else None
  if not isinstance(name, str) or catalog.find(name) is not None:
    return False
  return callable(getattr(optax, name, None))


def _wanted(place: _Place, file: str) -> _Place:
  """The optimizer in a config of more than that, or what is there."""
  config, path = place.way[-1], place.path
  if not is_mapping(config) or _is_optimizer(config):
    return place
  known = catalog.find(config.get('name')) is not None
  if known or ('name' in config and 'learning_rate' in config):
    return place
  found = [key for key in config if _is_optimizer(config[key])]
  if 'optimizer' in config and is_mapping(config['optimizer']):
    found = ['optimizer']
  if len(found) == 1:
    return _Place([config[found[0]]], dotted(path, str(found[0])))
  if 'name' in config and not found:
    return place  # which builds nothing, and says why
  keys = ', '.join(map(str, found or config)) or 'none'
  raise ConfigError(
    f'{path or "it"} has {"several optimizers" if found else "no optimizer"}. '
    f'Point to one, or to a schedule: {file}#PATH. '
    f'The keys are {keys}.'
  )


def _build(text: str, place: _Place, run: Run) -> Plan:
  config, path = place.way[-1], place.path
  looks = is_mapping(config) and 'learning_rate' in config
  if looks or _is_optimizer(config) or path.split('.')[-1] == 'optimizer':
    schedules = config_lib.build_schedules(config, run=run, path=path)
    parts = {name: config[name] for name in schedules}
    name, shared = config['name'], config.get('schedules')
  else:
    key = path.split('.')[-1] or 'schedule'
    around = [node for node in place.way[:-1] if _is_optimizer(node)]
    shared = around[-1].get('schedules') if around else None
    built = config_lib.build_schedule(
      config, run=run, schedules=shared, path=path
    )
    name, schedules, parts = None, {key: built}, {key: config}
  peaks: dict[str, Any] = {}
  for key, part in parts.items():
    if isinstance(part, str):
      part = shared[part]
    peak = part.get('peak_value') if is_mapping(part) else None
    if is_real(peak):
      peaks[key] = peak
  return Plan(text, name, schedules, peaks, run)

"""The commands of the command line: what each one prints.

A command takes the parsed arguments, and returns the text, the same as plain
data for `--json`, and the exit code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
import dataclasses
import os
from typing import Any

from flax_sched import catalog
from flax_sched import checks
from flax_sched import config as config_lib
from flax_sched import inspection
from flax_sched import sketch
from flax_sched import timeline
from flax_sched import wording
from flax_sched.cli import chart
from flax_sched.cli import comparison
from flax_sched.cli import loading
from flax_sched.cli import samples
from flax_sched.cli.loading import Plan
from flax_sched.cli.sources import ConfigError
from flax_sched.hints import did_you_mean
from flax_sched.schedule import Constant
from flax_sched.stateful import is_stateful
from flax_sched.timeline import number

_LISTED = 1000  # the steps of the pictures of `list`
_REACTS = 'its values depend on the run'


@dataclasses.dataclass(frozen=True)
class Output:
  """What a command prints.

  Attributes:
    text: for a person.
    data: the same for a program, as JSON.
    code: the exit code.
  """

  text: str
  data: Any
  code: int = 0


def list_schedules(_: argparse.Namespace) -> Output:
  """All schedule functions."""
  lines, data = [], []
  for name in catalog.FUNCTIONS:
    example = samples.sample(name)
    schedule = config_lib.build_schedule(example, run={'total_steps': _LISTED})
    reacts = is_stateful(schedule)
    line = '' if reacts else sketch.sparkline(schedule, _LISTED, 16)
    builder = catalog.find(name)
    assert builder is not None
    summary = str(catalog.FUNCTIONS[name].__doc__).partition('\n')[0]
    lines.append(f'{line or "reacts to a loss"}  {name:<34}{summary}')
    data.append(
      {
        'name': name,
        'summary': summary,
        'sparkline': line or None,
        'parameters': [
          {'name': key, 'required': needed, 'steps': key in builder.steps}
          for key, needed in builder.parameters.items()
        ],
        'example': example,
      }
    )
  return Output('\n'.join(lines), data)


def options_of(args: argparse.Namespace) -> loading.Options:
  """What the arguments say of configs."""
  run = {name: getattr(args, name) for name in loading.RUN_FIELDS}
  return loading.Options(args.path, tuple(args.set), run)


# ---------------------------------------------------------------------------
# One config.


def show(args: argparse.Namespace) -> Output:
  """The phases of each hyperparameter, and its values at key steps."""
  plan = loading.load(args.config, options_of(args))
  total = plan.updates
  moving, fixed, steps = [], [], set[int]()
  columns, data = {}, {}
  for name, schedule in plan.schedules.items():
    entry: dict[str, Any] = {
      'schedule': wording.written(schedule),
      'config': _config_of(schedule),
      'phases': [],
      'values': [],
    }
    data[name] = entry
    if is_stateful(schedule):
      moving.append(f'{name} = {wording.written(schedule)}\n  {_REACTS}')
      continue
    own = timeline.key_steps(schedule, total)
    entry['phases'] = timeline.rows(schedule, total)
    entry['values'] = [
      {'step': step, 'value': number(value)}
      for step, value in zip(own, timeline.values(schedule, own), strict=True)
    ]
    if isinstance(schedule, Constant):
      fixed.append(f'{name} = {wording.shown(number(schedule.constant))}')
      continue
    columns[name] = schedule
    steps.update(own)
    head = wording.wrapped(f'{name} = {wording.written(schedule)}')
    moving += [head, wording.phase_table(entry['phases'])]
  parts = [plan.title, *moving, ', '.join(fixed)]
  if columns:
    parts.append(wording.value_table(columns, sorted(steps), total))
  text = '\n\n'.join(filter(None, parts))
  return Output(text, {**plan.about, 'hyperparams': data})


def _config_of(schedule: Any) -> Any:
  """The config of a schedule; None if plain data can't hold it."""
  try:
    return config_lib.to_config(schedule)
  except TypeError:
    return None


def check(args: argparse.Namespace) -> Output:
  """What looks wrong before a launch."""
  plan = loading.load(args.config, options_of(args))
  total = plan.updates
  ignored = _ignored(args.ignore, plan)
  parts, found = [plan.title], 0
  data: dict[str, Any] = {}
  for name, schedule in plan.schedules.items():
    if is_stateful(schedule):
      parts.append(f'{name}\n  not checked: {_REACTS}')
      data[name] = None
      continue
    ignore = ignored[name]
    if isinstance(schedule, Constant) and name != 'learning_rate':
      ignore = [*ignore, 'zero_for_long']  # it is turned off
    report = checks.check(
      schedule, total, peak_value=plan.peaks.get(name), ignore=ignore
    )
    found += len(report.warnings)
    values = dataclasses.asdict(report)
    data[name] = {
      key: number(x) if isinstance(x, float) else x for key, x in values.items()
    }
    text = f'constant {report.first:.6g}'
    if not isinstance(schedule, Constant):
      text = '\n  '.join(str(report).split('\n'))
    elif report.warnings:
      text = '\n  '.join([text, *map(str, report.warnings)])
    parts.append(f'{name}\n  {text}')
  verdict = f'{found} warning{"s" * (found > 1)}' if found else 'ok'
  unchecked = list(data.values()).count(None)
  parts.append(verdict + f', {unchecked} not checked' * (unchecked > 0))
  about = {**plan.about, 'ok': not found, 'hyperparams': data}
  return Output('\n\n'.join(parts), about, int(found > 0))


def _ignored(given: Iterable[str], plan: Plan) -> dict[str, list[str]]:
  """The names of warnings to leave out, by hyperparameter."""
  ignored: dict[str, list[str]] = {name: [] for name in plan.schedules}
  for text in given:
    hyperparam, _, warning = text.rpartition(':')
    if hyperparam and hyperparam not in ignored:
      raise ConfigError(
        f'--ignore {text}: there is no hyperparameter {hyperparam!r}.'
        f'{did_you_mean(hyperparam, ignored)} There are '
        f'{", ".join(ignored)}.'
      )
    for name in [hyperparam] if hyperparam else ignored:
      ignored[name].append(warning)
  return ignored


# ---------------------------------------------------------------------------
# Several.


def plot(args: argparse.Namespace) -> Output:
  """Pictures."""
  suffix = os.path.splitext(args.output)[1].lower() if args.output else ''
  if args.output and suffix not in chart.FORMATS:
    raise ConfigError(
      f'--output must end in {", ".join(chart.FORMATS)}, got {args.output}.'
    )
  most = 2 if suffix in ('.png', '.pdf') else chart.MOST
  if len(args.config) > most:
    raise ConfigError(
      f'a picture has room for {most} configs, got {len(args.config)}.'
      + (' In .svg and .html there may be 4.' if most == 2 else '')
    )
  plans = [loading.load(text, options_of(args)) for text in args.config]
  total = max(plan.updates for plan in plans)
  curves: dict[str, dict[str, Any]] = {}
  parts, reactive = [], []
  for label, plan in zip(_labels(args.config), plans, strict=True):
    parts.append(plan.title)
    for name, schedule in plan.schedules.items():
      if is_stateful(schedule):
        reactive.append(f'{name} is not drawn: {_REACTS}')
      else:
        curves.setdefault(name, {})[label] = schedule
  counts = [total * i // 64 for i in range(65)]
  data = {
    'configs': [plan.about for plan in plans],
    'updates': total,
    'output': args.output,
    'steps': counts,
    'hyperparams': {
      name: {
        label: [number(x) for x in timeline.values(schedule, counts)]
        for label, schedule in each.items()
      }
      for name, each in curves.items()
    },
  }
  if not curves:
    raise ConfigError(reactive[0] if reactive else 'nothing to draw.')
  if args.output:
    titles = ', '.join(_labels(args.config))
    # What never changes needs no picture, unless there is nothing else.
    drawn = {k: v for k, v in curves.items() if not _fixed(v)} or curves
    chart.save(drawn, total, args.output, titles)
    return Output('\n'.join([*reactive, f'wrote {args.output}']), data)
  for name, each in curves.items():
    if fixed := _fixed(each):
      parts.append(f'{name}: {fixed}')
    else:
      parts.append(f'{name}\n{chart.text(each, total)}')
  return Output('\n\n'.join([*parts, *reactive]), data)


def _labels(configs: list[str]) -> list[str]:
  """The names of the files, if these differ."""
  names = [os.path.basename(text) for text in configs]
  return names if len(set(names)) == len(names) else configs


def _fixed(each: dict[str, Any]) -> str:
  """The values of constants; nothing if one is something else."""
  if not all(isinstance(s, Constant) for s in each.values()):
    return ''
  values = {
    label: wording.shown(number(s.constant)) for label, s in each.items()
  }
  if len(set(values.values())) == 1:
    return next(iter(values.values()))
  return ', '.join(f'{value} ({label})' for label, value in values.items())


def inspect(args: argparse.Namespace) -> Output:
  """What a checkpoint remembers of hyperparameters."""
  found = inspection.find(args.checkpoint, args.step)
  step = '' if found.step is None else f', step {found.step:,}'
  parts, data = [f'{found.path}{step}'], {}
  for name, entry in found.entries.items():
    schedule = inspection.shown(entry['schedule'])
    data[name] = {**entry, 'repr': schedule}
    rows = [[f'  {k}', str(entry[k])] for k in _DETAILS if k in entry]
    head = f'{name} = {wording.shown(entry["value"])}'
    if isinstance(entry['count'], int):
      head += f', after {entry["count"]:,} updates'
    about = [wording.wrapped(f'  {schedule}', '    ')]
    parts.append('\n'.join([head, *about, *wording.aligned(rows)]))
  where = {'checkpoint': found.path, 'step': found.step}
  return Output('\n\n'.join(parts), {**where, 'hyperparams': data})


_DETAILS = ('transformation', 'wrapper', 'override', 'memory')


def diff(args: argparse.Namespace) -> Output:
  """How two configs or checkpoints differ."""
  sides = [
    comparison.side(text, options_of(args), args.step)
    for text in (args.a, args.b)
  ]
  return Output(*comparison.compare(*sides))


def report(args: argparse.Namespace) -> Output:
  """A page about a run."""
  from flax_sched import report as report_lib  # the other commands start faster

  data = report_lib.write_report(
    args.logdir, args.output, total_steps=args.total_steps
  )
  text = '\n'.join([*data['notes'], f'wrote {args.output}'])
  return Output(text, {**data, 'output': args.output})

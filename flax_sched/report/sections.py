"""What a report says, as plain data, and the same as parts of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import datetime
import json
from typing import Any

import numpy as np

from flax_sched import inspection
from flax_sched import timeline
from flax_sched import wording
from flax_sched.report import page
from flax_sched.report.curves import Curve
from flax_sched.report.curves import MOST_POINTS
from flax_sched.report.history import Run
from flax_sched.report.page import escaped

Curves = Mapping[str, Curve]


def data(run: Run, hyperparams: Curves, scalars: Curves, total: int) -> Any:
  """The data of a report, as JSON has it.

  Args:
    run: the run.
    hyperparams: its hyperparameters, by name.
    scalars: the other scalars, by tag.
    total: the steps of the run.
  """
  return {
    'logdir': run.logdir,
    'total_steps': total,
    'last_step': run.last_step if run.last_step >= 0 else None,
    'notes': [*run.notes, *_off_plan(hyperparams)],
    'config': {name: _plain(x) for name, x in run.config.items()},
    'sessions': [
      {
        'started': _utc(row.started),
        'first_step': row.first,
        'last_step': row.last,
        'steps': row.steps,
        'superseded': row.superseded,
        'changes': [
          {**change._asdict(), 'text': str(change)} for change in row.changes
        ],
      }
      for row in run.rows
    ],
    'hyperparams': {k: _hyperparam(curve) for k, curve in hyperparams.items()},
    'scalars': {k: _logged(curve) for k, curve in scalars.items()},
  }


def _off_plan(hyperparams: Curves) -> Iterator[str]:
  for name, curve in hyperparams.items():
    if off := _steps(curve.logged[0][curve.off]):
      yield (
        f'{name} is off the plan at {off["steps"]:,} of '
        f'{len(curve.logged[0]):,} steps, the first {off["first"]:,}.'
      )


def _hyperparam(curve: Curve) -> dict[str, Any]:
  last = curve.parts[-1] if curve.parts else None
  return {
    **_logged(curve),
    'schedule': inspection.shown(last.entry['schedule']) if last else None,
    'spec': last.entry['schedule'] if last else None,
    'override': last.entry.get('override') if last else None,
    'not_planned': last.why or None if last else 'there is no record',
    'steps_per_update': last.counts.every if last and last.counts else None,
    'phases': [phase._asdict() for phase in curve.phases],
    'off_plan': _steps(curve.logged[0][curve.off]),
  }


def _logged(curve: Curve) -> dict[str, Any]:
  steps, values = curve.logged
  last = None
  if len(steps):
    last = {'step': int(steps[-1]), 'value': timeline.number(values[-1])}
  return {
    'logged': len(steps),
    'last': last,
    'not_finite': _steps(steps[~np.isfinite(values)]),
  }


def _steps(steps: Any) -> dict[str, int] | None:
  """How many steps there are, and the first one; None if there is none."""
  if not len(steps):
    return None
  return {'steps': len(steps), 'first': int(steps[0])}


def _plain(x: Any) -> Any:
  return x if not isinstance(x, float) or np.isfinite(x) else str(x)


def _utc(seconds: float) -> str:
  when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
  return when.isoformat(' ', 'seconds').removesuffix('+00:00')


# ---------------------------------------------------------------------------
# The page.


def plots(kind: str, curves: Curves) -> dict[str, str]:
  """The ids of the elements for plots, by name: what is constant has none."""
  return {
    name: f'{kind}-{i}'
    for i, (name, curve) in enumerate(curves.items())
    if kind == 'scalar' or curve.constant is None
  }


def html(
  run: Run, hyperparams: Curves, scalars: Curves, said: Any
) -> Iterator[str]:
  """The parts of the page.

  Args:
    run: the run.
    hyperparams: its hyperparameters, by name.
    scalars: the other scalars, by tag.
    said: what `data` returned.
  """
  moving = plots('hyperparam', hyperparams)
  yield f'<h1>{escaped(run.logdir)}</h1>\n{_summary(said)}'
  for note in said['notes']:
    yield f'<p class="note">{escaped(note)}</p>\n'
  yield page.section(
    'Hyperparameters',
    ''.join(
      _plot(key, name, _about(said['hyperparams'][name], hyperparams[name]))
      for name, key in moving.items()
    )
    + _constants(
      {k: c for k, c in hyperparams.items() if k not in moving}, said
    ),
  )
  yield page.section('Sessions', _history(said['sessions']))
  yield page.section(
    'Other scalars',
    ''.join(
      _plot(key, name, _logging(said['scalars'][name]))
      for name, key in plots('scalar', scalars).items()
    ),
  )
  yield page.section('Schedules', _schedules(said['hyperparams'], hyperparams))
  rows = [
    [escaped(k), f'<code>{escaped(v)}</code>']
    for k, v in said['config'].items()
  ]
  yield page.section(
    'Config', page.table(['setting', 'value'], rows) * bool(rows)
  )


def _summary(said: Any) -> str:
  last, sessions = said['last_step'], len(said['sessions'])
  text = 'no step is logged' if last is None else f'step {last:,} is the last'
  text += f' of {said["total_steps"]:,} steps, in '
  text += f'{sessions} session' + 's' * (sessions != 1)
  values = [
    f'{escaped(name)}&nbsp;<b>{wording.shown(each["last"]["value"])}</b>'
    for name, each in [*said['hyperparams'].items(), *said['scalars'].items()]
    if each['last']
  ]
  return f'<p class="soft">{text}</p>\n<p>{", ".join(values[:12])}</p>\n'


def _plot(key: str, name: str, about: str) -> str:
  return (
    f'<h3>{escaped(name)}<button type="button" data-plot="{key}"></button></h3>'
    f'\n{about}<div class="plot" id="{key}"></div>\n'
  )


def _about(said: Any, curve: Curve) -> str:
  text = _logging(said)
  every = said['steps_per_update']
  if every and every > 1:
    text += f'<p class="soft">an update every {every:,} steps</p>\n'
  reasons = dict.fromkeys(part.why for part in curve.parts if part.why)
  for why in reasons or ([said['not_planned']] if not curve.parts else []):
    text += f'<p class="soft">no plan is drawn: {escaped(why)}</p>\n'
  return text


def _logging(said: Any) -> str:
  """How much was logged, and what is wrong with it."""
  text = ''
  if said['logged'] > MOST_POINTS:
    text += (
      f'<p class="soft">{said["logged"]:,} steps are logged; drawn are the '
      'lowest and the highest value of each stretch</p>\n'
    )
  for key, what in (('off_plan', 'off the plan'), ('not_finite', 'not finite')):
    if found := said.get(key):
      one = found['steps'] == 1
      steps = 'step' if one else f'{found["steps"]:,} steps, the first'
      text += f'<p class="off">{what} at {steps} {found["first"]:,}</p>\n'
  return text


def _constants(fixed: Curves, said: Any) -> str:
  rows = []
  for name, curve in fixed.items():
    about = said['hyperparams'][name]
    rows.append([escaped(name), f'{curve.constant}', f'{about["logged"]:,}'])
  head = ['constant', 'value', 'logged steps']
  return page.table(head, rows, numbers='logged steps') * bool(rows)


def _history(sessions: list[Any]) -> str:
  rows = []
  for i, each in enumerate(sessions):
    changes = [
      f'<li>{escaped(change["text"])}</li>' for change in each['changes']
    ]
    if each['superseded']:
      changes.append(
        f'<li>{each["superseded"]:,} of its steps were done again later</li>'
      )
    first, last = (
      '' if each[key] is None else f'{each[key]:,}'
      for key in ('first_step', 'last_step')
    )
    rows.append(
      [
        str(i + 1),
        each['started'],
        first,
        last,
        f'{each["steps"]:,}',
        f'<ul>{"".join(changes)}</ul>' if changes else '',
      ]
    )
  return page.table(
    ['', 'started (UTC)', 'first step', 'last step', 'steps', 'what changed'],
    rows,
    numbers='first step,last step,steps',
  )


def _schedules(said: Any, hyperparams: Curves) -> str:
  text = ''
  for name, each in said.items():
    if each['spec'] is None:
      continue
    spec = json.dumps(each['spec'], indent=2)
    over = each['override']
    note = f', overridden by {wording.shown(over)}' if over is not None else ''
    code = f'<code>{escaped(each["schedule"])}</code>'
    text += f'<p>{escaped(name)} = {code}{note}</p>\n'
    rows = [
      [escaped(p['name']), f'{p["start"]:,}', f'{p["end"] - 1:,}']
      + [wording.shown(x) for x in _ends(hyperparams[name], p)]
      for p in each['phases'][:50]
    ]
    head = ['phase', 'first step', 'last step', 'first value', 'last value']
    numbers = ','.join(head[1:])
    content = page.table(head, rows, numbers=numbers) * bool(rows)
    text += page.details(
      'phases and JSON', f'{content}<pre>{escaped(spec)}</pre>\n'
    )
  return text


def _ends(curve: Curve, phase: Any) -> list[float | None]:
  """The planned values at the first and the last step of a phase."""
  steps = np.array([phase['start'], phase['end'] - 1])
  return [timeline.number(x) for x in curve.followed(steps)]

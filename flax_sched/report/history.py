"""A run as its event files tell it: sessions, plans, and what was logged."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from flax_sched import event_files
from flax_sched import inspection
from flax_sched import record
from flax_sched import sessions as sessions_lib
from flax_sched.event_files import Series
from flax_sched.report import changes as changes_lib
from flax_sched.report.changes import Change
from flax_sched.report.changes import Plan


@dataclasses.dataclass(frozen=True)
class Row:
  """A session in the history.

  Attributes:
    started: when, in seconds since 1970.
    first: its first step; None if it logged nothing.
    last: the last step that it logged.
    steps: how many it logged.
    superseded: how many of them a later session did again.
    changes: what is not as it was before.
  """

  started: float
  first: int | None
  last: int | None
  steps: int
  superseded: int
  changes: list[Change]


@dataclasses.dataclass(frozen=True)
class Run:
  """A run.

  Attributes:
    logdir: where it is.
    rows: its sessions.
    scalars: what was logged, by tag: each step once, as the last session that
      came so far has it.
    names: of the tags of hyperparameters.
    plans: in the order in which they were made.
    config: the settings of the run, as last written.
    notes: what a reader should know.
  """

  logdir: str
  rows: list[Row]
  scalars: dict[str, Series]
  names: dict[str, str]
  plans: list[Plan]
  config: dict[str, Any]
  notes: list[str]

  @property
  def last_step(self) -> int:
    """The last step that was logged; -1 for none."""
    return max(
      (int(s[-1]) for s, _ in self.scalars.values() if len(s)), default=-1
    )


def read(logdir: str | os.PathLike[str]) -> Run:
  """Reads the event files of a run.

  Where they hold no record of the hyperparameters, the checkpoints in or beside
  the directory may have one.

  Args:
    logdir: the directory.

  Raises:
    FileNotFoundError: if there is no such directory.
    ValueError: if there is nothing in it.
  """
  path = pathlib.Path(logdir)
  if not path.is_dir():
    raise FileNotFoundError(f'{path}: no such directory.')
  sessions = event_files.read_sessions(path)
  if not sessions:
    near = sorted({p.parent for p in path.glob('*/*tfevents*')})
    hint = f' Did you mean {near[0]}?' if near else ''
    raise ValueError(f'{path}: holds no TensorBoard event files.{hint}')
  notes: list[str] = []
  records = [_records(session, notes) for session in sessions]
  names = _names(sessions, records)
  order = sessions_lib.order(sessions, names)
  plans: list[Plan] = []
  rows: list[Row] = []
  config: dict[str, Any] = {}
  for i, session in enumerate(sessions):
    first, end, own = order[i]
    changes = list(changes_lib.settings(first or 0, config, session.config))
    config = {**config, **session.config}
    for j, (step, new) in enumerate(records[i]):
      plan = Plan(step if j or first is None else first, step, new)
      if plans:
        changes += changes_lib.changes(plans[-1], plan, names)
      plans.append(plan)
    if own:
      rows.append(_row(session, names, first, end, changes))
  if not plans:
    plans = _of_checkpoint(path, names, notes)
  return Run(
    logdir=str(path),
    rows=rows,
    scalars=sessions_lib.merged(sessions, order),
    names=names,
    plans=plans,
    config=config,
    notes=notes,
  )


def _records(
  session: event_files.Session, notes: list[str]
) -> list[tuple[int, dict[str, record.Entry]]]:
  """The records of a session, with the steps of their updates."""
  found = []
  for tag, texts in session.texts.items():
    prefix = tag.removesuffix(record.TAG)
    for step, text in texts if tag.endswith(record.TAG) else []:
      read = record.from_text(text)
      if read is None:
        continue
      if read.get('format') != record.FORMAT:
        notes.append(
          f'The record of step {step:,} has format {read.get("format")!r}, of '
          'another version of flax_sched than this one, which knows '
          f'{record.FORMAT}: it is left out.'
        )
        continue
      if entries := _entries(prefix, read['hyperparams']):
        found.append((step, entries))
  if len(found) >= record.MOST:
    notes.append(
      f'The session with the record of step {found[0][0]:,} has '
      f'{len(found):,} of them, the most that are written: what changed after '
      f'step {found[-1][0]:,} is not known, and may be called off the plan.'
    )
  return found


def _entries(prefix: str, entries: Mapping[str, Any]) -> dict[str, Any]:
  """The entries of a record by tag, without those of populations."""
  return {
    f'{prefix}{name}': entry
    for name, entry in entries.items()
    if isinstance(entry, dict)
    and isinstance(entry.get('count'), int)
    and isinstance(entry.get('schedule'), dict)
    and 'kind' in entry['schedule']
  }


def _names(sessions: Any, records: Any) -> dict[str, str]:
  """The names of hyperparameters, by tag."""
  entries = [entries for found in records for _, entries in found]
  tags = dict.fromkeys(tag for each in entries for tag in each)
  for session in sessions:
    tags |= dict.fromkeys(
      t for t in session.tags if t.startswith(sessions_lib.PREFIX)
    )
  short = {tag: tag.removeprefix(sessions_lib.PREFIX) for tag in tags}
  return (
    short if len(set(short.values())) == len(short) else {t: t for t in tags}
  )


def _row(
  session: event_files.Session,
  names: Mapping[str, str],
  first: int | None,
  end: int,
  changes: list[Change],
) -> Row:
  tags = [tag for tag in session.tags if tag in names] or session.tags
  logged = [session.scalar(tag)[0] for tag in tags]
  steps = np.unique(max(logged, key=len)) if logged else np.zeros(0, np.int64)
  return Row(
    started=session.started,
    first=first,
    last=int(steps[-1]) if len(steps) else None,
    steps=len(steps),
    superseded=int(np.sum(steps >= end)),
    changes=changes,
  )


# ---------------------------------------------------------------------------
# Older logs.


def _of_checkpoint(
  path: pathlib.Path, names: dict[str, str], notes: list[str]
) -> list[Plan]:
  """The plan that the latest checkpoint in or beside a directory remembers."""
  for near in (path, path / 'checkpoints', path.parent / 'checkpoints'):
    try:
      found = inspection.find(str(near))
    except OSError:
      continue
    entries = _entries(sessions_lib.PREFIX, found.entries)
    counts = [entry['count'] for entry in entries.values()]
    if counts:
      notes.append(
        'The event files hold no record of what the hyperparameters follow: '
        f'what is planned is that of the checkpoint {found.path}.'
      )
      names |= {tag: tag.removeprefix(sessions_lib.PREFIX) for tag in entries}
      return [Plan(0, max(counts) - 1, entries)]
  if names:
    notes.append(
      'The event files hold no record of what the hyperparameters follow, and '
      'no checkpoint beside them does: there is only what was logged. '
      'HyperparamLogger writes the record to a writer that has write_texts.'
    )
  return []

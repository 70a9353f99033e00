"""Which steps count of the sessions of a run, where these overlap."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np

from flax_sched import event_files
from flax_sched import record

PREFIX = 'hyperparams/'  # the logger's own
_FOREVER = np.iinfo(np.int64).max


class Order(NamedTuple):
  """Which steps of a session count.

  Attributes:
    first: its first step; None if it logged nothing.
    end: from which step on a later session has the word.
    own: whether it is the training's: others write into the directory too, such
      as an evaluation.
  """

  first: int | None
  end: int
  own: bool


def order(
  sessions: Sequence[event_files.Session], names: Container[str]
) -> list[Order]:
  """How the sessions of a run follow each other.

  From the first step of a later one on, what was logged before was given up,
  also if the later one has not come so far yet.

  Args:
    sessions: as `event_files.read_sessions` has them.
    names: the tags of hyperparameters, which the training's sessions log.

  Returns:
    For each session, what counts of it.
  """
  own = [
    s.first_step is not None
    or any(tag in names for tag in s.tags)
    or any(tag.endswith(record.TAG) for tag in s.texts)
    for s in sessions
  ]
  own = own if any(own) else [True] * len(sessions)
  found: list[Order] = []
  end = _FOREVER
  for session, mine in reversed([*zip(sessions, own, strict=True)]):
    first = _first(session, names)
    # What others than the training write stays.
    counts = mine and first is not None
    found.append(Order(first, end if counts else _FOREVER, mine))
    if counts and first is not None:
      end = min(end, first)
  return found[::-1]


def _first(session: event_files.Session, names: Container[str]) -> int | None:
  if session.first_step is not None:
    return session.first_step
  tags = [tag for tag in session.tags if tag in names] or session.tags
  return min((int(session.scalar(tag)[0].min()) for tag in tags), default=None)


def merged(
  sessions: Sequence[event_files.Session], order: Sequence[Order]
) -> dict[str, event_files.Series]:
  """The scalars of a run by tag: each step once, in ascending order.

  Args:
    sessions: as `event_files.read_sessions` has them.
    order: that of the sessions. Of a step that is logged twice in what counts,
      the last value is taken.
  """
  tags = dict.fromkeys(tag for session in sessions for tag in session.tags)
  return {
    tag: _merged(
      [
        _before(s.scalar(tag), each.end)
        for s, each in zip(sessions, order, strict=True)
      ]
    )
    for tag in tags
  }


def _before(series: event_files.Series, end: int) -> event_files.Series:
  steps, values = series
  if end == _FOREVER:
    return series
  return steps[steps < end], values[steps < end]


def _merged(parts: list[event_files.Series]) -> event_files.Series:
  steps = np.concatenate([steps for steps, _ in parts])
  values = np.concatenate([values for _, values in parts])
  if np.any(steps[1:] <= steps[:-1]):
    order = np.argsort(steps, kind='stable')
    steps, values = steps[order], values[order]
    last = np.append(steps[1:] != steps[:-1], True)
    steps, values = steps[last], values[last]
  return steps, values

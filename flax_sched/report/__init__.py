"""A report of a run: one HTML page that opens from disk.

`write_report` writes it; `flax-sched report LOGDIR` does the same.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

from flax_sched import arguments
from flax_sched.report import counts
from flax_sched.report import curves
from flax_sched.report import figures
from flax_sched.report import history
from flax_sched.report import page
from flax_sched.report import sections


def write_report(
  logdir: str | os.PathLike[str],
  path: str | os.PathLike[str],
  *,
  total_steps: int | None = None,
) -> dict[str, Any]:
  """Writes a page about a run: its curves, its sessions, its schedules.

  What each hyperparameter followed is read from the records that
  `HyperparamLogger` writes; where there is none, from the latest checkpoint in
  the directory or in a folder `checkpoints` in or beside it. A value that was
  logged is off the plan where it differs by more than rounding.

  Args:
    logdir: the directory of the TensorBoard event files, whoever wrote them.
    path: the file to write, HTML. It needs no other file and no network.
    total_steps: the number of steps of the run. By default it ends after the
      last step that was logged, or where the last phase or piece of the
      schedules begins, whichever is later; cycles have no last one.

  Returns:
    The data of the report, as plain data; docs/command_line.md has the keys.

  Raises:
    FileNotFoundError: if `logdir` is no directory.
    ImportError: if plotly is missing, or what reads event files.
    TypeError: if `total_steps` is no number.
    ValueError: if `logdir` holds no event files, or `total_steps` is not a
      positive integer.

  >>> import tempfile
  >>> from flax_sched import tensorboard
  >>> logdir = tempfile.mkdtemp()
  >>> writer = tensorboard.TensorBoardWriter(logdir)
  >>> writer.write_scalars(0, {'loss': 0.5})
  >>> writer.close()
  >>> data = write_report(logdir, pathlib.Path(logdir, 'report.html'))
  >>> data['scalars']
  {'loss': {'logged': 1, 'last': {'step': 0, 'value': 0.5}, 'not_finite': None}}
  """
  given = None
  if total_steps is not None:
    given = int(
      arguments.int32_steps('write_report', 'total_steps', total_steps)
    )
  run = history.read(logdir)
  planned = counts.parts(run)
  total = given or max(curves.total_steps(run, planned), 1)
  hyperparams = {
    run.names[tag]: curves.curve(run, tag, each, total)
    for tag, each in planned.items()
  }
  scalars = {
    tag: curves.curve(run, tag, [], total)
    for tag in run.scalars
    if tag not in run.names
  }
  resumed = sorted({row.first for row in run.rows[1:] if row.first is not None})
  pictures = {
    key: figures.figure(each[name], total, resumed)
    for kind, each in (('hyperparam', hyperparams), ('scalar', scalars))
    for name, key in sections.plots(kind, each).items()
  }
  data = sections.data(run, hyperparams, scalars, total)
  parts = sections.html(run, hyperparams, scalars, data)
  text = page.page(run.logdir, parts, pictures)
  pathlib.Path(path).write_text(text, encoding='utf-8')
  return data

"""Logging hyperparameters through CLU-style metric writers.

Any object with CLU's `write_scalars(step, scalars)` serves as a writer. CLU's
own writers need TensorFlow; `flax_sched.tensorboard` writes the same event
files without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import importlib.util
import logging
import os
from types import TracebackType
from typing import Any, Protocol

import jax
import numpy as np

from flax_sched import record
from flax_sched.copier import Copier
from flax_sched.snapshots import Queue
from flax_sched.snapshots import Snapshot
from flax_sched.tensorboard import flattened
from flax_sched.tensorboard import restart_events
from flax_sched.tensorboard import SilentWriter
from flax_sched.tensorboard import TensorBoardWriter
from flax_sched.writing import Careful

_log = logging.getLogger(__name__)


class MetricWriter(Protocol):
  """What the library needs of a writer: CLU's interface has it."""

  def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
    """Writes values of one step, by name."""

  def flush(self) -> None:
    """Returns when everything written so far is safe."""

  def close(self) -> None:
    """Flushes, and ends the writing."""


class HyperparamLogger:
  """Writes what each update used: its hyperparameters, and other scalars.

  `log` never waits for the device, and costs it one small program: it puts a
  copy of all values in one array, which the donation of the state to the next
  step leaves alone. Values are read many steps at a time, and written in the
  order of the calls: within a second or so where steps are slow, after 128
  calls at the latest. `flush` and `close` write what is left; so does the end
  of a `with` block, also after an error.

  At the first step that is logged, the text 'hyperparams/record' says what each
  hyperparameter follows, if the writer has CLU's `write_texts(step, texts)`;
  and so at a step where that has changed, as by `set_schedules`, by
  `set_hyperparams` or in the step. `flax-sched report` needs it. Where the
  structure of the state is another, and at the first step, the call waits for
  the device. Numbers are compared when they are read, if they are at most 4,096
  in all. There are at most 100 records.

  A writer that fails does not stop the training: the first failure is reported
  by `logging`, and the next steps are written if they can be.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> class Printer:
  ...   def write_scalars(self, step, scalars):
  ...     print(step, scalars)
  >>> lr = fs.linear_schedule(0.5, 0.0, 2)
  >>> tx = fs.inject_hyperparams(optax.sgd, learning_rate=lr)
  >>> state = tx.init(jnp.ones(3))
  >>> with HyperparamLogger(Printer()) as logger:
  ...   for step in range(2):
  ...     _, state = tx.update(jnp.ones(3), state)
  ...     logger.log(step, state, loss=0.125)
  0 {'hyperparams/learning_rate': 0.5, 'loss': 0.125}
  1 {'hyperparams/learning_rate': 0.25, 'loss': 0.125}
  """

  def __init__(
    self,
    writer: MetricWriter,
    every_steps: int = 1,
    prefix: str = 'hyperparams/',
    *,
    raise_errors: bool = False,
  ):
    """Wraps a writer, and closes it in the end.

    Args:
      writer: a CLU metric writer, or any object with its `write_scalars`;
        `flush` and `close` are called where it has them.
      every_steps: logs the steps that this number divides.
      prefix: what the names of hyperparameters start with.
      raise_errors: whether an error of the writer is raised, by the call that
        meets it, instead of reported.

    Raises:
      TypeError: if `writer` has no `write_scalars`.
      ValueError: if `every_steps` is not a positive integer.
    """
    if not callable(getattr(writer, 'write_scalars', None)):
      raise TypeError(
        'HyperparamLogger: writer must have write_scalars(step, scalars), got '
        f'{writer!r}. flax_sched.metrics.create_writer(logdir) makes one.'
      )
    if not isinstance(every_steps, (int, np.integer)) or every_steps < 1:
      raise ValueError(
        'HyperparamLogger: every_steps must be a positive integer, got '
        f'{every_steps!r}.'
      )
    self._writer = Careful(writer, raise_errors)
    self._every_steps = every_steps
    self._hparams: dict[str, Any] | None = None
    self._prefix = prefix
    self._copier = Copier('HyperparamLogger.log', prefix, self._records)
    self._recorded: Any = None  # the structure whose record is written
    self._records_left = record.MOST
    self._fixed = b''  # of the last step that is written, what is compared
    self._latest: dict[str, float] = {}
    self._queue = Queue()

  @property
  def latest(self) -> dict[str, float]:
    """The last values that are known without waiting, by name.

    They may not be written yet. Free to show on a progress bar.
    """
    return dict(self._queue.newest() or self._latest)

  def log(self, step: int, state: Any, **scalars: Any) -> None:
    """Logs the hyperparameters that the last update used.

    Args:
      step: the number of that update, from 0: then its value is schedule(step).
      state: what the update returned: anything that `flax_sched.hyperparams`
        takes.
      **scalars: other numbers of the step, written under their own names;
        `**{'train/loss': loss}` passes a name that is no Python identifier.

    Raises:
      TypeError: if a scalar is no number.
      ValueError: if `state` holds no injected hyperparameters, or a scalar has
        more than one element.
    """
    if step % self._every_steps:
      return
    snapshot = self._copier.copy(state, scalars)
    renewed = self._copier.structure is not self._recorded
    if renewed and self._records():
      self._write(self._queue.rest())  # records are written in order
    if renewed:
      self._recorded, self._fixed = self._copier.structure, b''
    self._queue.add(int(step), snapshot)
    self._write(self._queue.due())
    if renewed:
      self._write_record(int(step), state)

  def write_hparams(self, config: Mapping[str, Any]) -> None:
    """Writes the settings of the run, where the writer can; call it once.

    Args:
      config: a mapping or a ConfigDict. Nested ones are named 'outer.inner';
        what is neither a number nor a string is written as text.

    Raises:
      ValueError: if it was called before with other settings.
    """
    flat = dict(flattened(config, '.'))
    if self._hparams not in (None, flat):
      raise ValueError(
        'HyperparamLogger.write_hparams: config must be that of the first '
        'call, since a run has one. Put all settings in it, or log what '
        'changes by log(step, state, name=value).'
      )
    if self._hparams is None:
      self._hparams = flat
      self._writer.call('write_hparams', flat)

  def flush(self) -> None:
    """Writes what is left, and flushes the writer."""
    self._write(self._queue.rest())
    self._writer.call('flush')

  def close(self) -> None:
    """Writes what is left, and closes the writer."""
    try:
      self._write(self._queue.rest())
    finally:
      self._writer.call('close')

  def __enter__(self) -> HyperparamLogger:
    return self

  def __exit__(
    self,
    error_type: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    if error is None:
      self.close()
      return
    # The error that ended the block is the one to raise.
    self._writer.raise_errors = False
    try:
      self.close()
    except Exception as failed:  # such as a step on the device
      _log.error('HyperparamLogger.close: the last steps are lost: %s', failed)

  def _write(self, steps: Iterable[tuple[int, Snapshot]]) -> None:
    for step, snapshot in steps:
      self._latest = snapshot.read()
      self._writer.call('write_scalars', step, self._latest)
      fixed = snapshot.fixed()
      if fixed and self._fixed and fixed != self._fixed:
        self._write_record(step, snapshot.state())
      self._fixed = fixed or self._fixed

  def _records(self) -> bool:
    """Whether this process can write records."""
    return (
      self._writer.has('write_texts')
      and self._records_left > 0
      and jax.process_index() == 0
    )

  def _write_record(self, step: int, state: Any) -> None:
    """Writes what each hyperparameter follows, where that can be."""

    def write() -> None:
      text = record.to_text(record.record(state))
      writer: Any = self._writer.writer
      writer.write_texts(step, {f'{self._prefix}{record.TAG}': text})

    # Another process may not log at all.
    if self._records() and record.is_local(state):
      self._records_left -= 1
      self._writer.attempt('write_texts', f' at step {step}', write)


# ---------------------------------------------------------------------------
# Writers.


def create_writer(
  logdir: str | os.PathLike[str], *, first_step: int | None = None
) -> MetricWriter:
  """A writer for TensorBoard: CLU's own where it works, else one like it.

  CLU's default writer needs the packages clu, tensorflow and tensorboard. Where
  one is missing, the writer is a `TensorBoardWriter`, which needs tensorboardX.
  Of several processes, only process 0 writes files.

  Args:
    logdir: the directory of the event files; it is made where there is none.
    first_step: the step that training starts or goes on at. TensorBoard then
      hides what an interrupted run in this directory logged from there on.

  Returns:
    The writer. Close it in the end.

  Raises:
    ImportError: if tensorboardX is missing too.
  """
  logdir = os.fspath(logdir)
  if all(map(importlib.util.find_spec, ('clu', 'tensorflow', 'tensorboard'))):
    from clu import metric_writers

    process_0 = jax.process_index() == 0
    if process_0 and first_step is not None:
      from tensorboard.compat.proto import event_pb2
      from tensorboard.summary.writer import event_file_writer

      files = event_file_writer.EventFileWriter(logdir)
      for event in restart_events(event_pb2, first_step):
        files.add_event(event)
      files.close()
    return metric_writers.create_default_writer(
      logdir, just_logging=not process_0
    )
  if jax.process_index() > 0:
    return SilentWriter()
  return TensorBoardWriter(logdir, first_step=first_step)

"""Logging hyperparameters through CLU-style metric writers.

Any object with CLU's `write_scalars(step, scalars)` serves as a writer. CLU's
own writers need TensorFlow; `TensorBoardWriter` writes the same event files
without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import importlib.util
import itertools
import os
import socket
import time
from types import TracebackType
from typing import Any, NoReturn, Protocol

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched.access import hyperparams

_FLUSH_SECONDS = 10.0  # how far behind TensorBoard may be
_file_numbers = itertools.count()


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

  `log` never waits for the step that it logs, so that the device always has
  work: it takes a copy on the device, which the donation of the state to the
  next step leaves alone, and writes it at the next call. `flush` and `close`
  write what is left; so does the end of a `with` block, also after an error.

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

  Attributes:
    latest: what was written last: {name: float}. It is free to show on a
      progress bar.
  """

  def __init__(
    self,
    writer: MetricWriter,
    every_steps: int = 1,
    prefix: str = 'hyperparams/',
  ):
    """Wraps a writer, and closes it in the end.

    Args:
      writer: a CLU metric writer, or any object with its `write_scalars`;
        `flush` and `close` are called where it has them.
      every_steps: logs the steps that this number divides.
      prefix: what the names of hyperparameters start with.

    Raises:
      TypeError: if `writer` has no `write_scalars`.
      ValueError: if `every_steps` is not a positive integer.
    """
    if not callable(getattr(writer, 'write_scalars', None)):
      raise TypeError(
        'HyperparamLogger: writer must have write_scalars(step, scalars), got '
        f'{writer!r}. flax_sched.metrics.create_writer(logdir) makes one.'
      )
    if not isinstance(every_steps, int) or every_steps < 1:
      raise ValueError(
        'HyperparamLogger: every_steps must be a positive integer, got '
        f'{every_steps!r}.'
      )
    self.latest: dict[str, float] = {}
    self._writer = writer
    self._every_steps = every_steps
    self._prefix = prefix
    self._pending: tuple[int, dict[str, Any]] | None = None

  def log(self, step: int, state: Any, **scalars: Any) -> None:
    """Logs the hyperparameters that the last update used.

    Args:
      step: the number of that update, from 0: then its value is schedule(step).
      state: what the update returned: anything that `flax_sched.hyperparams`
        takes.
      **scalars: other numbers of the step, written under their own names;
        `**{'train/loss': loss}` passes a name that is no Python identifier.

    Raises:
      ValueError: if `state` holds no injected hyperparameters, or a scalar has
        more than one element.
    """
    if step % self._every_steps:
      return
    values = {
      self._prefix + name: value for name, value in hyperparams(state).items()
    }
    pending = int(step), _take({**values, **scalars})
    self._write_pending()
    self._pending = pending

  def flush(self) -> None:
    """Writes what is left, and flushes the writer."""
    self._write_pending()
    _call(self._writer, 'flush')

  def close(self) -> None:
    """Writes what is left, and closes the writer."""
    try:
      self._write_pending()
    finally:
      _call(self._writer, 'close')

  def __enter__(self) -> HyperparamLogger:
    return self

  def __exit__(
    self,
    error_type: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    self.close()

  def _write_pending(self) -> None:
    if self._pending is None:
      return
    (step, values), self._pending = self._pending, None
    # One transfer for all. Plain floats, since writers differ in what they make
    # of arrays, and an asynchronous one would read them too late.
    self.latest = {
      name: float(np.asarray(value).reshape(()))
      for name, value in jax.device_get(values).items()
    }
    self._writer.write_scalars(step, self.latest)


def _take(values: Mapping[str, Any]) -> dict[str, Any]:
  """The values, those on a device as copies that no donation can delete."""
  taken: dict[str, Any] = {}
  by_device: dict[Any, dict[str, Any]] = {}
  for name, value in values.items():
    if np.size(value) != 1:
      raise ValueError(
        f'HyperparamLogger.log: {name} must be a single number, got an array '
        f'of shape {np.shape(value)}.'
      )
    taken[name] = value  # keeps the order
    if isinstance(value, jax.Array):
      # Each process reads its own copy: nothing here waits for another one.
      local = value.addressable_data(0) if value.is_fully_replicated else value
      by_device.setdefault(local.sharding, {})[name] = local
  for group in by_device.values():
    copies = _copy(group)
    for name, copy in copies.items():
      copy.copy_to_host_async()
      taken[name] = copy
  return taken


@jax.jit
def _copy(values: dict[str, jax.Array]) -> dict[str, jax.Array]:
  # jnp.copy: no output may share the memory of an input.
  return {name: jnp.copy(value) for name, value in values.items()}


def _call(writer: Any, method: str) -> None:
  if hasattr(writer, method):
    getattr(writer, method)()


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
      for event in _restart(event_pb2, first_step):
        files.add_event(event)
      files.close()
    return metric_writers.create_default_writer(
      logdir, just_logging=not process_0
    )
  if jax.process_index() > 0:
    return _SilentWriter()
  return TensorBoardWriter(logdir, first_step=first_step)


class _SilentWriter:
  """What the processes get that own no files."""

  def __getattr__(self, name: str) -> Any:
    if name in ('flush', 'close') or name.startswith('write_'):
      return lambda *args, **kwargs: None
    raise AttributeError(name)


class TensorBoardWriter:
  """Writes TensorBoard event files without TensorFlow.

  It has the methods of CLU's `MetricWriter`, so that CLU's `AsyncWriter` and
  `MultiWriter` take it too; scalars, texts, histograms and hparams are
  supported. What `flush` returns from survives the end of the process, even by
  kill -9.

  >>> import tempfile
  >>> from flax_sched import plot
  >>> logdir = tempfile.mkdtemp()
  >>> writer = TensorBoardWriter(logdir)
  >>> writer.write_scalars(0, {'loss': 0.5})
  >>> writer.close()
  >>> plot.read_scalars(logdir, prefix='')
  {'loss': (array([0]), array([0.5], dtype=float32))}
  """

  def __init__(
    self, logdir: str | os.PathLike[str], *, first_step: int | None = None
  ):
    """Opens a new event file.

    Args:
      logdir: the directory of the event files; it is made where there is none.
      first_step: as in `create_writer`.

    Raises:
      ImportError: if tensorboardX is missing.
    """
    try:
      from tensorboardX import record_writer
      from tensorboardX import summary
      from tensorboardX.proto import event_pb2
    except ImportError as error:
      raise ImportError(
        'TensorBoardWriter: event files need tensorboardX. Install it by `pip '
        "install flax-sched[tensorboard]`, or use CLU's own writers, which "
        'need tensorflow and tensorboard.'
      ) from error
    self._events, self._summaries = event_pb2, summary
    record_writer.directory_check(os.fspath(logdir))
    # TensorBoard reads files in the order of their names. The time orders them,
    # and the rest makes them new: no file is ever opened twice.
    name = (
      f'events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.'
      f'{os.getpid()}.{next(_file_numbers)}'
    )
    self._records = record_writer.RecordWriter(os.path.join(logdir, name))
    self._closed = False
    self._next_flush = 0.0
    self._add(event_pb2.Event(file_version='brain.Event:2'))
    if first_step is not None:
      for event in _restart(event_pb2, first_step):
        self._add(event)

  def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
    """Writes values of one step, by name, as float32.

    Raises:
      ValueError: if one has more than one element.
    """
    value = self._summaries.Summary.Value
    values = [
      value(tag=name, simple_value=_as_float(name, x))
      for name, x in scalars.items()
    ]
    self._add_values(step, values)

  def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
    """Writes texts of one step, by name. TensorBoard shows them as Markdown."""
    for name, text in texts.items():
      self._add_values(step, self._summaries.text(name, text).value)

  def write_histograms(
    self,
    step: int,
    arrays: Mapping[str, Any],
    num_buckets: Mapping[str, int] | None = None,
  ) -> None:
    """Writes how the numbers of arrays are distributed, by name."""
    for name, array in arrays.items():
      bins = (num_buckets or {}).get(name) or 30
      histogram = self._summaries.histogram(name, np.asarray(array), bins)
      self._add_values(step, histogram.value)

  def write_hparams(self, hparams: Mapping[str, Any]) -> None:
    """Writes the settings of a run, once. Nested ones are named 'outer/inner'.

    Args:
      hparams: a mapping or a ConfigDict. What is neither a number nor a string
        is written as text.
    """
    flat = dict(_flatten(hparams))
    for summary in self._summaries.hparams(flat, {}):
      self._add_values(0, summary.value)

  def write_images(self, step: int, images: Mapping[str, Any]) -> NoReturn:
    """Not supported."""
    _refuse('write_images')

  def write_audios(
    self, step: int, audios: Mapping[str, Any], *, sample_rate: int
  ) -> NoReturn:
    """Not supported."""
    _refuse('write_audios')

  def write_videos(self, step: int, videos: Mapping[str, Any]) -> NoReturn:
    """Not supported."""
    _refuse('write_videos')

  def write_summaries(
    self,
    step: int,
    values: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
  ) -> NoReturn:
    """Not supported."""
    _refuse('write_summaries')

  def flush(self) -> None:
    """Returns when everything written so far is in the file."""
    if not self._closed:
      self._records.flush()
      self._next_flush = time.monotonic() + _FLUSH_SECONDS

  def close(self) -> None:
    """Flushes and closes the file. A second call does nothing."""
    if not self._closed:
      self.flush()
      self._records.close()
      self._closed = True

  def _add_values(self, step: int, values: Sequence[Any]) -> None:
    summary = self._summaries.Summary(value=values)
    self._add(self._events.Event(step=int(step), summary=summary))

  def _add(self, event: Any) -> None:
    if self._closed:
      raise ValueError(
        'TensorBoardWriter: the writer is closed. Write before close().'
      )
    event.wall_time = time.time()
    self._records.write(event.SerializeToString())
    if time.monotonic() > self._next_flush:
      self.flush()


def _restart(event_pb2: Any, step: int) -> list[Any]:
  """The events that make TensorBoard drop what came from `step` on before."""
  log = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
  event = event_pb2.Event(wall_time=time.time(), step=step, session_log=log)
  # Two, since the first of all in a directory starts a run and drops nothing.
  return [event, event]


def _as_float(name: str, x: Any) -> float:
  if np.size(x) != 1:
    raise ValueError(
      f'TensorBoardWriter.write_scalars: {name} must be a single number, got '
      f'an array of shape {np.shape(x)}.'
    )
  return float(np.asarray(x).reshape(()))


def _flatten(
  hparams: Mapping[str, Any], prefix: str = ''
) -> Iterator[tuple[str, Any]]:
  for name, value in hparams.items():
    if hasattr(value, 'items'):
      yield from _flatten(value, f'{prefix}{name}/')
    elif isinstance(value, np.number):
      yield f'{prefix}{name}', value.item()
    elif isinstance(value, (bool, int, float, str)):
      yield f'{prefix}{name}', value
    else:
      yield f'{prefix}{name}', str(value)


def _refuse(method: str) -> NoReturn:
  raise NotImplementedError(
    f'TensorBoardWriter.{method}: the writer has scalars, texts, histograms '
    'and hparams only. clu.metric_writers.create_default_writer(logdir) has '
    'the rest; it needs tensorflow and tensorboard.'
  )

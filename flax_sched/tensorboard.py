"""TensorBoard event files without TensorFlow: a writer and a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import itertools
import os
import socket
import time
from typing import Any, NoReturn

import numpy as np

from flax_sched import event_files
from flax_sched import sessions as sessions_lib

__all__ = ['TensorBoardWriter', 'read_scalars']

_FLUSH_SECONDS = 10.0  # how far behind TensorBoard may be
_file_numbers = itertools.count()


class TensorBoardWriter:
  """Writes TensorBoard event files without TensorFlow.

  It has the methods of CLU's `MetricWriter`, so that CLU's `AsyncWriter` and
  `MultiWriter` take it too; scalars, texts, histograms and hparams are
  supported. What `flush` returns from survives the end of the process, even by
  kill -9.

  >>> import tempfile
  >>> logdir = tempfile.mkdtemp()
  >>> writer = TensorBoardWriter(logdir)
  >>> writer.write_scalars(0, {'loss': 0.5})
  >>> writer.close()
  >>> read_scalars(logdir, prefix='')
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
      for event in restart_events(event_pb2, first_step):
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
    flat = dict(flattened(hparams, '/'))
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


class SilentWriter:
  """What the processes get that own no files."""

  def __getattr__(self, name: str) -> Any:
    if name in ('flush', 'close') or name.startswith('write_'):
      return lambda *args, **kwargs: None
    raise AttributeError(name)


def restart_events(event_pb2: Any, step: int) -> list[Any]:
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


def flattened(
  hparams: Mapping[str, Any], separator: str, way: str = ''
) -> Iterator[tuple[str, Any]]:
  """Settings by their full names, as what an event file can hold.

  Args:
    hparams: a mapping or a ConfigDict, of others too.
    separator: what stands between the names of outer and inner ones.
    way: what the names begin with.

  Yields:
    Names with values: what is neither a number nor a string as text; so is an
    integer of more than 64 bits.

  >>> dict(flattened({'lr': {'peak': 0.1}, 'sizes': (1, 2)}, '.'))
  {'lr.peak': 0.1, 'sizes': '(1, 2)'}
  """
  for name, value in hparams.items():
    full = _encodable(f'{way}{name}')
    if hasattr(value, 'items'):
      yield from flattened(value, separator, f'{full}{separator}')
    elif isinstance(value, np.number):
      yield full, value.item()
    elif isinstance(value, float) or (
      isinstance(value, int) and -(2**63) <= value < 2**64
    ):
      yield full, value
    else:
      yield full, _encodable(str(value))


def _encodable(text: str) -> str:
  """A text without what UTF-8 has no bytes for, such as half a surrogate."""
  return text.encode('utf-8', 'backslashreplace').decode('utf-8')


def _refuse(method: str) -> NoReturn:
  raise NotImplementedError(
    f'TensorBoardWriter.{method}: the writer has scalars, texts, histograms '
    'and hparams only. clu.metric_writers.create_default_writer(logdir) has '
    'the rest; it needs tensorflow and tensorboard.'
  )


def read_scalars(
  logdir: str | os.PathLike[str], prefix: str = 'hyperparams/'
) -> dict[str, event_files.Series]:
  """Reads scalars back from the TensorBoard event files of a run.

  A run that was interrupted and resumed may have logged a step more than once:
  from the first step of a later session on, what was logged before it does not
  count, as in a report, also if the later one has not come so far yet. The end
  of a file may be torn: a torn record is left out.

  Args:
    logdir: the directory of the event files, whoever wrote them.
    prefix: which scalars to read: those whose names start with it. The names in
      the result go without it.

  Returns:
    By name, the steps in ascending order, int64 of shape (n,), and the value at
    each, float32 of shape (n,).

  Raises:
    ImportError: if both tensorboardX and tensorboard are missing.
    FileNotFoundError: if `logdir` is no directory.

  >>> import tempfile
  >>> logdir = tempfile.mkdtemp()
  >>> writer = TensorBoardWriter(logdir)
  >>> writer.write_scalars(0, {'hyperparams/learning_rate': 0.5})
  >>> writer.write_scalars(1, {'hyperparams/learning_rate': 0.25})
  >>> writer.close()
  >>> read_scalars(logdir)['learning_rate']
  (array([0, 1]), array([0.5 , 0.25], dtype=float32))
  """
  sessions = event_files.read_sessions(logdir)
  names = {
    tag
    for session in sessions
    for tag in session.tags
    if tag.startswith(sessions_lib.PREFIX)
  }
  order = sessions_lib.order(sessions, names)
  return {
    tag[len(prefix) :]: series
    for tag, series in sessions_lib.merged(sessions, order).items()
    if tag.startswith(prefix)
  }

"""Reading TensorBoard event files, whoever wrote them.

A run that was interrupted and resumed has several: the sessions of the run. A
file whose end is torn is read up to there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
import dataclasses
import os
import pathlib
import struct
from typing import Any

import numpy as np

Series = tuple[np.ndarray, np.ndarray]
_TEXT_SUFFIX = '/text_summary'  # which tensorboardX puts behind a tag


@dataclasses.dataclass
class Session:
  """What one start of a run wrote.

  Attributes:
    started: when, in seconds since 1970.
    first_step: the step that it says it starts or goes on at, if it does.
    texts: by tag, steps and texts in the order in which they were written.
    config: the settings of the run, by name; empty if there are none.
  """

  started: float
  first_step: int | None = None
  texts: dict[str, list[tuple[int, str]]] = dataclasses.field(
    default_factory=dict
  )
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  _scalars: dict[str, tuple[array[int], array[float]]] = dataclasses.field(
    default_factory=dict
  )

  @property
  def tags(self) -> list[str]:
    """The names of its scalars."""
    return list(self._scalars)

  def scalar(self, tag: str) -> Series:
    """A scalar in the order in which it was written; it may be empty.

    Args:
      tag: its name.

    Returns:
      The steps, int64 of shape (n,), and the values, float32 of shape (n,).
    """
    steps, values = self._scalars.get(tag, (array('q'), array('f')))
    return np.array(steps, np.int64), np.array(values, np.float32)

  @property
  def _is_empty(self) -> bool:
    return not (self._scalars or self.texts or self.config)

  def _add(self, step: int, value: Any) -> None:
    """Takes in a value of an event's summary."""
    plain = value.HasField('simple_value')
    number = value.simple_value if plain else _of_tensor(value)
    if number is not None:
      tag = value.tag  # this runs for each number of a long run
      series = self._scalars.get(tag)
      if series is None:
        series = self._scalars[tag] = array('q'), array('f')
      series[0].append(step)
      series[1].append(number)
      return
    plugin = value.metadata.plugin_data
    if plugin.plugin_name == 'hparams':
      self.config |= _config(plugin.content)
    elif value.tensor.dtype == 7:  # DT_STRING
      tag = value.tag.removesuffix(_TEXT_SUFFIX)
      for text in value.tensor.string_val[:1]:
        written = self.texts.setdefault(tag, [])
        written.append((step, text.decode('utf-8', 'replace')))


def read_sessions(logdir: str | os.PathLike[str]) -> list[Session]:
  """Reads what a run wrote, start by start.

  A file begins a session, and so does a restart within a file, as that of
  `create_writer(logdir, first_step=...)`.

  Args:
    logdir: the directory of the event files, whoever wrote them.

  Returns:
    The sessions, in the order in which they started.

  Raises:
    ImportError: if both tensorboardX and tensorboard are missing.
    FileNotFoundError: if `logdir` is no directory.

  >>> import tempfile
  >>> from flax_sched import tensorboard
  >>> logdir = tempfile.mkdtemp()
  >>> for first_step in (0, 2):
  ...   writer = tensorboard.TensorBoardWriter(logdir, first_step=first_step)
  ...   writer.write_scalars(first_step, {'loss': 0.5})
  ...   writer.close()
  >>> [session.first_step for session in read_sessions(logdir)]
  [0, 2]
  """
  sessions: list[Session] = []
  for path in _files(logdir):
    new_file = True
    for event in events(path):
      what = event.WhichOneof('what')
      restarts = what == 'session_log' and event.session_log.status == 1
      if what != 'summary' and not restarts:
        continue
      # CLU's writers have no restart: the library puts one in a file before.
      begins = restarts or new_file
      if not sessions or (begins and not sessions[-1]._is_empty):
        sessions.append(Session(event.wall_time))
      new_file = False
      if restarts:
        sessions[-1].first_step = event.step
      step, add = event.step, sessions[-1]._add
      for value in event.summary.value:
        add(step, value)
  return [s for s in sessions if not s._is_empty or s.first_step is not None]


# ---------------------------------------------------------------------------
# Files.


def _files(logdir: str | os.PathLike[str]) -> list[pathlib.Path]:
  """The event files with anything in them, in the order of their beginning."""
  found = []
  for path in pathlib.Path(logdir).iterdir():
    if 'tfevents' in path.name:
      for event in events(path):
        # TensorFlow says in whole seconds when it was opened; names do so too.
        if event.WhichOneof('what') != 'file_version':
          found.append((event.wall_time, path.name, path))
          break
  return [path for *_, path in sorted(found)]


def events(path: pathlib.Path) -> Iterator[Any]:
  """The events in a file, up to its end or to where it is damaged.

  Args:
    path: the file.

  Yields:
    Each event, a protocol buffer.

  Raises:
    ImportError: if both tensorboardX and tensorboard are missing.

  >>> import tempfile
  >>> from flax_sched import tensorboard
  >>> logdir = tempfile.mkdtemp()
  >>> tensorboard.TensorBoardWriter(logdir).close()
  >>> (path,) = pathlib.Path(logdir).iterdir()
  >>> [event.file_version for event in events(path)]
  ['brain.Event:2']
  """
  decode = _protobuf('event').Event.FromString
  from google.protobuf.message import DecodeError

  for record in _records(path):
    try:
      yield decode(record)
    except DecodeError:
      return  # torn, as by a full disk


def _protobuf(name: str) -> Any:
  try:
    from tensorboardX.proto import event_pb2
    from tensorboardX.proto import plugin_hparams_pb2
  except ImportError:
    try:
      from tensorboard.compat.proto import event_pb2
      from tensorboard.plugins.hparams import plugin_data_pb2
    except ImportError as error:
      raise ImportError(
        'Event files need tensorboardX. Install it by `pip install '
        'flax-sched[tensorboard]`.'
      ) from error
    return {'event': event_pb2, 'hparams': plugin_data_pb2}[name]
  return {'event': event_pb2, 'hparams': plugin_hparams_pb2}[name]


def _records(path: pathlib.Path) -> Iterator[bytes]:
  """The records of a TFRecord file, up to its end or the first torn one."""
  # Each is a length of 8 bytes, its checksum of 4, the data, its checksum.
  with path.open('rb') as file:
    left = os.fstat(file.fileno()).st_size
    while left >= 12:
      (length,) = struct.unpack('<Q4x', file.read(12))
      left -= 12 + length + 4
      if length == 0 or left < 0:
        return
      yield file.read(length + 4)[:length]


# ---------------------------------------------------------------------------
# Values.


def _of_tensor(value: Any) -> float | None:
  """The number in a summary value that holds a tensor, if it is one."""
  if value.metadata.plugin_data.plugin_name not in ('', 'scalars'):
    return None
  if value.HasField('tensor') and value.tensor.dtype == 1:  # DT_FLOAT
    if value.tensor.tensor_content:
      return float(np.frombuffer(value.tensor.tensor_content, '<f4')[0])
    if value.tensor.float_val:
      return float(value.tensor.float_val[0])
  return None


def _config(content: bytes) -> dict[str, Any]:
  """The settings in what TensorBoard's plugin for them wrote."""
  data = _protobuf('hparams').HParamsPluginData.FromString(content)
  found = {}
  for name, value in data.session_start_info.hparams.items():
    x = getattr(value, value.WhichOneof('kind') or 'string_value')
    # All numbers are float there.
    found[name] = int(x) if isinstance(x, float) and x.is_integer() else x
  return found

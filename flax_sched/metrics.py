"""Logging hyperparameters through CLU-style metric writers.

Any object with CLU's `write_scalars(step, scalars)` serves as a writer. CLU's
own writers need TensorFlow; `flax_sched.tensorboard` writes the same event
files without it.
"""

from __future__ import annotations

from collections.abc import Mapping
import importlib.util
import os
from types import TracebackType
from typing import Any, Protocol

import jax
from jax import numpy as jnp
import numpy as np

from flax_sched.access import hyperparams
from flax_sched.tensorboard import restart_events
from flax_sched.tensorboard import TensorBoardWriter


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
      for event in restart_events(event_pb2, first_step):
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

"""Calls of a writer whose errors do not stop the training."""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Any

_log = logging.getLogger('flax_sched.metrics')


class Careful:
  """A writer, and what becomes of its errors.

  Attributes:
    writer: the writer.
    raise_errors: whether they are raised; else the first one is reported.
  """

  def __init__(self, writer: Any, raise_errors: bool):
    """With the writer."""
    self.writer = writer
    self.raise_errors = raise_errors
    self._reported = False

  def has(self, method: str) -> bool:
    """Whether the writer has a method."""
    return hasattr(self.writer, method)

  def call(self, method: str, *args: Any) -> None:
    """Calls a method of the writer, where it has it."""
    if self.has(method):
      at = f' at step {args[0]}' if method == 'write_scalars' else ''
      self.attempt(method, at, getattr(self.writer, method), *args)

  def attempt(
    self, method: str, at: str, function: Callable[..., None], *args: Any
  ) -> None:
    """Calls a function that needs the writer.

    Args:
      method: the method that it calls.
      at: at which step, as an error says it.
      function: the function.
      *args: its arguments.
    """
    try:
      function(*args)
    except Exception as error:
      what = f'{type(self.writer).__name__}.{method} failed{at}'
      if self.raise_errors:
        error.add_note(f'HyperparamLogger: {what}.')
        raise
      if not self._reported:
        self._reported = True
        _log.error(
          'HyperparamLogger: %s: %s: %s. The training goes on, and what cannot '
          'be written is missing from the log; this is the only report. Mend '
          'the writer, or pass raise_errors=True to stop at such an error.',
          what,
          type(error).__name__,
          error,
          exc_info=error,
        )

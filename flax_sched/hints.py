"""What an error suggests: the known name that was meant."""

from __future__ import annotations

from collections.abc import Iterable
import difflib
from typing import Any


def nearest(word: Any, known: Iterable[Any]) -> str | None:
  """The known name that is most like a word; None if none is."""
  near = difflib.get_close_matches(str(word), list(map(str, known)), 1)
  return near[0] if near else None


def did_you_mean(word: Any, known: Iterable[Any]) -> str:
  """A sentence with the nearest of several names, if one is near.

  >>> did_you_mean('admw', ['adam', 'adamw'])
  " Did you mean 'adamw'?"
  """
  near = nearest(word, known)
  return f' Did you mean {near!r}?' if near else ''

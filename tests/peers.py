"""How a table of another library's values is reproduced."""

from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
  """A call that gives a table's values.

  Attributes:
    build: makes the schedule from the table's `params`.
    first: the peer's step number of the first update: 1 where it counts from 1.
    until: the last of the peer's steps that is wanted; None: all.
    except_at: single steps that are not.
    why: why not: the peer's fault.
    rtol: the relative difference that the peer's arithmetic explains.
    run: for what reacts to metrics: gives the values of all steps, from params.
  """

  build: Callable[[dict[str, Any]], Any] | None = None
  first: int = 0
  until: int | None = None
  except_at: tuple[int, ...] = ()
  why: str = ''
  rtol: float = 4e-7
  run: Callable[[dict[str, Any]], list[float]] | None = None

  def values(self, params: dict[str, Any], steps: np.ndarray) -> np.ndarray:
    """The values at the peer's steps."""
    if self.run is not None:
      return np.asarray(self.run(params))[steps]
    return np.asarray(self.build(params)(steps - self.first))

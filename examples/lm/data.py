"""The language reference of Python, which CPython brings along as text.

`pydoc_data.topics` is what `help('while')` prints: about 80 topics, half a
megabyte, in every Python but the most minimal ones.
"""

import importlib
from typing import NamedTuple

import numpy as np

HELD_OUT = 10  # every tenth topic is for validation


class Data(NamedTuple):
  """Bytes to train on and bytes to validate with, uint8 of shape (n,)."""

  train: np.ndarray
  validation: np.ndarray


def load_data() -> Data:
  """The topics in alphabetical order, each paragraph once.

  Topics quote each other: 'specialnames' holds several others in full. So a
  paragraph that occurred before is left out, and none is in both parts.

  Raises:
    ImportError: if this Python comes without the text.
  """
  try:
    topics = importlib.import_module('pydoc_data.topics').topics
  except ImportError as error:
    raise ImportError(
      "load_data: Python's own documentation must be installed, but there is "
      'no pydoc_data.topics. It is part of the standard library; minimal '
      'systems leave it out: on Debian, `apt install python3` adds it to '
      'python3-minimal.'
    ) from error
  seen = set()

  def text_of(names: list[str]) -> np.ndarray:
    paragraphs = []
    for name in names:
      for paragraph in topics[name].split('\n\n'):
        if paragraph.strip() not in seen:
          seen.add(paragraph.strip())
          paragraphs.append(paragraph)
    return np.frombuffer('\n\n'.join(paragraphs).encode(), np.uint8)

  names = sorted(topics)
  held_out = names[::HELD_OUT]
  train = text_of([name for name in names if name not in held_out])
  return Data(train, text_of(held_out))


def batch(
  text: np.ndarray, size: int, length: int, *, seed: int, step: int
) -> np.ndarray:
  """What a step sees: int32 of shape (size, length + 1), from anywhere."""
  # A function of seed and step: a resumed run has no iterator to restore.
  random = np.random.default_rng((seed, step))
  return _cut(text, random.integers(0, len(text) - length, size), length)


def windows(text: np.ndarray, size: int, length: int) -> np.ndarray:
  """The whole text in batches, shape (n, size, length + 1), less a rest.

  Each byte is predicted once, from what is before it in its window.
  """
  count = (len(text) - 1) // length // size
  if count == 0:
    raise ValueError(
      f'windows: size * length must be less than the text, of {len(text):,} '
      f'bytes, got {size} * {length}. Use a smaller batch_size or length.'
    )
  cut = _cut(text, np.arange(count * size) * length, length)
  return cut.reshape(count, size, length + 1)


def _cut(text: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
  # One byte more: inputs are all but the last one, targets all but the first.
  return text[starts[:, None] + np.arange(length + 1)].astype(np.int32)

"""The names of hyperparameters, by where they are in a state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

# The way to a hyperparameter, and what it is called there.
Way = tuple[tuple[Any, ...], str]

# Fields that say nothing about which optimizer it is.
_WRAPPERS = ('opt_state', 'inner_state', 'inner_states', 'inner_opt_state')


def _is_label(key: Any) -> bool:
  return isinstance(getattr(key, 'key', None), str)


_Part = Callable[[Any], bool]

# Which part of the way is in a name: with each, names that clashed with the one
# before. Checkpoints have these names, so that a name once given has to stay.
_STAGES: tuple[_Part, ...] = (
  lambda key: False,
  _is_label,
  lambda key: _is_label(key) or hasattr(key, 'idx'),
  lambda key: not hasattr(key, 'name'),
  lambda key: getattr(key, 'name', None) not in _WRAPPERS,
  lambda key: True,
)


def names(caller: str, ways: list[Way], stored: tuple[Any, ...]) -> list[str]:
  """A name for each way: short, and unique.

  Args:
    caller: the function to name in errors.
    ways: the ways, those into the `opt_state` of the whole first.
    stored: the way to that; () if there is none. What is elsewhere changes no
      name in it.

  Raises:
    ValueError: if two ways are the same in words.
  """
  own = [
    (path[len(stored) :], key)
    for path, key in ways
    if path[: len(stored)] == stored
  ]
  found = _spelled(own, _STAGES, [])
  found += _spelled(ways[len(own) :], _STAGES[-2:], found)
  for name, times in Counter(found).items():
    if times > 1:
      raise ValueError(
        f'{caller}: the keys on the way to each hyperparameter must tell it '
        f'from the others, got {times} of the name {name!r}. Use keys without '
        "'/'."
      )
  return found


def _spelled(
  ways: list[Way], stages: tuple[_Part, ...], taken: list[str]
) -> list[str]:
  found = [_spell(way, stages[0]) for way in ways]
  for part in stages[1:]:
    times = Counter([*taken, *found])
    found = [
      _spell(way, part) if times[name] > 1 else name
      for name, way in zip(found, ways, strict=True)
    ]
  return found


def _spell(way: Way, part: _Part) -> str:
  path, key = way
  return '/'.join([*map(word, filter(part, path)), key])


def word(key: Any) -> str:
  """A key of one of JAX's paths, in a word."""
  fields = ('key', 'idx', 'name')
  return str(next((getattr(key, f) for f in fields if hasattr(key, f)), key))

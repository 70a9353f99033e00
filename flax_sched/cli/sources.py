"""The files of configs, and the paths into them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import contextlib
import importlib.util
import inspect
import json
import os
import re
import sys
import traceback
from typing import Any

from flax_sched.hints import did_you_mean
from flax_sched.keys import dotted
from flax_sched.keys import is_mapping

# As the flags of ml_collections name it, so that a class in a checkpoint is
# that of the config.
_MODULE = 'config_config'


class ConfigError(ValueError):
  """A config can't be read."""


def read(file: str, argument: str | None = None) -> Any:
  """What a file holds.

  Args:
    file: JSON, or Python with a function `get_config`.
    argument: what to call that with; None: nothing.

  Raises:
    ConfigError: if it can't be read, or its own code raises; it says where.
    OSError: if there is no such file.
  """
  if not os.path.isfile(file):
    raise FileNotFoundError(f'{file}: no such file.')
  if file.endswith('.json'):
    with open(file, 'rb') as stream:
      try:
        return json.load(stream)
      except ValueError as error:
        raise ConfigError(f'{file}: not JSON: {error}') from error
  with _running(file):
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    spec.loader.exec_module(module)
  function = getattr(module, 'get_config', None)
  if not callable(function):
    raise ConfigError(f'{file}: must have a function get_config().')
  arguments = () if argument is None else (argument,)
  try:
    inspect.signature(function).bind(*arguments)
  except TypeError as error:
    raise ConfigError(
      f'{file}: get_config takes {inspect.signature(function)}, so '
      + (
        'name it without :ARGUMENT.' if arguments else 'name it FILE:ARGUMENT.'
      )
    ) from error
  with _running(file):
    root = function(*arguments)
  if hasattr(root, 'as_configdict'):  # one that can't be changed
    return root.as_configdict()
  return root


@contextlib.contextmanager
def _running(file: str) -> Iterator[None]:
  """Runs a user's file: where it imports from, what it prints, its errors."""
  path, bytecode = list(sys.path), sys.dont_write_bytecode
  sys.path.insert(0, os.getcwd())  # as `python -m` does
  sys.dont_write_bytecode = True  # next to the config
  try:
    with contextlib.redirect_stdout(sys.stderr):
      yield
  except (Exception, SystemExit) as error:
    raise ConfigError(f'{_where(error, file)}: {_said(error)}') from error
  finally:
    sys.path[:] = path
    sys.dont_write_bytecode = bytecode


def _where(error: BaseException, file: str) -> str:
  """The file, and the line in it from which an error came."""
  if isinstance(error, SyntaxError) and error.filename:
    return f'{error.filename}:{error.lineno}'
  lines = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if os.path.abspath(frame.filename) == os.path.abspath(file)
  ]
  return f'{file}:{lines[-1]}' if lines else file


def _said(error: BaseException) -> str:
  text = error.msg if isinstance(error, SyntaxError) else str(error)
  return f'{type(error).__name__}: {text}'


# ---------------------------------------------------------------------------
# Paths.


def way(root: Any, path: str) -> list[Any]:
  """The values on the way to a path, from the root to what is there.

  Raises:
    ConfigError: if there is no such path.

  >>> way({'optimizer': {'b1': 0.9}}, 'optimizer.b1')
  [{'optimizer': {'b1': 0.9}}, {'b1': 0.9}, 0.9]
  """
  nodes, before = [root], ''
  for part in path.split('.') if path else []:
    nodes.append(nodes[-1][_key(nodes[-1], part, before)])
    before = dotted(before, part)
  return nodes


def _key(node: Any, part: str, path: str, new: bool = False) -> Any:
  """A part of a path as a key of a mapping, or an index of a sequence."""
  where = dotted(path, part)
  if is_mapping(node):
    number = int(part) if re.fullmatch(r'-?\d+', part) else part
    key = number if part not in node and number in node else part
    if key not in node and not new:
      keys = [str(key) for key in node]
      raise ConfigError(
        f'{where}: there is no such key.{did_you_mean(part, keys)} There are '
        f'{", ".join(keys) or "none"}.'
      )
    return key
  if not isinstance(node, list | tuple):
    raise ConfigError(f'{where}: {path or "the config"} has no keys.')
  if not part.isdecimal() or int(part) >= len(node):
    raise ConfigError(f'{where}: the index must be below {len(node)}.')
  return int(part)


def override(root: Any, text: str) -> None:
  """Changes a config.

  Args:
    root: the config.
    text: 'path=value', with a literal of Python, or else a string.

  Raises:
    ConfigError: if there is no such path.

  >>> config = {'optimizer': {'name': 'adam', 'learning_rate': 0.1}}
  >>> override(config, 'optimizer.learning_rate=1e-3')
  >>> config['optimizer']['learning_rate']
  0.001
  """
  path, equals, said = text.partition('=')
  if not path or not equals:
    raise ConfigError(f'--set {text}: write PATH=VALUE.')
  parent, _, last = path.rpartition('.')
  node = way(root, parent)[-1]
  # Where there is a name, the builder knows which keys there may be.
  new = is_mapping(node) and ('name' in node or parent.endswith('schedules'))
  key = _key(node, last, parent, new)
  try:
    value: Any = ast.literal_eval(said)
  except (ValueError, SyntaxError):
    value = said
  if isinstance(node, tuple):
    raise ConfigError(f"{path}: {parent} is a tuple, which can't be changed.")
  with contextlib.ExitStack() as stack:
    for free in ('ignore_type', 'unlocked'):  # of a ConfigDict
      if hasattr(node, free):
        stack.enter_context(getattr(node, free)())
    node[key] = value

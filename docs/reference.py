"""The reference of the public names: what the pages in api/ are filled with."""

import fnmatch
import importlib
import inspect

import docstrings
import optax

# Its base is no public name, and what a subclass has to define is there.
OPTIONS = {
  'flax_sched.Schedule': """
    options:
      inherited_members: [value, __call__]"""
}


def entries(patterns):
  """A table of names with their first lines, and the entry of each.

  Args:
    patterns: of the names, with their module: 'flax_sched.*_schedule'.
  """
  table, parts = ['| name | what |', '|---|---|'], []
  for path in matching(patterns):
    module, _, name = path.rpartition('.')
    value = getattr(importlib.import_module(module), name)
    if value is getattr(optax.schedules, name, None):  # of `optax_compat`
      line = "Optax's own."
      parts.append(f'## `{name}` {{#{path}}}\n\n{line}')
    else:
      line = first_line(inspect.getdoc(value))
      parts.append(f'::: {path}{OPTIONS.get(path, "")}')
    table.append(f'| [`{name}`](#{path}) | {line} |')
  return '\n\n'.join(['\n'.join(table), *parts])


def matching(patterns):
  """The names that patterns match, in their order; each matches some."""
  found = []
  for pattern in patterns:
    module, _, name = pattern.rpartition('.')
    names = fnmatch.filter(public_names(module), name)
    if not names:
      raise ValueError(f'No public name matches {pattern}.')
    found += [f'{module}.{name}' for name in names]
  return list(dict.fromkeys(found))


def public_names(module):
  """What a module says that it offers, or else what it defines."""
  found = importlib.import_module(module)
  return getattr(found, '__all__', None) or [
    name
    for name, value in vars(found).items()
    if not name.startswith('_')
    and (inspect.isfunction(value) or inspect.isclass(value))
    and value.__module__ == module
  ]


def first_line(doc):
  """The first paragraph of a docstring, for a cell of a table."""
  paragraph, *_ = (doc or '').split('\n\n')
  text = docstrings.plain(' '.join(paragraph.split()))
  return text.replace('|', r'\|')

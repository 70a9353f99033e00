"""The list of all schedules, over which the laws run, is complete."""

import contextlib
import importlib
import inspect
import pkgutil
import sys
import typing

import flax_sched as fs
from flax_sched import optax_compat
import zoo


def test_list_has_every_public_function():
  """A public function that returns a schedule is in the list."""
  returning = set()
  for name in fs.__all__:
    function = getattr(fs, name)
    if inspect.isfunction(function):
      returned = typing.get_type_hints(function).get('return')
      assert returned is not None, f'{name} does not say what it returns'
      if inspect.isclass(returned) and issubclass(returned, fs.Schedule):
        returning.add(name)
  covered = {name for entry in zoo.ZOO for name in entry.covers}
  assert len(returning) > 14
  # What this returns is several schedules, for `jax.vmap`.
  assert returning - covered == {'stack_schedules'}


def test_list_has_every_class():
  """A concrete class of schedule is in the list."""
  for module in pkgutil.iter_modules(fs.__path__, 'flax_sched.'):
    if not module.name.endswith('__main__'):
      # An extra may not be installed.
      with contextlib.suppress(ImportError):
        importlib.import_module(module.name)

  def subclasses(cls):
    for subclass in cls.__subclasses__():
      yield subclass
      yield from subclasses(subclass)

  def is_ours(cls):
    """An example of a docstring is none, though its module is the same."""
    if not cls.__module__.startswith('flax_sched.'):
      return False
    return getattr(sys.modules[cls.__module__], cls.__name__, None) is cls

  classes = {
    cls
    for cls in subclasses(fs.Schedule)
    if is_ours(cls) and not inspect.isabstract(cls)
  }
  listed = {type(p) for entry in zoo.ZOO for p in zoo.parts(entry.schedule)}
  assert len(classes) > 10
  # Optax's constants keep the type that they have been given, against the laws.
  assert classes - listed == {optax_compat.AsGiven}

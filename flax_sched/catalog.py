"""What a config can name: schedule functions, classes, and what users register.

A name stands for a function of `flax_sched` (`'cosine_decay_schedule'`), for a
class of schedules with its parameters (`'Multiply'`, `'Shift'`), for what was
registered under it, or is `'module:Class'`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import inspect
from typing import Any, TypeVar

from flax_sched import averages
from flax_sched import classes
from flax_sched import compose
from flax_sched import cycles
from flax_sched import following
from flax_sched import onecycle
from flax_sched import pieces
from flax_sched import reactive
from flax_sched import shapes
from flax_sched import slopes
from flax_sched import spec as spec_lib
from flax_sched import stable
from flax_sched import warmups
from flax_sched.formula import parameters
from flax_sched.formula import step_names

_FAMILIES = (
  shapes,
  slopes,
  warmups,
  stable,
  pieces,
  onecycle,
  cycles,
  averages,
  compose,
  following,
)

# They help the others, or return what has values under `jax.vmap` only.
_NO_SCHEDULE = ('interpolation', 'stack_schedules')

# By name, the functions that build schedules, in the order of the families.
FUNCTIONS: dict[str, Callable[..., Any]] = {
  name: function
  for family in _FAMILIES
  for name, function in vars(family).items()
  if inspect.isfunction(function)
  and function.__module__ == family.__name__
  and not name.startswith('_')
  and name not in _NO_SCHEDULE
} | {'reduce_on_plateau': reactive.reduce_on_plateau}

_REGISTERED: dict[str, Callable[..., Any]] = {}

_Builder = TypeVar('_Builder', bound=Callable[..., Any])


def register(name: str, builder: _Builder | None = None) -> Any:
  """Makes a name of a schedule function, or class, known to configs.

  Its parameters become the config's keys. Those that are numbers of steps are
  declared as `flax_sched.spans.Steps`, so that a config may give them as
  durations.

  Args:
    name: the name, new to configs. (The same function may be registered again,
      as happens when a notebook's cell is run twice.)
    builder: a function that returns a schedule, or a class of schedules; None:
      to be used as a decorator.

  Returns:
    The builder; or the decorator.

  Raises:
    TypeError: if `name` is not a string, or `builder` not callable.
    ValueError: if the name stands for something else already.

  >>> import flax_sched as fs
  >>> from flax_sched import config
  >>> @config.register('quarter_cosine')
  ... def quarter_cosine(peak_value, decay_steps):
  ...   return fs.cosine_decay_schedule(2 * peak_value, 2 * decay_steps).shift(
  ...     -decay_steps
  ...   )
  >>> schedule = config.build_schedule(
  ...   {'name': 'quarter_cosine', 'peak_value': 0.5, 'decay_steps': 10}
  ... )
  >>> schedule(0), schedule(10)
  (np.float32(0.5), np.float32(0.0))
  """
  if not isinstance(name, str) or not name:
    raise TypeError(f'register: name must be a string, got {name!r}.')
  if builder is None:
    return lambda decorated: register(name, decorated)
  if not callable(builder):
    raise TypeError(f'register: builder must be callable, got {builder!r}.')
  before = _REGISTERED.get(name) or FUNCTIONS.get(name) or _class(name)
  if before is not None and not _same(before, builder):
    raise ValueError(
      f'register: name must be new, got {name!r}, which stands for '
      f'{before.__module__}.{before.__qualname__}.'
    )
  _REGISTERED[name] = builder
  return builder


def _same(a: Any, b: Any) -> bool:
  names = [(f.__module__, getattr(f, '__qualname__', f)) for f in (a, b)]
  return names[0] == names[1]


def known() -> dict[str, Callable[..., Any]]:
  """The functions by name, and what was registered."""
  return FUNCTIONS | _REGISTERED


def name_of(cls: type[Any]) -> str | None:
  """The name under which a class was registered."""
  for name, builder in _REGISTERED.items():
    if builder is cls:
      return name
  return None


def _class(name: Any) -> Any:
  try:
    return spec_lib.class_of(name)
  except (ValueError, ImportError):
    return None


@dataclasses.dataclass(frozen=True)
class Builder:
  """How the schedule of a name is built.

  Attributes:
    name: the name, for errors.
    build: takes the arguments by name.
    parameters: the names of the parameters, and whether each must be given.
    steps: those that are numbers of steps.
  """

  name: str
  build: Callable[..., Any]
  parameters: Mapping[str, bool]
  steps: frozenset[str]


def find(name: Any) -> Builder | None:
  """What a name stands for; None if it stands for nothing."""
  if not isinstance(name, str):
    return None
  builder = known().get(name) or _class(name)
  if builder is None:
    return None
  if isinstance(builder, type) and issubclass(builder, spec_lib.KINDS):
    fields = [builder.__dataclass_fields__[x] for x in parameters(builder)]
    return Builder(
      name,
      lambda **given: classes.build(builder, given),
      {field.name: field.default is dataclasses.MISSING for field in fields},
      step_names(builder),
    )
  signature = inspect.signature(builder)
  return Builder(
    name,
    lambda **given: _call(builder, signature, given),
    {
      parameter.name: parameter.default is inspect.Parameter.empty
      for parameter in signature.parameters.values()
    },
    step_names(builder),
  )


def _call(
  function: Callable[..., Any],
  signature: inspect.Signature,
  given: dict[str, Any],
) -> Any:
  for parameter in signature.parameters.values():
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
      return function(*given.pop(parameter.name), **given)
  return function(**given)

"""What makes a formula of the count a pytree that is called and compared."""

from __future__ import annotations

import abc
import functools
import inspect
import typing
from typing import Any

from flax import struct
import jax
from jax import lax
from jax import numpy as jnp
import numpy as np

from flax_sched import drawing
from flax_sched import numerics
from flax_sched import spans
from flax_sched import twofloat

_CLASS = '_class'


class Formula(struct.PyTreeNode, abc.ABC):
  """The base of `Schedule`: a frozen dataclass that is a formula of the count.

  It is called, compared, hashed and shown by its content.
  """

  def __init_subclass__(cls, **kwargs: Any) -> None:
    annotations = inspect.get_annotations(cls)
    for name in annotations:
      # Else the method would be taken for the parameter's default.
      if callable(getattr(cls.__base__, name, None)):
        raise TypeError(
          f'{cls.__qualname__}: {name} is a method of schedules. Give the '
          'parameter another name.'
        )
    # JAX 0.9 to 0.12 call structures equal that differ in nothing but the class
    # of a node, and JAX 0.10 may then run the program of the one for the other.
    # So the class is in the structure, as a static field.
    cls.__annotations__ = {**annotations, _CLASS: type}
    setattr(cls, _CLASS, struct.field(pytree_node=False, default=cls))
    # Content equality below serves arrays too, which the one that dataclasses
    # generate does not.
    super().__init_subclass__(  # type: ignore[no-untyped-call]
      kw_only=True, eq=False, repr=False, **kwargs
    )

  @abc.abstractmethod
  def value(self, count: Any) -> Any:
    """The formula, in the arithmetic of `flax_sched.numerics`.

    Args:
      count: completed updates, not negative: NumPy int64 of any shape on the
        host, an int32 of shape () on the device (arrays are mapped over).

    Returns:
      The value at each count: a number of `flax_sched.numerics`, or a plain
      NumPy or JAX float. `__call__` rounds it to float32.
    """

  def __call__(self, count: Any) -> Any:
    """The value after `count` completed updates.

    Args:
      count: an integer or an integer array of any shape. Counts before 0 read
        as 0.

    Returns:
      A float32 of the shape of `count`: a NumPy one, computed without JAX,
      where the count and the parameters are Python or NumPy numbers; else a
      `jax.Array`.

    Raises:
      TypeError: if `count` is not an integer.
    """
    count = spans.as_count(count, type(self).__name__)
    leaves = [count, *jax.tree_util.tree_leaves(self)]
    if all(map(twofloat.is_host, leaves)):
      return _on_host(self, count)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
      return on_device(self, count)
    return _compiled(self, count)

  def __eq__(self, other: object) -> bool:
    if type(self) is not type(other):
      return NotImplemented
    return self is other or _content(self) == _content(other)

  def __hash__(self) -> int:
    return hash(_content(self))

  def __repr__(self) -> str:
    return show(self)

  def _repr_html_(self) -> str | None:
    """What notebooks and treescope show: a picture, above the repr.

    None, for the repr alone, where there is no picture: of tracers, of a
    population, of a function that fails.
    """
    try:
      return drawing.page(self)
    except Exception:
      return None


def parameters(cls: type[Any]) -> tuple[str, ...]:
  """The names of a class's parameters, which are its fields but for one."""
  return tuple(name for name in cls.__dataclass_fields__ if name != _CLASS)


def step_names(declared: Any) -> frozenset[str]:
  """The parameters of a function or class that are numbers of steps.

  Args:
    declared: a function, or a schedule's class, with type hints. Those of
      sequences of steps, and of mappings from steps, count too.

  Returns:
    Their names; none where the hints can't be evaluated.
  """
  try:
    hints = typing.get_type_hints(declared, include_extras=True)
  except (NameError, TypeError):
    return frozenset()
  return frozenset(name for name, hint in hints.items() if _has_steps(hint))


def _has_steps(hint: Any) -> bool:
  inside = typing.get_args(hint)
  return spans.STEPS in getattr(hint, '__metadata__', ()) or any(
    map(_has_steps, inside)
  )


def _on_host(schedule: Formula, count: Any) -> Any:
  value = numerics.to_float32(schedule.value(count))
  if np.shape(value) == np.shape(count):
    return value
  full = np.full if twofloat.is_host(value) else jnp.full
  return full(count.shape, value)


def on_device(schedule: Formula, count: Any, *, opaque: bool = False) -> Any:
  """What `schedule(count)` is inside of a program.

  Args:
    schedule: a schedule.
    count: an integer, or an integer array of any shape.
    opaque: whether none of the schedule's numbers nor the count can be a
      constant to XLA. To make sure of it costs a kernel for each number that is
      computed, such as a part of an array.

  Returns:
    The value at each count, float32.
  """
  if twofloat.is_host(count):
    count = jnp.asarray(np.minimum(count, spans.MAX_COUNT), np.int32)
  if np.ndim(count):
    each = functools.partial(on_device, schedule, opaque=opaque)
    # On CPU, a formula over an array takes seconds to compile, one kernel after
    # the other; one over a scalar is a single kernel.
    values = lax.platform_dependent(
      jnp.ravel(count),
      cpu=lambda counts: lax.map(each, counts),
      default=jax.vmap(each),
    )
    return jnp.reshape(values, count.shape)
  schedule, count = twofloat.enter(schedule, count, opaque=opaque)
  return numerics.to_float32(schedule.value(spans.clip_count(count)))


_compiled = jax.jit(on_device)


def _content(schedule: Formula) -> Any:
  """What equality and hash compare: classes, structure and every number."""
  leaves, treedef = jax.tree_util.tree_flatten(schedule)
  return treedef, tuple(map(_leaf_content, leaves))


def _leaf_content(leaf: Any) -> Any:
  if isinstance(leaf, (jax.core.Tracer, jax.ShapeDtypeStruct)) or not (
    twofloat.is_host(leaf) or isinstance(leaf, jax.Array)
  ):
    return leaf if leaf.__hash__ is not None else id(leaf)
  array = np.asarray(leaf)
  # A Python float and its float32, an int and its int32, are the same number.
  array = array.astype(np.float32 if array.dtype.kind == 'f' else np.int64)
  return array.shape, array.dtype.kind, (array + 0).tobytes()  # -0.0 is 0.0


def show(x: Any) -> str:
  """A schedule of any kind as a call of its class."""
  cls = type(x)
  fields = ', '.join(f'{n}={_show(getattr(x, n))}' for n in parameters(cls))
  return f'{cls.__name__}({fields})'


def _show(x: Any) -> str:
  """A parameter as a person would write it."""
  if isinstance(x, (tuple, list)):
    inner = ', '.join(map(_show, x))
    return f'({inner},)' if len(x) == 1 else f'({inner})'
  concrete = isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)
  if concrete or isinstance(x, (np.ndarray, np.generic)):
    array = np.asarray(x)
    if array.ndim:
      return _show(tuple(array))
    return str(array) if array.dtype.kind == 'f' else repr(array.item())
  return getattr(x, '__name__', None) or repr(x)

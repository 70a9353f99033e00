"""The `Schedule` class, and what its operators and methods make of it."""

from __future__ import annotations

import abc
from collections.abc import Callable
import functools
from typing import Any

from flax import struct
import jax
from jax import lax
import numpy as np

from flax_sched import arguments
from flax_sched import numerics
from flax_sched import parts
from flax_sched import segments
from flax_sched import spans
from flax_sched import twofloat
from flax_sched.formula import Formula
from flax_sched.formula import parameters
from flax_sched.formula import step_names
from flax_sched.numerics import number
from flax_sched.spans import Steps


class Schedule(Formula):
  """A hyperparameter as a function of the number of completed updates.

  A schedule is a frozen dataclass and a pytree whose numbers are its leaves:
  Orbax saves it, `jax.sharding` places it, `jax.vmap` batches it, `jax.grad`
  differentiates it, and a number changes without recompiling. It pickles,
  compares and hashes by content, so that `jax.jit(schedule)` works too.

  Schedules are added, subtracted, multiplied and divided like numbers, with
  numbers, schedules and other callables of the count, at each count:

  >>> import flax_sched as fs
  >>> lr = 0.5 * fs.linear_schedule(0.0, 1.0, 10) + 0.25
  >>> lr(5), lr(10)
  (np.float32(0.5), np.float32(0.75))

  To write one, subclass it, declare the parameters and define `value`:

  >>> from flax_sched import numerics
  >>> from flax_sched.spans import Steps
  >>> class InverseSqrt(fs.Schedule):
  ...   init_value: float
  ...   timescale: Steps
  ...
  ...   def value(self, count):
  ...     ratio = 1 + numerics.number(count) / numerics.number(self.timescale)
  ...     return numerics.number(self.init_value) / numerics.sqrt(ratio)
  >>> InverseSqrt(init_value=0.5, timescale=10)(30)
  np.float32(0.25)

  Subclasses are final: to vary a schedule, wrap it. Parameters are
  keyword-only; numbers of steps are declared as `Steps`, so that the schedule
  can be stretched; a parameter that is not a number (a name, a function) is
  declared with `flax.struct.field(pytree_node=False)` and must be hashable.
  """

  # NumPy numbers on the left of an operator hand it to this class.
  __array_ufunc__ = None

  def __add__(self, other: Any) -> Schedule:
    return _combine(Add, self, other)

  def __radd__(self, other: Any) -> Schedule:
    return _combine(Add, other, self)

  def __sub__(self, other: Any) -> Schedule:
    return _combine(Subtract, self, other)

  def __rsub__(self, other: Any) -> Schedule:
    return _combine(Subtract, other, self)

  def __mul__(self, other: Any) -> Schedule:
    return _combine(Multiply, self, other)

  def __rmul__(self, other: Any) -> Schedule:
    return _combine(Multiply, other, self)

  def __truediv__(self, other: Any) -> Schedule:
    return _combine(Divide, self, other)

  def __rtruediv__(self, other: Any) -> Schedule:
    return _combine(Divide, other, self)

  def __neg__(self) -> Schedule:
    return _combine(Multiply, -1.0, self)

  def clip(self, low: Any = None, high: Any = None) -> Schedule:
    """The schedule, but at least `low` and at most `high`.

    Args:
      low: a number or a schedule; None: no bound.
      high: a number or a schedule; None: no bound.

    Returns:
      The schedule.

    Raises:
      TypeError: if a bound is neither.
      ValueError: if `low` is above `high`, both being numbers.

    >>> import flax_sched as fs
    >>> lr = fs.linear_schedule(1.0, 0.0, 10).clip(0.25)
    >>> lr(5), lr(9)
    (np.float32(0.5), np.float32(0.25))
    """
    bounds = [bound for bound in (low, high) if bound is not None]
    if len(bounds) == 2 and all(map(twofloat.is_host, bounds)) and low > high:
      raise ValueError(
        f'clip: low must be at most high, got low={low!r} and high={high!r}.'
      )
    clipped: Schedule = self
    if low is not None:
      clipped = Maximum(schedules=(clipped, _operand('clip', 'low', low)))
    if high is not None:
      clipped = Minimum(schedules=(clipped, _operand('clip', 'high', high)))
    return clipped

  def shift(self, steps: Any) -> Schedule:
    """The schedule, but `steps` later: schedule(n - steps).

    Args:
      steps: how much later, in steps; its first value holds before. Negative:
        earlier, so that it begins in its middle.

    Returns:
      The schedule.

    Raises:
      TypeError: if `steps` is not a number.
      ValueError: if it is fractional, or beyond int32.

    >>> import flax_sched as fs
    >>> line = fs.linear_schedule(1.0, 0.0, 10)
    >>> line.shift(5)(7), line.shift(-5)(1)
    (np.float32(0.8), np.float32(0.4))
    """
    return Shift(
      schedule=self,
      begin=arguments.int32_steps('shift', 'steps', steps, negative=True),
    )

  def stretch(self, factor: Any) -> Schedule:
    """The schedule, but `factor` times as long: schedule(n / factor).

    Every length in it is multiplied and rounded to the nearest step, and to at
    least 1, so that the curve stays as smooth as it was. The timescale of a
    power of the count is not rounded.

    Args:
      factor: how many times as long, above 0.

    Returns:
      The schedule.

    Raises:
      TypeError: if `factor` is not a number, a length is a tracer, or there is
        a part whose lengths are not known: a function, or a class that does
        not declare them as `Steps`.
      ValueError: if `factor` is not positive, or a length leaves int32.

    >>> import flax_sched as fs
    >>> fs.cosine_decay_schedule(0.1, 1000).stretch(1.5)
    Cosine(init_value=0.1, end_value=0.0, decay_steps=1500)
    """
    ratio = arguments.value('stretch', 'factor', factor, positive=True)
    if not twofloat.is_host(ratio) or np.ndim(ratio):
      raise TypeError(f'stretch: factor must be a number, got {factor!r}.')
    return self if factor == 1 else self._stretched(float(factor))

  def _stretched(self, factor: float) -> Schedule:
    lengths = step_names(type(self))
    changes: dict[str, Any] = {}
    for name in parameters(type(self)):
      field = getattr(self, name)
      if isinstance(field, Schedule):
        changes[name] = field._stretched(factor)
      elif isinstance(field, tuple) and any(
        isinstance(item, Schedule) for item in field
      ):
        changes[name] = tuple(item._stretched(factor) for item in field)
      elif name in lengths:
        where = f'stretch: {type(self).__name__}.{name}'
        changes[name] = spans.stretched(field, factor, where)
    if not changes:
      raise TypeError(
        f'stretch: the lengths of {self!r} are not known. Declare the '
        'parameters that are numbers of steps as flax_sched.spans.Steps, or '
        'use .every(k) with a whole k.'
      )
    return self.replace(**changes)

  def every(self, steps: Any) -> Schedule:
    """The schedule of units of `steps`: schedule(floor(n / steps)).

    For a schedule that is written in epochs, each value of which holds for one.

    Args:
      steps: the length of a unit, in steps.

    Returns:
      The schedule.

    Raises:
      TypeError: if `steps` is not a number.
      ValueError: if it is not a positive integer, or beyond int32.

    >>> import flax_sched as fs
    >>> lr = fs.linear_schedule(1.0, 0.0, 10).every(100)
    >>> lr(99), lr(100), lr(250)
    (np.float32(1.0), np.float32(0.9), np.float32(0.8))
    """
    length = arguments.int32_steps('every', 'steps', steps)
    return Every(schedule=self, steps=length)

  def then(self, other: Any, at: Any) -> Schedule:
    """The schedule up to a step, and from there another, from its start.

    Args:
      other: what follows: a schedule, another callable of the count, a number.
      at: the step at which it takes over; it counts from there.

    Returns:
      The schedule.

    Raises:
      TypeError: if an argument is of another type.
      ValueError: if `at` is fractional, negative or beyond int32.

    >>> import flax_sched as fs
    >>> lr = fs.constant_schedule(0.5).then(fs.linear_schedule(0.5, 0, 10), 100)
    >>> lr(100), lr(105)
    (np.float32(0.5), np.float32(0.25))
    """
    at = arguments.int32_steps('then', 'at', at, zero=True)
    last = _operand('then', 'other', other)
    # One flat join where that means the same.
    if (
      isinstance(self, Join)
      and twofloat.is_host(at)
      and twofloat.is_host(self.boundaries)
      and np.all(self.boundaries < at)
    ):
      return Join(
        schedules=(*self.schedules, last),
        boundaries=np.append(self.boundaries, at).astype(np.int32),
      )
    return Join(
      schedules=(self, last), boundaries=arguments.stack([at], np.int32)
    )

  def repeat(
    self, period: Any, t_mult: Any = 1.0, m_mult: Any = 1.0
  ) -> Schedule:
    """The first steps of the schedule, again and again.

    Args:
      period: how many steps make the first cycle.
      t_mult: each cycle is this many times as long as the one before. Other
        than 1 for a curve only, and one whose own length is `period`.
      m_mult: the values of each cycle are this many times those of the one
        before; above 0.

    Returns:
      The schedule.

    Raises:
      TypeError: if an argument is not a number.
      ValueError: if `period` is not a positive integer, `m_mult` is not
        positive, or `t_mult` is not allowed.

    >>> import flax_sched as fs
    >>> lr = fs.linear_schedule(1.0, 0.0, 10).repeat(10, m_mult=0.5)
    >>> lr(5), lr(10), lr(15)
    (np.float32(0.5), np.float32(0.5), np.float32(0.25))
    """
    steps = arguments.int32_steps('repeat', 'period', period)
    t_mult = arguments.value('repeat', 't_mult', t_mult, low=1.0)
    m_mult = arguments.value('repeat', 'm_mult', m_mult, positive=True)
    repeated = self._repeated(steps, t_mult)
    if twofloat.is_host(m_mult) and m_mult == 1:
      return repeated
    return repeated * PerCycle(factor=m_mult, period=steps, t_mult=t_mult)

  def _repeated(self, period: Any, t_mult: Any) -> Schedule:
    if not twofloat.is_host(t_mult) or t_mult != 1:
      raise ValueError(
        f'repeat: t_mult must be 1 for what is not a curve over a span of '
        f'steps, got t_mult={t_mult!r} for {self!r}. Join the cycles.'
      )
    return Repeat(schedule=self, period=period)


class Constant(Schedule):
  """The same value at every count.

  Attributes:
    constant: the value.
  """

  constant: Any

  def value(self, count: Any) -> Any:
    return number(self.constant)

  def _stretched(self, factor: float) -> Schedule:
    return self


class Function(Schedule):
  """Any callable of the count, such as an Optax schedule.

  It has no numbers that a checkpoint could hold: they are inside the callable.

  Attributes:
    function: takes a count and returns the value.
  """

  function: Callable[[Any], Any] = struct.field(pytree_node=False)

  def value(self, count: Any) -> Any:
    value = self.function(count)
    if not twofloat.is_host(value):
      value = lax.optimization_barrier(value)  # it may be a constant to XLA
    return number(value)


def as_schedule(value: Any) -> Schedule:
  """A number, a schedule or any callable of the count, as a `Schedule`.

  Args:
    value: a schedule (returned as it is), a real number, or a callable that
      takes a count.

  Returns:
    The schedule.

  Raises:
    TypeError: if `value` is none of these.

  >>> as_schedule(0.5)
  Constant(constant=0.5)
  """
  return _operand('as_schedule', 'value', value)


def _operand(function: str, name: str, x: Any) -> Schedule:
  """An argument of a function as a schedule."""
  if isinstance(x, Schedule):
    return x
  if hasattr(x, 'init') and callable(x):
    raise TypeError(
      f'{function}: {name} must be a schedule of the count, got the stateful '
      f'schedule {x!r}. Such a one can be multiplied with others by *, and is '
      'for inject_stateful_hyperparams.'
    )
  if callable(x) and not isinstance(x, type):
    return Function(function=x)
  return Constant(constant=arguments.value(function, name, x))


# ---------------------------------------------------------------------------
# Value by value: what the operators make.


class Combination(Schedule):
  """Schedules whose values are combined at each count.

  Attributes:
    schedules: two or more schedules.
  """

  schedules: tuple[Schedule, ...]

  # How it is written, between the schedules.
  _sign = ''

  @abc.abstractmethod
  def both(self, x: Any, y: Any) -> Any:
    """Two values as one, in the arithmetic of `flax_sched.numerics`."""

  def value(self, count: Any) -> Any:
    values = (number(schedule.value(count)) for schedule in self.schedules)
    return functools.reduce(self.both, values)

  def __repr__(self) -> str:
    shown = map(as_operand, self.schedules)
    if not self._sign:
      return f'{type(self).__name__.lower()}({", ".join(shown)})'
    return f' {self._sign} '.join(shown)


def as_operand(x: Any) -> str:
  """The repr of a schedule beside an operator."""
  return f'({x!r})' if isinstance(x, Combination) and x._sign else repr(x)


class Add(Combination):
  """The sum of schedules."""

  _sign = '+'

  def both(self, x: Any, y: Any) -> Any:
    return numerics.add(x, y)


class Subtract(Combination):
  """A schedule less others."""

  _sign = '-'

  def both(self, x: Any, y: Any) -> Any:
    return numerics.add(x, -y)


class Multiply(Combination):
  """The product of schedules."""

  _sign = '*'

  def both(self, x: Any, y: Any) -> Any:
    return numerics.multiply(x, y)


class Divide(Combination):
  """A schedule divided by others.

  Where a divisor is 0, it counts as 2**-126, the smallest normal float32.
  """

  _sign = '/'

  def both(self, x: Any, y: Any) -> Any:
    return numerics.divide(x, y)


class Minimum(Combination):
  """The smallest of several schedules, at each count."""

  def both(self, x: Any, y: Any) -> Any:
    return numerics.minimum(x, y)


class Maximum(Combination):
  """The largest of several schedules, at each count."""

  def both(self, x: Any, y: Any) -> Any:
    return numerics.maximum(x, y)


def _combine(kind: type[Combination], *operands: Any) -> Any:
  """What an operator returns: sums of sums are one sum."""
  schedules: list[Schedule] = []
  for x in operands:
    plain = isinstance(x, jax.Array) or arguments.is_real(x) or callable(x)
    if not isinstance(x, Schedule) and (
      not plain or isinstance(x, type) or hasattr(x, 'init')
    ):
      return NotImplemented  # among others, a stateful schedule's own operator
    schedule = _operand(f'a schedule {kind._sign}', 'the other operand', x)
    flat = type(schedule) is kind and (
      kind in (Add, Multiply, Minimum, Maximum) or not schedules
    )
    schedules += schedule.schedules if flat else [schedule]  # type: ignore[attr-defined]
  if kind is Divide and any(
    isinstance(s, Constant) and twofloat.is_host(s.constant) and not s.constant
    for s in schedules[1:]
  ):
    raise ZeroDivisionError('a schedule /: the divisor must not be 0.')
  return kind(schedules=tuple(schedules))


# ---------------------------------------------------------------------------
# Count by count: what the methods make.


class Shift(Schedule):
  """A schedule that starts late, or in its middle: schedule(n - begin).

  Attributes:
    schedule: the schedule; its first value holds before it starts.
    begin: the step at which it starts; below 0, how far it is at count 0.
  """

  schedule: Schedule
  begin: Steps

  def value(self, count: Any) -> Any:
    return self.schedule.value(spans.after(count, self.begin))


class Every(Schedule):
  """A schedule that counts in units of several steps: schedule(n // steps).

  Attributes:
    schedule: the schedule, of units.
    steps: how many steps make a unit.
  """

  schedule: Schedule
  steps: Steps

  def value(self, count: Any) -> Any:
    return self.schedule.value(spans.floor_divide(count, self.steps))

  def _stretched(self, factor: float) -> Schedule:
    where = f'stretch: {type(self).__name__}.steps'
    return self.replace(steps=spans.stretched(self.steps, factor, where))


class Repeat(Schedule):
  """A schedule that starts again and again: schedule(n mod period).

  Attributes:
    schedule: the schedule.
    period: how many steps of it are repeated.
  """

  schedule: Schedule
  period: Steps

  def value(self, count: Any) -> Any:
    return self.schedule.value(spans.modulo(count, self.period))


class PerCycle(Schedule):
  """factor**i in cycle i, of cycles that last period t_mult**i steps.

  Attributes:
    factor: the factor from each cycle to the next, above 0.
    period: the length of the first cycle, in steps.
    t_mult: each cycle is this many times as long as the one before; at least 1.
  """

  factor: Any
  period: Steps
  t_mult: Any

  def value(self, count: Any) -> Any:
    _, index = spans.cycle(count, self.period, number(self.t_mult))
    exponent = index * numerics.log2(number(self.factor))
    return numerics.scaled_exp2(np.float64(1.0), exponent)


class Join(Schedule):
  """One schedule after another, each counting from its own start.

  `schedules[0]` holds before `boundaries[0]`, and so on; the last one holds
  from the last boundary on. A schedule never sees a count outside its own part.

  On the device, the schedules of one kind are evaluated together: their
  parameters become a table, looked up by the part that the count is in. So the
  program grows with the number of kinds, not with the number of schedules.

  Attributes:
    schedules: k + 1 schedules.
    boundaries: k increasing steps, int32 of shape (k,).
  """

  schedules: tuple[Schedule, ...]
  boundaries: Steps

  def value(self, count: Any) -> Any:
    if not (twofloat.is_host(self.boundaries) and twofloat.is_host(count)):
      return parts.chosen(self.schedules, self.boundaries, count)
    index = segments.segment(self.boundaries, count)
    if np.ndim(index) == 0:
      return self._part(index, count)
    result = np.empty(count.shape, np.float64)
    for i in np.unique(index):
      part = self._part(i, count[index == i])
      if not twofloat.is_host(part):  # of a function that uses JAX
        part = numerics.to_float32(part)
      result[index == i] = part
    return result

  def _part(self, index: Any, count: Any) -> Any:
    """The value of one schedule at counts that are all in its part."""
    if index > 0:
      count = spans.after(count, self.boundaries[index - 1])
    return self.schedules[index].value(count)

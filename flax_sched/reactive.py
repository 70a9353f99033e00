"""Schedules that react to what the optimizer is told, such as the loss."""

from __future__ import annotations

import functools
import inspect
import operator
from typing import Any

from flax import struct
import jax
from jax import numpy as jnp
import numpy as np
import optax

from flax_sched import arguments
from flax_sched.formula import show
from flax_sched.schedule import as_operand
from flax_sched.schedule import as_schedule
from flax_sched.spans import Steps
from flax_sched.stateful import is_stateful
from flax_sched.stateful import WrappedSchedule


class Reactive(struct.PyTreeNode):
  """A stateful schedule that multiplies with others.

  The product of a stateful schedule with numbers, plain schedules and stateful
  ones is a stateful schedule, whichever is on the left.
  """

  __repr__ = show

  def __mul__(self, other: Any) -> Product:
    return product(self, other)

  def __rmul__(self, other: Any) -> Product:
    return product(other, self)


def product(*factors: Any) -> Product:
  """The product of stateful schedules, plain ones, and numbers."""
  return Product(factors=tuple(f for x in factors for f in _factors(x)))


def _factors(x: Any) -> tuple[Any, ...]:
  if isinstance(x, Product):
    return x.factors
  return (x,) if is_stateful(x) else (WrappedSchedule(as_schedule(x)),)


class Product(Reactive, repr=False):
  """A product of schedules of which some are stateful.

  Attributes:
    factors: stateful schedules; a plain one is wrapped.
  """

  factors: tuple[Any, ...]

  def __repr__(self) -> str:
    return ' * '.join(
      as_operand(f.schedule_fn if isinstance(f, WrappedSchedule) else f)
      for f in self.factors
    )

  def init(self) -> tuple[Any, ...]:
    """The states of the factors."""
    return tuple(factor.init() for factor in self.factors)

  def update(self, state: Any, **extra_args: Any) -> tuple[Any, ...]:
    """The states of the factors after one more update."""
    return tuple(
      factor.update(s, **extra_args)
      for factor, s in zip(self.factors, state, strict=True)
    )

  def __call__(self, state: Any, **extra_args: Any) -> Any:
    """The product of the factors' values."""
    values = (
      factor(s, **extra_args)
      for factor, s in zip(self.factors, state, strict=True)
    )
    return functools.reduce(operator.mul, values)


class ReduceOnPlateauState(struct.PyTreeNode):
  """What `reduce_on_plateau` remembers.

  Attributes:
    value: float32 of shape (), the hyperparameter's value.
    best: float32, the lowest average loss so far.
    bad: int32, the comparisons in a row without improvement.
    cooldown: int32, the comparisons during which none counts as bad.
    total: float32, the sum of the losses since the last comparison.
    seen: int32, their number.
  """

  value: jax.Array
  best: jax.Array
  bad: jax.Array
  cooldown: jax.Array
  total: jax.Array
  seen: jax.Array


class ReduceOnPlateau(Reactive, repr=False):
  """Reduces its value when the loss stops falling. See `reduce_on_plateau`.

  Attributes:
    init_value: the value before the first plateau.
    factor: what the value is multiplied by at a plateau.
    patience: the comparisons without improvement that make a plateau.
    rtol: the improvement that counts, relative to the best loss's size.
    atol: the improvement that counts, absolute.
    cooldown: the comparisons after a reduction that are not counted.
    min_value: the value does not fall below this.
    accumulation_size: the updates whose average loss makes one comparison.
  """

  init_value: Any
  factor: Any
  patience: Any
  rtol: Any
  atol: Any
  cooldown: Any
  min_value: Any
  accumulation_size: Any

  def init(self) -> ReduceOnPlateauState:
    """The state before the first loss."""
    return ReduceOnPlateauState(
      value=jnp.array(self.init_value, np.float32, copy=True),
      best=jnp.full((), jnp.inf, np.float32),
      bad=jnp.zeros((), np.int32),
      cooldown=jnp.zeros((), np.int32),
      total=jnp.zeros((), np.float32),
      seen=jnp.zeros((), np.int32),
    )

  def update(
    self, state: ReduceOnPlateauState, **extra_args: Any
  ) -> ReduceOnPlateauState:
    """The state after one more loss, `value`; other arguments are ignored."""
    if extra_args.get('value') is None:
      raise TypeError(
        'reduce_on_plateau: the update needs the loss as the extra argument '
        f'`value`, got {sorted(extra_args) or "none"}. Pass '
        'tx.update(grads, state, params, value=loss), or '
        'flax_sched.apply_gradients(state, grads=grads, value=loss).'
      )
    seen = state.seen + 1
    total = state.total + jnp.asarray(extra_args['value'], np.float32)
    # Compared once the losses are complete; until then they are added up.
    complete = seen >= self.accumulation_size
    average = total / seen.astype(np.float32)
    size = jnp.where(jnp.isinf(state.best), 0.0, jnp.abs(state.best))
    improves = average < state.best - (self.rtol * size + self.atol)
    bad = jnp.where(improves | (state.cooldown > 0), 0, state.bad + 1)
    plateau = bad >= self.patience
    reduced = jnp.maximum(state.value * self.factor, self.min_value)
    compared = ReduceOnPlateauState(
      value=jnp.where(plateau, reduced, state.value),
      best=jnp.where(improves, average, state.best),
      bad=jnp.where(plateau, 0, bad),
      cooldown=jnp.where(
        plateau, self.cooldown, jnp.maximum(state.cooldown - 1, 0)
      ),
      total=jnp.zeros_like(state.total),
      seen=jnp.zeros_like(state.seen),
    )
    waiting = state.replace(total=total, seen=seen)
    return jax.tree_util.tree_map(
      lambda new, old: jnp.where(complete, new, old).astype(old.dtype),
      compared,
      waiting,
    )

  def __call__(self, state: ReduceOnPlateauState, **extra_args: Any) -> Any:
    """The value; the loss of an update acts from the next one on."""
    del extra_args
    return state.value


def reduce_on_plateau(
  init_value: Any,
  factor: Any = 0.1,
  patience: Any = 10,
  rtol: Any = 1e-4,
  atol: Any = 0.0,
  cooldown: Any = 0,
  min_value: Any = 0.0,
  accumulation_size: Steps = 1,
) -> ReduceOnPlateau:
  """A stateful schedule that reduces its value when the loss stops falling.

  A loss improves on the best one where loss < best - rtol |best| - atol, which
  is right for losses of either sign. After `patience` losses in a row that do
  not, the value becomes max(value * factor, min_value).

  The loss is the extra argument `value` of the optimizer's update:
  `tx.update(grads, state, params, value=loss)`. It acts from the next update
  on. It is for `inject_stateful_hyperparams`, and multiplies with other
  schedules: `warmup * reduce_on_plateau(1.0)`.

  A validation loss, which is new in one update of k, is passed with each of
  them, with `accumulation_size=k`: else the k - 1 repetitions would count as
  losses that do not improve.

  Args:
    init_value: the value before the first plateau, at least `min_value`.
    factor: what the value is multiplied by at a plateau, between 0 and 1.
    patience: the losses in a row without improvement that make a plateau.
    rtol: the least improvement, relative to the size of the best loss.
    atol: the least improvement, absolute.
    cooldown: how many losses after a reduction are not counted as bad.
    min_value: the lowest value.
    accumulation_size: how many losses are averaged into one; `patience` and
      `cooldown` count the averages.

  Returns:
    The stateful schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `factor` is not between 0 and 1, a number of losses is not a
      whole one in its range, or another argument is negative.

  Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`, but for the relative
  margin, which there has the wrong sign for negative losses.

  >>> import flax_sched as fs
  >>> plateau = fs.reduce_on_plateau(0.5, factor=0.5, patience=2)
  >>> state = plateau.init()
  >>> for loss in (1.0, 1.0, 1.0):
  ...   state = plateau.update(state, value=loss)
  >>> plateau(state)
  Array(0.25, dtype=float32)
  """
  name = 'reduce_on_plateau'
  low = arguments.value(name, 'min_value', min_value, low=0.0)
  ratio = arguments.value(name, 'factor', factor, positive=True)
  if not isinstance(ratio, jax.Array) and ratio >= 1:
    raise ValueError(f'{name}: factor must be below 1, got {factor!r}.')
  return ReduceOnPlateau(
    init_value=arguments.value(
      name,
      'init_value',
      init_value,
      low=None if isinstance(low, jax.Array) else float(low),
    ),
    factor=ratio,
    patience=arguments.steps(name, 'patience', patience),
    rtol=arguments.value(name, 'rtol', rtol, low=0.0),
    atol=arguments.value(name, 'atol', atol, low=0.0),
    cooldown=arguments.steps(name, 'cooldown', cooldown, zero=True),
    min_value=low,
    accumulation_size=arguments.steps(
      name, 'accumulation_size', accumulation_size
    ),
  )


def apply_gradients(state: Any, *, grads: Any, **extra_args: Any) -> Any:
  """`state.apply_gradients`, with extra arguments for the optimizer.

  Flax's own takes none: it sets fields of the state by its keywords.

  Args:
    state: a `TrainState`.
    grads: the gradients.
    **extra_args: what the optimizer's update takes besides, such as
      `value=loss` for `reduce_on_plateau`.

  Returns:
    The state after the update.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> from flax.training.train_state import TrainState
  >>> tx = fs.inject_stateful_hyperparams(
  ...   optax.sgd, learning_rate=fs.reduce_on_plateau(0.5)
  ... )
  >>> params = {'w': jnp.ones(2)}
  >>> state = TrainState.create(apply_fn=None, params=params, tx=tx)
  >>> state = apply_gradients(state, grads=params, value=3.0)
  >>> state.params
  {'w': Array([0.5, 0.5], dtype=float32)}
  """
  tx = state.tx
  parameters = inspect.signature(tx.update).parameters.values()
  # As that of `optax.MultiSteps`, which is of no class that says so.
  takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
  whole = tx if takes_all else optax.with_extra_args_support(tx)

  def update(updates: Any, opt_state: Any, params: Any = None) -> Any:
    return whole.update(updates, opt_state, params, **extra_args)

  bound = state.replace(tx=optax.GradientTransformation(tx.init, update))
  return bound.apply_gradients(grads=grads).replace(tx=tx)

"""Injection: a transformation whose hyperparameters follow schedules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import json
from typing import Any

import jax
from jax import numpy as jnp
import optax

from flax_sched import arguments
from flax_sched import injected
from flax_sched import inner
from flax_sched.formula import on_device
from flax_sched.injected import InjectHyperparamsState
from flax_sched.injected import InjectStatefulHyperparamsState
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.stateful import is_stateful
from flax_sched.stateful import ScheduleStates
from flax_sched.stateful import WrappedSchedule
from flax_sched.transformation import Factory


def inject_hyperparams(
  transformation: optax.GradientTransformation | Callable[..., Any],
  *,
  static_args: str | Collection[str] = (),
  hyperparam_dtype: Any = jnp.float32,
  **scheduled_hyperparams: Any,
) -> optax.GradientTransformationExtraArgs:
  """A transformation whose hyperparameters follow schedules.

  At update n (from 0), each hyperparameter has the value schedule(n); an update
  that a wrapper such as `optax.MultiSteps` holds back does not count. The
  schedules are constants of the compiled program, as fast as they can be; to
  change their numbers without recompiling, see `inject_stateful_hyperparams`.

  Args:
    transformation: a factory, such as `optax.adamw`, whose arguments the
      hyperparameters are; or what a factory returned, such as
      `optax.scale_by_adam()`, whose other arguments are kept. Where it has no
      argument `learning_rate`, a learning rate multiplies its updates.
    static_args: the names of arguments that pass through as they are.
    hyperparam_dtype: the dtype of the values, whatever that of the parameters.
    **scheduled_hyperparams: by name, a number, a `Schedule`, or another
      callable of the count. Booleans, strings, dtypes, masks, and integers that
      the factory uses as sizes pass through as they are.

  Returns:
    The transformation. Its state is an `InjectHyperparamsState`; an update
    follows the schedules that the state names.

  Raises:
    TypeError: if an argument is unknown, missing or of a wrong type, or a
      schedule is stateful.
    ValueError: if a number is not finite, a built transformation's arguments
      can't be recovered (a chain, an alias), or `learning_rate` would multiply
      what scales by a step size already.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> lr = fs.linear_schedule(0.5, 0.0, 10)
  >>> tx = fs.inject_hyperparams(optax.sgd, learning_rate=lr)
  >>> state = tx.init(jnp.ones(3))
  >>> updates, state = tx.update(jnp.ones(3), state)
  >>> updates, state = tx.update(jnp.ones(3), state)
  >>> updates
  Array([-0.45, -0.45, -0.45], dtype=float32)
  >>> fs.hyperparams(state)
  {'learning_rate': Array(0.45, dtype=float32)}
  """
  caller = 'inject_hyperparams'
  factory = Factory(caller, transformation, static_args, scheduled_hyperparams)
  schedules = {
    name: _plain_schedule(caller, name, value)
    for name, value in factory.hyperparams.items()
  }
  own_spec = json.dumps({n: injected.describe(s) for n, s in schedules.items()})

  def init(params: optax.Params) -> InjectHyperparamsState:
    values = {
      name: jnp.array(schedule(0), hyperparam_dtype, copy=True)
      for name, schedule in schedules.items()
    }
    return InjectHyperparamsState(
      count=jnp.zeros((), jnp.int32),
      inner_state=inner.init(caller, factory, values, params),
      hyperparams=values,
      spec=own_spec,
      transformation=factory.description,
    )

  def update(
    updates: optax.Updates,
    state: InjectHyperparamsState,
    params: optax.Params | None = None,
    **extra_args: Any,
  ) -> tuple[optax.Updates, InjectHyperparamsState]:
    values = {}
    for name, entry in injected.parse(state.spec).items():
      if entry == injected.CONSTANT:
        value = state.hyperparams[name]
      elif entry is None:
        value = _of_closure(caller, schedules, name)(state.count)
      else:
        value = entry(state.count)
      values[name] = jnp.asarray(value, hyperparam_dtype)
    updates, inner_state = inner.update(
      caller, factory, values, updates, state.inner_state, params, extra_args
    )
    return updates, state.replace(
      count=optax.safe_increment(state.count),
      inner_state=inner_state,
      hyperparams=values,
    )

  return optax.GradientTransformationExtraArgs(init, update)


def inject_stateful_hyperparams(
  transformation: optax.GradientTransformation | Callable[..., Any],
  *,
  static_args: str | Collection[str] = (),
  hyperparam_dtype: Any = jnp.float32,
  **scheduled_hyperparams: Any,
) -> optax.GradientTransformationExtraArgs:
  """As `inject_hyperparams`, with the schedules inside the optimizer's state.

  The parameters of each schedule are arrays of the state: they are saved and
  sharded with it, `jax.vmap` trains a population of them, and `set_schedules`
  and `set_hyperparams` change them between steps without recompiling. Stateful
  schedules, which react to what training passes to `update`, work too.

  Args:
    transformation: as in `inject_hyperparams`.
    static_args: as in `inject_hyperparams`.
    hyperparam_dtype: as in `inject_hyperparams`.
    **scheduled_hyperparams: as in `inject_hyperparams`, or a stateful schedule:
      an object with `init()`, `update(state, **extra_args)` and
      `__call__(state, **extra_args)`.

  Returns:
    The transformation. Its state is an `InjectStatefulHyperparamsState`. What
    is passed to `update` as extra arguments also reaches stateful schedules.

  Raises:
    TypeError: if an argument is unknown, missing or of a wrong type.
    ValueError: as in `inject_hyperparams`.

  >>> import flax_sched as fs
  >>> import jax.numpy as jnp, optax
  >>> tx = fs.inject_stateful_hyperparams(
  ...   optax.sgd, learning_rate=fs.linear_schedule(0.5, 0.0, 10)
  ... )
  >>> state = tx.init(jnp.ones(3))
  >>> state = fs.set_hyperparams(state, learning_rate=0.125)
  >>> updates, state = tx.update(jnp.ones(3), state)
  >>> updates
  Array([-0.125, -0.125, -0.125], dtype=float32)
  """
  caller = 'inject_stateful_hyperparams'
  factory = Factory(caller, transformation, static_args, scheduled_hyperparams)
  stateful: dict[str, Any] = {}
  plain = {}
  for name, value in sorted(factory.hyperparams.items()):
    if isinstance(value, WrappedSchedule):
      plain[name] = value.schedule_fn
    elif is_stateful(value):
      stateful[name] = value
    else:
      plain[name] = _plain_schedule(caller, name, value)

  specs = {n: json.dumps(injected.describe(s)) for n, s in stateful.items()}

  def init(params: optax.Params) -> InjectStatefulHyperparamsState:
    states = {name: schedule.init() for name, schedule in stateful.items()}
    first = {name: schedule(0) for name, schedule in plain.items()}
    first |= {
      name: schedule(states[name]) for name, schedule in stateful.items()
    }
    values = {
      name: jnp.array(value, hyperparam_dtype, copy=True)
      for name, value in first.items()
    }
    return InjectStatefulHyperparamsState(
      count=jnp.zeros((), jnp.int32),
      inner_state=inner.init(caller, factory, values, params),
      hyperparams_states=ScheduleStates.pack(plain | states, specs),
      hyperparams=values,
      # Not empty, since Orbax saves no empty arrays.
      overrides=jnp.full(len(values) or 1, jnp.nan, hyperparam_dtype),
      transformation=factory.description,
    )

  def update(
    updates: optax.Updates,
    state: InjectStatefulHyperparamsState,
    params: optax.Params | None = None,
    **extra_args: Any,
  ) -> tuple[optax.Updates, InjectStatefulHyperparamsState]:
    states, values, after = state.hyperparams_states, {}, []
    reactive = {
      name: injected.parse_entry(spec) or _of_closure(caller, stateful, name)
      for name, spec in zip(states.stateful, states.specs, strict=True)
    }
    # At once, before they are taken apart: none is a constant to XLA.
    parameters, count = jax.lax.optimization_barrier(
      (states.parameters, state.count)
    )
    states = states.replace(parameters=parameters)
    for i, name in enumerate(sorted(states)):
      if name in reactive:
        value = reactive[name](states[name], **extra_args)
        after.append(reactive[name].update(states[name], **extra_args))
      else:
        value = on_device(states[name], count, opaque=True)
      value = jnp.asarray(value, hyperparam_dtype)
      override = state.overrides[i]
      values[name] = jnp.where(jnp.isnan(override), value, override)
    updates, inner_state = inner.update(
      caller, factory, values, updates, state.inner_state, params, extra_args
    )
    return updates, state.replace(
      count=optax.safe_increment(state.count),
      inner_state=inner_state,
      hyperparams_states=states.replace(states=tuple(after)),
      hyperparams=values,
    )

  return optax.GradientTransformationExtraArgs(init, update)


def _plain_schedule(caller: str, name: str, value: Any) -> Schedule:
  if is_stateful(value):
    raise TypeError(
      f'{caller}: {name} must be a number or a function of the count, got the '
      f'stateful schedule {value!r}. Use inject_stateful_hyperparams for it.'
    )
  if callable(value):
    return as_schedule(value)
  return Constant(constant=arguments.value(caller, name, value))


def _of_closure(caller: str, schedules: Mapping[str, Any], name: str) -> Any:
  """The function that a state follows, from the transformation."""
  if name not in schedules or isinstance(schedules[name], Constant):
    raise ValueError(
      f'{caller}: the state follows a function for {name} that its '
      'transformation does not have. Build the transformation with it, or give '
      f'the state a schedule by set_schedules(state, {name}=...).'
    )
  return schedules[name]

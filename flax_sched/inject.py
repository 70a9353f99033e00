"""Injection: a transformation whose hyperparameters follow schedules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import functools
import json
from typing import Any

from flax import struct
import jax
from jax import numpy as jnp
import numpy as np
import optax

from flax_sched import arguments
from flax_sched import spec as spec_lib
from flax_sched.formula import on_device
from flax_sched.schedule import as_schedule
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.stateful import is_stateful
from flax_sched.stateful import ScheduleStates
from flax_sched.stateful import WrappedSchedule
from flax_sched.transformation import Factory

# What a state's spec says of a hyperparameter whose value is the entry of that
# name in `hyperparams`.
CONSTANT = 'constant'


class InjectHyperparamsState(struct.PyTreeNode):
  """State of `inject_hyperparams`.

  Attributes:
    count: int32 of shape (), the completed updates.
    inner_state: the state of the transformation.
    hyperparams: float32 of shape () by name: what the last update used (after
      `init`: the values at count 0). A constant's entry is the constant: the
      next update uses it.
    spec: the schedules, as JSON: `{name: spec}`. It is static: an update
      follows it as constants of the compiled program.
    transformation: what the factory is, for checkpoints; see `Factory`.
  """

  count: jax.Array
  inner_state: optax.OptState
  hyperparams: dict[str, jax.Array]
  spec: str = struct.field(pytree_node=False, default='{}')
  transformation: str = struct.field(pytree_node=False, default='')


class InjectStatefulHyperparamsState(struct.PyTreeNode):
  """State of `inject_stateful_hyperparams`.

  Attributes:
    count: int32 of shape (), the completed updates.
    inner_state: the state of the transformation.
    hyperparams_states: by name, the schedule, its parameters as arrays; of a
      stateful schedule the state.
    hyperparams: float32 of shape () by name: what the last update used.
    overrides: float32 of shape (k,), for the k names in alphabetical order: the
      value to use in place of the schedule's; NaN for none.
    transformation: as in `InjectHyperparamsState`.
  """

  count: jax.Array
  inner_state: optax.OptState
  hyperparams_states: ScheduleStates
  hyperparams: dict[str, jax.Array]
  overrides: jax.Array
  transformation: str = struct.field(pytree_node=False, default='')


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
  own_spec = json.dumps({n: describe(s) for n, s in schedules.items()})

  def init(params: optax.Params) -> InjectHyperparamsState:
    values = {
      name: jnp.array(schedule(0), hyperparam_dtype, copy=True)
      for name, schedule in schedules.items()
    }
    return InjectHyperparamsState(
      count=jnp.zeros((), jnp.int32),
      inner_state=_init_inner(caller, factory, values, params),
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
    for name, entry in _parse(state.spec).items():
      if entry == CONSTANT:
        value = state.hyperparams[name]
      elif entry is None:
        value = _of_closure(caller, schedules, name)(state.count)
      else:
        value = entry(state.count)
      values[name] = jnp.asarray(value, hyperparam_dtype)
    updates, inner_state = _update_inner(
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

  specs = {n: json.dumps(describe(s)) for n, s in stateful.items()}

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
      inner_state=_init_inner(caller, factory, values, params),
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
      name: parse_entry(spec) or _of_closure(caller, stateful, name)
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
    updates, inner_state = _update_inner(
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


# ---------------------------------------------------------------------------
# Schedules as the static part of a state.


def describe(schedule: Any, *, strict: bool = False) -> Any:
  """What a state says of a schedule, as plain data.

  Raises:
    TypeError: if `strict`, and the schedule holds a function or a tracer.
  """
  if isinstance(schedule, Constant):
    return CONSTANT
  try:
    return spec_lib.to_spec(schedule)
  except TypeError:
    if strict:
      raise
    return spec_lib.fingerprint(schedule)


def is_injected(x: Any) -> bool:
  """Whether `x` is a state of one of the two wrappers."""
  return isinstance(x, InjectHyperparamsState | InjectStatefulHyperparamsState)


def schedules(
  state: InjectHyperparamsState | InjectStatefulHyperparamsState,
) -> dict[str, Schedule]:
  """The plain schedules that a state follows, by name.

  Those that only the transformation knows, and stateful ones, are left out.
  """
  if isinstance(state, InjectStatefulHyperparamsState):
    states = state.hyperparams_states
    return {name: states[name] for name, _ in states.layout}
  return {
    name: Constant(constant=state.hyperparams[name])
    if entry == CONSTANT
    else entry
    for name, entry in _parse(state.spec).items()
    if entry is not None
  }


@functools.lru_cache(maxsize=128)
def _parse(spec: str) -> Mapping[str, Any]:
  """By name, the schedule, CONSTANT, or None for a function."""
  return {name: _built(entry) for name, entry in json.loads(spec).items()}


@functools.lru_cache(maxsize=128)
def parse_entry(spec: str) -> Any:
  """The stateful schedule of a description, None for a function."""
  return _built(json.loads(spec))


def _built(entry: Any) -> Any:
  if entry == CONSTANT:
    return CONSTANT
  if spec_lib.is_fingerprint(entry):
    return None
  return spec_lib.from_spec(entry)


def _of_closure(caller: str, schedules: Mapping[str, Any], name: str) -> Any:
  """The function that a state follows, from the transformation."""
  if name not in schedules or isinstance(schedules[name], Constant):
    raise ValueError(
      f'{caller}: the state follows a function for {name} that its '
      'transformation does not have. Build the transformation with it, or give '
      f'the state a schedule by set_schedules(state, {name}=...).'
    )
  return schedules[name]


# ---------------------------------------------------------------------------
# The transformation inside.


def _init_inner(
  caller: str, factory: Factory, values: Mapping[str, Any], params: Any
) -> Any:
  return _run(caller, factory, values, lambda tx: tx.init(params))


def _update_inner(
  caller: str,
  factory: Factory,
  values: Mapping[str, Any],
  updates: Any,
  state: Any,
  params: Any,
  extra_args: Mapping[str, Any],
) -> tuple[Any, Any]:
  return _run(
    caller,
    factory,
    values,
    lambda tx: tx.update(updates, state, params, **extra_args),
  )


def _run(
  caller: str,
  factory: Factory,
  values: Mapping[str, Any],
  method: Callable[[optax.GradientTransformationExtraArgs], Any],
) -> Any:
  """A method of the transformation with these values of its hyperparameters.

  In the dtypes of the transformation without injection: a float32
  hyperparameter would turn bfloat16 moments into float32 ones, which a Python
  number in its place does not.
  """
  try:
    result = method(factory(values))
    plain = jax.eval_shape(
      lambda values: method(factory(values)), _python_numbers(values)
    )
  except jax.errors.ConcretizationTypeError as error:
    names = ', '.join(_branched_on(factory, values, method) or values)
    raise TypeError(
      f'{caller}: {names} of {factory.name} cannot be a hyperparameter: the '
      'function branches on its value when it is called, and an injected value '
      f'is an array. Pass it as a constant: static_args={names!r}.'
    ) from error
  return _with_dtypes_of(result, plain)


def _branched_on(
  factory: Factory, values: Mapping[str, Any], method: Callable[..., Any]
) -> list[str]:
  """The hyperparameters whose values must be known while tracing."""

  def alone(name: str) -> Callable[[Any], Any]:
    numbers = _python_numbers(values)
    return lambda value: method(factory({**numbers, name: value}))

  names = []
  for name in values:
    try:
      jax.eval_shape(alone(name), 0.5)
    except jax.errors.ConcretizationTypeError:
      names.append(name)
    except Exception:
      pass  # The values of the others are no good: nothing is learnt.
  return names


def _python_numbers(values: Mapping[str, Any]) -> dict[str, float]:
  # Only their type matters: jax.eval_shape computes nothing.
  return dict.fromkeys(values, 0.5)


def _with_dtypes_of(tree: Any, shapes: Any) -> Any:
  def cast(x: Any, like: Any) -> Any:
    typed = isinstance(x, (jax.Array, np.ndarray))
    if typed and x.dtype == like.dtype and not getattr(x, 'weak_type', False):
      return x
    return jnp.asarray(x, like.dtype)

  return jax.tree_util.tree_map(cast, tree, shapes)

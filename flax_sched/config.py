"""Schedules and optimizers from plain data, such as `ml_collections` configs.

A schedule is a mapping with the `name` of a schedule function and its
arguments; an optimizer is a mapping with the `name` of one of Optax's and its
hyperparameters, each a number or a schedule:

>>> tx = build_optimizer({
...   'name': 'adamw',
...   'learning_rate': {
...     'name': 'warmup_cosine_decay_schedule',
...     'init_value': 0.0,
...     'peak_value': 1e-3,
...     'warmup_steps': '10%',
...     'decay_steps': '90%',
...   },
...   'weight_decay': 0.1,
... }, run={'total_steps': 10_000})

A mapping may be a dict, what JSON makes of one, or a (Frozen)ConfigDict. Step
counts may be durations, which `run` resolves: see `flax_sched.durations`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import inspect
from typing import Any

import optax

from flax_sched import catalog
from flax_sched import runs
from flax_sched import spec as spec_lib
from flax_sched.arguments import is_real
from flax_sched.catalog import register
from flax_sched.inject import inject_hyperparams
from flax_sched.keys import check_keys
from flax_sched.keys import check_number
from flax_sched.keys import dotted
from flax_sched.keys import errors_at
from flax_sched.keys import is_mapping
from flax_sched.keys import passed
from flax_sched.keys import pop_name
from flax_sched.keys import takes_number
from flax_sched.reading import Reader
from flax_sched.runs import Run
from flax_sched.schedule import as_schedule
from flax_sched.stateful import is_stateful
from flax_sched.transformation import is_hyperparam

__all__ = [
  'Run',
  'build_optimizer',
  'build_schedule',
  'build_schedules',
  'register',
  'to_config',
]


def build_schedule(
  config: Any,
  *,
  run: Run | Mapping[str, Any] | None = None,
  schedules: Mapping[str, Any] | None = None,
  path: str = '',
) -> Any:
  """Builds the schedule that a config describes.

  Args:
    config: one of:

      - a mapping with the `name` of a schedule function of `flax_sched` and
        that function's arguments, or with the name of a class of schedules and
        its parameters, as `to_config` writes them, or with a name that was
        given to `register`. The arguments that are schedules are described in
        the same way. `schedules`, of `join_schedules` and others, is a
        sequence, or a mapping whose keys hold their place as a number ('s0',
        's1', or '0_warmup', '1_decay'), since a ConfigDict sorts its keys and
        the order must not depend on that. `boundaries_and_scales` is a mapping,
        or two sequences `boundaries` and `scales` in its place, which the
        command line and a FrozenConfigDict can express;
      - a number: a constant schedule;
      - a string: a name in `schedules`;
      - a `Schedule`, or another callable of the count.
    run: what the run is made of, to resolve the durations among the step
      counts, such as '5%' or '10ep': a `Run`, or a mapping with its arguments.
    schedules: configs by name, that several places can refer to.
    path: where the config is in a larger one, for errors.

  Returns:
    The schedule.

  Raises:
    ValueError: if the name or a key is unknown, a key is missing or given
      twice, a duration can't be resolved, or an argument is out of range; it
      says where.
    TypeError: if an argument is of a wrong type; it says where.

  >>> build_schedule({
  ...   'name': 'join_schedules',
  ...   'schedules': {
  ...     's0': {'name': 'linear_schedule', 'init_value': 0.0,
  ...            'end_value': 1.0, 'transition_steps': '10%'},
  ...     's1': 1.0,
  ...   },
  ...   'boundaries': ('10%',),
  ... }, run={'total_steps': 100})(5)
  np.float32(0.5)
  """
  shared = dict(schedules.items()) if schedules is not None else {}
  return Reader(runs.as_run(run), shared).schedule(config, path, 0)


def build_optimizer(
  config: Any,
  *,
  run: Run | Mapping[str, Any] | None = None,
  inject: Callable[..., Any] = inject_hyperparams,
  path: str = 'optimizer',
) -> optax.GradientTransformationExtraArgs:
  """Builds the optimizer that a config describes, its hyperparameters injected.

  Args:
    config: a mapping with the `name` of an optimizer of Optax (one that takes a
      learning rate) and its arguments. Where Optax takes a number, it is one,
      or a schedule: its config (see `build_schedule`), a `Schedule`, or another
      callable of the count. What is no hyperparameter (a boolean, a mask, a
      dtype) passes through. `schedules` may be a mapping of configs that
      several hyperparameters refer to, by name.
    run: what the run is made of, to resolve durations: see `build_schedule`.
    inject: `inject_hyperparams` or `inject_stateful_hyperparams`.
    path: where the config is in a larger one, for errors.

  Returns:
    The transformation.

  Raises:
    ValueError: if a name or a key is unknown, a key is missing, or an argument
      is out of range; it says where.
    TypeError: if an argument is of a wrong type; it says where.

  >>> import jax.numpy as jnp
  >>> import flax_sched as fs
  >>> tx = build_optimizer({
  ...   'name': 'adamw',
  ...   'schedules': {
  ...     'main': {'name': 'cosine_decay_schedule', 'init_value': 0.5,
  ...              'decay_steps': 100},
  ...   },
  ...   'learning_rate': 'main',
  ...   'weight_decay': {'name': 'Multiply', 'schedules': ('main', 0.1)},
  ... })
  >>> fs.hyperparams(tx.init(jnp.ones(3)))['weight_decay']
  Array(0.05, dtype=float32)
  """
  factory, arguments = _read_optimizer(config, run, path)
  with errors_at(path):
    return inject(factory, **arguments)


def build_schedules(
  config: Any,
  *,
  run: Run | Mapping[str, Any] | None = None,
  path: str = 'optimizer',
) -> dict[str, Any]:
  """Builds the schedules of an optimizer's config: to draw, check or log them.

  Args:
    config: an optimizer's config: see `build_optimizer`.
    run: what the run is made of, to resolve durations: see `build_schedule`.
    path: where the config is in a larger one, for errors.

  Returns:
    By the name of the argument, what is a schedule, or another callable of the
    count; numbers as constants.

  Raises:
    ValueError: as `build_optimizer`.
    TypeError: as `build_optimizer`.

  >>> build_schedules({'name': 'adamw', 'learning_rate': 0.1, 'nesterov': True})
  {'learning_rate': Constant(constant=0.1)}
  """
  factory, arguments = _read_optimizer(config, run, path)
  parameters = inspect.signature(factory).parameters
  schedules = {}
  for name, value in arguments.items():
    if is_stateful(value):
      schedules[name] = value
    elif is_real(value) or is_hyperparam(parameters[name], value):
      with errors_at(dotted(path, name)):
        schedules[name] = as_schedule(value)
  return schedules


def _read_optimizer(
  config: Any, run: Any, path: str
) -> tuple[Callable[..., Any], dict[str, Any]]:
  """The factory of an optimizer's config, and its arguments."""
  if not is_mapping(config):
    raise ValueError(
      f'{path or "the config"}: an optimizer must be a mapping with a '
      f"'name', such as {{'name': 'adamw', 'learning_rate': 0.001}}, got "
      f'{config!r}.'
    )
  arguments = dict(config.items())
  shared = arguments.pop('schedules', None)
  if shared is not None and not is_mapping(shared):
    raise ValueError(
      f'{dotted(path, "schedules")} must be a mapping of configs by name, '
      f'got {shared!r}.'
    )
  reader = Reader(
    runs.as_run(run),
    dict(shared.items()) if shared else {},
    dotted(path, 'schedules'),
  )
  optimizers = _optimizers()
  name = pop_name('optimizer', optimizers.get, optimizers, arguments, path)
  factory = optimizers[name]
  parameters = inspect.signature(factory).parameters
  required = {
    parameter.name: parameter.default is inspect.Parameter.empty
    for parameter in parameters.values()
  }
  check_keys(name, required, arguments, path)
  for key, value in arguments.items():
    where = dotted(path, key)
    arguments[key] = _argument(reader, parameters[key], value, where)
  return factory, arguments


def _argument(
  reader: Reader, parameter: inspect.Parameter, value: Any, path: str
) -> Any:
  """An argument of an optimizer, its schedule built."""
  numeric = takes_number(parameter)
  if is_mapping(value):
    # A mask may be a mapping too, of the parameters' names.
    if numeric or isinstance(dict(value.items()).get('name'), str):
      return reader.schedule(value, path, 0)
    return passed(value)
  if isinstance(value, str) and value in reader.shared:
    return reader.schedule(value, path, 0)
  if numeric:
    check_number(parameter, value, reader.shared, path, reader.where)
  return value


def to_config(schedule: Any) -> dict[str, Any]:
  """The config of a schedule: `build_schedule` of it is an equal schedule.

  Args:
    schedule: a schedule, or a stateful one; its numbers are concrete.

  Returns:
    A mapping that is JSON, with the `name` of the class and its parameters: the
    formula itself, whichever function has built it. Schedules inside are
    mappings with the keys 's0', 's1', ..., so that the command line can set
    every number.

  Raises:
    TypeError: if it holds what plain data can't: a function, or a tracer.

  >>> import flax_sched as fs
  >>> to_config(0.5 * fs.linear_schedule(1.0, 0.0, 10))['schedules']['s0']
  {'name': 'Constant', 'constant': 0.5}
  """
  if not isinstance(schedule, spec_lib.KINDS):
    schedule = as_schedule(schedule)
  return _renamed(spec_lib.to_spec(schedule))


def _renamed(spec: Any) -> Any:
  """A spec with names for kinds, and its schedules as mappings."""
  if isinstance(spec, list):
    if any(isinstance(item, dict) for item in spec):
      return {f's{i}': _renamed(item) for i, item in enumerate(spec)}
    return spec
  if not isinstance(spec, dict):
    return spec
  fields = {key: _renamed(x) for key, x in spec.items() if key != 'kind'}
  cls = spec_lib.class_of(spec['kind'])
  return {'name': catalog.name_of(cls) or spec['kind'], **fields}


def _optimizers() -> dict[str, Callable[..., Any]]:
  """Optax's functions that take a learning rate, and descend, by name."""
  return {
    name: function
    for name, function in vars(optax).items()
    if inspect.isfunction(function)
    and not name.startswith(('_', 'scale_by_'))
    and any(
      'learning_rate' in p for p in inspect.signature(function).parameters
    )
  }

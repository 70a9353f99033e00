"""The transformation inside of an injected one, run with given values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np
import optax

from flax_sched.transformation import Factory


def init(
  caller: str, factory: Factory, values: Mapping[str, Any], params: Any
) -> Any:
  """What `init` of the transformation returns."""
  return _run(caller, factory, values, lambda tx: tx.init(params))


def update(
  caller: str,
  factory: Factory,
  values: Mapping[str, Any],
  updates: Any,
  state: Any,
  params: Any,
  extra_args: Mapping[str, Any],
) -> tuple[Any, Any]:
  """What `update` of the transformation returns."""
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

"""Every optimizer of Optax, each of its numbers scheduled.

An injected optimizer makes the updates of the plain one that is built anew at
each step with the values of that step.
"""

import inspect

import jax
from jax import numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import flax_sched as fs

PARAMS = {
  'w': jnp.linspace(-1.0, 1.5, 12).reshape(4, 3),
  'b': jnp.asarray([0.5, -0.3, 0.2]),
}
STEPS = 4

# What wraps other transformations, takes a function, or (the last) works on
# matrices alone: muon itself is tested.
LEFT_OUT = {
  'apply_every',
  'apply_if_finite',
  'chain',
  'conditionally_mask',
  'conditionally_transform',
  'flatten',
  'freeze',
  'inject_hyperparams',
  'inject_stateful_hyperparams',
  'lookahead',
  'masked',
  'measure_with_ema',
  'multi_transform',
  'named_chain',
  'partition',
  'sam',
  'scale_by_schedule',
  'selective_transform',
  'snapshot',
  'split_real_and_imaginary',
  'stateless',
  'stateless_with_tree_map',
  'with_extra_args_support',
  'scale_by_muon',
}

# Arguments that have no default, or None.
VALUES = {
  'adam_learning_rate': 0.01,
  'beta3': 0.9,
  'clipping': 0.1,
  'consistent_rms': 0.2,
  'decay': 0.9,
  'eta': 0.01,
  'gamma': 0.5,
  'init_estim_sq_dist': 0.1,
  'l2_norm_clip': 1.0,
  'learning_rate': 0.05,
  'max_delta': 0.1,
  'max_learning_rate': 1.0,
  'max_norm': 0.5,
  'momentum': 0.9,
  'noise_multiplier': 0.1,
  'optimism': 0.1,
  'slow_step_size': 0.5,
  'step_size': 0.1,
  'threshold': 0.5,
  'weight_decay': 0.01,
  'weight_decay_rate': 0.01,
}
# Sizes, counts and the like.
OTHERS = {
  'base_optimizer': optax.sgd(0.1),
  'max_backtracking_steps': 5,
  'max_linesearch_steps': 5,
  'key': 0,
  'rank': 2,
  'seed': 0,
}
# What a factory branches on when it is called.
BRANCHES = {
  ('scale_by_sm3', 'b2'),
  ('reduce_on_plateau', 'factor'),
  ('reduce_on_plateau', 'rtol'),
  ('reduce_on_plateau', 'atol'),
}


def _arguments(factory):
  """The numbers of a factory to schedule, and its other arguments."""
  numbers, others = {}, {}
  parameters = inspect.signature(factory).parameters
  for name, p in parameters.items():
    value = VALUES.get(name) if p.default in (p.empty, None) else p.default
    if isinstance(value, float):
      if (factory.__name__, name) not in BRANCHES:
        numbers[name] = value or 0.1
    elif name in OTHERS and (p.default in (p.empty, None) or name == 'rank'):
      others[name] = OTHERS[name]
  if 'key' in others:
    others.pop('seed', None)  # the old name
  return numbers, others


def _optimizers():
  for module in (optax, optax.contrib):
    for name, factory in sorted(vars(module).items()):
      if name.startswith('_') or name in LEFT_OUT:
        continue
      if not inspect.isfunction(factory):
        continue
      returned = inspect.signature(factory).return_annotation
      if 'GradientTransformation' in str(returned) and _arguments(factory)[0]:
        yield pytest.param(factory, id=name)


# The others, whose programs take long to compile, in `make test-slow`.
QUICK = (
  'adafactor',
  'adam',
  'adamw',
  'lamb',
  'lion',
  'muon',
  'noisy_sgd',
  'prodigy',
  'rmsprop',
  'schedule_free_adamw',
  'scale_by_adam',
  'sgd',
  'sm3',
)
every_optimizer = pytest.mark.parametrize('factory', [*_optimizers()])


def loss_fn(params):
  return sum(
    jnp.sum((x - 0.1) ** 2 * jnp.linspace(1.0, 2.0, x.size).reshape(x.shape))
    for x in jax.tree.leaves(params)
  )


def _extra_args(name, value, grads):
  if 'linesearch' in name or 'lbfgs' in name:
    return {'value': value, 'grad': grads, 'value_fn': loss_fn}
  return {'value': value, 'loss': value, 'obj_fn': loss_fn}


def _train(name, transformation_of, params=PARAMS):
  """The updates of some steps, and the state after them."""
  tx = optax.with_extra_args_support(transformation_of(0))
  state, result = tx.init(params), []
  structure = jax.tree.map(lambda x: (x.shape, x.dtype), state)
  for n in range(STEPS):
    tx = optax.with_extra_args_support(transformation_of(n))
    value, grads = jax.value_and_grad(loss_fn)(params)
    extra_args = _extra_args(name, value, grads)
    if 'privat' in name or name == 'dpsgd':  # gradients of each example
      grads = jax.tree.map(lambda g: jnp.stack([g, 2 * g]), grads)
    updates, state = tx.update(grads, state, params, **extra_args)
    params = optax.apply_updates(params, updates)
    result.append(updates)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == structure
  return result, state


# Deprecated, and still an optimizer; and dpsgd uses a deprecated argument.
@pytest.mark.filterwarnings('ignore:`optimistic_adam` is deprecated')
@pytest.mark.filterwarnings('ignore:"seed" is deprecated')
@pytest.mark.parametrize(
  'factory',
  [
    pytest.param(
      *each.values,
      id=each.id,
      marks=[] if each.id in QUICK else [pytest.mark.slow],
    )
    for each in _optimizers()
  ],
)
@pytest.mark.parametrize(
  'inject',
  [
    fs.inject_hyperparams,
    pytest.param(fs.inject_stateful_hyperparams, marks=pytest.mark.slow),
  ],
)
def test_every_number_can_be_scheduled(factory, inject):
  """All at once, each by a line of its own."""
  name = factory.__name__
  numbers, others = _arguments(factory)
  schedules = {
    key: fs.linear_schedule(value, value * (0.9 - 0.01 * i), 10)
    for i, (key, value) in enumerate(numbers.items())
  }
  tx = inject(factory, **schedules, **others)
  got, state = _train(name, lambda n: tx)
  expected, plain = _train(
    name,
    lambda n: factory(
      **{key: float(schedule(n)) for key, schedule in schedules.items()},
      **others,
    ),
  )
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6 * np.abs(b).max())
  assert set(fs.hyperparams(state)) == set(schedules)
  for key, schedule in schedules.items():
    np.testing.assert_array_max_ulp(
      fs.hyperparams(state)[key], schedule(STEPS - 1), 1
    )
  inner = jax.tree.leaves(state.inner_state)
  for a, b in zip(inner, jax.tree.leaves(plain), strict=True):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)


@pytest.mark.parametrize(('name', 'argument'), sorted(BRANCHES))
def test_what_a_factory_branches_on_is_an_error(name, argument):
  """A clear one, that names the argument and what to do."""
  factory = getattr(optax, name, None) or getattr(optax.contrib, name)
  tx = fs.inject_hyperparams(
    factory, **{argument: fs.linear_schedule(0.5, 0.4, 10)}
  )
  with pytest.raises(TypeError, match=rf'{argument} of {name} .*static_args'):
    _train(name, lambda n: tx)


def test_of_several_the_one_that_is_branched_on_is_named():
  """The other one can be scheduled."""
  schedule = fs.linear_schedule(0.9, 0.8, 10)
  tx = fs.inject_hyperparams(optax.scale_by_sm3, b1=schedule, b2=schedule)
  with pytest.raises(TypeError, match='hyperparams: b2 of scale_by_sm3'):
    _train('', lambda n: tx)
  tx = fs.inject_hyperparams(
    optax.scale_by_sm3, b1=schedule, b2=0.9, static_args='b2'
  )
  expected, _ = _train(
    '', lambda n: optax.scale_by_sm3(float(schedule(n)), 0.9)
  )
  got, _ = _train('', lambda n: tx)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
  ('factory', 'argument', 'kind'),
  [
    (optax.lbfgs, 'memory_size', 'whole number'),
    (optax.adafactor, 'min_dim_size_to_factor', 'whole number'),
    (optax.contrib.muon, 'ns_steps', 'whole number'),
    (optax.adam, 'nesterov', 'switch'),
  ],
)
def test_sizes_and_switches_follow_no_schedule(factory, argument, kind):
  """They would be arrays where the program needs to know them."""
  schedule = fs.constant_schedule(4.0)
  with pytest.raises(TypeError, match=f'{argument} of .* {kind}'):
    fs.inject_hyperparams(factory, learning_rate=0.1, **{argument: schedule})


@pytest.mark.parametrize(
  ('factory', 'others'),
  [
    pytest.param(optax.lbfgs, {'memory_size': 3}, marks=pytest.mark.slow),
    (optax.adafactor, {'min_dim_size_to_factor': 2, 'momentum': 0.9}),
    (optax.adamw, {'mask': {'w': True, 'b': False}, 'nesterov': True}),
    (optax.adamw, {'mask': lambda params: {'w': True, 'b': False}}),
    (optax.adam, {'mu_dtype': jnp.bfloat16}),
    (optax.adam, {'mu_dtype': 'bfloat16'}),
    (optax.contrib.muon, {'ns_steps': 3, 'adaptive': True}),
    (optax.contrib.schedule_free_adamw, {'warmup_steps': 2}),
    (optax.contrib.prodigy, {'betas': (0.8, 0.99)}),
    (optax.noisy_sgd, {'key': 1}),
    (optax.noisy_sgd, {'key': jax.random.key(1)}),
  ],
)
def test_other_arguments_pass_through(factory, others):
  """Sizes, counts, dtypes, masks, callables, tuples."""
  schedule = fs.linear_schedule(0.1, 0.05, 10)
  tx = fs.inject_hyperparams(factory, learning_rate=schedule, **others)
  got, state = _train(factory.__name__, lambda n: tx)
  expected, plain = _train(
    factory.__name__,
    lambda n: factory(learning_rate=float(schedule(n)), **others),
  )
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)
  inner = jax.tree.leaves(state.inner_state)
  for a, b in zip(inner, jax.tree.leaves(plain), strict=True):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)

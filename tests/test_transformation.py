"""Finding the factory of a built transformation, and its hyperparameters."""

import inspect

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import recovery
from flax_sched import transformation

# What inspection can't fill in: (positional values, why).
_REQUIRED = {
  'scale_by_schedule': {'step_size_fn': optax.constant_schedule(0.1)},
  'scale_by_backtracking_linesearch': {'max_backtracking_steps': 5},
  'scale_by_zoom_linesearch': {'max_linesearch_steps': 5},
  'scale_by_learning_rate': {'learning_rate': 0.1},
  'scale_by_madgrad': {'learning_rate': 0.1, 'momentum': 0.9, 'eps': 1e-6},
}
# These keep an argument nowhere.
_REFUSED = {'scale_by_zoom_linesearch'}
# These take more than gradients and parameters to run.
_NO_RUN = _REFUSED | {
  'scale_by_muon',
  'scale_by_learning_rate',
  'scale_by_backtracking_linesearch',
  'scale_by_polyak',
  'scale_by_schedule',
  'scale_by_madgrad',
  'scale_by_galore',
  'scale_by_rprop',
}


def _all_scale_by():
  return [
    pytest.param(getattr(module, name), id=name)
    for module in (optax, optax.contrib)
    for name in dir(module)
    if name.startswith('scale_by_')
  ]


def _arguments(factory):
  """Arguments other than the defaults, for each float parameter."""
  arguments = dict(_REQUIRED.get(factory.__name__, {}))
  for p in inspect.signature(factory).parameters.values():
    if type(p.default) is float and p.name != 'learning_rate':
      arguments[p.name] = p.default * 0.875 + 0.0078125
    elif p.default is p.empty:
      arguments.setdefault(p.name, 0.1)
  return arguments


@pytest.mark.parametrize('factory', _all_scale_by())
def test_recovers_the_arguments_or_refuses(factory):
  """Each argument comes back as it was given; else a clear error."""
  arguments = _arguments(factory)
  built = factory(**arguments)
  if factory.__name__ in _REFUSED:
    with pytest.raises(ValueError, match='Pass the factory and its arguments'):
      fs.inject_hyperparams(built, b1=0.5)
    return
  found, recovered = recovery.recover('f', built)
  if factory is optax.scale_by_learning_rate:  # It builds another factory's.
    assert (found, recovered) == (optax.scale, {'step_size': -0.1})
    return
  assert found.__name__ == factory.__name__
  for name, value in arguments.items():
    assert recovered[name] is value


@pytest.mark.parametrize(
  'factory',
  [p for p in _all_scale_by() if p.id not in _NO_RUN],
)
def test_built_equals_factory_bit_for_bit(factory):
  """Injecting into what the factory returned is injecting into the factory."""
  arguments = _arguments(factory)
  scheduled = {
    name: fs.linear_schedule(value, value * 0.5, 3)
    for name, value in arguments.items()
  }
  if not scheduled:
    scheduled = {'learning_rate': fs.linear_schedule(0.5, 0.1, 3)}
  name, schedule = next(iter(scheduled.items()))
  rest = {k: v for k, v in arguments.items() if k != name}
  from_built = fs.inject_hyperparams(factory(**arguments), **{name: schedule})
  from_factory = fs.inject_hyperparams(
    factory, static_args=tuple(rest), **{name: schedule}, **rest
  )
  params = {'w': jnp.linspace(-1.0, 1.0, 12).reshape(4, 3), 'b': jnp.eye(2)}
  one, two = from_built.init(params), from_factory.init(params)
  for step in range(4):
    grads = jax.tree.map(lambda x, s=step: jnp.cos(x * (s + 1)), params)
    updates_one, one = from_built.update(grads, one, params)
    updates_two, two = from_factory.update(grads, two, params)
    for a, b in zip(
      jax.tree.leaves((updates_one, one)),
      jax.tree.leaves((updates_two, two)),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)


def test_derived_values_come_out_right():
  """The values that scale_by_radam derives from b2 follow the scheduled b2."""
  params, grads = jnp.ones(3), jnp.linspace(0.1, 1.0, 3)
  b2 = fs.linear_schedule(0.9, 0.99, 3)
  tx = fs.inject_hyperparams(optax.scale_by_radam(b2=0.5), b2=b2)
  state, inner = tx.init(params), optax.scale_by_radam(b2=b2(0)).init(params)
  for n in range(4):
    updates, state = tx.update(grads, state, params)
    plain = optax.scale_by_radam(b2=float(b2(n)))
    expected, inner = plain.update(grads, inner, params)
    np.testing.assert_allclose(updates, expected, rtol=1e-6)


@pytest.mark.parametrize(
  'built',
  [
    pytest.param(optax.adam(1e-3), id='alias'),
    pytest.param(
      optax.chain(optax.scale_by_adam(), optax.scale(-1.0)), id='chain'
    ),
    pytest.param(
      optax.GradientTransformation(lambda p: (), lambda u, s, p=None: (u, s)),
      id='lambda',
    ),
  ],
)
def test_refuses_what_it_cannot_recover(built):
  """A transformation of unknown make: an error that names the remedy."""
  with pytest.raises(ValueError, match=r'inject_hyperparams\(optax.adamw'):
    fs.inject_hyperparams(built, b1=0.5)


def test_refuses_a_second_step_size():
  """A learning rate on what scales by a step size already is refused."""
  for tx in (optax.scale(-0.1), optax.scale, optax.scale_by_polyak):
    with pytest.raises(ValueError, match='scales by a step size already'):
      fs.inject_hyperparams(tx, learning_rate=0.1)


@pytest.mark.parametrize('name', ['lr', 'eta', 'lr_max', 'peak_lr'])
def test_refuses_a_learning_rate_by_another_name(name):
  """Also where the factory has a default for it, which would be the second."""
  factory = {
    'lr': lambda lr=0.1: optax.sgd(lr),
    'eta': lambda eta=0.1: optax.sgd(eta),
    'lr_max': lambda lr_max=0.1: optax.sgd(lr_max),
    'peak_lr': lambda peak_lr=0.1: optax.sgd(peak_lr),
  }[name]
  with pytest.raises(
    ValueError, match=rf'step size already \({name}\).* the schedule as {name},'
  ):
    fs.inject_hyperparams(factory, learning_rate=0.1)
  assert fs.inject_hyperparams(factory, **{name: 0.1})
  noise = fs.inject_hyperparams(
    optax.add_noise, eta=0.5, gamma=0.5, key=0, learning_rate=0.25
  )
  assert 'learning_rate' in noise.init(jnp.ones(2)).hyperparams


def test_a_whole_number_by_its_default():
  """How the factory says that it is none."""

  def factory(learning_rate, decay=0, size: int = 2):
    del size
    return optax.chain(
      optax.add_decayed_weights(decay), optax.sgd(learning_rate)
    )

  def mended(learning_rate, decay: float = 0.0):
    return factory(learning_rate, decay)

  decay = fs.linear_schedule(0.5, 0.0, 10)
  with pytest.raises(TypeError, match=r'declare it as decay: float = 0\.0'):
    fs.inject_hyperparams(factory, learning_rate=0.1, decay=decay)
  with pytest.raises(TypeError, match=r'declare it as size: float = 2\.0'):
    fs.inject_hyperparams(factory, learning_rate=0.1, size=decay)
  tx = fs.inject_hyperparams(mended, learning_rate=0.1, decay=decay)
  assert tx.init(jnp.ones(2)).hyperparams['decay'] == 0.5


def test_misspelt_and_missing_arguments():
  """Unknown names: the nearest match and what is accepted."""
  with pytest.raises(TypeError, match="Did you mean 'learning_rate'"):
    fs.inject_hyperparams(optax.adamw, lerning_rate=0.1)
  with pytest.raises(TypeError, match='adamw needs learning_rate'):
    fs.inject_hyperparams(optax.adamw, weight_decay=0.1)
  with pytest.raises(TypeError, match="no argument 'momentun'"):
    fs.inject_hyperparams(
      optax.sgd, learning_rate=0.1, static_args=('momentun',)
    )
  with pytest.raises(TypeError, match='transformation must be a factory'):
    fs.inject_hyperparams(3, learning_rate=0.1)


def test_what_passes_through():
  """Booleans, dtypes, masks and sizes reach the factory as they are."""
  got = {}

  def factory(
    learning_rate,
    momentum=0.9,
    size: int = 3,
    rank=4,
    mask=None,
    nesterov=False,
    dtype=None,
    label='a',
    order: jax.typing.ArrayLike = 1,
  ):
    got.update(locals())
    return optax.sgd(learning_rate, momentum)

  mask = {'w': True}.get
  tx = fs.inject_hyperparams(
    factory,
    learning_rate=1,
    momentum=0,
    size=5,
    rank=6,
    mask=mask,
    nesterov=True,
    dtype=jnp.bfloat16,
    label='b',
    order=2,
  )
  state = tx.init(jnp.ones(2))
  assert set(state.hyperparams) == {'learning_rate', 'momentum'}
  assert (got['size'], got['rank'], got['order']) == (5, 6, 2)
  assert got['label'] == 'b'
  assert got['mask'] is mask
  assert got['nesterov'] is True
  assert got['dtype'] is jnp.bfloat16


def test_a_function_as_mask_is_no_schedule():
  """Optax's own masks: a function of the parameters reaches the optimizer."""
  seen = []

  def mask(params):
    seen.append(params)
    return {'w': True, 'b': False}

  params = {'w': jnp.ones(2), 'b': jnp.ones(2)}
  tx = fs.inject_hyperparams(
    optax.adamw, learning_rate=0.0, weight_decay=0.5, mask=mask
  )
  state = tx.init(params)
  assert set(state.hyperparams) == {'learning_rate', 'weight_decay'}
  assert jax.tree.structure(seen[0]) == jax.tree.structure(params)


def test_optax_annotations_are_understood():
  """Each float of adamw and adafactor may be scheduled by any callable."""
  for factory, names in (
    (optax.adamw, {'learning_rate', 'b1', 'b2', 'eps', 'weight_decay'}),
    (optax.adafactor, {'learning_rate', 'decay_rate', 'weight_decay_rate'}),
  ):
    values = dict.fromkeys(names, optax.constant_schedule(0.5))
    found = transformation.Factory('f', factory, (), values).hyperparams
    assert set(found) == names


def test_static_args_keep_a_function():
  """A function that looks like a schedule passes through if it is named."""

  def factory(learning_rate, fn):
    assert fn is abs
    return optax.sgd(learning_rate)

  for static in ('fn', ('fn',)):
    tx = fs.inject_hyperparams(
      factory, static_args=static, learning_rate=0.1, fn=abs
    )
    assert set(tx.init(jnp.ones(2)).hyperparams) == {'learning_rate'}


def test_keyword_factories():
  """A factory that takes **kwargs gets them all, numbers as hyperparameters."""

  def factory(**kwargs):
    return optax.adam(**kwargs)

  tx = fs.inject_hyperparams(factory, learning_rate=0.1, b1=0.5)
  assert set(tx.init(jnp.ones(2)).hyperparams) == {'learning_rate', 'b1'}

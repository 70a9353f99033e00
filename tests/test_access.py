"""Reading and changing hyperparameters, wherever they are in a state."""

import dataclasses
import typing

from flax import nnx
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs

PARAMS = {'encoder': jnp.ones(3), 'head': jnp.ones(2)}
LR = fs.linear_schedule(1.0, 0.0, 10)


def _sgd(inject, **kwargs):
  return inject(optax.sgd, learning_rate=LR, **kwargs)


def _label(params):
  return {name: name for name in params}


WRAPPERS = {
  'bare': lambda tx: tx,
  'chain': lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx),
  'named_chain': lambda tx: optax.named_chain(
    ('clip', optax.clip(1.0)), ('o', tx)
  ),
  'masked': lambda tx: optax.masked(tx, {'encoder': True, 'head': False}),
  'MultiSteps': lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
  'apply_if_finite': lambda tx: optax.apply_if_finite(tx, 3),
  'partition': lambda tx: optax.partition(
    {'encoder': tx, 'head': optax.sgd(0.1)}, _label
  ),
  'partly frozen': lambda tx: optax.chain(
    tx, optax.freeze({'encoder': False, 'head': True})
  ),
  'conditionally_transform': lambda tx: optax.conditionally_transform(
    tx, lambda step: step >= 0
  ),
}


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
@pytest.mark.parametrize('wrap', WRAPPERS.values(), ids=WRAPPERS)
def test_finds_and_sets_through_wrappers(wrap, inject):
  """Under each wrapper: found by its plain name, set, and used."""
  tx = wrap(_sgd(inject, momentum=0.5))
  state = tx.init(PARAMS)
  _, state = tx.update(PARAMS, state, PARAMS)
  _, state = tx.update(PARAMS, state, PARAMS)
  values = {'learning_rate': np.float32(0.9), 'momentum': 0.5}
  assert fs.hyperparams(state) == values
  state = fs.set_hyperparams(state, learning_rate=0.25)
  assert fs.hyperparams(state)['learning_rate'] == 0.25
  for _ in range(2):
    _, state = tx.update(PARAMS, state, PARAMS)
    assert fs.hyperparams(state)['learning_rate'] == 0.25


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_lookahead(inject):
  """Its state is that of the fast optimizer."""
  tx = optax.lookahead(_sgd(inject), sync_period=2, slow_step_size=0.5)
  params = optax.LookaheadParams.init_synced(PARAMS)
  state = tx.init(params)
  for n in range(4):
    updates, state = tx.update(PARAMS, state, params)
    params = optax.apply_updates(params, updates)
    assert fs.hyperparams(state) == {'learning_rate': LR(n)}
  state = fs.set_hyperparams(state, learning_rate=0.25)
  _, state = tx.update(PARAMS, state, params)
  assert fs.hyperparams(state) == {'learning_rate': 0.25}


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_counts_are_the_optimizers_own(inject):
  """An update that the wrapper holds back or skips does not count."""
  tx = optax.MultiSteps(_sgd(inject), 3).gradient_transformation()
  state = tx.init(PARAMS)
  for n in range(9):
    assert fs.hyperparams(state)['learning_rate'] == LR(max(n // 3 - 1, 0))
    _, state = tx.update(PARAMS, state, PARAMS)

  tx = optax.apply_if_finite(_sgd(inject), 5)
  state = tx.init(PARAMS)
  nan = jax.tree.map(lambda x: x * jnp.nan, PARAMS)
  for grads in (PARAMS, nan, nan, PARAMS):
    _, state = tx.update(grads, state, PARAMS)
  assert fs.hyperparams(state)['learning_rate'] == LR(1)
  assert state.inner_state.count == 2


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_the_right_one_is_set(inject):
  """By its label: the other optimizer goes on."""
  tx = optax.multi_transform(
    {'encoder': _sgd(inject), 'head': _sgd(inject)}, _label
  )
  state = tx.init(PARAMS)
  state = fs.set_hyperparams(state, **{'head/learning_rate': 0.25})
  updates, state = tx.update(PARAMS, state, PARAMS)
  np.testing.assert_array_equal(updates['encoder'], -PARAMS['encoder'])
  np.testing.assert_array_equal(updates['head'], -0.25 * PARAMS['head'])


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_optax_tree_functions(inject):
  """`optax.tree` reads, sets and maps our states as its own."""
  tx = inject(optax.adam, learning_rate=LR, b1=0.5)
  _, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
  assert optax.tree.get(state, 'learning_rate') == LR(0)
  changed = optax.tree.set(state, b1=jnp.float32(0.25))
  assert changed.hyperparams['b1'] == 0.25
  mapped = optax.tree.map_params(tx, lambda x: 2 * x, state)
  for name in ('mu', 'nu'):
    doubled, once = optax.tree.get(mapped, name), optax.tree.get(state, name)
    jax.tree.map(
      lambda a, b: np.testing.assert_array_equal(a, 2 * b), doubled, once
    )
  assert fs.hyperparams(mapped) == fs.hyperparams(state)
  assert mapped.count == state.count


def test_names_that_clash_get_labels():
  """Two optimizers: the labels on the way; in a bare chain, the positions."""
  tx = optax.partition(
    {
      'encoder': fs.inject_hyperparams(optax.sgd, learning_rate=0.1),
      'head': fs.inject_hyperparams(optax.adam, learning_rate=0.2, b1=0.5),
    },
    _label,
  )
  state = tx.init(PARAMS)
  assert fs.hyperparams(state) == {
    'encoder/learning_rate': np.float32(0.1),
    'head/learning_rate': np.float32(0.2),
    'b1': 0.5,
  }
  state = fs.set_hyperparams(state, **{'head/learning_rate': 0.5})
  assert fs.hyperparams(state)['head/learning_rate'] == 0.5
  assert fs.hyperparams(state)['encoder/learning_rate'] == np.float32(0.1)
  twice = optax.chain(_sgd(fs.inject_hyperparams), _sgd(fs.inject_hyperparams))
  assert list(fs.hyperparams(twice.init(PARAMS))) == [
    '0/learning_rate',
    '1/learning_rate',
  ]


def test_nested_injection():
  """An injected state inside an injected state is found as well."""

  def factory(weight_decay):
    return optax.chain(
      optax.add_decayed_weights(weight_decay), _sgd(fs.inject_hyperparams)
    )

  tx = fs.inject_hyperparams(factory, weight_decay=0.5)
  state = tx.init(PARAMS)
  assert fs.hyperparams(state) == {'weight_decay': 0.5, 'learning_rate': 1.0}
  state = fs.set_hyperparams(state, learning_rate=0.25, weight_decay=0.125)
  _, state = tx.update(PARAMS, state, PARAMS)
  assert fs.hyperparams(state) == {'weight_decay': 0.125, 'learning_rate': 0.25}


def test_train_state():
  """A TrainState gives, and a changed copy is returned."""
  tx = optax.chain(optax.clip(1.0), _sgd(fs.inject_hyperparams))
  state = TrainState.create(apply_fn=None, params=PARAMS, tx=tx)
  state = state.apply_gradients(grads=PARAMS).apply_gradients(grads=PARAMS)
  assert fs.hyperparams(state) == {'learning_rate': np.float32(0.9)}
  changed = fs.set_hyperparams(state, learning_rate=0.5)
  assert fs.hyperparams(changed) == {'learning_rate': 0.5}
  assert fs.hyperparams(state) == {'learning_rate': np.float32(0.9)}


class Haiku(typing.NamedTuple):
  """A state as a named tuple."""

  params: object
  opt_state: object


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Mutable:
  """A state whose fields may be set."""

  params: object
  opt_state: object


@dataclasses.dataclass(frozen=True)
class Unknown:
  """A state that JAX knows nothing of."""

  params: object
  opt_state: object


@pytest.mark.parametrize('kind', [Haiku, Mutable, Unknown])
@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_states_of_other_kinds(inject, kind):
  """A changed copy is returned; what was given stays as it is."""
  state = kind(PARAMS, _sgd(inject).init(PARAMS))
  changed = fs.set_hyperparams(state, learning_rate=0.5)
  assert type(changed) is kind
  assert fs.hyperparams(changed) == {'learning_rate': 0.5}
  assert fs.hyperparams(state) == {'learning_rate': 1.0}


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_nnx_optimizer(inject):
  """An nnx.Optimizer gives, and is changed in place without a new trace."""
  model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
  optimizer = nnx.Optimizer(model, _sgd(inject, momentum=0.5), wrt=nnx.Param)
  traces = []

  @nnx.jit
  def step(model, optimizer):
    traces.append(1)
    grads = nnx.grad(lambda m: jnp.sum(m(jnp.ones(3)) ** 2))(model)
    optimizer.update(model, grads)

  for _ in range(3):
    step(model, optimizer)
  assert fs.hyperparams(optimizer)['learning_rate'] == np.float32(0.8)
  assert isinstance(fs.hyperparams(optimizer)['momentum'], jax.Array)
  assert fs.set_hyperparams(optimizer, momentum=0.25) is optimizer
  step(model, optimizer)
  assert fs.hyperparams(optimizer) == {
    'learning_rate': np.float32(0.7),
    'momentum': 0.25,
  }
  assert len(traces) == 1


def test_stateful_edits_do_not_recompile():
  """Values and schedules change between steps in one compiled program."""
  tx = _sgd(fs.inject_stateful_hyperparams, momentum=0.5)
  traces = []

  @jax.jit
  def step(state):
    traces.append(1)
    return tx.update(PARAMS, state, PARAMS)[1]

  def value(state):
    return float(fs.hyperparams(state)['learning_rate'])

  state = step(tx.init(PARAMS))
  state = step(fs.set_hyperparams(state, learning_rate=0.25))
  assert value(state) == 0.25
  state = step(fs.set_hyperparams(state, learning_rate=None))
  assert value(state) == np.float32(0.8)
  new = fs.linear_schedule(2.0, 0.0, 5)
  state = step(fs.set_schedules(state, learning_rate=new))
  assert value(state) == new(3)
  state = fs.set_hyperparams(state, learning_rate=0.25)
  state = step(fs.set_schedules(state, learning_rate=new))
  assert value(state) == new(4)
  assert len(traces) == 1


def test_fast_edits():
  """A new schedule recompiles once; it is followed from the count on."""
  tx = _sgd(fs.inject_hyperparams)
  traces = []

  @jax.jit
  def step(state):
    traces.append(1)
    return tx.update(PARAMS, state, PARAMS)[1]

  state = step(step(tx.init(PARAMS)))
  new = fs.linear_schedule(2.0, 0.0, 5)
  state = step(fs.set_schedules(state, learning_rate=new))
  assert fs.hyperparams(state) == {'learning_rate': new(2)}
  state = step(fs.set_schedules(state, learning_rate=0.5))
  assert fs.hyperparams(state) == {'learning_rate': 0.5}
  assert len(traces) == 3
  with pytest.raises(TypeError, match='must be plain data'):
    fs.set_schedules(state, learning_rate=optax.constant_schedule(0.1))
  with pytest.raises(ValueError, match='use set_schedules'):
    fs.set_hyperparams(state, learning_rate=None)


def test_edits_keep_the_placement():
  """A value set on a mesh stays where the old one was: no new compile."""
  device = jax.devices()[-1]
  state = jax.device_put(_sgd(fs.inject_hyperparams).init(PARAMS), device)
  changed = fs.set_hyperparams(state, learning_rate=0.5)
  leaf = changed.hyperparams['learning_rate']
  assert leaf.committed
  assert leaf.sharding == state.hyperparams['learning_rate'].sharding


def test_errors_name_what_is_there():
  """Unknown names, and states without hyperparameters."""
  state = _sgd(fs.inject_hyperparams).init(PARAMS)
  with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
    fs.set_hyperparams(state, learning_rat=0.1)
  with pytest.raises(ValueError, match='It has learning_rate'):
    fs.set_schedules(state, momentum=0.1)
  with pytest.raises(ValueError, match='holds no injected hyperparameters'):
    fs.hyperparams(optax.adam(0.1).init(PARAMS))
  with pytest.raises(ValueError, match='learning_rate must be finite'):
    fs.set_hyperparams(state, learning_rate=float('inf'))
  with pytest.raises(TypeError, match='learning_rate must be a real number'):
    fs.set_hyperparams(state, learning_rate='fast')


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_a_value_set_in_half_precision(dtype):
  """It is rounded to the hyperparameters' dtype, and used."""
  tx = fs.inject_stateful_hyperparams(
    optax.sgd, learning_rate=0.5, hyperparam_dtype=dtype
  )
  grads = jnp.ones(3)
  state = fs.set_hyperparams(tx.init(grads), learning_rate=0.1)
  _, state = tx.update(grads, state, grads)
  assert fs.hyperparams(state)['learning_rate'] == jnp.asarray(0.1, dtype)


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_values_for_the_members_of_a_population(inject):
  """One for all, or one for each; the state keeps its shapes."""
  tx = inject(optax.sgd, learning_rate=0.5)
  grads = jnp.ones((3, 2))
  step = jax.jit(jax.vmap(lambda s, g: tx.update(g, s, g)[1]))
  state = jax.vmap(tx.init)(grads)
  for value, expected in ((0.25, [0.25] * 3), ([1, 2, 4], [1, 2, 4])):
    changed = fs.set_hyperparams(state, learning_rate=np.asarray(value))
    assert jax.tree.map(jnp.shape, changed) == jax.tree.map(jnp.shape, state)
    rates = fs.hyperparams(step(changed, grads))['learning_rate']
    assert rates.tolist() == expected
  with pytest.raises(
    ValueError, match=r'one for each member, of shape \(3,\), got .* \(2,\)'
  ):
    fs.set_hyperparams(state, learning_rate=np.ones(2))
  with pytest.raises(ValueError, match=r'must be one number, got .* \(2,\)'):
    fs.set_hyperparams(tx.init(grads), learning_rate=np.ones(2))


@pytest.mark.parametrize('new', [fs.linear_schedule(1.0, 0.0, 4), 0.25])
def test_schedules_for_the_members_of_a_population(new):
  """One for all, or one for each."""
  tx = fs.inject_stateful_hyperparams(
    optax.sgd, learning_rate=fs.linear_schedule(0.5, 0.0, 4)
  )
  grads = jnp.ones((3, 2))
  step = jax.jit(jax.vmap(lambda s, g: tx.update(g, s, g)[1]))
  state = step(jax.vmap(tx.init)(grads), grads)
  one = fs.set_schedules(state, learning_rate=new)
  rates = fs.hyperparams(step(one, grads))['learning_rate']
  assert rates.tolist() == [fs.as_schedule(new)(1)] * 3
  each = fs.stack_schedules([fs.as_schedule(new)] * 3)
  some = fs.set_schedules(state, learning_rate=each)
  rates = fs.hyperparams(step(some, grads))['learning_rate']
  assert rates.tolist() == [fs.as_schedule(new)(1)] * 3

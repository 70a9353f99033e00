"""Schedules that react to the loss."""

from flax import nnx
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import flax_sched as fs

PARAMS = {'w': jnp.ones(3)}


def _values(plateau, losses):
  """The value that each update uses."""
  update = jax.jit(lambda s, loss: plateau.update(s, value=loss))
  state, values = plateau.init(), []
  for loss in losses:
    values.append(float(plateau(state)))
    state = update(state, loss)
  return [*values, float(plateau(state))]


def _reference(losses, init, factor, patience, rtol, cooldown, low, size):
  """The definition, in plain Python."""
  value, best, bad, cooling, batch, values = init, np.inf, 0, 0, [], [init]
  for loss in losses:
    batch.append(loss)
    if len(batch) == size:
      average, batch = sum(batch) / size, []
      improves = best == np.inf or average < best - rtol * abs(best)
      best = average if improves else best
      bad = 0 if improves or cooling else bad + 1
      cooling = max(cooling - 1, 0)
      if bad == patience:
        value, bad, cooling = max(value * factor, low), 0, cooldown
    values.append(value)
  return values


@pytest.mark.parametrize('sign', [1.0, -1.0])
@pytest.mark.parametrize('cooldown', [0, 3])
@pytest.mark.parametrize('size', [1, 2])
def test_follows_its_definition(sign, cooldown, size):
  """Random walks of the loss, on both sides of zero."""
  rng = np.random.default_rng(0)
  walk = np.round(np.abs(np.cumsum(rng.normal(size=120)) + 3) + 1, 1)
  losses = (sign * walk).tolist()
  plateau = fs.reduce_on_plateau(
    1.0, 0.5, 3, 0.125, 0.0, cooldown, 0.0625, size
  )
  expected = _reference(losses, 1.0, 0.5, 3, 0.125, cooldown, 0.0625, size)
  assert _values(plateau, losses) == expected
  assert len(set(expected)) > 2


def test_a_falling_negative_loss_is_no_plateau():
  """A margin relative to the best loss must not turn around at zero."""
  losses = [-1.0 - 0.5 * i for i in range(30)]
  plateau = fs.reduce_on_plateau(1.0, 0.5, patience=2, rtol=0.01)
  assert set(_values(plateau, losses)) == {1.0}
  constant = [-1.0] * 30
  assert _values(plateau, constant)[-1] < 1e-3


def test_a_loss_that_is_no_number_is_no_improvement():
  """NaN counts as bad, and the best loss stays."""
  plateau = fs.reduce_on_plateau(1.0, 0.5, patience=2)
  assert _values(plateau, [1.0, np.nan, np.nan, 0.5])[-2:] == [0.5, 0.5]
  with jax.debug_nans(True):
    assert _values(plateau, [1.0, 2.0]) == [1.0] * 3


def _tx(schedule):
  return fs.inject_stateful_hyperparams(
    optax.adam,
    learning_rate=schedule,
    b1=fs.linear_schedule(0.9, 0.8, 10),
    b2=0.99,
  )


def test_plain_and_reactive_schedules_mix():
  """In one transformation, in one compile."""
  tx = _tx(fs.reduce_on_plateau(0.5, 0.5, patience=2))
  state = tx.init(PARAMS)
  traces = []

  @jax.jit
  def step(state, loss):
    traces.append(1)
    return tx.update(PARAMS, state, PARAMS, value=loss)[1]

  used = []
  for _ in range(6):
    state = step(state, 1.0)
    used.append(fs.hyperparams(state))
  assert [float(u['learning_rate']) for u in used] == [0.5] * 3 + [0.25] * 2 + [
    0.125
  ]
  b1 = fs.linear_schedule(0.9, 0.8, 10)
  assert [u['b1'] for u in used] == [b1(n) for n in range(6)]
  assert len(traces) == 1
  state = fs.set_hyperparams(state, learning_rate=0.1)
  assert fs.hyperparams(step(state, 1.0))['learning_rate'] == np.float32(0.1)
  assert len(traces) == 1


@pytest.mark.parametrize('left', [True, False])
def test_a_plain_schedule_times_a_reactive_one(left):
  """The product of their values, whichever comes first; numbers too."""
  warmup = fs.warmup_constant_schedule(0.0, 1.0, 4)
  plateau = fs.reduce_on_plateau(1.0, 0.5, patience=2)
  product = warmup * plateau if left else plateau * warmup
  state = product.init()
  for n in range(12):
    expected = warmup(n) * 0.5 ** max((n - 1) // 2, 0)
    assert product(state) == np.float32(expected)
    state = product.update(state, value=1.0)
  half = 0.5 * (plateau * fs.reduce_on_plateau(3.0))
  assert half(half.init()) == 1.5
  assert len(half.factors) == 3
  tx = _tx(product)
  state = tx.init(PARAMS)
  for _ in range(3):
    _, state = tx.update(PARAMS, state, PARAMS, value=1.0)
  assert fs.hyperparams(state)['learning_rate'] == 0.5


def test_it_shows_what_it_is():
  """Alone, and in a product with a sum."""
  schedule = fs.reduce_on_plateau(1.0, 0.5, patience=3)
  shown = (
    'ReduceOnPlateau(init_value=1.0, factor=0.5, patience=3, rtol=1e-04, '
    'atol=0.0, cooldown=0, min_value=0.0, accumulation_size=1)'
  )
  assert repr(schedule) == shown
  line = fs.linear_schedule(1.0, 0.0, 10)
  product = 2 * schedule * (line + 0.5)
  assert repr(product) == (
    f'Constant(constant=2.0) * {shown} * ({line!r} + Constant(constant=0.5))'
  )


def test_without_the_loss():
  """An error while tracing, that names the argument and how to pass it."""
  tx = _tx(fs.reduce_on_plateau(0.5))
  state = tx.init(PARAMS)
  with pytest.raises(TypeError, match=r'`value`, got none\. Pass tx\.update'):
    jax.jit(tx.update)(PARAMS, state, PARAMS)
  with pytest.raises(TypeError, match=r"`value`, got \['loss'\]"):
    tx.update(PARAMS, state, PARAMS, loss=1.0)
  train_state = TrainState.create(apply_fn=None, params=PARAMS, tx=tx)
  with pytest.raises(TypeError, match='apply_gradients'):
    train_state.apply_gradients(grads=PARAMS)


def test_train_states():
  """Chains pass the loss on; the state keeps its transformation."""
  tx = optax.chain(
    optax.clip_by_global_norm(1.0),
    _tx(fs.reduce_on_plateau(0.5, 0.5, patience=1)),
  )
  state = TrainState.create(apply_fn=None, params=PARAMS, tx=tx)

  @jax.jit
  def step(state, loss):
    return fs.apply_gradients(state, grads=PARAMS, value=loss)

  for _ in range(3):
    state = step(state, 1.0)
  assert state.step == 3
  assert state.tx is tx
  assert fs.hyperparams(state)['learning_rate'] == 0.25
  plain = TrainState.create(apply_fn=None, params=PARAMS, tx=optax.sgd(1.0))
  moved = fs.apply_gradients(plain, grads=PARAMS, value=1.0)
  np.testing.assert_array_equal(moved.params['w'], np.zeros(3))


@pytest.mark.parametrize('built', [False, True])
def test_accumulated_gradients(built):
  """`optax.MultiSteps` hands the loss on, though no class of it says so."""
  tx = optax.MultiSteps(_tx(fs.reduce_on_plateau(0.5, 0.5, patience=1)), 2)
  tx = tx.gradient_transformation() if built else tx
  state = TrainState.create(apply_fn=None, params=PARAMS, tx=tx)
  for _ in range(6):
    state = fs.apply_gradients(state, grads=PARAMS, value=1.0)
  assert state.tx is tx
  assert fs.hyperparams(state)['learning_rate'] == 0.25


def test_nnx_optimizer():
  """Whose update takes extra arguments itself."""
  model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
  tx = _tx(fs.reduce_on_plateau(0.5, 0.5, patience=1))
  optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
  grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
  for _ in range(3):
    optimizer.update(model, grads, value=jnp.float32(1.0))
  assert fs.hyperparams(optimizer)['learning_rate'] == 0.25


def test_resume_is_exact(tmp_path):
  """Counters and best values come back from a checkpoint bit for bit."""
  losses = np.sin(np.arange(40)).astype(np.float32)
  tx = _tx(
    fs.cosine_decay_schedule(1.0, 50)
    * fs.reduce_on_plateau(0.5, 0.7, 2, 0.1, 0.0, 1, 0.0, 2)
  )
  step = jax.jit(lambda s, loss: tx.update(PARAMS, s, PARAMS, value=loss)[1])
  state = tx.init(PARAMS)
  for loss in losses[:21]:
    state = step(state, loss)
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(tmp_path / 'state', state)
  with ocp.StandardCheckpointer() as checkpointer:
    target = tx.init(PARAMS)
    restored = checkpointer.restore(tmp_path / 'state', target)
  for loss in losses[21:]:
    state, restored = step(state, loss), step(restored, loss)
  for a, b in zip(
    jax.tree.leaves(state), jax.tree.leaves(restored), strict=True
  ):
    np.testing.assert_array_equal(a, b)
  assert fs.hyperparams(state)['learning_rate'] < 0.1


@pytest.mark.parametrize(
  ('kwargs', 'error', 'part'),
  [
    ({'init_value': 'x'}, TypeError, 'init_value'),
    ({'factor': 1.0}, ValueError, 'factor must be below 1, got 1.0'),
    ({'factor': 0}, ValueError, 'factor must be positive'),
    ({'patience': 0}, ValueError, 'patience'),
    ({'patience': 1.5}, ValueError, 'patience'),
    ({'rtol': -1}, ValueError, 'rtol'),
    ({'atol': float('nan')}, ValueError, 'atol'),
    ({'cooldown': -1}, ValueError, 'cooldown'),
    ({'min_value': -1}, ValueError, 'min_value'),
    ({'min_value': 2}, ValueError, 'init_value must be at least'),
    ({'accumulation_size': 0}, ValueError, 'accumulation_size'),
  ],
)
def test_bad_arguments(kwargs, error, part):
  """Named, with their value."""
  with pytest.raises(error, match=rf'^reduce_on_plateau: .*{part}'):
    fs.reduce_on_plateau(**{'init_value': 1.0, **kwargs})


@pytest.mark.parametrize(
  'use',
  [
    lambda plateau: fs.maximum(0.5, plateau),
    lambda plateau: fs.join_schedules([0.5, plateau], [3]),
    lambda plateau: fs.constant_schedule(0.5).then(plateau, 3),
    lambda plateau: fs.follow(plateau, {0.0: 1.0}),
    lambda plateau: fs.warmup_schedule(plateau, 5),
  ],
)
def test_it_is_no_function_of_the_count(use):
  """What takes schedules says so, and what to do."""
  with pytest.raises(TypeError, match=r'stateful schedule Reduce.* by \*'):
    use(fs.reduce_on_plateau(1.0))

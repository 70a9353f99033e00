"""Injection: what an update uses, what the state holds, and in which dtypes."""

import functools
import json

import jax
from jax import numpy as jnp
import numpy as np
import optax
import optax.contrib
import orbax.checkpoint as ocp
import pytest

import flax_sched as fs
import zoo

PARAMS = {'w': jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), 'b': jnp.ones(3)}
GRADS = jax.tree.map(jnp.cos, PARAMS)
LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 2, 4, 0.01)
BOTH = pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)


def _assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def _run(tx, steps, params=PARAMS, state=None, **extra):
  """The updates of each step, and the last state, under jit."""
  state = tx.init(params) if state is None else state
  update = jax.jit(functools.partial(tx.update, **extra))
  results = []
  for _ in range(steps):
    grads = jax.tree.map(jnp.cos, params)
    updates, state = update(grads, state, params)
    params = optax.apply_updates(params, updates)
    results.append(updates)
  return results, state


@BOTH
def test_a_jitted_step_sees_the_class_of_each_schedule(inject):
  """A schedule of another class takes another program, deep inside too."""
  tx = inject(optax.sgd, learning_rate=1.0)
  grads = jnp.ones(3)
  step = jax.jit(lambda state: tx.update(grads, state, grads)[1])
  for schedule in (
    fs.linear_schedule(1.0, 0.0, 4),
    fs.cosine_decay_schedule(1.0, 4),
  ):
    joined = fs.join_schedules([1.0, schedule], [5])
    state = fs.set_schedules(tx.init(grads), learning_rate=joined)
    state = step(state.replace(count=jnp.int32(6)))
    assert fs.hyperparams(state)['learning_rate'] == schedule(1)


@BOTH
def test_follows_the_schedules(inject):
  """Update n is that of the plain optimizer with the values at count n."""
  b1, wd = fs.linear_schedule(0.9, 0.5, 5), fs.constant_schedule(0.1)
  tx = inject(optax.adamw, learning_rate=LR, b1=b1, weight_decay=wd)
  got, state = _run(tx, 8)
  params, inner = PARAMS, optax.adamw(0.1).init(PARAMS)
  for n in range(8):
    plain = optax.adamw(float(LR(n)), b1=float(b1(n)), weight_decay=0.1)
    grads = jax.tree.map(jnp.cos, params)
    expected, inner = plain.update(grads, inner, params)
    params = optax.apply_updates(params, expected)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-8),
      got[n],
      expected,
    )
  assert state.count == 8


@BOTH
def test_holds_what_the_last_update_used(inject):
  """After init the values at count 0; after update n those of count n - 1."""
  tx = inject(optax.sgd, learning_rate=LR, momentum=0.5)
  state = tx.init(PARAMS)
  assert fs.hyperparams(state) == {'learning_rate': LR(0), 'momentum': 0.5}
  for n in range(5):
    _, state = tx.update(GRADS, state)
    assert fs.hyperparams(state)['learning_rate'] == LR(n)
    assert state.count == n + 1
  _, jitted = _run(tx, 5)
  np.testing.assert_allclose(jitted.hyperparams['learning_rate'], LR(4), 1e-7)


@BOTH
def test_one_layout_whether_constant_or_scheduled(inject):
  """Values are strong float32 scalars under their names, always."""
  for value in (
    0.1,
    1,
    np.float64(0.1),
    jnp.float32(0.1),
    LR,
    optax.constant_schedule(0.1),
  ):
    state = inject(optax.sgd, learning_rate=value).init(PARAMS)
    _, after = inject(optax.sgd, learning_rate=value).update(GRADS, state)
    for s in (state, after):
      assert list(s.hyperparams) == ['learning_rate']
      leaf = s.hyperparams['learning_rate']
      assert (leaf.dtype, leaf.shape) == (jnp.float32, ())
      assert not leaf.weak_type


@BOTH
def test_state_types_never_change(inject):
  """The carry of a lax.scan: the same types after init and any update."""
  tx = inject(optax.adam, learning_rate=LR, b1=0.9, eps=1e-8)
  state = tx.init(PARAMS)

  def step(state, _):
    _, state = tx.update(GRADS, state, PARAMS)
    return state, state.hyperparams

  state, values = jax.lax.scan(step, state, None, length=7)
  expected = LR(np.arange(7))
  np.testing.assert_allclose(values['learning_rate'], expected, rtol=2e-7)


@BOTH
@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtypes_are_those_without_injection(inject, dtype):
  """Hyperparameters stay float32; moments and updates keep their dtype."""
  params = jax.tree.map(lambda x: x.astype(dtype), PARAMS)
  tx = inject(optax.adamw, learning_rate=LR, b1=0.9, b2=0.999, weight_decay=0.1)
  updates, state = _run(tx, 3, params)
  plain, inner = _run(optax.adamw(0.1), 3, params)
  assert state.hyperparams['b2'] == np.float32(0.999)
  types = functools.partial(jax.tree.map, lambda x: (x.dtype, x.weak_type))
  assert types(updates) == types(plain)
  for a, b in zip(
    jax.tree.leaves(state.inner_state), jax.tree.leaves(inner), strict=True
  ):
    assert a.dtype == b.dtype


OPTIMIZERS = {
  'adamw': lambda make, **kw: make(optax.adamw, b2=0.999, **kw),
  'adamw_bfloat16_moments': lambda make, **kw: make(
    optax.adamw, mu_dtype=jnp.bfloat16, weight_decay=0.1, **kw
  ),
  'momentum': lambda make, **kw: make(optax.sgd, momentum=0.9, **kw),
  'adafactor': lambda make, **kw: make(optax.adafactor, **kw),
  'lion': lambda make, **kw: make(optax.lion, b1=0.9, **kw),
  'schedule_free': lambda make, **kw: make(
    optax.contrib.schedule_free_adamw, b2=0.99, **kw
  ),
}


@BOTH
@pytest.mark.parametrize('name', OPTIMIZERS)
@pytest.mark.parametrize(
  'dtypes',
  [
    {'w': jnp.bfloat16, 'b': jnp.bfloat16},
    {'w': jnp.float64, 'b': jnp.float64},
    {'w': jnp.bfloat16, 'b': jnp.float32},
    *(
      pytest.param({'w': w, 'b': b}, marks=pytest.mark.slow)
      for w, b in ((jnp.float16, jnp.float16), (jnp.float64, jnp.bfloat16))
    ),
  ],
  ids=lambda dtypes: '_'.join(np.dtype(d).name for d in dtypes.values()),
)
def test_every_precision(inject, name, dtypes):
  """Mixed ones too: types as without injection, after init and updates."""
  with zoo.enable_x64(jnp.float64 in dtypes.values()):
    params = {
      key: jnp.linspace(0.1, 1.0, 6).reshape(2, 3).astype(dtype)
      for key, dtype in dtypes.items()
    }
    injected = OPTIMIZERS[name](inject, learning_rate=LR)
    plain = OPTIMIZERS[name](lambda f, **kw: f(**kw), learning_rate=0.1)
    types = functools.partial(
      jax.tree.map, lambda x: (x.dtype, x.weak_type, x.shape)
    )
    state, inner = injected.init(params), plain.init(params)
    for _ in range(3):
      updates, state = injected.update(params, state, params)
      expected, inner = plain.update(params, inner, params)
      assert types(updates) == types(expected)
      for a, b in zip(
        jax.tree.leaves(state.inner_state), jax.tree.leaves(inner), strict=True
      ):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
    for value in state.hyperparams.values():
      assert value.dtype == jnp.float32


@BOTH
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_one_that_is_not_scheduled_is_not_touched(inject, name):
  """With everything left to the factory: the same bits, the same state."""
  tx = OPTIMIZERS[name](
    lambda f, **kw: inject(f, static_args=tuple(kw), **kw), learning_rate=0.1
  )
  got, state = _run(tx, 5)
  plain = OPTIMIZERS[name](lambda f, **kw: f(**kw), learning_rate=0.1)
  expected, inner = _run(plain, 5)
  _assert_equal(got, expected)
  _assert_equal(state.inner_state, inner)


@BOTH
def test_learning_rate_multiplies_what_has_none(inject):
  """The seed's example: a positive factor, to be followed by scale(-1.0)."""
  tx = optax.chain(
    inject(optax.scale_by_adam(), learning_rate=LR), optax.scale(-1.0)
  )
  got, _ = _run(tx, 5)
  expected, _ = _run(optax.adam(LR), 5)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6)


@BOTH
def test_unnamed_arguments_keep_python_constants(inject):
  """What is not named is the factory's own: the same bits as without."""
  got, _ = _run(inject(optax.sgd, learning_rate=0.5, nesterov=True), 3)
  expected, _ = _run(optax.sgd(0.5, nesterov=True), 3)
  _assert_equal(got, expected)


@BOTH
def test_compiles_once(inject):
  """One trace, whatever the count, and none for another value."""
  tx = inject(optax.adam, learning_rate=LR, b1=0.9)
  traces = []

  @jax.jit
  def step(state):
    traces.append(1)
    return tx.update(GRADS, state, PARAMS)[1]

  state = tx.init(PARAMS)
  for _ in range(4):
    state = step(state)
  state = step(fs.set_hyperparams(state, b1=0.5))
  assert state.hyperparams['b1'] == 0.5
  assert len(traces) == 1


def test_an_update_follows_the_spec_in_its_state():
  """A state of another run says what to do, not the transformation."""
  old = fs.inject_hyperparams(optax.sgd, learning_rate=LR, momentum=0.5)
  new = fs.inject_hyperparams(optax.sgd, learning_rate=1.0, momentum=LR)
  _, state = _run(old, 3)
  got, _ = _run(new, 2, state=state)
  expected, _ = _run(old, 2, state=state)
  _assert_equal(got, expected)
  spec = json.loads(state.spec)
  assert spec['learning_rate']['kind'] == 'Join'
  assert spec['momentum'] == 'constant'


def test_a_function_is_followed_from_the_closure():
  """An Optax schedule has no spec: the state says so, and who lacks it."""
  tx = fs.inject_hyperparams(
    optax.sgd, learning_rate=optax.linear_schedule(1.0, 0.0, 4)
  )
  updates, state = _run(tx, 3)
  spec = json.loads(state.spec)['learning_rate']
  assert spec['kind'] == 'Function'
  assert spec['function'].startswith('optax')
  assert list(spec['values'].values()) == [1.0, 0.75, *[0.0] * 6]
  np.testing.assert_allclose(updates[0]['b'], -jnp.cos(jnp.ones(3)), rtol=1e-6)
  assert fs.hyperparams(state) == {'learning_rate': 0.5}
  other = fs.inject_hyperparams(optax.sgd, learning_rate=0.1)
  with pytest.raises(ValueError, match='follows a function for learning_rate'):
    other.update(GRADS, state)


def test_traced_schedules_are_differentiable():
  """A gradient flows into a schedule's parameters, through the injection."""

  def loss(peak):
    lr = fs.warmup_constant_schedule(0.0, peak, 2)
    tx = fs.inject_hyperparams(optax.sgd, learning_rate=lr)
    params, state = 1.0, tx.init(1.0)
    for _ in range(3):
      updates, state = tx.update(2 * params, state, params)
      params = optax.apply_updates(params, updates)
    return params

  peak, eps = 0.1, 1e-3
  expected = (loss(peak + eps) - loss(peak - eps)) / (2 * eps)
  np.testing.assert_allclose(jax.grad(loss)(peak), expected, rtol=1e-3)


def test_stateful_parameters_ride_in_the_state():
  """The schedule in the state decides, and its leaves are arrays."""
  tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=LR)
  state = tx.init(PARAMS)
  schedule = state.hyperparams_states['learning_rate']
  assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(schedule))
  assert schedule == LR
  other = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=0.5)
  with_lr = fs.set_schedules(other.init(PARAMS), learning_rate=LR)
  got, _ = _run(other, 3, state=with_lr)
  expected, _ = _run(tx, 3)
  _assert_equal(got, expected)


@BOTH
@pytest.mark.parametrize(
  'hyperparams',
  [
    {'learning_rate': fs.piecewise_constant_schedule({10: 0.5})},
    {'learning_rate': fs.join_schedules([LR], []), 'momentum': 0.5},
    {'learning_rate': 0.5},
    {'learning_rate': optax.constant_schedule(0.5)},
    {'learning_rate': 0.5, 'static_args': 'learning_rate'},
  ],
  ids=['no boundary', 'one part', 'constant', 'function', 'none'],
)
def test_every_state_can_be_saved(inject, hyperparams, tmp_path):
  """Orbax refuses empty arrays, of which a schedule may hold some."""
  tx = inject(optax.sgd, **hyperparams)
  _, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(tmp_path / 'state', state)
  with ocp.StandardCheckpointer() as checkpointer:
    restored = checkpointer.restore(tmp_path / 'state', tx.init(PARAMS))
  _assert_equal(state, restored)
  got, expected = (tx.update(GRADS, s, PARAMS) for s in (restored, state))
  _assert_equal(got, expected)


def test_stateful_population_is_one_vmap():
  """Members with different schedules train in one program."""
  peaks = jnp.asarray([0.1, 0.2, 0.4])

  def train(peak):
    lr = fs.warmup_constant_schedule(0.0, peak, 2)
    tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=lr)
    state, params = tx.init(1.0), 1.0
    for _ in range(4):
      updates, state = tx.update(2 * params, state, params)
      params = optax.apply_updates(params, updates)
    return params

  together = jax.vmap(train)(peaks)
  np.testing.assert_allclose(together, [train(p) for p in peaks], rtol=1e-6)


class _Halving:
  """A stateful schedule: halves when the loss does not fall."""

  def init(self):
    return {'best': jnp.float32(jnp.inf), 'value': jnp.float32(1.0)}

  def update(self, state, *, value, **extra_args):
    fell = value < state['best']
    return {
      'best': jnp.minimum(state['best'], value),
      'value': jnp.where(fell, state['value'], state['value'] / 2),
    }

  def __call__(self, state, **extra_args):
    return state['value']


def test_stateful_schedules_react():
  """Extra arguments of update reach a stateful schedule; plain ones mix in."""
  tx = fs.inject_stateful_hyperparams(
    optax.sgd, learning_rate=_Halving(), momentum=LR
  )
  state, seen = tx.init(PARAMS), []
  for loss in (3.0, 2.0, 2.0, 2.5, 1.0, 1.0):
    _, state = jax.jit(tx.update)(GRADS, state, value=jnp.float32(loss))
    seen.append(float(state.hyperparams['learning_rate']))
  assert seen == [1.0, 1.0, 1.0, 0.5, 0.25, 0.25]
  with pytest.raises(TypeError, match='Use inject_stateful_hyperparams'):
    fs.inject_hyperparams(optax.sgd, learning_rate=_Halving())


@BOTH
def test_tree_get_finds_one_value(inject):
  """optax.tree.get finds the value, and nothing else of that name."""
  tx = optax.chain(
    optax.clip_by_global_norm(1.0), inject(optax.adamw, learning_rate=LR)
  )
  state = tx.init(PARAMS)
  assert optax.tree.get(state, 'learning_rate') == LR(0)


@BOTH
def test_bad_values(inject):
  """Values that are no numbers, or not finite: the argument is named."""
  name = inject.__name__
  with pytest.raises(ValueError, match=f'{name}: learning_rate must be finite'):
    inject(optax.sgd, learning_rate=float('nan'))
  with pytest.raises(ValueError, match=f'{name}: learning_rate must be finite'):
    inject(optax.sgd, learning_rate=1e50)


@BOTH
def test_donated_states_share_no_buffers(inject):
  """A user's own array survives a step that donates the state."""
  value = jnp.float32(0.1)
  tx = inject(optax.adam, learning_rate=value, b1=value)
  step = jax.jit(lambda s: tx.update(GRADS, s, PARAMS)[1], donate_argnums=0)
  state = tx.init(PARAMS)
  for _ in range(3):
    state = step(state)
  assert value == jnp.float32(0.1)
  assert state.hyperparams['b1'] == np.float32(0.1)

"""States on meshes: where each part lies, and that it costs no compile."""

import functools

from flax import nnx
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
from jax.sharding import AxisType
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import compilations
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import sharding

LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 3, 10, 0.01)
WRAPPERS = {
  'fast': fs.inject_hyperparams,
  'full': fs.inject_stateful_hyperparams,
}
both = pytest.mark.parametrize('wrapper', WRAPPERS)

# All shapes are distinct: a moment is known by its shape.
SHAPES = {'in': {'kernel': (16, 8), 'bias': (8,)}, 'out': {'kernel': (8, 4)}}


def mesh_of(shape=(4, 2), axis_type=AxisType.Auto):
  """A mesh of the first devices."""
  names = ('data', 'model', 'third')[: len(shape)]
  types = (axis_type,) * len(shape)
  devices = jax.devices()[: int(np.prod(shape))]
  return jax.make_mesh(shape, names, axis_types=types, devices=devices)


def init_params(key):
  """The parameters, random: the same bits in every program that makes them."""
  return jax.tree.map(
    # jax.random.normal differs by an ulp where JAX 0.12 splits it.
    lambda shape: jax.random.randint(key, shape, -128, 129) / 64,
    SHAPES,
    is_leaf=lambda x: type(x) is tuple,
  )


def init_of(tx):
  """What makes a TrainState with a transformation."""

  def init(key):
    return TrainState.create(apply_fn=None, params=init_params(key), tx=tx)

  return init


def adamw(wrapper='full', **changes):
  """A transformation with schedules and a constant."""
  arguments = dict(learning_rate=LR, weight_decay=0.1) | changes
  return WRAPPERS[wrapper](optax.adamw, **arguments)


def fsdp(path, shape):
  """Each parameter in parts over all devices, by its first axis."""
  del path
  return P(('data', 'model')) if shape[0] % 8 == 0 else P()


def tensor_parallel(path, shape):
  """Kernels by columns, biases with them; the last layer by rows."""
  del shape
  return {
    ('in', 'kernel'): P(None, 'model'),
    ('in', 'bias'): P('model'),
    ('out', 'kernel'): P('model', None),
  }[path]


TREE = {'in': {'kernel': P('data'), 'bias': None}, 'out': {'kernel': P('data')}}

CHOICES = {
  'everywhere': None,
  'fsdp': fsdp,
  'tensor_parallel': tensor_parallel,
  'tree': TREE,
}

OPTIMIZERS = {
  'adamw': adamw,
  'momentum': lambda w: WRAPPERS[w](optax.sgd, learning_rate=LR, momentum=0.9),
  'lion': lambda w: WRAPPERS[w](optax.lion, learning_rate=LR),
  'chain': lambda w: optax.chain(optax.clip_by_global_norm(1.0), adamw(w)),
  'named': lambda w: optax.named_chain(('a', adamw(w)), ('b', optax.ema(0.9))),
  'multi_steps': lambda w: optax.MultiSteps(
    adamw(w), 2
  ).gradient_transformation(),
  'masked': lambda w: optax.masked(
    adamw(w), {'in': {'kernel': True, 'bias': False}, 'out': {'kernel': True}}
  ),
  'partition': lambda w: optax.partition(
    {'a': adamw(w), 'b': WRAPPERS[w](optax.sgd, learning_rate=LR)},
    {'in': 'a', 'out': 'b'},
  ),
  'nested': lambda w: WRAPPERS[w](
    lambda scale: optax.chain(adamw(w), optax.scale(scale)), scale=LR
  ),
  'memory': lambda w: fs.inject_stateful_hyperparams(
    optax.adam, learning_rate=LR * fs.reduce_on_plateau(1.0)
  ),
}


def assert_same_bits(got, expected):
  """Two pytrees with the same leaves."""
  for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert (x.dtype, x.shape) == (y.dtype, y.shape)
    assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def train_step(state, batch):
  """One update of a small network."""

  def loss(params):
    hidden = jnp.tanh(batch @ params['in']['kernel'] + params['in']['bias'])
    return jnp.mean((hidden @ params['out']['kernel'] - 1) ** 2)

  value, grads = jax.value_and_grad(loss)(state.params)
  return fs.apply_gradients(state, grads=grads, value=value)


BATCH = np.linspace(-1, 1, 16 * 16, dtype=np.float32).reshape(16, 16)


# ---------------------------------------------------------------------------
# Where it lies.


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
@pytest.mark.parametrize('choice', CHOICES)
@both
def test_moments_follow_their_parameters(optimizer, choice, wrapper):
  """And hyperparameters, schedules, counts and the rest are everywhere."""
  mesh, init = mesh_of(), init_of(OPTIMIZERS[optimizer](wrapper))
  shapes = jax.eval_shape(init, jax.random.key(0))
  found = sharding.shardings(shapes, mesh, CHOICES[choice])
  of_shape = {
    leaf.shape: s.spec
    for leaf, s in zip(
      jax.tree.leaves(shapes.params), jax.tree.leaves(found.params), strict=True
    )
  }
  if choice != 'everywhere':
    assert any(of_shape.values())
  for leaf, s in zip(
    jax.tree.leaves(shapes), jax.tree.leaves(found), strict=True
  ):
    assert s == NamedSharding(mesh, of_shape.get(leaf.shape, P()))


@both
@pytest.mark.parametrize('choice', CHOICES)
def test_all_ways_agree(choice, wrapper):
  """What `create` makes, `place` moves and `abstract` describes is the same."""
  mesh, init, key = mesh_of(), init_of(adamw(wrapper)), jax.random.key(0)
  chosen = CHOICES[choice]
  made = sharding.create(init, mesh, key, param_shardings=chosen)
  moved = sharding.place(init(key), mesh, chosen)
  target = sharding.abstract(init, mesh, key, param_shardings=chosen)
  assert_same_bits(made, moved)
  assert jax.tree.structure(made) == jax.tree.structure(moved)
  assert jax.tree.structure(made) == jax.tree.structure(target)
  wanted = jax.tree.leaves(sharding.shardings(made, mesh, chosen))
  for state in (made, moved, target):
    leaves = jax.tree.leaves(state)
    assert [leaf.sharding for leaf in leaves] == wanted
    assert not any(leaf.weak_type for leaf in leaves)


def test_place_makes_new_arrays():
  """A step that donates the one leaves the other alone."""
  mesh = mesh_of((1,))
  state = sharding.place(init_of(adamw())(jax.random.key(0)), mesh)
  again = sharding.place(state, mesh)
  jax.tree.map(lambda leaf: leaf.delete(), again)
  assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


@both
@pytest.mark.parametrize('choice', ['everywhere', 'fsdp'])
def test_nnx(choice, wrapper):
  """A module and its optimizer, from shapes to a restored state."""
  mesh = mesh_of()

  def init(key):
    rngs = nnx.Rngs(params=key, dropout=1)
    model = nnx.Sequential(
      nnx.Linear(16, 8, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
    )
    tx = adamw(wrapper)
    return {
      'model': model,
      'optimizer': nnx.Optimizer(model, tx, wrt=nnx.Param),
    }

  chosen, key = CHOICES[choice], jax.random.key(0)
  state = sharding.create(init, mesh, key, param_shardings=chosen)
  kernel = state['model'].layers[0].kernel[...]
  assert kernel.sharding.spec == (fsdp(None, (16,)) if chosen else P())
  mu = state['optimizer'].opt_state.inner_state[0].mu
  assert mu['layers'][0]['kernel'][...].sharding == kernel.sharding
  rate = fs.hyperparams(state['optimizer'])['learning_rate']
  assert rate.sharding.is_fully_replicated
  assert len(rate.sharding.device_set) == 8


def test_what_has_no_parameters():
  """The error says what would do."""
  with pytest.raises(
    ValueError, match=r'^shardings: the state must hold parameters, got tuple'
  ):
    sharding.shardings((jnp.ones(3),), mesh_of())


@pytest.mark.parametrize(
  ('chosen', 'error', 'message'),
  [
    (lambda path, shape: P('x'), ValueError, r"that divide it, got \('x',\)"),
    (lambda path, shape: P(None, None, 'data'), ValueError, 'of shape'),
    (
      lambda path, shape: P(None, ('data', 'model')) if shape[1:] else P(),
      ValueError,
      r'out/kernel of shape \(8, 4\)',
    ),
    (lambda path, shape: 3, TypeError, 'or a NamedSharding, got 3'),
    ({'in': TREE['in']}, ValueError, 'a parameter out/kernel and no sharding'),
    (
      {**TREE, 'more': P()},
      ValueError,
      'there is a sharding more and no parameter',
    ),
  ],
)
def test_shardings_that_are_none(chosen, error, message):
  """The error names the parameter, and what is wrong."""
  init = init_of(optax.sgd(0.1, momentum=0.9))
  target = jax.eval_shape(init, jax.random.key(0))
  with pytest.raises(error, match=r'^place: param_shardings must .*' + message):
    sharding.place(target, mesh_of(), chosen)


# ---------------------------------------------------------------------------
# Training.


@both
@pytest.mark.parametrize(
  ('choice', 'axis_type'),
  [
    ('fsdp', AxisType.Auto),
    pytest.param('everywhere', AxisType.Explicit, marks=pytest.mark.slow),
    *(
      pytest.param(choice, AxisType.Auto, marks=pytest.mark.slow)
      for choice in CHOICES
      if choice != 'fsdp'
    ),
  ],
)
def test_one_compile_and_the_same_result(choice, axis_type, wrapper, tmp_path):
  """Over the first steps, and after a restore; values as on one device."""
  mesh, init = mesh_of((4, 2), axis_type), init_of(adamw(wrapper))
  chosen, key = CHOICES[choice], jax.random.key(0)
  batch = jax.device_put(BATCH, NamedSharding(mesh, P()))
  with jax.set_mesh(mesh):
    state = sharding.create(init, mesh, key, param_shardings=chosen)
    step = jax.jit(
      train_step,
      donate_argnums=0,
      out_shardings=sharding.shardings(state, mesh, chosen),
    )
    with compilations.counted() as compiled:
      for _ in range(4):
        state = step(state, batch)
    assert len(compiled) == 1
    alone = init(key)
    for _ in range(4):
      alone = jax.jit(train_step)(alone, BATCH)
    for x, y in zip(
      jax.tree.leaves(state), jax.tree.leaves(alone), strict=True
    ):
      np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    assert_same_bits(fs.hyperparams(state), fs.hyperparams(alone))
  # Orbax 0.11 does not save inside of a mesh.
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    checkpoint.save(manager, 4, state)
    target = sharding.abstract(init, mesh, key, param_shardings=chosen)
    restored = checkpoint.restore(manager, target)
  assert_same_bits(restored, state)
  with jax.set_mesh(mesh), compilations.counted() as compiled:
    step(step(restored, batch), batch)
  assert not compiled  # it is the program from before


def varying(param):
  """A parameter whose gradient is that of this device's part of the data."""
  if hasattr(jax.lax, 'pcast'):
    return jax.lax.pcast(param, 'data', to='varying')
  return jax.lax.pvary(param, 'data')


@both
def test_shard_map(wrapper):
  """A step for each part of the batch, the gradients averaged."""
  mesh, key = mesh_of((8,)), jax.random.key(0)
  state = sharding.create(init_of(adamw(wrapper)), mesh, key)

  @jax.jit
  @functools.partial(
    jax.shard_map, mesh=mesh, in_specs=(P(), P('data')), out_specs=P()
  )
  def step(state, batch):
    def loss(params):
      hidden = jnp.tanh(batch @ params['in']['kernel'] + params['in']['bias'])
      return jnp.mean((hidden @ params['out']['kernel'] - 1) ** 2)

    params = jax.tree.map(varying, state.params)
    grads = jax.lax.pmean(jax.grad(loss)(params), 'data')
    return state.apply_gradients(grads=grads)

  alone = sharding.create(init_of(adamw(wrapper)), mesh_of((1,)), key)
  for _ in range(3):
    state, alone = step(state, BATCH), jax.jit(train_step)(alone, BATCH)
  for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(alone), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------------
# Populations.


def init_population(keys, schedules):
  """The states of members with schedules of their own."""

  def init_one(key, schedule):
    return init_of(adamw(learning_rate=schedule))(key)

  return jax.vmap(init_one)(keys, schedules)


@pytest.mark.parametrize(
  ('devices', 'axis_type'),
  [
    (8, AxisType.Auto),
    pytest.param(1, AxisType.Auto, marks=pytest.mark.slow),
    pytest.param(8, AxisType.Explicit, marks=pytest.mark.slow),
  ],
)
def test_a_population_on_a_mesh(devices, axis_type):
  """Each member trains as it would alone, in one program, in its place."""
  mesh = mesh_of((devices,), axis_type)
  peaks = np.linspace(0.01, 0.1, 16)
  one_by_one = [fs.warmup_cosine_decay_schedule(0.0, p, 3, 10) for p in peaks]
  keys = jax.random.split(jax.random.key(0), 16)
  state = sharding.create(
    init_population,
    mesh,
    keys,
    fs.stack_schedules(one_by_one),
    population_axis='data',
  )
  for leaf in jax.tree.leaves(state):
    assert leaf.shape[0] == 16
    assert leaf.sharding == NamedSharding(mesh, P('data'))
  step = jax.jit(jax.vmap(train_step, in_axes=(0, None)), donate_argnums=0)
  with compilations.counted() as compiled:
    for _ in range(4):
      state = step(state, BATCH)
  assert len(compiled) == 1
  alone_step = jax.jit(train_step)
  for i in (0, 7, 15):
    alone = init_of(adamw(learning_rate=one_by_one[i]))(keys[i])
    for _ in range(4):
      alone = alone_step(alone, BATCH)
    member = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], state)
    assert_same_bits(fs.hyperparams(member), fs.hyperparams(alone))
    for x, y in zip(
      jax.tree.leaves(member.params), jax.tree.leaves(alone.params), strict=True
    ):
      np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_a_population_on_no_axis():
  """The error says which there are."""
  with pytest.raises(
    ValueError, match=r"^place: population_axis .* \('data',\), got 'members'"
  ):
    sharding.place(
      {'params': jnp.ones((8, 2))}, mesh_of((8,)), population_axis='members'
    )


def test_members_change_places_without_a_compile():
  """Exploit and explore: a copy of the best, with another schedule."""
  mesh = mesh_of((8,))
  keys = jax.random.split(jax.random.key(0), 8)
  population = fs.stack_schedules(
    [fs.cosine_decay_schedule(peak, 10) for peak in np.linspace(0.1, 0.8, 8)]
  )
  state = sharding.create(
    init_population, mesh, keys, population, population_axis='data'
  )
  placed = sharding.shardings(state, mesh, population_axis='data')
  step = jax.jit(jax.vmap(train_step, in_axes=(0, None)), out_shardings=placed)

  @functools.partial(jax.jit, out_shardings=placed)
  def exploit(state, winners):
    return jax.tree.map(lambda leaf: leaf[winners], state)

  state = exploit(step(state, BATCH), np.arange(8))
  with compilations.counted() as compiled:
    state = exploit(state, np.array([7, 0, 0, 0, 1, 1, 1, 2]))
    state = step(state, BATCH)
  assert not compiled
  rates = np.asarray(fs.hyperparams(state)['learning_rate'])
  peaks = np.linspace(0.1, 0.8, 8)
  expected = [fs.cosine_decay_schedule(p, 10)(1) for p in peaks]
  assert rates.tolist() == [expected[i] for i in (7, 0, 0, 0, 1, 1, 1, 2)]
  # Other schedules for all, one each.
  slower = fs.stack_schedules(
    [fs.cosine_decay_schedule(peak, 20) for peak in np.linspace(0.2, 0.9, 8)]
  )
  state = fs.set_schedules(state, learning_rate=slower)
  with compilations.counted() as compiled:
    state = step(state, BATCH)
  assert not compiled
  rates = np.asarray(fs.hyperparams(state)['learning_rate'])
  assert rates.tolist() == [
    fs.cosine_decay_schedule(p, 20)(2) for p in np.linspace(0.2, 0.9, 8)
  ]


def test_populations_of_several_kinds_are_none():
  """The error names the first that differs."""
  with pytest.raises(ValueError, match=r'alike.* at 1, Cosine\('):
    fs.stack_schedules(
      [fs.linear_schedule(1.0, 0.0, 3), fs.cosine_decay_schedule(1.0, 3)]
    )
  with pytest.raises(ValueError, match='must not be empty'):
    fs.stack_schedules([])


def test_a_population_resumes_on_another_mesh(tmp_path):
  """With the schedules of either side, a value set for some included."""

  def create(devices, steps):
    lr = [fs.cosine_decay_schedule(p, steps) for p in np.linspace(0.1, 0.8, 8)]
    keys = jax.random.split(jax.random.key(0), 8)
    return sharding.create(
      init_population,
      mesh_of((devices,)),
      keys,
      fs.stack_schedules(lr),
      population_axis='data',
    )

  def next_rates(state):
    step = jax.jit(jax.vmap(train_step, in_axes=(0, None)))
    return fs.hyperparams(step(state, BATCH))['learning_rate'].tolist()

  state = create(8, 10)
  values = np.array([0.25, np.nan] * 4, np.float32)
  overrides = state.opt_state.overrides.at[:, 0].set(values)
  state = state.replace(opt_state=state.opt_state.replace(overrides=overrides))
  before, target = next_rates(state), create(2, 20)
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    checkpoint.save(manager, 0, state)
    with pytest.raises(
      checkpoint.ScheduleMismatchError,
      match=r'decay_steps\[7\]: .* 10 -> .* 20',
    ):
      checkpoint.restore(manager, target)
    for choice, expected in (
      ('checkpoint', before),
      ('config', next_rates(target)),
    ):
      restored = checkpoint.restore(manager, target, on_change=choice)
      assert next_rates(restored) == expected
      for x, y in zip(
        jax.tree.leaves(restored), jax.tree.leaves(target), strict=True
      ):
        assert x.sharding == y.sharding
    # Its schedules were arguments, which an abstract state does not have.
    with pytest.raises(ValueError, match='it is abstract, and no TrainState'):
      checkpoint.restore(manager, jax.eval_shape(lambda: target))

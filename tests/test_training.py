"""The state in real training: TrainState, nnx, Orbax and new processes."""

import functools
import json
import pathlib
import subprocess
import sys

import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import flax_sched as fs
import training

SCRIPT = pathlib.Path(training.__file__)
slow = pytest.mark.slow


def _process(*args):
  """Runs the training script in a process of its own."""
  done = subprocess.run(
    [sys.executable, SCRIPT, *map(str, args)],
    check=False,
    capture_output=True,
    text=True,
    timeout=110,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


def test_a_product_has_the_weights_of_now():
  """JAX before 0.8.2 had those of the first step, where donated, on CPU."""
  product, x = jax.jit(jnp.matmul), jnp.ones((128, 512))
  update = jax.jit(lambda weights: weights + 1, donate_argnums=0)
  weights = jnp.zeros((512, 512))
  for step in range(3):
    assert product(x, weights)[0, 0] == 512 * step
    weights = update(weights)


@pytest.mark.parametrize(
  ('kind', 'stateful'),
  [
    pytest.param('linen', (), marks=slow, id='linen-fast'),
    pytest.param('nnx', ('stateful',), id='nnx-state'),
    pytest.param('linen', ('stateful',), marks=slow, id='linen-state'),
    pytest.param('nnx', (), marks=slow, id='nnx-fast'),
  ],
)
def test_resume_in_a_new_process_is_bit_for_bit(kind, stateful, tmp_path):
  """Saved at step 5 and resumed elsewhere: as if never stopped."""
  whole = _process(kind, tmp_path / 'whole', 0, 9, *stateful)
  _process(kind, tmp_path / 'parts', 0, 5, *stateful)
  resumed = _process(kind, tmp_path / 'parts', 5, 9, *stateful)
  assert resumed['leaves'] == whole['leaves']
  assert whole['compiles'][:3] == [1, 0, 0]
  assert resumed['compiles'][:3] == [1, 0, 0]


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_one_compile_on_a_mesh(inject):
  """A state created on a mesh in one jit compiles its step once."""
  mesh = jax.make_mesh(
    (len(jax.devices()),), ('data',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  replicated = jax.NamedSharding(mesh, jax.P())
  tx = training.optimizer(inject)

  @functools.partial(jax.jit, out_shardings=replicated)
  def create():
    params = {'w': jnp.ones((8, 4))}
    return params, tx.init(params)

  traces = []

  @functools.partial(jax.jit, donate_argnums=0)
  def step(state):
    traces.append(1)
    params, opt_state = state
    updates, opt_state = tx.update(params, opt_state, params)
    return optax.apply_updates(params, updates), opt_state

  state = create()
  for _ in range(3):
    state = step(state)
  assert len(traces) == 1
  for value in fs.hyperparams(state[1]).values():
    assert value.sharding.is_fully_replicated


def test_restore_keeps_types(tmp_path):
  """Orbax gives back our classes, int32 counts and float32 values."""
  state, step = training.linen_run(fs.inject_stateful_hyperparams)
  for n in range(3):
    state = step(state, training.batch(n))
  with ocp.CheckpointManager(tmp_path) as manager:
    manager.save(3, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
    manager.wait_until_finished()
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
    restored = manager.restore(
      3, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))
    )['state']
  assert jax.tree.structure(restored) == jax.tree.structure(state)
  for a, b in zip(
    jax.tree.leaves(restored), jax.tree.leaves(state), strict=True
  ):
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    np.testing.assert_array_equal(a, b)
  assert fs.hyperparams(restored)['learning_rate'] == training.LR(2)

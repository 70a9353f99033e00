"""A training run on a mesh of devices, of one process or several.

Usage: python sharded_training.py DIRECTORY FIRST LAST SAVE MESH
         [PROCESS PROCESSES PORT]

Trains with each wrapper up to step LAST, from FIRST (restored, unless 0), on a
mesh such as 2x4; saves at step SAVE on the way, unless 0. Prints JSON: by
wrapper, the state in the beginning, as saved and in the end, the
hyperparameters of each step, how many programs each step compiled, how often
it was traced, and which restored leaves are not where they should be. All
values are hex.
"""

import functools
import json
import pathlib
import sys

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
from jax.experimental import multihost_utils
import numpy as np
import optax
import orbax.checkpoint as ocp

import compilations
import flax_sched as fs
from flax_sched import checkpoint

WRAPPERS = {
  'fast': fs.inject_hyperparams,
  'full': fs.inject_stateful_hyperparams,
}


B1 = fs.linear_schedule(0.9, 0.8, 10)
DECAY = 0.01


def optimizer(wrapper):
  """One with schedules and a constant; of the other wrapper, a memory too."""
  lr = fs.warmup_cosine_decay_schedule(0.0, 0.1, 3, 12, 0.01)
  if wrapper == 'full':
    lr = lr * fs.reduce_on_plateau(1.0, 0.9, patience=1)
  return WRAPPERS[wrapper](
    optax.adamw,
    learning_rate=lr,
    b1=B1,
    weight_decay=DECAY,
  )


def create(wrapper):
  """A state before its first update.

  `same` is everywhere the same, and trained on the same data: to the last bit,
  whatever the devices are. `split` is in parts, as its data are.
  """
  rng = np.random.default_rng(0)
  params = {
    'same': jnp.asarray(rng.normal(size=(4, 3)), np.float32),
    'split': jnp.asarray(rng.normal(size=(16, 8)), np.float32),
  }
  state = TrainState.create(apply_fn=None, params=params, tx=optimizer(wrapper))
  return state.replace(step=jnp.zeros((), jnp.int32))


def batch(step, mesh):
  """The data of a step: some for every device, and some in parts."""
  rng = np.random.default_rng(step)
  same = rng.normal(size=(8, 4)).astype(np.float32)
  split = rng.normal(size=(16, 16)).astype(np.float32)
  return put(same, mesh, jax.P()), put(split, mesh, jax.P('x'))


def put(x, mesh, spec):
  """An array on all devices of the mesh, of whatever process."""
  sharding = jax.NamedSharding(mesh, spec)
  return jax.make_array_from_callback(x.shape, sharding, lambda i: x[i])


def is_split(path):
  """Whether a leaf is one of `split`, or of its moments."""
  return 'split' in jax.tree_util.keystr(path)


def shardings_of(shapes, mesh):
  """By the leaf: `split` over the whole mesh, the others everywhere."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: jax.NamedSharding(
      mesh, jax.P(*mesh.axis_names) if is_split(path) else jax.P()
    ),
    shapes,
  )


def train_step(state, same, split):
  """One update, which donates the state."""

  def loss_of(params):
    y = jnp.tanh(same @ params['same'])
    z = jnp.tanh(split @ params['split'])
    return jnp.mean((y - 0.5) ** 2), jnp.mean((z - 0.5) ** 2)

  def total(params):
    losses = loss_of(params)
    return sum(losses), losses[0]

  grads, loss = jax.grad(total, has_aux=True)(state.params)
  return fs.apply_gradients(state, grads=grads, value=loss)


def edited(state):
  """What it was, after edits by hand, which put arrays where others were."""
  state = fs.set_hyperparams(state, weight_decay=DECAY)
  if isinstance(state.opt_state, fs.InjectStatefulHyperparamsState):
    state = fs.set_hyperparams(state, weight_decay=None)
  return fs.set_schedules(state, b1=B1)


def whole(leaf):
  """A leaf as one array of NumPy, also where several processes hold it."""
  if leaf.is_fully_replicated:
    return np.asarray(leaf.addressable_data(0))
  return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))


def as_hex(tree):
  """Each leaf by its path, as hex."""
  return {
    jax.tree_util.keystr(path): whole(leaf).tobytes().hex()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def assert_goes_on(got, expected):
  """Two states, as printed: `split` is summed in another order."""
  assert list(got) == list(expected)
  for path in got:
    if 'split' in path:
      x, y = (
        np.frombuffer(bytes.fromhex(s[path]), np.float32)
        for s in (got, expected)
      )
      np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    else:
      assert got[path] == expected[path], path


def run(wrapper, directory, first, last, save, mesh, compiles):
  """One run with one wrapper: what is to be printed."""
  new = functools.partial(create, wrapper)
  shapes = jax.eval_shape(new)
  shardings = shardings_of(shapes, mesh)
  traces = []

  @functools.partial(jax.jit, donate_argnums=0)
  def step(*args):
    traces.append(1)
    return train_step(*args)

  said = {'hyperparams': [], 'compiles': []}
  with ocp.CheckpointManager(directory) as manager:
    if first:
      target = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        shapes,
        shardings,
      )
      state = checkpoint.restore(manager, target, step=first)
    else:
      state = jax.jit(new, out_shardings=shardings)()
    said['first'] = as_hex(state)
    said['elsewhere'] = [
      jax.tree_util.keystr(path)
      for (path, leaf), sharding in zip(
        jax.tree_util.tree_leaves_with_path(state),
        jax.tree.leaves(shardings),
        strict=True,
      )
      if leaf.sharding != sharding
    ]
    for n in range(first, last):
      data = batch(n, mesh)
      before = len(compiles)
      state = jax.block_until_ready(step(state, *data))
      said['compiles'].append(len(compiles) - before)
      said['hyperparams'].append(as_hex(fs.hyperparams(state)))
      if n + 1 == save:
        assert checkpoint.save(manager, save, edited(state))
        said['saved'] = as_hex(state)
    said['traces'] = len(traces)
    said['last'] = as_hex(state)
  return said


def main(directory, steps, shape, process=0, processes=1, port=0):
  """The runs, in this process."""
  if processes > 1:
    jax.distributed.initialize(
      f'127.0.0.1:{port}',
      num_processes=processes,
      process_id=process,
      initialization_timeout=60,
    )
  compiles = compilations.watch()
  mesh = jax.make_mesh(
    shape,
    ('x', 'y')[: len(shape)],
    axis_types=(jax.sharding.AxisType.Auto,) * len(shape),
  )
  said = {
    wrapper: run(wrapper, directory / wrapper, *steps, mesh, compiles)
    for wrapper in WRAPPERS
  }
  print(json.dumps(said))


if __name__ == '__main__':
  main(
    pathlib.Path(sys.argv[1]),
    tuple(map(int, sys.argv[2:5])),
    tuple(map(int, sys.argv[5].split('x'))),
    *map(int, sys.argv[6:]),
  )

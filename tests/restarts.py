"""Runs that tests restart, the values they go on with, and what has changed."""

import functools
import json

from flax import nnx
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import injected
from flax_sched import places
from flax_sched import record

PARAMS = {'encoder': jnp.ones(3), 'head': jnp.ones(2)}
LR = fs.linear_schedule(1.0, 0.125, 12)
HEAD = fs.exponential_decay(0.5, 0.5, 5)
B1 = fs.linear_schedule(0.875, 0.5, 10, transition_begin=2)
DECAY = fs.linear_schedule(0.25, 0.0, 20)
PLATEAU = fs.reduce_on_plateau(0.5, 0.5, patience=1)

WRAPPERS = {
  'fast': fs.inject_hyperparams,
  'full': fs.inject_stateful_hyperparams,
}
BOTH = pytest.mark.parametrize('inject', WRAPPERS.values(), ids=WRAPPERS)
full_only = fs.inject_stateful_hyperparams


def adam(inject, **kwargs):
  """Adam with two schedules and a constant, or with what is given instead."""
  hyperparams = {'learning_rate': LR, 'b1': B1, 'b2': 0.75, **kwargs}
  return inject(optax.adam, **hyperparams)


def sgd(inject, **kwargs):
  """SGD with two schedules, or with what is given instead."""
  hyperparams = {'learning_rate': LR, 'momentum': B1, **kwargs}
  return inject(optax.sgd, **hyperparams)


def partition(inject):
  """Two transformations, each of its own parameters."""
  return optax.partition(
    {
      'encoder': adam(inject),
      'head': inject(optax.sgd, learning_rate=HEAD, momentum=0.5),
    },
    {'encoder': 'encoder', 'head': 'head'},
  )


def _chain(inject):
  return optax.chain(
    optax.clip_by_global_norm(1.0),
    inject(optax.add_decayed_weights, weight_decay=DECAY),
    adam(inject),
  )


# Steps are not compiled, but where it matters: it would take minutes.


def bare(tx):
  """The state of a transformation, and a step."""
  return tx.init(PARAMS), lambda s, **kw: tx.update(PARAMS, s, PARAMS, **kw)[1]


def train_state(tx):
  """A TrainState, and a step."""
  state = TrainState.create(apply_fn=None, params=PARAMS, tx=tx)
  return state, lambda s: s.apply_gradients(grads=PARAMS)


def _nnx(tx):
  """An nnx.Optimizer, and a step that changes it in place."""
  model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
  grads = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))

  def step(optimizer):
    optimizer.update(model, grads)
    return optimizer

  return nnx.Optimizer(model, tx, wrt=nnx.Param), step


# How to build a state and a step, and what its hyperparameters follow.
ADAM = {'learning_rate': LR, 'b1': B1, 'b2': fs.constant_schedule(0.75)}
RUNS = {
  'bare': (lambda inject: bare(adam(inject)), ADAM),
  'TrainState': (lambda inject: train_state(adam(inject)), ADAM),
  'nnx.Optimizer': (lambda inject: _nnx(adam(inject)), ADAM),
  'chain': (
    lambda inject: train_state(_chain(inject)),
    {'weight_decay': DECAY, **ADAM},
  ),
  'partition': (
    lambda inject: train_state(partition(inject)),
    {
      'encoder/learning_rate': LR,
      'b1': B1,
      'b2': ADAM['b2'],
      'head/learning_rate': HEAD,
      'momentum': fs.constant_schedule(0.5),
    },
  ),
}
EACH_RUN = pytest.mark.parametrize('run', RUNS)


@functools.cache
def _five_steps(run, inject):
  make, _ = RUNS[run]
  state, step = make(inject)
  return after(step, state, 5), step


def trained_run(run, inject):
  """A state after five updates, a step, and what is followed by name."""
  state, step = _five_steps(run, inject)
  if isinstance(state, nnx.Optimizer):  # which is changed in place
    state = nnx.clone(state)
  return state, step, RUNS[run][1]


def after(step, state, steps, **kwargs):
  """The state after some steps."""
  for _ in range(steps):
    state = step(state, **kwargs)
  return state


def next_values(step, state, steps, **kwargs):
  """What the next updates use, by name; and the state after them."""
  used = []
  for _ in range(steps):
    state = step(state, **kwargs)
    used.append(fs.hyperparams(state))
  return {name: [float(u[name]) for u in used] for name in used[0]}, state


def assert_close(got, expected, ulps=4):
  """Numbers in float32 that differ by some ulps at most."""
  got, expected = np.float32(got), np.float32(expected)
  np.testing.assert_array_max_ulp(got, expected, maxulp=ulps)


def assert_follows(step, state, schedules, counts, steps=3):
  """The next updates use the schedules' values from these counts on."""
  got, state = next_values(step, state, steps)
  assert got.keys() == schedules.keys()
  for name, schedule in schedules.items():
    expected = schedule(counts[name] + np.arange(steps))
    assert_close(got[name], expected, 1)
  return state


def leaves_of(state):
  """The leaves by path, on the host: a copy."""
  if isinstance(state, nnx.Optimizer):
    state = nnx.to_pure_dict(nnx.state(state))
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {
    jax.tree_util.keystr(path): np.array(leaf, copy=True)
    for path, leaf in leaves
  }


def changes(old, new):
  """The paths of the leaves that are not the same, bit for bit."""
  assert old.keys() == new.keys()
  return {
    path
    for path, leaf in old.items()
    if (leaf.dtype, leaf.tobytes()) != (new[path].dtype, new[path].tobytes())
  }


def followed(state, name='learning_rate'):
  """The plain schedule that a hyperparameter follows, on the host."""
  place = places.find('test', state)[name]
  return places.on_host(injected.schedules(place.state)[place.key])


def remembered(state, name='learning_rate'):
  """What a checkpoint remembers of a schedule, by way of JSON."""
  entry = record.record(state)['hyperparams'][name]
  return json.loads(json.dumps(entry['schedule'], allow_nan=False))


def counting(step):
  """The step, and a list of its traces."""
  traces = []

  @jax.jit
  def counted(state):
    traces.append(1)
    return step(state)

  return counted, traces

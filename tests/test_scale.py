"""What a step on 256 devices and its state have that come from the library.

The limits are the numbers in `docs/at_scale.md`.

Usage: python test_scale.py steps | steps_with_one

As a program, it compiles steps for 8 and for 256 devices without running them,
and prints what they are made of as JSON.
"""

from collections import Counter
import functools
import gc
import itertools
import json
import pathlib
import re
import sys

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
from jax.sharding import AxisType
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import metrics
from flax_sched import record
from flax_sched import sharding
import processes

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / 'docs' / 'at_scale.md'

WIDTH = 256
WRAPPERS = {
  'fast': fs.inject_hyperparams,
  'full': fs.inject_stateful_hyperparams,
}
each_wrapper = pytest.mark.parametrize('wrapper', WRAPPERS)

SCHEDULES = {
  'learning_rate': fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000, 1e-5),
  'b1': fs.linear_schedule(0.9, 0.95, 5000),
  'weight_decay': fs.cosine_decay_schedule(0.1, 10_000),
}

# What one hyperparameter follows, by its name on the page.
KINDS = {
  'a constant': 1e-3,
  '`linear_schedule`': fs.linear_schedule(1e-3, 1e-5, 10_000),
  '`cosine_decay_schedule`': fs.cosine_decay_schedule(1e-3, 10_000),
  '`warmup_cosine_decay_schedule`': SCHEDULES['learning_rate'],
  '`piecewise_constant_schedule` of 1,000 values': (
    fs.piecewise_constant_schedule(
      {10 * (i + 1): 1 / (i + 3) for i in range(1000)}
    )
  ),
}


def adamw(wrapper, **hyperparams):
  """With the hyperparameters as constants, passed in, or injected."""
  if wrapper == 'constants':
    return optax.adamw(1e-3)
  if wrapper == 'values':
    hyperparams = dict.fromkeys(hyperparams, 1e-3)
    wrapper = 'fast'
  return WRAPPERS[wrapper](optax.adamw, **hyperparams)


def init_of(layers, tx):
  """What makes a TrainState of so many layers: two parameters each."""

  def init(key):
    params = {
      f'layer_{i}': {
        'kernel': jax.random.normal(key, (WIDTH, WIDTH)),
        'bias': jnp.zeros(WIDTH),
      }
      for i in range(layers)
    }
    return TrainState.create(apply_fn=None, params=params, tx=tx)

  return init


def in_parts(path, shape):
  """By rows over the data (FSDP), by columns over the model."""
  del path
  return P('data', 'model') if len(shape) == 2 else P('model')


def train_step(state, x):
  """One update."""

  def loss(params):
    hidden = x
    for layer in params.values():
      hidden = jnp.tanh(hidden @ layer['kernel'] + layer['bias'])
    return jnp.mean((hidden - 1) ** 2)

  return state.apply_gradients(grads=jax.grad(loss)(state.params))


# Devices and layers of the steps that are compared.
SIZES = [(8, 2), (256, 2), (256, 8)]


def mesh_of(devices):
  """A quarter of the devices for the data, four for the model."""
  return jax.make_mesh(
    (devices // 4, 4),
    ('data', 'model'),
    axis_types=(AxisType.Auto, AxisType.Auto),
    devices=jax.devices()[:devices],
  )


def compiled(devices, layers, tx, placed=True):
  """The step for a mesh, compiled; `placed` says where its results lie."""
  mesh = mesh_of(devices)
  target = sharding.abstract(
    init_of(layers, tx), mesh, jax.random.key(0), param_shardings=in_parts
  )
  batch = jax.ShapeDtypeStruct(
    (WIDTH, WIDTH), np.float32, sharding=NamedSharding(mesh, P('data'))
  )
  out = sharding.shardings(target, mesh, in_parts) if placed else None
  step = jax.jit(train_step, donate_argnums=0, out_shardings=out)
  return target, step.lower(target, batch).compile()


# ---------------------------------------------------------------------------
# The program.

_COLLECTIVE = re.compile(
  r'= (.+?) ((?:all-reduce|all-gather|reduce-scatter|collective-permute'
  r'|all-to-all|collective-broadcast|ragged-all-to-all)(?:-start)?)\(.*?'
  r'((?:replica_groups|source_target_pairs)=.+?)(?:, \w+=|$)'
)
_OF_HOST = re.compile(
  r' (infeed|outfeed|send|recv)\(|custom_call_target="([^"]*callback[^"]*)"'
)


def made_of(program):
  """The numbers of its instructions and kernels, and what communicates."""
  text = program.as_text()
  lines = re.findall(r'^\s+(?:ROOT )?%?\S+ = .*', text, re.MULTILINE)
  found = [m for m in map(_COLLECTIVE.search, lines) if m]
  return {
    'instructions': len(lines),
    'kernels': text.partition('\nENTRY ')[2].count(' fusion('),
    'collectives': sorted(' '.join(match.groups()) for match in found),
    'calls of the host': len(_OF_HOST.findall(text)),
  }


def is_of_schedules(path):
  """Whether an array of a state is there for its hyperparameters."""
  names = [getattr(key, 'name', None) for key in path]
  return 'opt_state' in names and 'inner_state' not in names


def places(state, program):
  """Each array of a state, with where it arrives and where it leaves.

  None is where an array arrives that the program does not use.
  """
  (arrived, _), _ = program.input_shardings
  ways = jax.tree_util.tree_leaves_with_path(state)
  return zip(
    ways,
    jax.tree.leaves(arrived, is_leaf=lambda x: x is None),
    jax.tree.leaves(program.output_shardings),
    strict=True,
  )


def elsewhere(state, program):
  """Which arrays of the schedules are not on every device, in and out."""
  return [
    jax.tree_util.keystr(path)
    for (path, leaf), arrived, left in places(state, program)
    if is_of_schedules(path)
    for place in (arrived or leaf.sharding, left)
    if not place.is_fully_replicated
    or place.device_set != leaf.sharding.device_set
  ]


def moved(state, program):
  """Which arrays of the state do not leave where they arrive."""
  return [
    jax.tree_util.keystr(path)
    for (path, leaf), arrived, left in places(state, program)
    if not (arrived or leaf.sharding).is_equivalent_to(left, leaf.ndim)
  ]


def steps():
  """Of each step with three schedules, and where XLA has the choice."""
  found = {}
  for devices, layers in SIZES:
    for name in ('constants', 'values', *WRAPPERS):
      state, program = compiled(devices, layers, adamw(name, **SCHEDULES))
      found[f'{name} {devices} {layers}'] = {
        **made_of(program),
        'moved': moved(state, program),
        'elsewhere': elsewhere(state, program) if name in WRAPPERS else [],
      }
  for name in WRAPPERS:
    tx = adamw(name, **SCHEDULES)
    found[f'{name} free'] = elsewhere(*compiled(256, 1, tx, placed=False))
  return found


def steps_with_one():
  """Of each step with one hyperparameter; 'values' is passed in."""
  found = {
    'values': made_of(compiled(256, 1, adamw('values', learning_rate=0))[1])
  }
  for kind, name in itertools.product(KINDS, WRAPPERS):
    tx = adamw(name, learning_rate=KINDS[kind])
    found[f'{name} {kind}'] = made_of(compiled(256, 1, tx)[1])
  return found


PROGRAMS = {'steps': steps, 'steps_with_one': steps_with_one}


# ---------------------------------------------------------------------------
# The page.


@functools.cache
def table(section):
  """The numbers of a section's table, by row."""
  text = (
    PAGE.read_text().partition(f'\n## {section}\n')[2].partition('\n## ')[0]
  )
  rows = re.findall(r'^\| (\D.*?) \| (\d[\d,| ]*) \|$', text, re.MULTILINE)
  assert rows
  return {
    name: [int(number.replace(',', '')) for number in numbers.split(' | ')]
    for name, numbers in rows
  }


def limits(column):
  """The numbers of the first table, by row."""
  return {name: row[column] for name, row in table('A step').items()}


def assert_within(got, limit):
  """Not above what the page says, which is not far above either."""
  assert got <= limit
  assert limit <= 1.5 * got + 5


# ---------------------------------------------------------------------------
# A step.


def said_by_program(name):
  """What this file finds as a program of its own, with 256 devices."""
  return processes.said_by(__file__, name, devices=256, seconds=270)


@pytest.mark.slow
def test_steps():
  """On 8 and 256 devices, with a quarter and all of the parameters."""
  steps = said_by_program('steps')
  for column, name in enumerate(WRAPPERS):
    limit, own, of_arrays = limits(column), [], []
    for devices, layers in SIZES:
      plain, passed, step = (
        steps[f'{kind} {devices} {layers}']
        for kind in ('constants', 'values', name)
      )
      # No collective and no resharding comes from the schedules.
      assert len(plain['collectives']) >= 3
      assert step['collectives'] == plain['collectives']
      assert step['calls of the host'] == plain['calls of the host'] == 0
      assert step['elsewhere'] == step['moved'] == []
      assert_within(step['kernels'] - plain['kernels'], limit['kernels'])
      own.append(step['instructions'] - passed['instructions'])
      of_arrays.append(passed['instructions'] - plain['instructions'])
    assert limit['collectives'] == limit['calls of the host'] == 0
    row = 'instructions of the schedules'
    assert_within(max(own), limit[row])
    # They do not grow; the compiler may be in another mood.
    assert max(own) - min(own) <= 0.01 * max(own)
    on_8, few, many = of_arrays
    assert on_8 == few
    more_arrays = 2 * (SIZES[2][1] - SIZES[1][1])
    row = 'instructions in the kernels of each parameter array'
    assert_within((many - few) / more_arrays, limit[row])
    assert limit[row] <= len(SCHEDULES) + 1
    # Also where nobody says where the results are to lie.
    assert steps[f'{name} free'] == []


@pytest.mark.slow
def test_one_more_hyperparameter():
  """The program grows by its schedule."""
  steps = said_by_program('steps_with_one')
  assert table('A hyperparameter').keys() == KINDS.keys()
  for kind, (fast, full, *_) in table('A hyperparameter').items():
    for name, limit in (('fast', fast), ('full', full)):
      step = steps[f'{name} {kind}']
      more = step['instructions'] - steps['values']['instructions']
      assert_within(more, limit)
      assert step['collectives'] == steps['values']['collectives']


# ---------------------------------------------------------------------------
# A state.


def added(wrapper, **hyperparams):
  """The arrays in a state that are not in that of plain Optax, and bytes."""

  def leaves(tx):
    state = jax.eval_shape(init_of(2, tx), jax.random.key(0))
    return jax.tree.leaves(state.opt_state)

  def size(arrays):
    return sum(array.size * array.dtype.itemsize for array in arrays)

  plain = leaves(adamw('constants'))
  ours = leaves(adamw(wrapper, **hyperparams))
  return len(ours) - len(plain), size(ours) - size(plain)


def numbers_in(schedule):
  """How many numbers a schedule holds; a constant is one."""
  return sum(map(np.size, jax.tree.leaves(schedule)))


def in_state(wrapper, schedules):
  """The formula of the page, in bytes."""
  h = len(schedules)
  if wrapper == 'fast':
    return 4 * (1 + h)
  return 4 * (1 + 2 * h + sum(map(numbers_in, schedules)))


@each_wrapper
def test_arrays_and_bytes_in_a_state(wrapper):
  """The table and the formulas; they are exact."""
  column = [*WRAPPERS].index(wrapper)
  arrays, size = added(wrapper, **SCHEDULES)
  assert arrays == limits(column)['arrays in the state']
  assert size == limits(column)['bytes in the state, on each device']
  one = in_state(wrapper, [0.1])
  for kind, row in table('A hyperparameter').items():
    for hyperparams in (
      {'learning_rate': KINDS[kind]},
      {'learning_rate': KINDS[kind], 'b1': 0.9},
      {'learning_rate': 0.1, 'b1': KINDS[kind], 'weight_decay': KINDS[kind]},
    ):
      _, size = added(wrapper, **hyperparams)
      assert size == in_state(wrapper, hyperparams.values())
    _, size = added(wrapper, learning_rate=0.1, b1=KINDS[kind])
    assert size - one == row[2 + column]


def test_memory_of_a_stateful_schedule():
  """It comes on top."""
  plateau = fs.reduce_on_plateau(1.0)
  _, size = added('full', learning_rate=plateau, b1=0.9)
  remembered = len(jax.tree.leaves(plateau.init()))
  assert size == in_state('full', [0.9]) + 4 * (2 + remembered)
  assert (
    f'the {remembered} numbers of\n  `reduce_on_plateau`' in PAGE.read_text()
  )


def test_a_population():
  """N times as much, in parts over the axis of the members."""
  mesh = jax.make_mesh((8,), ('members',), axis_types=(AxisType.Auto,))

  def init(keys, population):
    def init_one(key, lr):
      return init_of(1, adamw('full', learning_rate=lr))(key)

    return jax.vmap(init_one)(keys, population)

  population = fs.stack_schedules(
    [fs.linear_schedule(peak, 0.0, 10) for peak in np.linspace(0.1, 1, 64)]
  )
  state = sharding.abstract(
    init,
    mesh,
    jax.random.split(jax.random.key(0), 64),
    population,
    population_axis='members',
  )
  total = on_one = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    if is_of_schedules(path):
      shard = leaf.sharding.shard_shape(leaf.shape)
      total += leaf.size * leaf.dtype.itemsize
      on_one += np.prod(shard, dtype=int) * leaf.dtype.itemsize
  assert total == 64 * in_state('full', [fs.linear_schedule(0.1, 0.0, 10)])
  assert on_one == total / 8


# ---------------------------------------------------------------------------
# A checkpoint.


def record_of(wrapper, layers=1, **hyperparams):
  """The record of a state late in training, in bytes."""
  tx = adamw(wrapper, **hyperparams)
  state = init_of(layers, tx)(jax.random.key(0))
  late = state.opt_state.replace(
    count=jnp.int32(2_000_000_000),
    hyperparams=dict.fromkeys(state.opt_state.hyperparams, jnp.float32(1 / 3)),
  )
  return len(json.dumps(record.for_checkpoint(state.replace(opt_state=late))))


@each_wrapper
def test_bytes_in_a_record(wrapper):
  """They add up from the table, and do not depend on the parameters."""
  column, rows = [*WRAPPERS].index(wrapper), table('A hyperparameter')
  alone = record_of(wrapper, learning_rate=0.1)
  assert alone == record_of(wrapper, learning_rate=0.1, layers=3)
  for kind, row in rows.items():
    more = record_of(wrapper, learning_rate=0.1, weight_decay=KINDS[kind])
    assert_within(more - alone, row[4 + column])
  assert alone <= rows['a constant'][4 + column] + 70
  three = record_of(wrapper, **SCHEDULES)
  kinds = '`warmup_cosine_decay_', '`linear_', '`cosine_decay_'
  assert three <= 70 + sum(rows[f'{k}schedule`'][4 + column] for k in kinds)


# ---------------------------------------------------------------------------
# The host.


def calls_during(run):
  """The Python functions that are called, by file."""
  called = Counter()

  def count(frame, event, _):
    if event == 'call':
      called[frame.f_code.co_filename] += 1

  gc.collect()
  gc.disable()  # whose callbacks are calls too
  sys.setprofile(count)
  try:
    run()
  finally:
    sys.setprofile(None)
    gc.enable()
  return called


@each_wrapper
def test_calls_for_a_log_line(wrapper):
  """A few for each parameter array."""
  calls = {}
  for layers in (2, 20):
    tx = adamw(wrapper, **SCHEDULES)
    state = jax.eval_shape(init_of(layers, tx), jax.random.key(0))
    fs.hyperparams(state)
    called = calls_during(lambda state=state: fs.hyperparams(state))
    calls[layers] = sum(called.values())
  each, more = map(
    int,
    re.search(
      r'about (\d+) calls\nof Python functions for each parameter array, and '
      r'(\d+) more',
      PAGE.read_text(),
    ).groups(),
  )
  assert calls[20] - calls[2] <= each * 2 * (20 - 2)
  assert calls[2] <= each * 2 * 2 + more


@each_wrapper
def test_a_step_and_its_log_line(wrapper):
  """A step calls nothing here; a log line takes what its own host has."""
  mesh, tx = mesh_of(8), adamw(wrapper, **SCHEDULES)
  state = sharding.create(
    init_of(1, tx), mesh, jax.random.key(0), param_shardings=in_parts
  )
  x = jax.device_put(
    np.ones((WIDTH, WIDTH), np.float32), NamedSharding(mesh, P('data'))
  )
  step = jax.jit(
    train_step,
    donate_argnums=0,
    out_shardings=sharding.shardings(state, mesh, in_parts),
  )
  written = []

  class Writer:
    def write_scalars(self, step, scalars):
      written.append(scalars)

  logger = metrics.HyperparamLogger(Writer())
  for i in range(2):
    state = step(state, x)
    logger.log(i, state)

  def again():
    nonlocal state
    state = step(state, x)

  package = str(pathlib.Path(fs.__file__).parent)
  assert not [f for f in calls_during(again) if f.startswith(package)]
  with jax.transfer_guard_device_to_device('disallow'):
    logger.log(2, state)
  logger.close()
  rate = SCHEDULES['learning_rate']
  assert [line['hyperparams/learning_rate'] for line in written] == [
    float(rate(i)) for i in range(3)
  ]


if __name__ == '__main__':
  print(json.dumps(PROGRAMS[sys.argv[1]]()))

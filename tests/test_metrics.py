"""`HyperparamLogger` writes the values that each update used, to the bit."""

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import copier
from flax_sched import metrics
from flax_sched import snapshots
from flax_sched import tensorboard
from recorders import B1
from recorders import LR
from recorders import new_state
from recorders import Recorder
from recorders import train
from recorders import train_step
from recorders import written
from test_tensorboard import read_with_tensorboard


def test_every_step_is_logged_exactly(tmp_path):
  """The event files hold each value that each update used, to the last bit."""
  with metrics.HyperparamLogger(
    tensorboard.TensorBoardWriter(tmp_path)
  ) as logger:
    expected = train(logger)
  logged = tensorboard.read_scalars(tmp_path, prefix='')
  assert set(logged) == set(expected[0])
  shown = read_with_tensorboard(tmp_path)
  for name, (steps, values) in logged.items():
    np.testing.assert_array_equal(steps, range(10))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [e[name] for e in expected])
    assert shown[name] == list(zip(range(10), values.tolist(), strict=True))
  np.testing.assert_allclose(
    logged['hyperparams/learning_rate'][1], LR(np.arange(10)), rtol=1e-6
  )


def test_writers_get_python_floats(monkeypatch):
  """Never arrays; flush and close write what is left, then the writer's own."""
  monkeypatch.setattr(snapshots, '_SECONDS', 1e9)
  recorder = Recorder()
  logger = metrics.HyperparamLogger(recorder, prefix='')
  assert logger.latest == {}
  state = new_state()
  state, _ = train_step(state)
  logger.log(0, state, other=3, half=jnp.bfloat16(0.5))
  assert recorder.calls == []
  logger.flush()
  (step, scalars), last = recorder.calls
  assert last == 'flush'
  assert step == 0
  assert scalars == {
    'b1': float(np.float32(0.9)),
    'learning_rate': 0.0,
    'weight_decay': float(np.float32(0.1)),
    'other': 3.0,
    'half': 0.5,
  }
  assert {type(value) for value in scalars.values()} == {float}
  assert logger.latest == scalars
  state, _ = train_step(state)
  logger.log(1, state)
  state, _ = train_step(state)
  logger.log(2, state)
  logger.close()
  assert [call[0] for call in recorder.calls[2:-1]] == [1, 2]
  assert recorder.calls[-1] == 'close'


def test_slow_steps_are_written_as_they_end(monkeypatch):
  """Not only when a batch of them is full; `latest` never waits for that."""
  monkeypatch.setattr(snapshots, '_SECONDS', 0.0)
  recorder = Recorder()
  logger = metrics.HyperparamLogger(recorder)
  state = new_state()
  for step in range(4):
    state, loss = jax.block_until_ready(train_step(state))
    logger.log(step, state, loss=loss)
    jax.block_until_ready([s.arrays for _, s in logger._queue._steps])
    if step:
      assert recorder.calls[step - 1][0] == step - 1
    assert logger.latest['loss'] == float(loss)


@pytest.mark.parametrize('seconds', [0.0, 1e9])
@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_many_steps_are_logged_in_order(monkeypatch, inject, seconds):
  """To the bit, over the borders of batches, and flushes within them."""
  monkeypatch.setattr(snapshots, '_SECONDS', seconds)
  tx = inject(optax.adamw, learning_rate=LR, b1=B1, weight_decay=0.1)
  state = TrainState.create(apply_fn=None, params={'w': jnp.ones(3)}, tx=tx)
  state = state.replace(step=jnp.zeros((), jnp.int32))
  recorder, expected = Recorder(), []
  with metrics.HyperparamLogger(recorder, prefix='') as logger:
    for step in range(300):
      state, loss = train_step(state)
      logger.log(step, state, **({'loss': loss} if step >= 150 else {}))
      values = {**fs.hyperparams(state), 'loss': loss}
      expected.append({name: float(value) for name, value in values.items()})
      if step < 150:
        del expected[-1]['loss']
      if step in (0, 70, 71, 200):
        logger.flush()
        assert written(recorder) == list(enumerate(expected))
        assert logger.latest == expected[-1]
  assert written(recorder) == list(enumerate(expected))


def test_a_batch_costs_one_program_and_no_wait(monkeypatch):
  """A step starts one program, and nothing reads before a batch is done."""
  started, read, device_get = [], [], jax.device_get
  stack = snapshots.stack
  for module in (snapshots, copier):
    monkeypatch.setattr(
      module, 'stack', lambda *xs: (started.append(len(xs)), stack(*xs))[1]
    )
  monkeypatch.setattr(
    jax, 'device_get', lambda x: (read.append(len(x)), device_get(x))[1]
  )
  monkeypatch.setattr(snapshots, '_SECONDS', 1e9)
  logger = metrics.HyperparamLogger(Recorder())
  state = new_state()
  for step in range(127):
    state, loss = train_step(state)
    logger.log(step, state, loss=loss)
  assert started == [4] * 64 + [64] + [4] * 63
  assert read == []
  state, loss = jax.block_until_ready(train_step(state))
  logger.log(127, state, loss=loss)
  assert started[-2:] == [4, 64]
  assert read == [1]


def test_changes_between_steps():
  """A new value, a new schedule, a constant again: all as the update used."""
  recorder, expected = Recorder(), []
  with metrics.HyperparamLogger(recorder, prefix='') as logger:
    state = new_state()
    for step in range(150):
      if step == 20:
        state = fs.set_hyperparams(state, weight_decay=0.5)
      if step == 21:
        state = fs.set_hyperparams(state, weight_decay=0.25)
      if step == 90:
        state = fs.set_schedules(state, learning_rate=LR * 2)
      if step == 100:
        state = fs.set_hyperparams(state, learning_rate=0.125)
      state, _ = train_step(state)
      logger.log(step, state)
      expected.append({k: float(v) for k, v in fs.hyperparams(state).items()})
  assert written(recorder) == list(enumerate(expected))
  assert expected[20]['weight_decay'] == 0.5
  assert expected[120]['learning_rate'] == 0.125


@jax.jit
def skipping_step(state):
  """No update at every seventh step but the first ones, as in mixed precision.

  The state's own step counts all.
  """
  skip = (state.step > 80) & (state.step % 7 == 0)
  new = state.apply_gradients(grads=state.params)
  kept = state.replace(step=new.step)
  return jax.tree.map(lambda a, b: jnp.where(skip, a, b), kept, new)


TRANSFORMATIONS = {
  'multi_steps': lambda tx: optax.MultiSteps(tx, 3),
  'apply_if_finite': lambda tx: optax.apply_if_finite(tx, 5),
  'chain': lambda tx: optax.chain(
    tx, fs.inject_hyperparams(optax.add_decayed_weights, weight_decay=LR)
  ),
  'partition': lambda tx: optax.partition(
    {'a': tx, 'b': fs.inject_hyperparams(optax.sgd, learning_rate=B1)},
    {'w': 'a', 'v': 'b'},
  ),
}


@pytest.mark.parametrize('name', TRANSFORMATIONS)
def test_updates_that_do_not_happen(name):
  """Held back, refused or skipped by the step: the values are those used."""
  tx = TRANSFORMATIONS[name](fs.inject_hyperparams(optax.sgd, learning_rate=LR))
  params = {'w': jnp.ones(3), 'v': jnp.ones(3)}
  state = TrainState.create(apply_fn=None, params=params, tx=tx)
  recorder, expected = Recorder(), []
  with metrics.HyperparamLogger(recorder, prefix='') as logger:
    for step in range(150):
      state = skipping_step(state)
      logger.log(step, state)
      expected.append({k: float(v) for k, v in fs.hyperparams(state).items()})
  assert written(recorder) == list(enumerate(expected))


def test_populations():
  """A hyperparameter of many members is no single number; one of them is."""
  tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=0.5)
  states = jax.vmap(tx.init)(jnp.ones((4, 2)))
  logger = metrics.HyperparamLogger(Recorder())
  with pytest.raises(
    ValueError, match=r'learning_rate must be a single number, got an array of '
  ):
    logger.log(0, states)
  logger.log(0, jax.tree.map(lambda x: x[2], states))
  logger.close()
  assert logger.latest == {'hyperparams/learning_rate': 0.5}


def test_numbers_of_many_kinds():
  """Integers, halves and numbers of the host; the last of two names counts."""
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=0.5)
  state = tx.init(jnp.ones(2))
  recorder = Recorder()
  host = np.array([0.75])
  scalars = {
    'examples': jnp.asarray(2**31 - 1),
    'host': host,
    'loss': jnp.ones((1, 1), jnp.bfloat16),
    'done': True,
    'hyperparams/learning_rate': 3.0,
  }
  with metrics.HyperparamLogger(recorder) as logger:
    logger.log(0, state, **scalars)
    host[:] = 0.0  # the logger has its own
    logger.log(1, jax.device_get(state), **{**scalars, 'host': 0})
  expected = {
    'hyperparams/learning_rate': 3.0,
    'examples': 2.0**31 - 1,
    'host': 0.75,
    'loss': 1.0,
    'done': 1.0,
  }
  assert written(recorder) == [(0, expected), (1, {**expected, 'host': 0.0})]
  assert list(written(recorder)[0][1]) == list(expected)


def test_resuming():
  """A second logger goes on where the first one ended, as a second run does."""
  recorder, state = Recorder(), new_state()
  for steps in (range(70), range(70, 200)):
    with metrics.HyperparamLogger(recorder) as logger:
      for step in steps:
        state, _ = train_step(state)
        logger.log(step, state)
    state = jax.tree.map(jnp.asarray, jax.device_get(state))
  steps, values = zip(*written(recorder), strict=True)
  assert steps == tuple(range(200))
  np.testing.assert_array_max_ulp(
    np.float32([v['hyperparams/learning_rate'] for v in values]),
    LR(np.arange(200)),
  )


def test_donated_states():
  """A constant hyperparameter's array is deleted by the next step: no harm."""
  recorder = Recorder()
  logger = metrics.HyperparamLogger(recorder)
  state, _ = train_step(new_state())
  constant = fs.hyperparams(state)['weight_decay']
  logger.log(0, state)
  state, _ = train_step(state)
  assert constant.is_deleted()
  logger.close()
  assert recorder.calls[0][1]['hyperparams/weight_decay'] == np.float32(0.1)

"""`HyperparamLogger` writes a run's record to writers that take texts."""

from flax import nnx
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import metrics
from flax_sched import record
from flax_sched import snapshots
from recorders import LR
from recorders import new_state
from recorders import Recorder
from recorders import train
from recorders import train_step
from recorders import written


class Texts(Recorder):
  """A writer that takes texts too."""

  def __init__(self):
    super().__init__()
    self.texts = []

  def write_texts(self, step, texts):
    """As CLU's."""
    self.texts.append((step, dict(texts)))


def test_the_record_is_written(caplog):
  """At the first step, and where the structure changes: that of the state."""
  writer, expected = Texts(), []
  with metrics.HyperparamLogger(writer, prefix='run/') as logger:
    state = new_state()
    for step in range(6):
      if step == 3:
        state = fs.set_schedules(state, learning_rate=LR * 2)
      state, loss = train_step(state)
      logger.log(step, state, loss=loss)
      if step in (0, 3):
        expected.append((step, {'run/record': record.record(state)}))
  found = [
    (step, {tag: record.from_text(text) for tag, text in texts.items()})
    for step, texts in writer.texts
  ]
  assert found == expected
  counts = [x['run/record']['hyperparams']['b1']['count'] for _, x in found]
  assert counts == [1, 4]
  assert caplog.records == []


def wrapped(inject, wrap=lambda tx: tx):
  """A state with a schedule, a constant and integers among its numbers."""
  tx = inject(
    optax.adamw, learning_rate=LR, b1=fs.linear_schedule(0.9, 0.8, 10)
  )
  extra = inject(optax.add_decayed_weights, weight_decay=0.1)
  state = TrainState.create(
    apply_fn=None, params={'w': jnp.ones(3)}, tx=wrap(optax.chain(tx, extra))
  )
  return state.replace(step=jnp.zeros((), jnp.int32))


LONGER = fs.warmup_cosine_decay_schedule(0.0, 0.1, 3, 70, 0.001)
SAME_STRUCTURE = {
  'inject_hyperparams': [
    lambda state: fs.set_hyperparams(state, weight_decay=0.2),
    lambda state: fs.set_hyperparams(state, weight_decay=0.3),
  ],
  'inject_stateful_hyperparams': [
    lambda state: fs.set_schedules(state, learning_rate=LONGER),
    lambda state: fs.set_hyperparams(state, b1=0.5),
    lambda state: fs.set_schedules(state, weight_decay=0.2),
    lambda state: fs.set_hyperparams(state, b1=None),
  ],
}


@pytest.mark.parametrize('seconds', [0.0, 1e9])
@pytest.mark.parametrize('inject', SAME_STRUCTURE)
@pytest.mark.parametrize(
  'wrap', [lambda tx: tx, lambda tx: optax.MultiSteps(tx, 4)]
)
def test_other_numbers_renew_the_record(monkeypatch, inject, wrap, seconds):
  """That of the step at which they came, which is read when it is gone."""
  monkeypatch.setattr(snapshots, '_SECONDS', seconds)
  writer, expected = Texts(), {}
  changes = dict(zip([9, 63, 64, 200], SAME_STRUCTURE[inject], strict=False))
  with metrics.HyperparamLogger(writer, prefix='') as logger:
    state = wrapped(getattr(fs, inject), wrap)
    structure = jax.tree.structure(state)
    for step in range(220):
      state, _ = train_step(changes.get(step, lambda state: state)(state))
      logger.log(step, state)
      if step == 0 or step in changes:
        expected[step] = record.record(state)
    assert jax.tree.structure(state) == structure
  found = {
    step: record.from_text(texts['record']) for step, texts in writer.texts
  }
  assert found == expected
  assert [step for step, _ in written(writer)] == [*range(220)]


def test_records_are_in_the_order_of_the_steps(monkeypatch):
  """Also where one is taken at once, and one when it is read."""
  monkeypatch.setattr(snapshots, '_SECONDS', 1e9)
  writer = Texts()
  changes = {
    3: lambda state: fs.set_hyperparams(state, weight_decay=0.2),
    5: lambda state: fs.set_schedules(state, learning_rate=LR * 2),
    7: lambda state: fs.set_hyperparams(state, weight_decay=0.3),
  }
  with metrics.HyperparamLogger(writer) as logger:
    state = wrapped(fs.inject_hyperparams)
    for step in range(10):
      state, _ = train_step(changes.get(step, lambda state: state)(state))
      logger.log(step, state)
  assert [step for step, _ in writer.texts] == [0, 3, 5, 7]


def test_nnx_optimizers():
  """Their numbers sit in variables."""
  model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
  tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=LR)
  optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
  writer = Texts()
  with metrics.HyperparamLogger(writer) as logger:
    for step in range(4):
      if step == 2:
        fs.set_schedules(optimizer, learning_rate=LONGER)
        assert len(writer.texts) == 1
      optimizer.update(model, nnx.state(model, nnx.Param))
      logger.log(step, optimizer)
      if step == 2:
        expected = record.record(optimizer)
  (_, (step, texts)) = writer.texts
  assert (step, record.from_text(texts['hyperparams/record'])) == (2, expected)


def test_long_tables_are_not_compared():
  """Nor copied at each step: the record is that of the first step."""
  table = fs.table_schedule(np.linspace(0.1, 0.2, 5000, dtype=np.float32))
  tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=table)
  state, writer = tx.init(jnp.ones(2)), Texts()
  with metrics.HyperparamLogger(writer) as logger:
    logger.log(0, state)
    logger.log(1, fs.set_hyperparams(state, learning_rate=0.5))
  assert [step for step, _ in writer.texts] == [0]
  values = [
    values['hyperparams/learning_rate'] for _, values in written(writer)
  ]
  assert values == [np.float32(0.1), 0.5]


def test_a_writer_that_refuses_texts(caplog):
  """It is reported once, and every step is logged."""
  writer = Texts()
  writer.write_texts = None
  with metrics.HyperparamLogger(writer) as logger:
    train(logger, steps=3)
  (said,) = caplog.records
  assert 'Texts.write_texts failed at step 0' in said.getMessage()
  assert [step for step, _ in written(writer)] == [0, 1, 2]


def test_states_that_take_turns():
  """They are two structures: the records of a run have an end."""
  writer = Texts()
  state = new_state()
  other = fs.set_schedules(state, learning_rate=LR * 2)
  with metrics.HyperparamLogger(writer) as logger:
    for step in range(150):
      logger.log(step, (state, other)[step % 2])
  assert len(writer.texts) == 100
  assert len(written(writer)) == 150


def test_another_process_writes_no_record(monkeypatch):
  """Only process 0 does."""
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  writer = Texts()
  with metrics.HyperparamLogger(writer) as logger:
    train(logger, steps=2)
  assert writer.texts == []
  assert len(written(writer)) == 2

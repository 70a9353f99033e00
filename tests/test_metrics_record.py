"""`HyperparamLogger` writes a run's record to writers that take texts."""

import jax

import flax_sched as fs
from flax_sched import metrics
from flax_sched import record
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

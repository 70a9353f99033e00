"""Reports of logs without a record, of torn ones, and of long ones."""

import struct
import time

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import record
from flax_sched import tensorboard
import logged_runs
from logged_runs import assert_is
from logged_runs import B1
from logged_runs import LR
from logged_runs import optimizer
from logged_runs import save
from logged_runs import state_of
from logged_runs import train
from logged_runs import update
from logged_runs import without_record

written = logged_runs.written


def test_no_record_but_a_checkpoint(tmp_path, written):
  """What it remembers is the plan."""
  without_record(tmp_path / 'logs', range(20))
  state = state_of(optimizer())
  for _ in range(20):
    state, _ = update(state)
  save(tmp_path, 20, state)
  data, curves = written()
  (note,) = data['notes']
  assert note.endswith(f'that of the checkpoint {tmp_path}/checkpoints/20.')
  assert_is(curves['learning_rate']['planned'], range(100), LR(np.arange(100)))
  assert data['hyperparams']['learning_rate']['off_plan'] is None


def test_the_checkpoint_of_a_population_is_no_plan(tmp_path, written):
  """Its members have a value each; the logs are of one run."""
  without_record(tmp_path / 'logs', range(20))
  tx = optimizer(inject=fs.inject_stateful_hyperparams)
  save(tmp_path, 1, jax.vmap(tx.init)({'w': jnp.ones((3, 2))}))
  data, curves = written()
  assert 'no checkpoint beside them does' in data['notes'][0]
  assert set(curves['learning_rate']) == {'logged'}


def test_no_record_at_all(tmp_path, written):
  """Only what was logged, and the page says so."""
  without_record(tmp_path / 'logs', range(20))
  data, curves = written()
  assert 'there is only what was logged' in data['notes'][0]
  assert set(curves['learning_rate']) == {'logged'}
  assert data['hyperparams']['learning_rate']['not_planned'] == (
    'there is no record'
  )


@pytest.mark.parametrize(
  ('text', 'notes'),
  [
    (record.to_text({'format': 99, 'hyperparams': {}}), 1),
    ('```json\n{"format": 1,\n```', 0),
    ('notes of a user', 0),
    (record.to_text({'format': 1, 'hyperparams': {'a': {'count': 1}}}), 0),
    (record.to_text({'format': 1, 'hyperparams': {'a': None}}), 0),
  ],
)
def test_records_of_another_kind(tmp_path, written, text, notes):
  """A newer version's is named; what is no record is none."""
  without_record(tmp_path / 'logs', range(5))
  writer = tensorboard.TensorBoardWriter(tmp_path / 'logs')
  writer.write_texts(0, {'hyperparams/record': text})
  writer.close()
  data, _ = written()
  found = [note for note in data['notes'] if 'format 99' in note]
  assert len(found) == notes


def test_a_torn_file(tmp_path, written):
  """What is complete is shown."""
  logs = tmp_path / 'logs'
  train(logs, state_of(optimizer()), range(20), 0)
  (path,) = logs.iterdir()
  path.write_bytes(path.read_bytes()[:-40])
  data, curves = written()
  assert data['last_step'] == 18
  assert_is(curves['b1']['logged'], range(19), B1(np.arange(19)))


def test_numbers_that_are_not_finite(tmp_path, written):
  """A gap in the curve, and a warning."""
  writer = tensorboard.TensorBoardWriter(tmp_path / 'logs')
  for step, loss in enumerate([1.0, np.nan, np.inf, 2.0]):
    writer.write_scalars(step, {'loss': loss})
  writer.close()
  data, curves = written()
  assert data['scalars']['loss']['not_finite'] == {'steps': 2, 'first': 1}
  assert_is(curves['loss']['logged'], range(4), [1.0, np.nan, np.nan, 2.0])
  text = (tmp_path / 'report.html').read_text()
  assert 'not finite at 2 steps, the first 1' in text


# ---------------------------------------------------------------------------
# Long runs.


@pytest.mark.slow
def test_a_long_run(tmp_path, written):
  """A million steps: a small page, soon, with each lowest and highest value."""
  from tensorboardX.proto import event_pb2

  total = 10**6
  schedule = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 10_000, 990_000)
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=schedule)
  train(tmp_path / 'logs', state_of(tx), range(1))
  (path,) = (tmp_path / 'logs').iterdir()
  values = np.asarray(schedule(np.arange(total)), np.float32)
  loss = np.random.default_rng(0).normal(size=total).astype(np.float32)
  loss[654_321] = 77.0
  values[123_456] *= 2
  with path.open('ab') as file:
    for step in range(1, total):
      event = event_pb2.Event(step=step)
      event.summary.value.add(
        tag='hyperparams/learning_rate', simple_value=values[step]
      )
      event.summary.value.add(tag='loss', simple_value=loss[step])
      data = event.SerializeToString()
      file.write(struct.pack('<Q4x', len(data)) + data + bytes(4))
  start = time.monotonic()
  data, curves = written()
  print(time.monotonic() - start)
  size = (tmp_path / 'report.html').stat().st_size
  assert size < 6e6  # that of the library that draws is about 4.8e6
  each = data['hyperparams']['learning_rate']
  assert each['off_plan'] == {'steps': 1, 'first': 123_456}
  assert each['logged'] == data['total_steps'] == total
  steps, drawn = curves['loss']['logged']
  assert len(steps) <= 2002
  assert (drawn.max(), np.float32(drawn.min())) == (77.0, loss[1:].min())
  np.testing.assert_array_equal(
    np.float32(drawn)[1:], loss[steps[1:].astype(int)]
  )
  steps, planned = curves['learning_rate']['planned']
  np.testing.assert_array_equal(
    np.float32(planned), schedule(steps.astype(int))
  )
  assert planned.max() == np.float32(1e-3).astype(float) or 10_000 in steps

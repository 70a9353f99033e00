"""Event files are read session by session, as they were written."""

import time

import numpy as np
import pytest

from flax_sched import event_files
from flax_sched import metrics
from flax_sched import record
from flax_sched import tensorboard
import logged_runs
from logged_runs import assert_is
from logged_runs import B1
from logged_runs import optimizer
from logged_runs import state_of
from logged_runs import train
from logged_runs import update

written = logged_runs.written


def test_sessions_are_what_was_written(tmp_path):
  """Scalars, texts and settings, start by start, in their order."""
  for first, value in ((0, 0.5), (2, 0.25)):
    writer = tensorboard.TensorBoardWriter(tmp_path, first_step=first)
    writer.write_hparams({'lr': {'peak': value}, 'name': 'a', 'on': True})
    for step in range(first, first + 3):
      writer.write_scalars(step, {'x': value + step, 'y': step})
    writer.write_texts(first, {'note': f'from {first}'})
    writer.close()
  one, two = event_files.read_sessions(tmp_path)
  assert (one.first_step, two.first_step) == (0, 2)
  assert one.started <= two.started <= time.time()
  assert one.tags == ['x', 'y']
  assert_is(two.scalar('x'), [2, 3, 4], [2.25, 3.25, 4.25])
  assert one.texts == {'note': [(0, 'from 0')]}
  assert two.config == {'lr/peak': 0.25, 'name': 'a', 'on': True}


def test_a_file_without_restarts_is_a_session(tmp_path):
  """As others than this library write them."""
  for first in (0, 2):
    writer = tensorboard.TensorBoardWriter(tmp_path)
    writer.write_scalars(first, {'x': first})
    writer.close()
  one, two = event_files.read_sessions(tmp_path)
  assert (one.first_step, two.first_step) == (None, None)
  assert_is(two.scalar('x'), [2], [2])


@pytest.mark.tensorflow
def test_sessions_of_clus_writers(tmp_path):
  """Theirs are tensors, in files of their own; the restart is in another."""
  for first in (0, 2):
    writer = metrics.create_writer(tmp_path, first_step=first)
    with metrics.HyperparamLogger(writer) as logger:
      logger.write_hparams({'optimizer': {'name': 'adamw', 'peak': 0.5}})
      state = state_of(optimizer())
      for step in range(first, 4):
        state, loss = update(state)
        logger.log(step, state, loss=loss)
    time.sleep(1.1)  # the names of TensorFlow's files tell seconds apart
  one, two = event_files.read_sessions(tmp_path)
  assert (one.first_step, two.first_step) == (0, 2)
  assert two.config == {'optimizer.name': 'adamw', 'optimizer.peak': 0.5}
  ((step, text),) = two.texts['hyperparams/record']
  assert step == 2
  assert record.from_text(text)['hyperparams']['learning_rate']['count'] == 1
  assert_is(one.scalar('hyperparams/b1'), range(4), B1(np.arange(4)))


def test_what_another_writer_adds_is_no_session(tmp_path, written):
  """Such as an evaluation beside the training."""
  train(tmp_path / 'logs', state_of(optimizer()), range(10), first_step=0)
  writer = tensorboard.TensorBoardWriter(tmp_path / 'logs')
  writer.write_scalars(4, {'eval/loss': 0.5})
  writer.close()
  data, curves = written()
  assert len(data['sessions']) == 1
  assert data['sessions'][0]['superseded'] == 0
  assert len(curves['loss']['logged'][0]) == 10
  assert_is(curves['eval/loss']['logged'], [4], [0.5])

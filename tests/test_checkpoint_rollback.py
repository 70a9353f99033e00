"""A run that goes back to an earlier checkpoint hears of the later ones."""

import logging
import shutil

import orbax.checkpoint as ocp
import pytest

from checkpointing import COSINE
from checkpointing import saved
from checkpointing import state_of
from checkpointing import train
from flax_sched import checkpoint


@pytest.fixture
def three(manager):
  """A manager with steps 2, 4 and 6, and the new state."""
  new = state_of(learning_rate=COSINE)
  for step in (2, 4, 6):
    saved(manager, new, step)
  manager.wait_until_finished()
  return manager, new


def warnings(caplog, name):
  """What a function has warned of."""
  return [
    record.getMessage()
    for record in caplog.records
    if record.levelno == logging.WARNING
    and record.getMessage().startswith(f'{name}, step')
  ]


def test_the_later_steps_are_named(three, caplog):
  """With what they do to the next saves, and the remedy."""
  manager, new = three
  checkpoint.restore(manager, new, step=2)
  (warning,) = warnings(caplog, 'restore')
  assert warning.startswith('restore, step 2: ')
  assert 'also holds the later 4, 6. ' in warning
  assert 'manager.delete' in warning
  caplog.clear()
  checkpoint.restore(manager, new)
  checkpoint.restore(manager, new, step=6)
  assert warnings(caplog, 'restore') == []


@pytest.mark.usefixtures('failing_reads')
def test_after_a_damaged_one(three, monkeypatch):
  """The one that could not be read is a later step."""
  manager, new = three
  shutil.rmtree(manager.directory / '6' / 'hyperparams')
  heard = []
  monkeypatch.setattr(
    checkpoint._log, 'warning', lambda *args: heard.append(args[0] % args[1:])
  )
  checkpoint.restore(manager, new, allow_previous=True)
  assert len(heard) == 2
  assert heard[1].startswith('restore, step 4: ')
  assert 'the later 6. ' in heard[1]


def test_a_save_that_is_passed_over(three, caplog):
  """It warns once; without the later steps, saves go on."""
  manager, new = three
  state = checkpoint.restore(manager, new, step=2)
  assert not checkpoint.save(manager, 4, train(state, 2))
  assert not checkpoint.save(manager, 6, train(state, 4))
  (warning,) = warnings(caplog, 'save')
  assert warning.startswith('save, step 4: not saved, since ')
  assert 'holds step 6' in warning
  assert 'manager.delete(6)' in warning
  manager.delete(6)
  manager.delete(4)
  assert checkpoint.save(manager, 4, train(state, 2))


def test_an_interval_is_no_reason(tmp_path, caplog):
  """The manager's own choice of steps is not warned of."""
  options = ocp.CheckpointManagerOptions(save_interval_steps=4)
  new = state_of(learning_rate=COSINE)
  with ocp.CheckpointManager(tmp_path / 'run', options=options) as manager:
    took = [checkpoint.save(manager, step, new) for step in range(6)]
  assert took == [True, False, False, False, True, False]
  assert warnings(caplog, 'save') == []

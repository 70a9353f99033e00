"""Checkpoints of one mesh of devices, restored on others."""

import pytest

import processes
import sharded_training as training

SAVED, LAST = 4, 6  # the steps of the checkpoint, and of the end


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run on eight devices: its directory, and what it said."""
  directory = tmp_path_factory.mktemp('whole')
  args = (training.__file__, directory, 0, LAST, SAVED, '8')
  return directory, processes.said_by(*args, devices=8)


@pytest.mark.parametrize(
  ('mesh', 'devices'),
  [
    ('2x4', 8),
    pytest.param('4', 4, marks=pytest.mark.slow),
    pytest.param('8', 8, marks=pytest.mark.slow),
    pytest.param('1', 1, marks=pytest.mark.slow),
  ],
)
def test_a_checkpoint_restores_on_another_mesh(mesh, devices, whole):
  """Bit for bit, where the target says, with one compile afterwards."""
  directory, expected = whole
  args = (training.__file__, directory, SAVED, LAST, 0, mesh)
  said = processes.said_by(*args, devices=devices)
  for wrapper in training.WRAPPERS:
    then, now = expected[wrapper], said[wrapper]
    assert now['first'] == then['saved']
    assert now['elsewhere'] == []
    assert now['compiles'] == [1, 0]
    assert now['traces'] == 1
    assert now['hyperparams'] == then['hyperparams'][SAVED:]
    training.assert_goes_on(now['last'], then['last'])

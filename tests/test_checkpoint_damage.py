"""Checkpoints that are damaged, or of a newer format, are noticed."""

import contextlib
import shutil

import orbax.checkpoint as ocp
import pytest

from checkpointing import assert_equal
from checkpointing import COSINE
from checkpointing import saved
from checkpointing import state_of
from flax_sched import checkpoint


def files_of(directory):
  """Every file under a directory, with what is in it."""
  return {p: p.read_bytes() for p in directory.rglob('*') if p.is_file()}


def is_noticed(copy, new, states):
  """Whether a restore of a damaged copy fails: an error that names it."""
  before = files_of(copy)
  with ocp.CheckpointManager(copy) as manager:
    if manager.latest_step() != 2:
      return False  # the manager itself lists it no more
    with contextlib.suppress(OSError):  # or nothing depends on the file
      assert_equal(checkpoint.restore(manager, new), states[2])
      assert files_of(copy) == before
      return False
    with pytest.raises(OSError, match='Pass allow_previous=True') as caught:
      checkpoint.restore(manager, new)
    assert f'{copy}/2 is damaged' in str(caught.value)
    restored = checkpoint.restore(manager, new, allow_previous=True)
    assert_equal(restored, states[1])
  assert files_of(copy) == before
  return True


@pytest.mark.parametrize(
  'damage',
  ['truncate', 'delete', pytest.param('garbage', marks=pytest.mark.slow)],
)
@pytest.mark.usefixtures('failing_reads')
def test_a_damaged_checkpoint(damage, tmp_path):
  """Any file of it: an error that names it, or the step before; no more."""
  new = state_of(learning_rate=COSINE, weight_decay=0.1)
  directory = tmp_path / 'whole'
  with ocp.CheckpointManager(directory) as manager:
    states = {n: saved(manager, new, n) for n in (1, 2)}
  noticed = 0
  for path in sorted(p for p in (directory / '2').rglob('*') if p.is_file()):
    copy = tmp_path / 'copy'
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy)
    broken = copy / path.relative_to(directory)
    content = broken.read_bytes()
    if damage == 'delete':
      broken.unlink()
    elif damage == 'truncate':
      broken.write_bytes(content[: len(content) // 2])
    else:
      broken.write_bytes(bytes(255 - b for b in content))
    noticed += is_noticed(copy, new, states)
  assert noticed >= 4


def test_a_record_that_is_gone_is_no_old_checkpoint(manager):
  """A checkpoint of `save` without its record is damaged."""
  new = state_of(learning_rate=COSINE)
  saved(manager, new)
  manager.wait_until_finished()
  shutil.rmtree(manager.directory / '4' / 'hyperparams')
  with pytest.raises(OSError, match='hyperparams'):
    checkpoint.restore(manager, new)


def test_a_newer_format(manager):
  """Refused, by its number."""
  new = state_of(learning_rate=COSINE)
  saved(manager, new)
  manager.wait_until_finished()
  path = manager.directory / '4' / 'hyperparams' / 'metadata'
  path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
  with pytest.raises(ValueError, match='has format 99, of a newer flax_sched'):
    checkpoint.restore(manager, new, allow_previous=True)

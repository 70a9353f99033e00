"""Checkpoints that some processes write, and others restore."""

import pytest

import processes
import sharded_training as training

# One run, each part of it by other processes: how many, and up to which step.
PARTS = [(1, 2), (2, 4), (2, 6), (4, 8), (1, 10)]


@pytest.mark.slow
@pytest.mark.multiprocess
@pytest.mark.timeout(240)
def test_other_processes_go_on(tmp_path):
  """Saved by 1, 2, 2 and 4 processes; restored by 2, 2, 4 and 1."""
  (_, first), *parts = PARTS
  args = (training.__file__, tmp_path)
  whole = processes.said_by(*args, 0, parts[-1][1], first, '1')
  expected = {wrapper: whole[wrapper]['saved'] for wrapper in whole}
  for count, last in parts:
    said, *others = processes.said_by_each(
      count, *args, first, last, last, str(count)
    )
    for other in others:
      assert other == said
    for wrapper in training.WRAPPERS:
      now = said[wrapper]
      assert now['first'] == expected[wrapper]
      assert now['elsewhere'] == []
      assert now['compiles'] == [1, 0]
      assert now['traces'] == 1
      assert now['hyperparams'] == whole[wrapper]['hyperparams'][first:last]
      expected[wrapper] = now['last']
    first = last
  for wrapper in training.WRAPPERS:
    training.assert_goes_on(expected[wrapper], whole[wrapper]['last'])

"""Restores a checkpoint while its files vanish one by one.

Usage: python half_deleted.py DIRECTORY

Prints JSON: for each of some orders of deletion, what there was after each
file, the whole `state`, `another` one or an `error`. In a process of its own,
since what Orbax leaves behind when it can't read may complain later.
"""

import json
import pathlib
import random
import sys

from flax_sched import checkpoint
import interrupted_training as training


def found(manager, state):
  """What a restore finds now."""
  try:
    restored = checkpoint.restore(manager, state)
  except OSError:
    return 'error'
  whole = training.digest(restored) == training.digest(state)
  return 'state' if whole else 'another'


def main(directory):
  """All orders, in this process."""
  said = []
  for seed in range(5):
    path = directory / str(seed)
    state = training.new_state()
    with training.open_manager(path) as manager:
      checkpoint.save(manager, 1, state)
      manager.wait_until_finished()
      files = sorted(p for p in (path / '1').rglob('*') if p.is_file())
      random.Random(seed).shuffle(files)
      said.append([])
      for file in files:
        file.unlink()
        said[-1].append(found(manager, state))
  print(json.dumps(said))


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]))

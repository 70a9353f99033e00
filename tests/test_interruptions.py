"""Training that is killed at any moment, and goes on as if it had not been."""

import random
import time
import types

import pytest

from flax_sched import checkpoint
import interrupted_training as training
import processes

pytestmark = pytest.mark.usefixtures('failing_reads')

STEPS = {4: 20, 50: 140}  # by the number of kills; more than they let pass


def run(directory, steps, cache):
  """The program, on its own checkpoints."""
  return processes.Program(
    training.__file__,
    directory / 'checkpoints',
    steps,
    directory / 'result',
    seconds=400,
    # A restart would mostly compile.
    JAX_COMPILATION_CACHE_DIR=str(cache),
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0',
  )


def digests_of(lines):
  """By step, what the program printed of its state."""
  pairs = (line.split() for line in lines)
  return {int(step): digest for step, digest in pairs}


def finish(directory, steps, cache):
  """Runs the program to its end: what it printed, and what it trained."""
  directory.mkdir(exist_ok=True)
  with run(directory, steps, cache) as program:
    assert program.line() == 'begin'
    digests = digests_of(program.finish().splitlines())
  return types.SimpleNamespace(
    digests=digests, result=(directory / 'result').read_bytes()
  )


def kill(directory, steps, cache, moments):
  """Runs the program, and kills it: what it printed."""
  lines = moments.randint(0, 4)
  delay = moments.uniform(0.0, 0.03)
  with run(directory, steps, cache) as program:
    assert program.line() == 'begin'
    seen = [program.line() for _ in range(lines)]
    time.sleep(delay)
    rest, status = program.kill()
  assert status == -9, 'it ended before it was killed'
  # The last line may be half of one.
  return digests_of(seen + rest.split('\n')[:-1])


def check_digests(digests, saved, whole):
  """Training went on after the newest checkpoint, as it would have."""
  first = max(saved, default=0) + 1
  assert list(digests) == list(range(first, first + len(digests)))
  for step, digest in digests.items():
    assert digest == whole.digests[step], step


def check_checkpoints(directory, whole):
  """Each one listed is what the state was, bit for bit: the steps of all."""
  target = training.new_state()
  with training.open_manager(directory / 'checkpoints') as manager:
    steps = sorted(manager.all_steps())
    for step in steps:
      try:
        state = checkpoint.restore(manager, target, step=step)
      except OSError as error:
        # Orbax deletes a checkpoint file by file, under the name it had. What
        # there is beyond the kept ones may be what a deletion has left.
        if step in steps[-training.KEPT :]:
          raise
        print(f'Half deleted: {error}')
      else:
        assert training.digest(state) == whole.digests[step], step
  return steps


@pytest.mark.parametrize(
  'kills',
  [
    4,
    pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
  ],
)
def test_kill_9_at_any_moment(kills, tmp_path):
  """The parameters in the end, and each checkpoint, as of a whole run."""
  seed = random.randrange(10**6)
  print(f'Seed of the moments: {seed}')  # shown where the test fails
  moments = random.Random(seed)
  steps, cache = STEPS[kills], tmp_path / 'cache'
  whole = finish(tmp_path / 'whole', steps, cache)
  assert list(whole.digests) == list(range(1, steps + 1))
  parts = tmp_path / 'parts'
  parts.mkdir()
  saved, in_saves = [], 0
  for _ in range(kills):
    seen = kill(parts, steps, cache, moments)
    check_digests(seen, saved, whole)
    saved = check_checkpoints(parts, whole)
    left = [p.name for p in (parts / 'checkpoints').glob('*tmp*')]
    in_saves += any(int(name.partition('.')[0]) in seen for name in left)
    print(f'Trained {list(seen)}, saved {saved}, left {left}')
  print(f'{in_saves} of {kills} moments were in a save')
  assert in_saves >= kills // 10
  rest = finish(parts, steps, cache)
  check_digests(rest.digests, saved, whole)
  assert rest.digests
  assert rest.result == whole.result
  assert check_checkpoints(parts, whole)[-1] == steps


@pytest.mark.parametrize(
  'seed', [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4))]
)
def test_a_half_deleted_checkpoint_is_an_error(seed, tmp_path):
  """Or still the whole state, but never another one."""
  state = training.new_state()
  with training.open_manager(tmp_path) as manager:
    checkpoint.save(manager, 1, state)
    manager.wait_until_finished()
    files = sorted(p for p in (tmp_path / '1').rglob('*') if p.is_file())
    random.Random(seed).shuffle(files)
    for file in files:
      file.unlink()
      try:
        restored = checkpoint.restore(manager, state)
      except OSError:
        continue
      assert training.digest(restored) == training.digest(state)
      assert file != files[-1]

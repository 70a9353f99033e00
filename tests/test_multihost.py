"""The multihost example: several processes, some of which are killed.

Run as a program, this file logs in one process alone: see `log_alone`.
"""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import socket
import sys
import time
import types

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from examples.multihost import train
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import metrics
from flax_sched import sharding
from flax_sched import tensorboard
import processes

pytestmark = [pytest.mark.multiprocess, pytest.mark.timeout(400)]

STEPS, SAVE_EVERY = 24, 4
HEARTBEAT_SECONDS = 10


# ---------------------------------------------------------------------------
# The example, in processes of its own.


def by_flags(count):
  """Where there is no cluster: flags and variables for each process."""
  if count == 1:
    return [([], {})]
  address = f'127.0.0.1:{processes.free_port()}'
  return [
    (
      [
        f'--coordinator={address}',
        f'--num_processes={count}',
        f'--process_id={number}',
      ],
      {},
    )
    for number in range(count)
  ]


def by_slurm(count):
  """What SLURM's srun tells each process: variables only."""
  job = next(filter(_is_port_of_job_free, range(os.getpid(), 10**9)))
  return [
    (
      [],
      {
        'SLURM_JOB_ID': str(job),
        'SLURM_STEP_NODELIST': '127.0.0.1',
        'SLURM_NTASKS': str(count),
        'SLURM_PROCID': str(number),
        'SLURM_LOCALID': str(number),
      },
    )
    for number in range(count)
  ]


def _is_port_of_job_free(job):
  """Whether nobody listens to the port that JAX takes for a job of SLURM."""
  with socket.socket() as listener:
    try:
      listener.bind(('127.0.0.1', job % 2**12 + 65535 - 2**12 + 1))
    except OSError:
      return False
  return True


@contextlib.contextmanager
def started(directory, cache, told, devices, *flags):
  """The example in several processes; none of them is there afterwards."""
  with contextlib.ExitStack() as stack:
    programs = [
      stack.enter_context(
        processes.Program(
          train.__file__,
          f'--workdir={directory}',
          f'--steps={STEPS}',
          f'--save_every={SAVE_EVERY}',
          *mine,
          *flags,
          devices=devices,
          seconds=300,
          # They would mostly compile.
          JAX_COMPILATION_CACHE_DIR=str(cache),
          JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0',
          **environment,
        )
      )
      for mine, environment in told
    ]
    yield programs
  for program in programs:
    with pytest.raises(ProcessLookupError):
      os.kill(program.id, 0)


def finish(directory, cache, told, devices):
  """Trains to the end: what each process printed, and what they trained."""
  with started(directory, cache, told, devices) as programs:
    said = processes.each(programs, processes.Program.finish)
  return types.SimpleNamespace(
    said=said,
    owner=programs[0].id,
    writers=writers_of(directory),
    **result_of(directory),
  )


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  """Where all programs of these tests keep what they compiled."""
  return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def whole(tmp_path_factory, cache):
  """Runs that nobody stopped, by the numbers of processes and of devices."""

  @functools.cache
  def run(count, devices):
    directory = tmp_path_factory.mktemp(f'{count}x{devices}')
    told = by_slurm(count) if count == 4 else by_flags(count)
    return finish(directory, cache, told, devices)

  return run


# ---------------------------------------------------------------------------
# What a run leaves.


def result_of(directory):
  """The last state, and what was logged; in this process, on one device."""
  mesh = jax.make_mesh(
    (1,),
    ('data',),
    axis_types=(jax.sharding.AxisType.Auto,),
    devices=jax.devices()[:1],
  )
  target = sharding.abstract(train.init_of(STEPS), mesh, jax.random.key(0))
  with ocp.CheckpointManager(directory / 'checkpoints') as manager:
    assert manager.latest_step() == STEPS
    state = checkpoint.restore(manager, target)
  logged = tensorboard.read_scalars(directory / 'logs', prefix='')
  return {'state': state, 'logged': logged}


def assert_same(got, expected):
  """To the last bit: the state, each hyperparameter and each loss."""
  assert_equal_trees(got.state, expected.state)
  assert_equal_trees(got.logged, expected.logged)


def assert_equal_trees(got, expected):
  """Two pytrees with the same leaves."""
  for (path, x), y in zip(
    jax.tree_util.tree_leaves_with_path(got),
    jax.tree_util.tree_leaves(expected),
    strict=True,
  ):
    np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


def assert_close(got, expected):
  """Other processes sum the gradient in another order; no hyperparameter."""
  assert_equal_trees(fs.hyperparams(got.state), fs.hyperparams(expected.state))
  for (path, x), y in zip(
    jax.tree_util.tree_leaves_with_path(got.state),
    jax.tree_util.tree_leaves(expected.state),
    strict=True,
  ):
    name = jax.tree_util.keystr(path)
    limit = 1e-5 * np.max(np.abs(y))
    np.testing.assert_allclose(x, y, rtol=0, atol=limit, err_msg=name)
  assert list(got.logged) == list(expected.logged)
  for name, (steps, values) in got.logged.items():
    np.testing.assert_array_equal(steps, expected.logged[name][0])
    if name == 'loss':
      np.testing.assert_allclose(values, expected.logged[name][1], rtol=1e-6)
    else:
      np.testing.assert_array_equal(values, expected.logged[name][1], name)


def assert_logged_as_planned(logged):
  """Each step once, with the values of the schedules."""
  names = {f'hyperparams/{name}' for name in train.schedules(STEPS)}
  assert set(logged) == {*names, 'loss'}
  for name, schedule in train.schedules(STEPS).items():
    steps, values = logged[f'hyperparams/{name}']
    np.testing.assert_array_equal(steps, range(STEPS))
    # Each side is within 4 ulp of the exact value.
    np.testing.assert_array_max_ulp(values, schedule(steps), 8)
  np.testing.assert_array_equal(logged['loss'][0], range(STEPS))


def writers_of(directory):
  """The ids of the processes that made the event files."""
  return [int(p.name.split('.')[-2]) for p in (directory / 'logs').iterdir()]


# ---------------------------------------------------------------------------
# To the end.


@pytest.mark.parametrize('count', [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_train_as_one(count, whole):
  """As one process with all their devices; only process 0 writes logs.

  Two are told by flags who they are, and four by the variables of SLURM.
  """
  done = whole(count, 2)
  assert_logged_as_planned(done.logged)
  assert_close(done, whole(1, 2 * count))
  assert done.writers == [done.owner]
  for number, text in enumerate(done.said):
    assert text.startswith(
      f'Process {number} of {count}: 2 of {2 * count} devices.\n'
    )
    assert ('Step' in text) == ('accuracy' in text) == (number == 0)


def test_a_batch_that_does_not_divide_is_an_error(tmp_path):
  """The message says what the batch must be, before anything is written."""
  args = argparse.Namespace(batch_size=60, workdir=tmp_path / 'run')
  with pytest.raises(ValueError, match='a multiple of the 8 devices, got 60'):
    train.train(args)
  assert not args.workdir.exists()


# ---------------------------------------------------------------------------
# Killed.


def kill_one(directory, cache, count, victim):
  """Kills one process in the middle of a run, and waits for the others' end.

  Returns:
    The newest checkpoint.
  """
  flags = f'--heartbeat_seconds={HEARTBEAT_SECONDS}'
  with started(directory, cache, by_flags(count), 2, flags) as programs:
    # By its third save, the first one is complete.
    while not programs[0].line().startswith(f'Step {3 * SAVE_EVERY}:'):
      pass
    _, status = programs[victim].kill()
    assert status == -9, 'it ended before it was killed'
    start = time.monotonic()
    for program in programs:
      if program is not programs[victim]:
        ended = program.wait(120)
        # On its own, and not as if all were well.
        assert ended not in (0, -9)
    print(f'The others ended after {time.monotonic() - start:.1f} s')
  with ocp.CheckpointManager(directory / 'checkpoints') as manager:
    saved = manager.latest_step()
  assert SAVE_EVERY <= saved < STEPS
  return saved


def check_goes_on(directory, cache, saved, count, devices):
  """Goes on after the newest checkpoint, to the end: what was trained."""
  done = finish(directory, cache, by_flags(count), devices)
  shown = re.findall(r'^Step (\d+):', done.said[0], re.MULTILINE)
  expected = range(saved + SAVE_EVERY, STEPS + 1, SAVE_EVERY)
  assert list(map(int, shown)) == list(expected)
  assert_logged_as_planned(done.logged)
  return done


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
  ('count', 'victim', 'goes_on'),
  [
    pytest.param(2, 1, [(2, 2)], id='worker'),
    pytest.param(2, 0, [(1, 4)], id='coordinator'),
    pytest.param(4, 3, [(4, 2), (2, 2), (1, 8)], id='worker_of_4'),
    pytest.param(4, 0, [(4, 2), (2, 4)], id='coordinator_of_4'),
  ],
)
def test_a_killed_process_loses_nothing(
  count, victim, goes_on, whole, cache, tmp_path
):
  """The rest ends too; then as many processes go on, or others."""
  saved = kill_one(tmp_path / 'killed', cache, count, victim)
  for number, (others, devices) in enumerate(goes_on):
    directory = tmp_path / str(number)
    shutil.copytree(tmp_path / 'killed', directory)
    done = check_goes_on(directory, cache, saved, others, devices)
    if (others, devices) == (count, 2):
      assert_same(done, whole(count, 2))
    else:
      assert_close(done, whole(1, 2 * count))


# ---------------------------------------------------------------------------
# Logging takes one process.


class Kept:
  """A writer that keeps what it is given."""

  def __init__(self):
    self.written = {}

  def write_scalars(self, step, scalars):
    """Keeps them."""
    self.written[step] = dict(scalars)

  def write_texts(self, step, texts):
    """Takes the record, which is written without any other process too."""


def log_alone(directory, process, count, port):
  """Trains in all processes, each of which then logs while no other does.

  The others neither compute nor talk meanwhile: they look for a file that it
  makes in the end. No array may go from device to device, or onto one.

  Prints what was logged as JSON, and of each array that was read for it
  whether it lay on one device of this process.
  """
  jax.distributed.initialize(
    f'127.0.0.1:{port}', num_processes=count, process_id=process
  )
  types = (jax.sharding.AxisType.Auto,)
  mesh = jax.make_mesh((jax.device_count(),), ('data',), axis_types=types)
  everywhere = jax.NamedSharding(mesh, jax.P())
  state = sharding.create(train.init_of(STEPS), mesh, jax.random.key(0))
  step_fn = jax.jit(
    train.train_step,
    donate_argnums=0,
    out_shardings=(sharding.shardings(state, mesh), everywhere),
  )
  images = np.ones((2, 64), np.float32), np.ones(2, np.int32)
  x, y = (
    jax.make_array_from_process_local_data(
      jax.NamedSharding(mesh, jax.P('data')), rows
    )
    for rows in images
  )
  read, device_get = [], jax.device_get

  def watched(tree):
    read.extend(jax.tree.leaves(tree))
    return device_get(tree)

  writer = Kept()
  logger = metrics.HyperparamLogger(writer)
  for step in range(2 * count):
    state, loss = step_fn(state, x, y)
    jax.block_until_ready(state)
    done = directory / str(step)
    if step % count == process:
      jax.device_get = watched
      with (
        jax.transfer_guard_device_to_device('disallow_explicit'),
        jax.transfer_guard_host_to_device('disallow_explicit'),
      ):
        logger.log(step, state, loss=loss)
        logger.flush()
      jax.device_get = device_get
      done.touch()
    while not done.exists():
      time.sleep(0.01)
  own = [{device} for device in jax.local_devices()]
  on_own = [
    x.is_fully_addressable and x.sharding.device_set in own for x in read
  ]
  print(json.dumps({'written': writer.written, 'on_own': on_own}))


def test_logging_takes_one_process(tmp_path):
  """One process logs and flushes while the others do nothing at all."""
  count = 2
  said = processes.said_by_each(count, __file__, tmp_path, devices=2)
  for process, one in enumerate(said):
    assert [*map(int, one['written'])] == [process, process + count]
    for step, written in one['written'].items():
      assert written.pop('loss') > 0
      expected = {
        f'hyperparams/{name}': schedule(int(step))
        for name, schedule in train.schedules(STEPS).items()
      }
      assert set(written) == set(expected)
      for name, value in written.items():
        np.testing.assert_array_max_ulp(np.float32(value), expected[name], 8)
    assert one['on_own'] == [True] * 2  # one array for each of two steps


if __name__ == '__main__':
  log_alone(pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:]))

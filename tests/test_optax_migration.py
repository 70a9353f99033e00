"""The migration example: a run of Optax goes on from its own checkpoint."""

import json
import os
import shutil
import types

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from examples.optax_migration import after
from examples.optax_migration import before
from examples.optax_migration import compare
from examples.optax_migration import task
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import spec
from flax_sched import tensorboard
import processes

STEPS, HALF = 40, 20


def run_python(*argv):
  """Runs Python, warnings as errors: what it printed, and what it warned of."""
  # With the devices of these tests: the same program, to the last bit.
  done = processes.finished(*argv, XLA_FLAGS=os.environ['XLA_FLAGS'])
  assert done.returncode == 0, done.stderr
  return done.stdout, done.stderr


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A short run, as the README runs it: its directory and what it said."""
  directory = tmp_path_factory.mktemp('run')
  out, err = run_python(
    *('-m', 'examples.optax_migration.main'),
    *(f'--workdir={directory}', f'--total_steps={STEPS}'),
  )
  result = json.loads((directory / 'result.json').read_text())
  return types.SimpleNamespace(
    directory=directory, out=out, err=err, result=result
  )


def as_bytes(tree):
  """The leaves, bit for bit."""
  return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def final_params(directory):
  """The parameters at the end of a run, as Orbax alone reads them."""
  path = directory / 'checkpoints' / str(STEPS)
  (item,) = (p for name in ('state', 'default') if (p := path / name).exists())
  with ocp.StandardCheckpointer() as checkpointer:
    return checkpointer.restore(item)['params']


def record_of(directory, step):
  """What a checkpoint says of the learning rate; None if it says nothing."""
  path = directory / 'checkpoints' / str(step) / 'hyperparams' / 'metadata'
  if not path.exists():
    return None
  return json.loads(path.read_text())['hyperparams']['learning_rate']


def test_before_needs_no_flax_sched():
  """It is a program of Optax, Flax and Orbax."""
  loaded = 'any(name.startswith("flax_sched") for name in sys.modules)'
  program = f'import sys, examples.optax_migration.before; print({loaded})'
  assert run_python('-c', program)[0] == 'False\n'


def test_the_learning_rate_goes_on(run):
  """With the count, in the curve that the log has already; and it learns."""
  directory = run.directory / 'flax_sched'
  logged = tensorboard.read_scalars(directory / 'logs', prefix='')
  for name in ('learning_rate', 'loss'):
    np.testing.assert_array_equal(logged[name][0], np.arange(STEPS))
  schedule = after.make_schedule(STEPS)
  steps, rates = logged['learning_rate']
  np.testing.assert_array_max_ulp(rates[HALF:], schedule(steps[HALF:]), 4)
  np.testing.assert_allclose(rates, schedule(steps), rtol=1e-5, atol=1e-9)
  np.testing.assert_array_equal(logged['weight_decay'][0], steps[HALF:])
  losses = logged['loss'][1]
  assert losses[-5:].mean() < 0.5 * losses[:5].mean()


def test_checkpoints_say_what_is_followed(run):
  """From the first one on that flax_sched saves; it says that none did."""
  directory = run.directory / 'flax_sched'
  assert f'step {HALF}: ' in run.err
  assert 'the schedules of the target go on at its count' in run.err
  assert record_of(directory, HALF) is None
  record = record_of(directory, STEPS)
  assert record['count'] == STEPS
  assert record['schedule'] == spec.to_spec(after.make_schedule(STEPS))
  assert record['transformation'] == 'adamw'


def test_the_endings_are_one(run):
  """That of Optax's functions to the bit; that of Optax to rounding."""
  ours, compat, optax = (
    final_params(run.directory / name)
    for name in ('flax_sched', 'optax_compat', 'optax')
  )
  assert as_bytes(ours) == as_bytes(compat)
  distance = compare.distance(ours, optax)
  assert 0 < distance < 1e-5
  assert run.result['flax_sched']['parameters'] == distance
  assert run.result['optax']['parameters'] == 0
  accuracies = {of['test_accuracy'] for of in run.result.values()}
  assert len(accuracies) == 1
  assert run.out == compare.table_of(run.result)
  picture = (run.directory / 'migration.png').read_bytes()
  assert picture.startswith(b'\x89PNG')


@pytest.mark.slow
def test_it_resumes_bit_for_bit(run, tmp_path):
  """At a checkpoint of its own, which other schedules are compared with."""
  directory = tmp_path / 'parts'
  checkpoints = 'checkpoints/' + str(HALF)
  whole = run.directory / 'flax_sched'
  shutil.copytree(whole / checkpoints, directory / checkpoints)
  after.train(directory, HALF, 30, total_steps=STEPS)
  with pytest.raises(checkpoint.ScheduleMismatchError, match='decay_steps'):
    after.train(directory, 30, STEPS, total_steps=STEPS + 1)
  after.train(directory, 30, STEPS, total_steps=STEPS)
  assert as_bytes(final_params(directory)) == as_bytes(final_params(whole))
  logs = [
    tensorboard.read_scalars(each / 'logs', prefix='')
    for each in (directory, whole)
  ]
  for name, (_, values) in logs[0].items():
    np.testing.assert_array_equal(values, logs[1][name][1][-HALF:])


def test_from_optax_state_is_the_same(run):
  """For those who read the checkpoint with Orbax alone."""
  old = task.create_state(before.make_optimizer(before.make_schedule(STEPS)), 0)
  new = task.create_state(after.make_optimizer(after.make_schedule(STEPS)), 0)
  checkpoints = run.directory / 'optax' / 'checkpoints'
  with ocp.CheckpointManager(checkpoints) as manager:
    restored = checkpoint.restore(manager, new, step=HALF).opt_state
  with ocp.CheckpointManager(checkpoints) as manager:
    old = manager.restore(HALF, args=ocp.args.StandardRestore(old))
  converted = fs.from_optax_state(new.tx, old.opt_state)
  assert jax.tree.structure(converted) == jax.tree.structure(restored)
  for states in (converted, restored):
    assert states[1].count == HALF
  assert as_bytes(converted[1].inner_state) == as_bytes(restored[1].inner_state)


def test_the_two_schedules_are_one():
  """At every step of the run; with Optax's `decay_steps` they are not."""
  steps = np.arange(1001)
  new, old = after.make_schedule(1000), before.make_schedule(1000)
  np.testing.assert_allclose(new(steps), old(steps), rtol=1e-4, atol=0)
  wrong = fs.warmup_cosine_decay_schedule(0.0, 3e-3, 100, 1000, 1e-5)
  assert np.max(np.abs(wrong(steps) - new(steps))) > 1e-4


def test_a_used_directory_is_refused(tmp_path):
  """Nothing in it is changed."""
  (tmp_path / 'result.json').touch()
  with pytest.raises(ValueError, match='workdir must be new or empty, got'):
    compare.hand_over(tmp_path, STEPS, 0)

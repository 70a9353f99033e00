"""Schedules that a rebase has left behind do not start again."""

import numpy as np
import pytest

import flax_sched as fs
from flax_sched.compose import Crossfade
from restarts import ADAM
from restarts import after
from restarts import assert_follows
from restarts import BOTH
from restarts import followed
from restarts import LR
from restarts import trained_run

NEW = fs.linear_schedule(0.25, 0.125, 20)


def rebase(steps):
  """A rebase to the new schedule that began at update 2."""
  return Crossfade(
    old=LR, new=NEW, begin=np.int32(2), transition_steps=np.int32(steps)
  )


@BOTH
@pytest.mark.parametrize('only', [None, 'learning_rate', ('b1', 'b2')])
@pytest.mark.parametrize('steps', [2, 4])
def test_a_rebase(inject, only, steps):
  """Of one that is over, the new schedule alone; another as a whole."""
  state, step, _ = trained_run('bare', inject)
  crossfade = rebase(steps)
  state = fs.set_schedules(state, learning_rate=crossfade)
  whole = steps == 4 or only == ('b1', 'b2')
  state = fs.reset_count(state, only=only)
  assert_follows(
    step,
    state,
    {**ADAM, 'learning_rate': crossfade if whole else NEW},
    {
      name: 0 if only is None or name in only else 5
      for name in ('learning_rate', 'b1', 'b2')
    },
  )


@BOTH
def test_a_rebase_that_ends_after_a_delay(inject):
  """It is over by the count of its own."""
  start, step, _ = trained_run('bare', inject)
  crossfade = rebase(4)
  state = fs.set_schedules(start, learning_rate=crossfade)
  state = fs.reset_count(state, only='learning_rate')
  for steps, again in ((5, crossfade), (6, NEW)):
    late = fs.reset_count(after(step, state, steps), only='learning_rate')
    expected = {**ADAM, 'learning_rate': again}
    count = 5 + steps
    counts = {'learning_rate': 0, 'b1': count, 'b2': count}
    assert_follows(step, late, expected, counts)


@BOTH
def test_a_rebase_before_a_branch(inject):
  """The branch is of the new schedule alone, from its value on."""
  state, _, _ = trained_run('bare', inject)
  state = fs.set_schedules(state, learning_rate=rebase(2))
  branch = followed(fs.branch_cooldown(state, 10))
  assert branch.schedules[0] == NEW
  assert branch(5) == NEW(5)

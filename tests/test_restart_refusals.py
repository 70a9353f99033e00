"""What `reset_count` and `branch_cooldown` refuse, and what they advise."""

from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from restarts import adam
from restarts import after
from restarts import assert_close
from restarts import bare
from restarts import BOTH
from restarts import full_only
from restarts import HEAD
from restarts import LR
from restarts import next_values
from restarts import PARAMS
from restarts import partition
from restarts import PLATEAU
from restarts import sgd
from restarts import train_state

# ---------------------------------------------------------------------------
# reset_count, what is refused.


@BOTH
@pytest.mark.parametrize(
  ('count', 'error', 'message'),
  [
    (-1, ValueError, r'count must be a non-negative integer, got -1'),
    (jnp.int32(-1), ValueError, r'count must be a non-negative integer'),
    (2.5, ValueError, r'count must be a non-negative integer, got 2\.5'),
    (2**31, ValueError, r'count must be at most .*, got 2147483648'),
    ('0', TypeError, r"count must be a non-negative integer, got '0'"),
    (None, TypeError, r'count must be a non-negative integer, got None'),
  ],
)
def test_counts_that_are_none(inject, count, error, message):
  """Named, with their value."""
  with pytest.raises(error, match=f'^reset_count: {message}'):
    fs.reset_count(adam(inject).init(PARAMS), count)


@BOTH
@pytest.mark.parametrize('only', ['momentum', ['b1', 'momentum'], ('m', 'b1')])
def test_names_that_are_unknown(inject, only):
  """The error lists those that are known."""
  with pytest.raises(
    ValueError,
    match=r'^reset_count: .* is no hyperparameter .* It has .*b1, b2',
  ):
    fs.reset_count(adam(inject).init(PARAMS), only=only)


@BOTH
def test_a_count_ahead_for_some_only(inject):
  """There is no delay that could do it."""
  state, step = train_state(partition(inject))
  state = after(step, state, 3)
  name = 'encoder/learning_rate'
  with pytest.raises(
    ValueError,
    match=f'^reset_count: count must be at most 3, .* start {name} again .*, '
    'got 4. Reset all hyperparameters',
  ):
    fs.reset_count(state, 4, only=name)
  ahead = fs.reset_count(state, 4, only=['head/learning_rate'])
  got, _ = next_values(step, ahead, 1)
  assert_close(got['head/learning_rate'], HEAD(np.arange(4, 5)), 1)
  assert_close(got[name], LR(np.arange(3, 4)), 1)


FUNCTIONS = {
  'function': optax.linear_schedule(1.0, 0.0, 8),
  'joined': fs.join_schedules([optax.linear_schedule(1.0, 0.0, 8), 0.0], [8]),
}


@BOTH
@pytest.mark.parametrize('function', FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions(function, inject):
  """Start again with the count; no checkpoint could remember a delay."""
  state, step = bare(sgd(inject, learning_rate=function))
  state = after(step, state, 3)
  with pytest.raises(
    ValueError,
    match='^reset_count: learning_rate must follow a schedule that plain data '
    r'can hold, got the function (optax|flax_sched)\..*\. Reset all',
  ):
    fs.reset_count(state, only='learning_rate')
  got, _ = next_values(step, fs.reset_count(state, only='momentum'), 3)
  assert got['learning_rate'] == [0.625, 0.5, 0.375]
  got, _ = next_values(step, fs.reset_count(state), 3)
  assert got['learning_rate'] == [1.0, 0.875, 0.75]


# ---------------------------------------------------------------------------
# branch_cooldown, what is refused.


@BOTH
@pytest.mark.parametrize('function', FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_branch_of_a_function(function, inject):
  """A checkpoint could not remember it: the remedy is to set its value."""
  state, step = bare(sgd(inject, learning_rate=function))
  state = after(step, state, 4)
  with pytest.raises(
    ValueError,
    match='^branch_cooldown: learning_rate must follow a schedule that plain '
    r'data can hold, got the function (optax|flax_sched)\..*set_hyperparams'
    r'\(state, learning_rate=\.\.\.\)',
  ):
    fs.branch_cooldown(state, 4)
  state = fs.set_hyperparams(state, learning_rate=0.5)
  got, _ = next_values(step, fs.branch_cooldown(state, 4), 5)
  assert got['learning_rate'] == [0.5, 0.375, 0.25, 0.125, 0.0]


@pytest.mark.parametrize('schedule', [PLATEAU, LR * PLATEAU])
def test_a_branch_of_a_stateful_schedule(schedule):
  """Nobody knows what it would have been: likewise."""
  tx = optax.partition(
    {
      'encoder': sgd(full_only, learning_rate=schedule),
      'head': sgd(full_only, learning_rate=schedule),
    },
    {'encoder': 'encoder', 'head': 'head'},
  )
  state, step = bare(tx)
  state = after(step, state, 4, value=1.0)
  with pytest.raises(
    ValueError,
    match='^branch_cooldown: head/learning_rate must follow a schedule .*, got '
    'the stateful schedule .*set_hyperparams'
    r"\(state, \*\*{'head/learning_rate': \.\.\.}\)",
  ):
    fs.branch_cooldown(state, 4, name='head/learning_rate')
  state = fs.set_hyperparams(state, **{'head/learning_rate': 0.5})
  state = fs.branch_cooldown(state, 4, name='head/learning_rate')
  got, _ = next_values(step, state, 5, value=1.0)
  assert got['head/learning_rate'] == [0.5, 0.375, 0.25, 0.125, 0.0]


@BOTH
@pytest.mark.parametrize(
  ('kwargs', 'error', 'message'),
  [
    ({'shape': 'sqrt'}, ValueError, "shape must .* '1-sqrt', .*, got 'sqrt'"),
    ({'name': 'lr'}, ValueError, "'lr' is no hyperparameter .* It has "),
    ({'name': 'learning_rates'}, ValueError, "Did you mean 'learning_rate'"),
    ({'steps': 0}, ValueError, 'steps must be a positive integer, got 0'),
    ({'steps': -3}, ValueError, 'steps must be a positive integer, got -3'),
    ({'steps': 1.5}, ValueError, r'steps must be a positive .*, got 1\.5'),
    ({'steps': jnp.int32(0)}, ValueError, 'steps must be a positive integer'),
    ({'steps': 'all'}, TypeError, "steps must be .*, got 'all'"),
    ({'end_value': np.nan}, ValueError, 'end_value must be finite, got nan'),
    ({'end_value': 1e39}, ValueError, r'end_value must be finite, got 1e\+39'),
    (
      {'end_value': jnp.inf * jnp.ones(())},
      ValueError,
      'end_value must be fin',
    ),
    ({'end_value': 'low'}, TypeError, "end_value must be .*, got 'low'"),
    ({'end_value': np.zeros(2)}, TypeError, 'end_value must be one number'),
  ],
)
def test_bad_arguments_of_a_branch(inject, kwargs, error, message):
  """Named, with their value."""
  state = adam(inject).init(PARAMS)
  with pytest.raises(error, match=f'^branch_cooldown: .*{message}'):
    fs.branch_cooldown(state, **{'steps': 4, **kwargs})

"""The report of a run that changed: resumes, overrides, other values."""

import numpy as np
import orbax.checkpoint as ocp
import pytest

import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import record
from flax_sched import tensorboard
import logged_runs
from logged_runs import assert_is
from logged_runs import B1
from logged_runs import LOWER
from logged_runs import LR
from logged_runs import optimizer
from logged_runs import save
from logged_runs import state_of
from logged_runs import train

written = logged_runs.written


def resume(tmp_path, step, tx, **options):
  """The state of a checkpoint, for another optimizer."""
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    return checkpoint.restore(manager, state_of(tx), step=step, **options)


@pytest.mark.parametrize('every', [1, 7])
def test_a_resume_with_a_rebase(tmp_path, written, caplog, every):
  """What was followed, what was given up, what changed, what came twice."""
  logs = tmp_path / 'logs'
  state = train(logs, state_of(optimizer()), range(30), 0, every_steps=every)
  save(tmp_path, 30, state)
  train(logs, state, range(30, 38), 30, every_steps=every)
  state = resume(
    tmp_path, 30, optimizer(LOWER), on_change='rebase', rebase_steps=20
  )
  train(logs, state, range(30, 60), 30, every_steps=every)
  data, curves = written()
  assert [each['first_step'] for each in data['sessions']] == [0, 30, 30]
  twice = [step for step in range(30, 38) if step % every == 0]
  assert data['sessions'][1]['superseded'] == len(twice)
  assert [len(each['changes']) for each in data['sessions']] == [0, 0, 2]
  change = data['sessions'][2]['changes'][0]
  assert change == {
    'step': 30,
    'name': 'learning_rate',
    'field': 'schedules[0].end_value',
    'before': 0.1,
    'now': 0.05,
    'note': 'over 20 updates from update 30 on',
    'text': 'learning_rate.schedules[0].end_value: 0.1 -> 0.05, over 20 '
    'updates from update 30 on',
  }
  lr = curves['learning_rate']
  steps = np.arange(100)
  followed = np.where(steps < 50, np.nan, LOWER(steps))
  followed[:30] = LR(steps[:30])
  known = np.isfinite(followed)
  np.testing.assert_array_equal(lr['planned'][0], steps)
  np.testing.assert_array_equal(
    np.float32(lr['planned'][1])[known], np.float32(followed)[known]
  )
  assert_is(lr['planned before'], range(30, 100), LR(np.arange(30, 100)))
  assert data['hyperparams']['learning_rate']['off_plan'] is None
  logged = tensorboard.read_scalars(logs)['learning_rate']
  assert_is(lr['logged'], *logged)
  assert 'planned before' not in curves['b1']


def test_a_later_session_has_the_word(tmp_path, written):
  """What a killed session logged beyond it is not what the run did."""
  logs = tmp_path / 'logs'
  state = train(logs, state_of(optimizer()), range(10), 0)
  train(logs, state, range(10, 30), 10)
  train(logs, state, range(10, 20), 10)
  data, curves = written()
  assert data['sessions'][1]['superseded'] == 20
  assert data['last_step'] == 19
  assert_is(curves['b1']['logged'], range(20), B1(np.arange(20)))


def test_changes_within_a_session(tmp_path, written):
  """New schedules are a new plan, from the step at which they came."""
  change = {12: lambda state: fs.set_schedules(state, learning_rate=LOWER)}
  train(tmp_path / 'logs', state_of(optimizer()), range(40), change=change)
  data, curves = written()
  steps = np.arange(100)
  expected = np.where(steps < 12, LR(steps), LOWER(steps))
  assert_is(curves['learning_rate']['planned'], steps, expected)
  assert_is(
    curves['learning_rate']['planned before'], steps[12:], LR(steps[12:])
  )
  (session,) = data['sessions']
  assert {change['step'] for change in session['changes']} == {12}
  assert data['hyperparams']['learning_rate']['off_plan'] is None


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_overrides_are_what_is_followed(tmp_path, written, inject):
  """From the session on in which they are in force."""
  logs = tmp_path / 'logs'
  state = train(logs, state_of(optimizer(inject=inject)), range(20), 0)
  state = fs.set_hyperparams(state, learning_rate=0.03)
  train(logs, state, range(20, 40), 20)
  data, curves = written(total_steps=50)
  steps = np.arange(50)
  expected = np.where(steps < 20, LR(steps), np.float32(0.03))
  assert_is(curves['learning_rate']['planned'], steps, expected)
  assert data['hyperparams']['learning_rate']['off_plan'] is None
  assert data['sessions'][1]['changes']


def test_overrides_within_a_session(tmp_path, written):
  """They are in the record of the step at which they came, and so their end."""
  state = state_of(optimizer(inject=fs.inject_stateful_hyperparams))
  change = {
    15: lambda state: fs.set_hyperparams(state, learning_rate=0.5),
    18: lambda state: fs.set_hyperparams(state, learning_rate=None),
    20: lambda state: fs.set_hyperparams(state, weight_decay=0.2),
  }
  train(tmp_path / 'logs', state, range(30), change=change)
  data, curves = written()
  steps = np.arange(100)
  inside = (steps >= 15) & (steps < 18)
  expected = np.where(inside, np.float32(0.5), LR(steps))
  assert_is(curves['learning_rate']['planned'], steps, expected)
  for each in data['hyperparams'].values():
    assert each['off_plan'] is None
  (session,) = data['sessions']
  assert [
    tuple(change[key] for key in ('step', 'name', 'field', 'before', 'now'))
    for change in session['changes']
  ] == [
    (15, 'learning_rate', 'override', None, 0.5),
    (18, 'learning_rate', 'override', 0.5, None),
    (20, 'weight_decay', 'override', None, 0.2),
  ]


@pytest.mark.parametrize('every', [1, 10])
def test_a_longer_schedule_within_a_session(tmp_path, written, every):
  """Of the same kind: only numbers of the state are others."""
  state = state_of(optimizer(inject=fs.inject_stateful_hyperparams))
  longer = fs.warmup_cosine_decay_schedule(0.0, 0.1, 10, 150, 0.001)
  change = {20: lambda state: fs.set_schedules(state, learning_rate=longer)}
  logs = tmp_path / 'logs'
  train(logs, state, range(80), change=change, every_steps=every)
  data, curves = written()
  steps = np.arange(160)
  expected = np.where(steps < 20, LR(steps), longer(steps))
  assert_is(curves['learning_rate']['planned'], steps, expected)
  assert data['hyperparams']['learning_rate']['off_plan'] is None
  (change,) = data['sessions'][0]['changes']
  assert change['text'] == 'learning_rate.schedules[1].decay_steps: 90 -> 150'
  assert change['step'] == 20


def test_values_off_the_plan(tmp_path, written, monkeypatch):
  """Marked and counted: nobody wrote down what was done."""
  monkeypatch.setattr(record, 'MOST', 1)
  state = state_of(optimizer(inject=fs.inject_stateful_hyperparams))
  change = {
    15: lambda state: fs.set_hyperparams(state, learning_rate=0.5),
    18: lambda state: fs.set_hyperparams(state, learning_rate=None),
  }
  train(tmp_path / 'logs', state, range(30), change=change)
  data, curves = written()
  off = data['hyperparams']['learning_rate']['off_plan']
  assert off == {'steps': 3, 'first': 15}
  note = (
    'what changed after step 0 is not known, and may be called off the plan'
  )
  assert note in data['notes'][0]
  assert_is(curves['learning_rate']['off the plan'], [15, 16, 17], [0.5] * 3)
  text = (tmp_path / 'report.html').read_text()
  assert 'off the plan at 3 steps, the first 15' in text
  assert text.count('class="off"') == 1


@pytest.mark.parametrize('first', [0, 1])
def test_a_count_that_starts_again(tmp_path, written, first):
  """After `reset_count` the plan does too; steps may begin anywhere."""
  logs = tmp_path / 'logs'
  state = train(logs, state_of(optimizer()), range(first, 30), first)
  state = fs.reset_count(state)
  train(logs, state, range(30, 50), 30)
  data, curves = written(total_steps=60)
  steps = np.arange(first, 60)
  expected = LR(np.where(steps < 30, steps - first, steps - 30))
  assert_is(curves['learning_rate']['planned'], steps, expected)
  assert data['hyperparams']['learning_rate']['off_plan'] is None
  texts = [change['text'] for change in data['sessions'][1]['changes']]
  assert 'b1.count: 1 -> 1, its schedule starts again' not in texts

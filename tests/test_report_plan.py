"""What a report draws as planned is the schedule, where it can tell."""

import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import metrics
from flax_sched import tensorboard
import logged_runs
from logged_runs import assert_is
from logged_runs import B1
from logged_runs import LR
from logged_runs import optimizer
from logged_runs import state_of
from logged_runs import train
from logged_runs import update

written = logged_runs.written


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_planned_is_the_schedule(tmp_path, written, inject):
  """To the bit, to the end of the run; logged is what was logged."""
  state = state_of(optimizer(inject=inject))
  train(tmp_path / 'logs', state, range(40))
  data, curves = written()
  assert (data['total_steps'], data['last_step']) == (100, 39)
  assert set(curves) == {'b1', 'learning_rate', 'loss'}
  logged = tensorboard.read_scalars(tmp_path / 'logs', '')
  for name, schedule in (('learning_rate', LR), ('b1', B1)):
    steps = np.arange(100)
    assert_is(curves[name]['planned'], steps, schedule(steps))
    assert_is(curves[name]['logged'], *logged[f'hyperparams/{name}'])
    assert data['hyperparams'][name]['off_plan'] is None
    assert data['hyperparams'][name]['steps_per_update'] == 1
    assert set(curves[name]) == {'planned', 'logged'}
  assert_is(curves['loss']['logged'], *logged['loss'])
  assert data['hyperparams']['learning_rate']['phases'] == [
    {'start': 0, 'end': 10, 'name': 'warm-up'},
    {'start': 10, 'end': 100, 'name': 'decay'},
  ]
  last = data['hyperparams']['weight_decay']['last']
  assert last == {'step': 39, 'value': 0.1}
  text = (tmp_path / 'report.html').read_text()
  assert '<td>weight_decay</td><td>0.1</td>' in text


@pytest.mark.parametrize(('given', 'total'), [(30, 30), (500, 500)])
def test_the_end_of_the_run(tmp_path, written, given, total):
  """As it is given, shorter or longer."""
  train(tmp_path / 'logs', state_of(optimizer()), range(20))
  data, curves = written(total_steps=given)
  assert data['total_steps'] == total
  assert_is(
    curves['learning_rate']['planned'], range(total), LR(np.arange(total))
  )


def test_the_logs_may_be_longer_than_the_schedules(tmp_path, written):
  """Then they say where the run ends."""
  train(tmp_path / 'logs', state_of(optimizer()), range(120))
  assert written()[0]['total_steps'] == 120


@pytest.mark.parametrize(
  ('schedule', 'total'),
  [
    (fs.multistep_schedule(0.1, [30, 60]), 60),
    (fs.constant_schedule(0.1), 5),
    (fs.exponential_decay(0.1, 0.5, 10), 5),
    (fs.cosine_decay_schedule(0.1, 20).repeat(20), 5),
    (fs.sgdr_schedule(fs.cosine_decay_schedule(0.1, 20), 20, 2.0), 5),
    (fs.wsd_schedule(0.1, 10, 70, 20), 100),
  ],
)
def test_where_schedules_end(tmp_path, written, schedule, total):
  """After their last phase or piece; what has no end says nothing."""
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=schedule)
  train(tmp_path / 'logs', state_of(tx), range(5))
  assert written()[0]['total_steps'] == total


@pytest.mark.parametrize('prefix', ['', 'train/hp/'])
def test_another_prefix(tmp_path, written, prefix):
  """The record says which scalars are hyperparameters."""
  train(tmp_path / 'logs', state_of(optimizer()), range(20), prefix=prefix)
  data, curves = written()
  assert set(data['scalars']) == {'loss'}
  lr = f'{prefix}learning_rate'
  assert_is(curves[lr]['planned'], range(100), LR(np.arange(100)))
  assert_is(curves[lr]['logged'], range(20), LR(np.arange(20)))


@pytest.mark.parametrize('every', [2, 4])
@pytest.mark.parametrize('resumed', [False, True])
def test_gradient_accumulation(tmp_path, written, every, resumed):
  """An update takes several steps: the plan is drawn so."""
  logs = tmp_path / 'logs'
  state = state_of(optax.MultiSteps(optimizer(), every))
  if resumed:
    state = train(logs, state, range(41), 0)
    train(logs, state, range(41, 90), 41)
  else:
    train(logs, state, range(90))
  data, curves = written()
  each = data['hyperparams']['learning_rate']
  assert (each['steps_per_update'], each['off_plan']) == (every, None)
  steps = np.arange(data['total_steps'])
  expected = LR(np.maximum((steps + 1) // every - 1, 0))
  assert_is(curves['learning_rate']['planned'], steps, expected)
  assert_is(curves['learning_rate']['logged'], steps[:90], expected[:90])
  assert data['total_steps'] == 100 * every + every - 1


@pytest.mark.parametrize('every', [2, 3, 5, 7, 8, 10, 100])
def test_gradient_accumulation_that_is_seldom_logged(tmp_path, written, every):
  """What is logged need not be where the updates are."""
  logs = tmp_path / 'logs'
  state = state_of(optax.MultiSteps(optimizer(), 4))
  train(logs, state, range(max(120, 4 * every)), every_steps=every)
  data, curves = written()
  for name, schedule in (('learning_rate', LR), ('b1', B1)):
    each = data['hyperparams'][name]
    assert (each['steps_per_update'], each['off_plan']) == (4, None)
    steps = np.arange(data['total_steps'])
    expected = schedule(np.maximum((steps + 1) // 4 - 1, 0))
    assert_is(curves[name]['planned'], steps, expected)
  assert data['hyperparams']['learning_rate']['phases'][1]['start'] == 43


def test_what_changes_seldom_is_planned_with_the_others(tmp_path, written):
  """A record has one count: what moves says how it advances for what rests."""
  tx = fs.inject_hyperparams(
    optax.adamw, learning_rate=LR, b1=fs.multistep_schedule(0.9, [8, 20], 0.9)
  )
  state, logs = state_of(optax.MultiSteps(tx, 4)), tmp_path / 'logs'
  train(logs, state, range(60))
  data, curves = written(total_steps=120)
  steps = np.arange(120)
  schedule = fs.multistep_schedule(0.9, [8, 20], 0.9)
  expected = schedule(np.maximum((steps + 1) // 4 - 1, 0))
  assert_is(curves['b1']['planned'], steps, expected)
  assert data['hyperparams']['b1']['steps_per_update'] == 4


def test_constants_have_a_plan_whatever_the_counts(tmp_path, written):
  """Held back or not."""
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=0.5)
  train(tmp_path / 'logs', state_of(optax.MultiSteps(tx, 4)), range(2))
  data, curves = written()
  assert curves.keys() == {'loss'}
  assert data['hyperparams']['learning_rate']['not_planned'] is None
  assert (
    '<td>learning_rate</td><td>0.5</td>'
    in (tmp_path / 'report.html').read_text()
  )


def test_counts_that_nobody_can_tell(tmp_path, written):
  """No plan is drawn, and the page says why."""
  logs, state = tmp_path / 'logs', state_of(optimizer())
  rng = np.random.default_rng(0)
  for steps in (range(40), range(40, 60)):
    writer = tensorboard.TensorBoardWriter(logs)
    with metrics.HyperparamLogger(writer) as logger:
      for step in steps:
        if step and rng.random() < 0.6:
          state = update(state)[0]
        logger.log(step, state)
  data, curves = written()
  why = data['hyperparams']['learning_rate']['not_planned']
  assert 'does not advance with the steps' in (why or '')
  assert set(curves['learning_rate']) == {'logged'}


def test_what_has_no_plan(tmp_path, written):
  """A schedule that reacts, and a function: only what was logged."""
  tx = fs.inject_stateful_hyperparams(
    optax.adamw,
    learning_rate=fs.reduce_on_plateau(0.1, patience=2),
    b1=lambda count: 0.9 - 0.001 * count,
  )
  state, logs = state_of(tx), tmp_path / 'logs'
  with metrics.HyperparamLogger(tensorboard.TensorBoardWriter(logs)) as logger:
    for step in range(20):
      state = fs.apply_gradients(state, grads=state.params, value=1.0)
      logger.log(step, state)
  data, curves = written()
  rate, b1 = (data['hyperparams'][name] for name in ('learning_rate', 'b1'))
  assert rate['not_planned'] == 'it reacts to what the run passes to it'
  assert b1['not_planned'].startswith('it follows the function ')
  assert set(curves['learning_rate']) == set(curves['b1']) == {'logged'}
  text = (tmp_path / 'report.html').read_text()
  assert 'no plan is drawn: it reacts to what the run passes to it' in text

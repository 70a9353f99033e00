"""The report of a run: what it says is what was written, planned and logged."""

import json
import re
import struct
import sys
import time

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import event_files
from flax_sched import metrics
from flax_sched import record
from flax_sched import report
from flax_sched import tensorboard
from flax_sched.cli import main as cli
from flax_sched.report import page

LR = fs.warmup_cosine_decay_schedule(0.0, 0.1, 10, 90, 0.001)
LOWER = fs.warmup_cosine_decay_schedule(0.0, 0.05, 10, 90, 0.001)
B1 = fs.linear_schedule(0.9, 0.8, 50)


def optimizer(lr=LR, inject=fs.inject_hyperparams, **more):
  """Three hyperparameters: two that are scheduled, one that is constant."""
  return inject(optax.adamw, learning_rate=lr, b1=B1, weight_decay=0.1, **more)


def state_of(tx):
  """A state before its first update."""
  state = TrainState.create(apply_fn=None, params={'w': jnp.ones(2)}, tx=tx)
  return state.replace(step=jnp.zeros((), jnp.int32))


@jax.jit
def update(state):
  """One step: the new state, and a loss."""
  loss = jnp.sum(state.params['w'] ** 2)
  return state.apply_gradients(grads=state.params), loss


def train(logdir, state, steps, first_step=None, change=None, **options):
  """A session: the state after it. `change` is applied before a step."""
  writer = tensorboard.TensorBoardWriter(logdir, first_step=first_step)
  with metrics.HyperparamLogger(writer, **options) as logger:
    for step in steps:
      state = (change or {}).get(step, lambda state: state)(state)
      state, loss = update(state)
      logger.log(step, state, loss=loss)
  return state


def figures_of(path):
  """The figures in a page, in their order."""
  text = path.read_text()
  inside = re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)
  return [*json.loads(inside[1]).values()]


@pytest.fixture
def written(tmp_path):
  """Writes the report of `logs`: its data, and the traces of each figure."""

  def write(logdir=tmp_path / 'logs', **options):
    path = tmp_path / 'report.html'
    data = report.write_report(logdir, path, **options)
    json.dumps(data, allow_nan=False)
    figures = figures_of(path)
    moving = [
      name
      for name, each in data['hyperparams'].items()
      if f'<h3>{name}<' in path.read_text()
    ]
    names = [*moving, *data['scalars']]
    return data, {
      name: {
        trace['name']: (
          np.array(trace['x'], float),
          np.array(trace['y'], float),
        )
        for trace in figure['data']
      }
      for name, figure in zip(names, figures, strict=True)
    }

  return write


def assert_is(curve, steps, values):
  """Each step and each value of a curve, to the bit."""
  np.testing.assert_array_equal(curve[0], steps)
  np.testing.assert_array_equal(np.float32(curve[1]), np.float32(values))


# ---------------------------------------------------------------------------
# Reading.


def test_sessions_are_what_was_written(tmp_path):
  """Scalars, texts and settings, start by start, in their order."""
  for first, value in ((0, 0.5), (2, 0.25)):
    writer = tensorboard.TensorBoardWriter(tmp_path, first_step=first)
    writer.write_hparams({'lr': {'peak': value}, 'name': 'a', 'on': True})
    for step in range(first, first + 3):
      writer.write_scalars(step, {'x': value + step, 'y': step})
    writer.write_texts(first, {'note': f'from {first}'})
    writer.close()
  one, two = event_files.read_sessions(tmp_path)
  assert (one.first_step, two.first_step) == (0, 2)
  assert one.started <= two.started <= time.time()
  assert one.tags == ['x', 'y']
  assert_is(two.scalar('x'), [2, 3, 4], [2.25, 3.25, 4.25])
  assert one.texts == {'note': [(0, 'from 0')]}
  assert two.config == {'lr/peak': 0.25, 'name': 'a', 'on': True}


def test_a_file_without_restarts_is_a_session(tmp_path):
  """As others than this library write them."""
  for first in (0, 2):
    writer = tensorboard.TensorBoardWriter(tmp_path)
    writer.write_scalars(first, {'x': first})
    writer.close()
  one, two = event_files.read_sessions(tmp_path)
  assert (one.first_step, two.first_step) == (None, None)
  assert_is(two.scalar('x'), [2], [2])


@pytest.mark.tensorflow
def test_sessions_of_clus_writers(tmp_path):
  """Theirs are tensors, in files of their own; the restart is in another."""
  for first in (0, 2):
    writer = metrics.create_writer(tmp_path, first_step=first)
    with metrics.HyperparamLogger(writer) as logger:
      logger.write_hparams({'optimizer': {'name': 'adamw', 'peak': 0.5}})
      state = state_of(optimizer())
      for step in range(first, 4):
        state, loss = update(state)
        logger.log(step, state, loss=loss)
    time.sleep(1.1)  # the names of TensorFlow's files tell seconds apart
  one, two = event_files.read_sessions(tmp_path)
  assert (one.first_step, two.first_step) == (0, 2)
  assert two.config == {'optimizer.name': 'adamw', 'optimizer.peak': 0.5}
  ((step, text),) = two.texts['hyperparams/record']
  assert step == 2
  assert record.from_text(text)['hyperparams']['learning_rate']['count'] == 1
  assert_is(one.scalar('hyperparams/b1'), range(4), B1(np.arange(4)))


def test_what_another_writer_adds_is_no_session(tmp_path, written):
  """Such as an evaluation beside the training."""
  train(tmp_path / 'logs', state_of(optimizer()), range(10), first_step=0)
  writer = tensorboard.TensorBoardWriter(tmp_path / 'logs')
  writer.write_scalars(4, {'eval/loss': 0.5})
  writer.close()
  data, curves = written()
  assert len(data['sessions']) == 1
  assert data['sessions'][0]['superseded'] == 0
  assert len(curves['loss']['logged'][0]) == 10
  assert_is(curves['eval/loss']['logged'], [4], [0.5])


# ---------------------------------------------------------------------------
# Planned and logged.


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


def resume(tmp_path, step, tx, **options):
  """The state of a checkpoint, for another optimizer."""
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    return checkpoint.restore(manager, state_of(tx), step=step, **options)


def save(tmp_path, step, state):
  """A checkpoint."""
  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    checkpoint.save(manager, step, state)


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


def test_values_off_the_plan(tmp_path, written):
  """Marked and counted: nobody wrote down what was done."""
  state = state_of(optimizer(inject=fs.inject_stateful_hyperparams))
  change = {
    15: lambda state: fs.set_hyperparams(state, learning_rate=0.5),
    18: lambda state: fs.set_hyperparams(state, learning_rate=None),
  }
  train(tmp_path / 'logs', state, range(30), change=change)
  data, curves = written()
  off = data['hyperparams']['learning_rate']['off_plan']
  assert off == {'steps': 3, 'first': 15}
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


# ---------------------------------------------------------------------------
# Logs of other kinds.


def without_record(logs, steps, scalars=None):
  """A log as before there were records."""
  writer = tensorboard.TensorBoardWriter(logs)
  for step in steps:
    values = {'hyperparams/learning_rate': LR(step), **(scalars or {})}
    writer.write_scalars(step, values)
  writer.close()


def test_no_record_but_a_checkpoint(tmp_path, written):
  """What it remembers is the plan."""
  without_record(tmp_path / 'logs', range(20))
  state = state_of(optimizer())
  for _ in range(20):
    state, _ = update(state)
  save(tmp_path, 20, state)
  data, curves = written()
  (note,) = data['notes']
  assert note.endswith(f'that of the checkpoint {tmp_path}/checkpoints/20.')
  assert_is(curves['learning_rate']['planned'], range(100), LR(np.arange(100)))
  assert data['hyperparams']['learning_rate']['off_plan'] is None


def test_the_checkpoint_of_a_population_is_no_plan(tmp_path, written):
  """Its members have a value each; the logs are of one run."""
  without_record(tmp_path / 'logs', range(20))
  tx = optimizer(inject=fs.inject_stateful_hyperparams)
  save(tmp_path, 1, jax.vmap(tx.init)({'w': jnp.ones((3, 2))}))
  data, curves = written()
  assert 'no checkpoint beside them does' in data['notes'][0]
  assert set(curves['learning_rate']) == {'logged'}


def test_no_record_at_all(tmp_path, written):
  """Only what was logged, and the page says so."""
  without_record(tmp_path / 'logs', range(20))
  data, curves = written()
  assert 'there is only what was logged' in data['notes'][0]
  assert set(curves['learning_rate']) == {'logged'}
  assert data['hyperparams']['learning_rate']['not_planned'] == (
    'there is no record'
  )


@pytest.mark.parametrize(
  ('text', 'notes'),
  [
    (record.to_text({'format': 99, 'hyperparams': {}}), 1),
    ('```json\n{"format": 1,\n```', 0),
    ('notes of a user', 0),
    (record.to_text({'format': 1, 'hyperparams': {'a': {'count': 1}}}), 0),
    (record.to_text({'format': 1, 'hyperparams': {'a': None}}), 0),
  ],
)
def test_records_of_another_kind(tmp_path, written, text, notes):
  """A newer version's is named; what is no record is none."""
  without_record(tmp_path / 'logs', range(5))
  writer = tensorboard.TensorBoardWriter(tmp_path / 'logs')
  writer.write_texts(0, {'hyperparams/record': text})
  writer.close()
  data, _ = written()
  found = [note for note in data['notes'] if 'format 99' in note]
  assert len(found) == notes


def test_a_torn_file(tmp_path, written):
  """What is complete is shown."""
  logs = tmp_path / 'logs'
  train(logs, state_of(optimizer()), range(20), 0)
  (path,) = logs.iterdir()
  path.write_bytes(path.read_bytes()[:-40])
  data, curves = written()
  assert data['last_step'] == 18
  assert_is(curves['b1']['logged'], range(19), B1(np.arange(19)))


def test_numbers_that_are_not_finite(tmp_path, written):
  """A gap in the curve, and a warning."""
  writer = tensorboard.TensorBoardWriter(tmp_path / 'logs')
  for step, loss in enumerate([1.0, np.nan, np.inf, 2.0]):
    writer.write_scalars(step, {'loss': loss})
  writer.close()
  data, curves = written()
  assert data['scalars']['loss']['not_finite'] == {'steps': 2, 'first': 1}
  assert_is(curves['loss']['logged'], range(4), [1.0, np.nan, np.nan, 2.0])
  text = (tmp_path / 'report.html').read_text()
  assert 'not finite at 2 steps, the first 1' in text


NASTY = '</script><script>alert("x")</script>&<b>'


def test_texts_of_the_user_are_texts(tmp_path, written):
  """Whatever a tag, a setting or a path is called."""
  logs = tmp_path / 'a<b>&'
  state = state_of(optimizer())
  with metrics.HyperparamLogger(tensorboard.TensorBoardWriter(logs)) as logger:
    logger.write_hparams({NASTY: NASTY})
    state, _ = update(state)
    logger.log(0, state, **{NASTY: 1.0})
  data, _ = written(logs)
  assert NASTY in data['scalars']
  assert data['config'] == {NASTY: NASTY}
  text = (tmp_path / 'report.html').read_text()
  assert '<b>' not in text.replace('&nbsp;<b>', '').partition('<script>')[0]
  assert text.count('alert(') == text.count('alert(&quot;x')
  assert text.count('<script') == text.count('</script>') == 3


def test_no_text_ends_the_data_of_the_figures(tmp_path):
  """Whatever a figure has in it comes back as it was."""
  figure = {'data': [{'type': 'scatter', 'name': NASTY}], 'layout': {}}
  text = page.page('', [], {'a': {**figure, 'phases': [[0, 1, NASTY]]}})
  (tmp_path / 'page.html').write_text(text)
  (read,) = figures_of(tmp_path / 'page.html')
  assert (read['data'][0]['name'], read['phases'][0][2]) == (NASTY, NASTY)


# ---------------------------------------------------------------------------
# Long runs.


@pytest.mark.slow
def test_a_long_run(tmp_path, written):
  """A million steps: a small page, soon, with each lowest and highest value."""
  from tensorboardX.proto import event_pb2

  total = 10**6
  schedule = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 10_000, 990_000)
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=schedule)
  train(tmp_path / 'logs', state_of(tx), range(1))
  (path,) = (tmp_path / 'logs').iterdir()
  values = np.asarray(schedule(np.arange(total)), np.float32)
  loss = np.random.default_rng(0).normal(size=total).astype(np.float32)
  loss[654_321] = 77.0
  values[123_456] *= 2
  with path.open('ab') as file:
    for step in range(1, total):
      event = event_pb2.Event(step=step)
      event.summary.value.add(
        tag='hyperparams/learning_rate', simple_value=values[step]
      )
      event.summary.value.add(tag='loss', simple_value=loss[step])
      data = event.SerializeToString()
      file.write(struct.pack('<Q4x', len(data)) + data + bytes(4))
  start = time.monotonic()
  data, curves = written()
  print(time.monotonic() - start)
  size = (tmp_path / 'report.html').stat().st_size
  assert size < 6e6  # that of the library that draws is about 4.8e6
  each = data['hyperparams']['learning_rate']
  assert each['off_plan'] == {'steps': 1, 'first': 123_456}
  assert each['logged'] == data['total_steps'] == total
  steps, drawn = curves['loss']['logged']
  assert len(steps) <= 2002
  assert (drawn.max(), np.float32(drawn.min())) == (77.0, loss[1:].min())
  np.testing.assert_array_equal(
    np.float32(drawn)[1:], loss[steps[1:].astype(int)]
  )
  steps, planned = curves['learning_rate']['planned']
  np.testing.assert_array_equal(
    np.float32(planned), schedule(steps.astype(int))
  )
  assert planned.max() == np.float32(1e-3).astype(float) or 10_000 in steps


# ---------------------------------------------------------------------------
# The command.


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
  """Runs a command in an empty directory: code, output, error."""
  monkeypatch.chdir(tmp_path)

  def call(*argv):
    capsys.readouterr()
    code = cli.main(['report', *map(str, argv)])
    return code, *capsys.readouterr()

  return call


def test_the_command(run, tmp_path):
  """It writes the page where it is told to, and says what is off the plan."""
  state = state_of(optimizer(inject=fs.inject_stateful_hyperparams))
  change = {5: lambda state: fs.set_hyperparams(state, b1=0.5)}
  train(tmp_path / 'logs', state, range(10), change=change)
  code, out, err = run('logs')
  assert (code, err) == (0, '')
  assert out == (
    'b1 is off the plan at 5 of 10 steps, the first 5.\nwrote report.html\n'
  )
  assert (tmp_path / 'report.html').read_text().startswith('<!doctype html>')
  code, out, err = run('logs', '-o', 'a.html', '--total-steps', '50', '--json')
  assert (code, err) == (0, '')
  data = json.loads(out, parse_constant=pytest.fail)
  assert data == {
    **report.write_report('logs', 'b.html', total_steps=50),
    'output': 'a.html',
  }
  assert (tmp_path / 'a.html').read_text() == (tmp_path / 'b.html').read_text()


def test_errors_of_the_command(run, tmp_path):
  """One line each, with the remedy."""
  (tmp_path / 'work').mkdir()
  without_record(tmp_path / 'work' / 'logs', range(3))
  for argv, said in (
    (['nowhere'], 'nowhere: no such directory.'),
    (
      ['work'],
      'work: holds no TensorBoard event files. Did you mean work/logs?',
    ),
    (['work/logs', '--total-steps', '0'], 'total_steps must be a positive int'),
    (['work/logs', '-o', 'none/a.html'], 'none/a.html'),
  ):
    code, out, err = run(*argv)
    assert (code, out, err.count('\n')) == (2, '', 1)
    assert said in err


def test_without_plotly(tmp_path, monkeypatch):
  """The error names the extra."""
  without_record(tmp_path / 'logs', range(3))
  monkeypatch.setitem(sys.modules, 'plotly', None)
  with pytest.raises(ImportError, match=r'pip install flax-sched\[report\]'):
    report.write_report(tmp_path / 'logs', tmp_path / 'report.html')
  assert not (tmp_path / 'report.html').exists()

"""Schedules and optimizers from configs."""

import inspect
import json
import pathlib
import re
import subprocess
import sys

import jax
from jax import numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import catalog
from flax_sched import tensorboard
from flax_sched.config import build_optimizer
from flax_sched.config import build_schedule
from flax_sched.config import build_schedules
from flax_sched.config import Run
from flax_sched.config import to_config
from flax_sched.spans import Steps
import zoo

ROOT = pathlib.Path(__file__).parent.parent

WARMUP = {
  'name': 'warmup_cosine_decay_schedule',
  'init_value': 0.0,
  'peak_value': 1e-3,
  'warmup_steps': 10,
  'decay_steps': 90,
}


def json_round_trip(config):
  """What another program would read."""
  return json.loads(ml_collections.ConfigDict(config).to_json())


FORMS = [
  dict,
  ml_collections.ConfigDict,
  ml_collections.FrozenConfigDict,
  json_round_trip,
]


@pytest.mark.parametrize('form', FORMS)
def test_every_form_of_a_mapping(form):
  """A dict, a (Frozen)ConfigDict and JSON build one schedule."""
  assert build_schedule(form(WARMUP)) == fs.warmup_cosine_decay_schedule(
    0.0, 1e-3, 10, 90
  )


CALLS = [
  entry
  for entry in zoo.ZOO
  if entry.call is not None and entry.call['name'] != 'as_schedule'
]


def plain(x):
  """A call's arguments as a config has them."""
  if isinstance(x, dict):
    return {str(key): plain(value) for key, value in x.items()}
  if isinstance(x, (tuple, list, range)):
    return tuple(map(plain, x))
  return x


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('entry', CALLS, ids=lambda entry: entry.name)
def test_every_schedule_function_has_a_name(entry, form):
  """What its call with these arguments builds, in every form of a mapping."""
  assert build_schedule(form(plain(entry.call))) == entry.schedule


def test_no_schedule_function_is_left_out():
  """The catalog is what the package offers, and the tests have all of it."""
  public = {
    name
    for name in fs.__all__
    if inspect.isfunction(getattr(fs, name))
    and inspect.signature(getattr(fs, name)).return_annotation
    in ('Schedule', 'ReduceOnPlateau')
  }
  assert public - {'stack_schedules', 'as_schedule'} == set(catalog.FUNCTIONS)
  with_schedules = {
    'cooldown_schedule',
    'follow',
    'join_schedules',
    'k_decay_schedule',
    'maximum',
    'minimum',
    'reduce_on_plateau',
    'sgdr_schedule',
    'warmup_schedule',
  }
  called = {entry.call['name'] for entry in CALLS}
  assert set(catalog.FUNCTIONS) - called == with_schedules


COSINE = {'name': 'cosine_decay_schedule', 'init_value': 1.0, 'decay_steps': 10}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
  ('config', 'expected'),
  [
    (
      {'name': 'follow', 'schedule': COSINE, 'function': {'0': 1.0, '1': 0.5}},
      lambda cosine: fs.follow(cosine, {0.0: 1.0, 1.0: 0.5}),
    ),
    (
      {
        'name': 'Follow',
        'schedule': COSINE,
        'points': (0.0, 1.0),
        'values': (1.0, 0.5),
      },
      lambda cosine: fs.follow(cosine, {0.0: 1.0, 1.0: 0.5}),
    ),
    (
      {'name': 'k_decay_schedule', 'schedule': COSINE, 'k': 2},
      lambda cosine: fs.k_decay_schedule(cosine, 2),
    ),
    (
      {'name': 'maximum', 'schedules': {'s0': COSINE, 's1': 0.5}},
      lambda cosine: fs.maximum(cosine, 0.5),
    ),
    (
      {'name': 'minimum', 'schedules': {'s7': COSINE, 's8': 0.5}},
      lambda cosine: fs.minimum(cosine, 0.5),
    ),
    (
      {'name': 'warmup_schedule', 'schedule': COSINE, 'warmup_steps': 5},
      lambda cosine: fs.warmup_schedule(cosine, 5),
    ),
    (
      {
        'name': 'sgdr_schedule',
        'cosine_decay_schedule': COSINE,
        'restart_period': 5,
      },
      lambda cosine: fs.sgdr_schedule(cosine, 5),
    ),
    (
      {'name': 'Multiply', 'schedules': {'s0': COSINE, 's1': 0.5}},
      lambda cosine: cosine * 0.5,
    ),
    (
      {'name': 'Subtract', 'schedules': {'a1': 1.0, 'b2': COSINE}},
      lambda cosine: 1.0 - cosine,
    ),
    (
      {'name': 'Shift', 'schedule': COSINE, 'begin': -5.0},
      lambda cosine: cosine.shift(-5),
    ),
    (
      {'name': 'Every', 'schedule': COSINE, 'steps': 7},
      lambda cosine: cosine.every(7),
    ),
    (
      {'name': 'Repeat', 'schedule': COSINE, 'period': 1e1},
      lambda cosine: cosine.repeat(10),
    ),
  ],
)
def test_schedules_of_schedules(form, config, expected):
  """By the name of the function, or of the class that an operator makes."""
  cosine = fs.cosine_decay_schedule(1.0, 10)
  assert build_schedule(form(config)) == expected(cosine)


@zoo.parametrize(lambda entry: not zoo.holds_function(entry.schedule))
def test_round_trips(entry):
  """Schedule -> config -> JSON -> schedule, ConfigDict and back: the same."""
  config = to_config(entry.schedule)
  assert build_schedule(config) == entry.schedule
  assert build_schedule(json.loads(json.dumps(config))) == entry.schedule
  frozen = ml_collections.FrozenConfigDict(config)
  schedule = build_schedule(frozen)
  assert schedule == entry.schedule
  assert to_config(schedule) == config
  leaves = zip(
    jax.tree.leaves(schedule), jax.tree.leaves(entry.schedule), strict=True
  )
  if not entry.name.startswith('user'):
    assert all(a.dtype == b.dtype for a, b in leaves)


def test_numbers_and_schedules():
  """A number is a constant; a schedule and a callable stand for themselves."""
  assert build_schedule(0.5) == fs.constant_schedule(0.5)
  assert build_schedule(np.float32(0.5)) == fs.constant_schedule(0.5)
  schedule = fs.linear_schedule(1.0, 0.0, 10)
  assert build_schedule(schedule) is schedule
  assert build_schedule(optax.constant_schedule(0.25))(3) == 0.25


def test_integral_floats_are_step_counts():
  """As a person writes them on the command line."""
  assert build_schedule({**WARMUP, 'decay_steps': 9e1}) == build_schedule(
    WARMUP
  )


def test_field_references_are_resolved():
  """A length that follows another one is read when the schedule is built."""
  config = ml_collections.ConfigDict({'total': 100, 'schedule': WARMUP})
  config.schedule.decay_steps = config.get_ref('total') - 10
  config.total = 200
  assert build_schedule(config.schedule) == fs.warmup_cosine_decay_schedule(
    0.0, 1e-3, 10, 190
  )


PARTS = {
  's10': 3.0,
  's9': {
    'name': 'linear_schedule',
    'init_value': 2.0,
    'end_value': 3.0,
    'transition_steps': 5,
  },
  's1': 1.0,
}


@pytest.mark.parametrize('form', FORMS)
def test_a_join_orders_its_parts_by_number(form):
  """Not by insertion, which a ConfigDict loses, nor as strings: s10 < s9."""
  config = {'name': 'join_schedules', 'schedules': PARTS, 'boundaries': (5, 10)}
  joined = build_schedule(form(config))
  assert joined == fs.join_schedules(
    [1.0, fs.linear_schedule(2.0, 3.0, 5), 3.0], [5, 10]
  )


def test_a_join_of_a_sequence_and_nested_joins():
  """Lists, and joins inside joins inside a cycle of configs."""
  inner = {'name': 'join_schedules', 'schedules': [1.0, 2.0], 'boundaries': [3]}
  outer = {
    'name': 'join_schedules',
    'schedules': {'0_first': inner, '1_then': WARMUP},
    'boundaries': [10],
  }
  assert build_schedule(outer) == fs.join_schedules(
    [fs.join_schedules([1.0, 2.0], [3]), build_schedule(WARMUP)], [10]
  )


@pytest.mark.parametrize(
  'scales',
  [
    {'boundaries_and_scales': {5: 1.0, 10: 0.5}},
    {'boundaries_and_scales': {'5': 1.0, '10': 0.5}},
    {'boundaries_and_scales': ml_collections.ConfigDict({5: 1.0, 10: 0.5})},
    {'boundaries': (5, 10), 'scales': (1.0, 0.5)},
    {'boundaries': [5.0, 10.0], 'scales': [1, 0.5]},
  ],
)
def test_boundaries_and_scales_in_every_form(scales):
  """A mapping with integer or string keys, or two sequences."""
  expected = fs.piecewise_constant_schedule({5: 1.0, 10: 0.5}, 2.0)
  config = {
    'name': 'piecewise_constant_schedule',
    'init_value': 2.0,
    **scales,
  }
  assert build_schedule(config) == expected
  assert build_schedule(ml_collections.ConfigDict(config)) == expected


def without(config, key):
  """The config less one key."""
  return {k: v for k, v in config.items() if k != key}


PIECEWISE = {'name': 'piecewise_constant_schedule'}
JOIN = {'name': 'join_schedules'}


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    (
      without(WARMUP, 'name'),
      r'^lr\.name is missing: it says which schedule this is\. There are '
      r'init_value, .*\. Known are adafactor_decay_schedule, ',
    ),
    (
      {**WARMUP, 'name': 'warmup_cosine_schedule'},
      r"^lr\.name: 'warmup_cosine_schedule' is no known schedule\. Did you "
      r"mean 'warmup_cosine_decay_schedule'\? Known are adafactor_decay_sche",
    ),
    ({**WARMUP, 'name': 3}, r'^lr\.name: 3 is no known schedule\. Known are'),
    (
      {**without(WARMUP, 'peak_value'), 'peak_valeu': 1.0},
      r"^lr\.peak_valeu: unknown key\. Did you mean 'peak_value'\? "
      r'warmup_cosine_decay_schedule takes init_value, peak_value, '
      r'warmup_steps, decay_steps, end_value, exponent\.$',
    ),
    (
      without(WARMUP, 'peak_value'),
      r'^lr\.peak_value is missing\. warmup_cosine_decay_schedule takes init_v',
    ),
    (
      {**WARMUP, 'decay_steps': 0},
      r'^lr: warmup_cosine_decay_schedule: decay_steps must be a positive',
    ),
    (
      {
        **JOIN,
        'schedules': {'s0': 1.0, 's1': {**WARMUP, 'peak': 1}},
        'boundaries': (1,),
      },
      r'^lr\.schedules\.s1\.peak: unknown key\.',
    ),
    (
      {
        **JOIN,
        'schedules': [1.0, without(WARMUP, 'warmup_steps')],
        'boundaries': (1,),
      },
      r'^lr\.schedules\.1\.warmup_steps is missing\.',
    ),
    (
      {**JOIN, 'schedules': {'warmup': 1.0, 'decay': 2.0}, 'boundaries': (1,)},
      r"^lr\.schedules\.warmup: the keys must hold the place .*'0_warmup'",
    ),
    (
      {**JOIN, 'schedules': {'s1': 1.0, 't1': 2.0}, 'boundaries': (1,)},
      r'^lr\.schedules\.t1: the keys must hold the place',
    ),
    (
      {**JOIN, 'schedules': 'constant', 'boundaries': ()},
      r"^lr\.schedules must be a sequence or a mapping of schedules, got 'cons",
    ),
    (
      {**JOIN, 'schedules': (1.0,), 'boundaries': (1,)},
      r'^lr: join_schedules: boundaries must be one fewer',
    ),
    (
      {
        'name': 'sgdr_schedule',
        'restart_period': 10,
        'cosine_decay_schedule': {'name': 'cosine_decay_schedule'},
      },
      r'^lr\.cosine_decay_schedule\.init_value is missing\.',
    ),
    (
      PIECEWISE,
      r'^lr\.boundaries_and_scales is missing\. Give it as a mapping, or give '
      r'boundaries and scales\. piecewise_constant_schedule takes boundaries_',
    ),
    (
      {**PIECEWISE, 'boundaries': (1,)},
      r'^lr\.scales is missing beside boundaries\.',
    ),
    (
      {**PIECEWISE, 'boundaries': (1,), 'scales': (1, 2)},
      r'^lr\.scales must be as many as boundaries, got 2 scales for 1 bound',
    ),
    (
      {**PIECEWISE, 'boundaries': (1, 1), 'scales': (1, 2)},
      r'^lr\.boundaries must differ, got \(1, 1\)\.',
    ),
    (
      {**PIECEWISE, 'boundaries': 5, 'scales': (1,)},
      r'^lr\.boundaries must be a sequence of numbers, got 5\.',
    ),
    (
      {
        **PIECEWISE,
        'boundaries': (1,),
        'scales': (1,),
        'boundaries_and_scales': {1: 1},
      },
      r'^lr\.boundaries: .* must not be given beside boundaries_and_scales',
    ),
  ],
)
def test_errors_of_schedules_say_where(config, message):
  """With the path, the accepted names and the nearest one."""
  with pytest.raises(ValueError, match=message):
    build_schedule(config, path='lr')


def test_a_wrong_type_says_where():
  """As the schedule function's own error, with the path before it."""
  with pytest.raises(
    TypeError, match=r'^a\.lr: warmup_cosine_decay_schedule: peak_value must be'
  ):
    build_schedule({**WARMUP, 'peak_value': '1e-3'}, path='a.lr')
  with pytest.raises(ValueError, match=r'^lr: a string must be a name in sche'):
    build_schedule('cosine', path='lr')


def test_errors_without_a_path():
  """The top level has no name."""
  with pytest.raises(ValueError, match=r'^peak_valeu: unknown key'):
    build_schedule({**WARMUP, 'peak_valeu': 1.0})
  with pytest.raises(ValueError, match=r'^warmup_cosine_decay_schedule: decay'):
    build_schedule({**WARMUP, 'decay_steps': -1})


@pytest.mark.parametrize('form', FORMS)
def test_an_optimizer_is_what_inject_hyperparams_makes(form):
  """The same updates and the same hyperparameters."""
  config = {
    'name': 'adamw',
    'learning_rate': WARMUP,
    'weight_decay': 0.1,
    'nesterov': True,
  }
  tx = build_optimizer(form(config))
  expected = fs.inject_hyperparams(
    optax.adamw,
    learning_rate=build_schedule(WARMUP),
    weight_decay=0.1,
    nesterov=True,
  )
  params = {'w': jnp.arange(3.0)}
  state, expected_state = tx.init(params), expected.init(params)
  for _ in range(3):
    updates, state = tx.update(params, state, params)
    expected_updates, expected_state = expected.update(
      params, expected_state, params
    )
    np.testing.assert_array_equal(updates['w'], expected_updates['w'])
  assert fs.hyperparams(state) == fs.hyperparams(expected_state)
  assert set(fs.hyperparams(state)) == {'learning_rate', 'weight_decay'}


def test_what_is_no_hyperparameter_passes_through():
  """A mask that is a function, a dtype, a number of steps."""

  def mask(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)

  config = ml_collections.ConfigDict(
    {'name': 'adamw', 'learning_rate': 0.1, 'mu_dtype': 'bfloat16'}
  )
  config.mask = mask
  params = {'w': jnp.ones((2, 2)), 'b': jnp.ones(2)}
  state = build_optimizer(config).init(params)
  assert set(fs.hyperparams(state)) == {'learning_rate'}
  assert optax.tree.get(state, 'mu')['w'].dtype == jnp.bfloat16


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    (
      0.1,
      r"^optimizer: an optimizer must be a mapping with a 'name'.* got 0\.1",
    ),
    (
      {'learning_rate': 0.1},
      r'^optimizer\.name is missing: it says which optimizer this is\. There '
      r'are learning_rate\. Known are adabelief, ',
    ),
    (
      {'name': 'admw', 'learning_rate': 0.1},
      r"^optimizer\.name: 'admw' is no known optimizer\. Did you mean "
      r"'adamw'\? Known are adabelief, ",
    ),
    # Its updates would climb the gradient.
    (
      {'name': 'scale_by_adam'},
      r"^optimizer\.name: 'scale_by_adam' is no known",
    ),
    (
      {'name': 'adamw'},
      r'^optimizer\.learning_rate is missing\. adamw takes le',
    ),
    (
      {'name': 'adamw', 'learning_rate': 0.1, 'weight_dacay': 0.1},
      r"^optimizer\.weight_dacay: unknown key\. Did you mean 'weight_decay'\? "
      r'adamw takes learning_rate, b1, b2',
    ),
    (
      {'name': 'adamw', 'learning_rate': {**WARMUP, 'peak_valeu': 1}},
      r'^optimizer\.learning_rate\.peak_valeu: unknown key',
    ),
    (
      {'name': 'sgd', 'learning_rate': float('nan')},
      r'^optimizer: inject_hyperparams: learning_rate must be finite',
    ),
  ],
)
def test_errors_of_optimizers_say_where(config, message):
  """With the path, the accepted names and the nearest one."""
  with pytest.raises(ValueError, match=message):
    build_optimizer(config)


def run_main(workdir, *arguments):
  """The digits example, as a user runs it."""
  return subprocess.run(
    [
      sys.executable,
      str(ROOT / 'examples/digits/main.py'),
      f'--workdir={workdir}',
      *arguments,
    ],
    capture_output=True,
    text=True,
    env={'PYTHONPATH': str(ROOT), 'PATH': '', 'JAX_PLATFORMS': 'cpu'},
  )


def test_overrides_on_the_command_line(tmp_path):
  """A number, a length that others follow, and a whole schedule."""
  done = run_main(
    tmp_path,
    '--config.total_steps=3',
    '--config.optimizer.learning_rate.peak_value=0.5',
    '--config.optimizer.learning_rate.init_value=0.25',
    '--config.optimizer.learning_rate.warmup_steps=2',
    '--config.optimizer.b2={"name": "constant_schedule", "value": 0.75}',
    '--config.optimizer.weight_decay={"name": "piecewise_constant_schedule",'
    ' "boundaries": (1, 3), "scales": (0.5, 0.125)}',
  )
  assert done.returncode == 0, done.stderr
  logged = tensorboard.read_scalars(tmp_path / 'logs')
  expected = {
    'learning_rate': [0.25, 0.375, 0.5],
    'b2': [0.75] * 3,
    'weight_decay': [0.5, 0.125, 0.125],
  }
  assert set(logged) == set(expected)
  for name, values in expected.items():
    np.testing.assert_array_equal(logged[name][0], [0, 1, 2])
    np.testing.assert_array_equal(logged[name][1], np.float32(values))


def test_a_misspelt_override_is_refused(tmp_path):
  """By ml_collections for a new key, by us for a name."""
  done = run_main(tmp_path, '--config.optimizer.learning_rate.peak_valeu=1e-3')
  assert done.returncode != 0
  assert 'peak_value' in done.stderr
  done = run_main(tmp_path, '--config.optimizer.name=admw')
  assert done.returncode != 0
  assert re.search(
    r"optimizer\.name: 'admw' is no known optimizer\. Did you mean 'adamw'",
    done.stderr,
  )
  assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------
# Durations, shared schedules, registered names.

RUN = {
  'total_steps': 10_000,
  'steps_per_epoch': 125,
  'batch_size': 256,
  'tokens_per_batch': 2048,
}


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
  ('warmup', 'decay', 'steps'),
  [
    ('5%', '95%', (500, 9500)),
    (500, '100% - 500', (500, 9500)),
    ('2ep', '10ep', (250, 1250)),
    ('25600ex', 1e3, (100, 1000)),
    ('1e6tok', '0.5%', (488, 50)),
    ('33.3%', '66.7%', (3330, 6670)),
    ('500', '500 steps', (500, 500)),
  ],
)
def test_durations(form, warmup, decay, steps):
  """Shares of the run, epochs, examples, tokens and plain steps mix."""
  config = {**WARMUP, 'warmup_steps': warmup, 'decay_steps': decay}
  expected = fs.warmup_cosine_decay_schedule(0.0, 1e-3, *steps)
  assert build_schedule(form(config), run=form(RUN)) == expected
  assert build_schedule(form(config), run=Run(**RUN)) == expected


def test_durations_everywhere():
  """In boundaries, keys, parts of joins, classes, and optimizers."""
  steps = {
    'name': 'piecewise_constant_schedule',
    'boundaries_and_scales': {'10%': 1.0, '5000': 0.5, '100%': 0.1},
  }
  built = build_schedule(steps, run=RUN)
  assert built == fs.piecewise_constant_schedule(
    {1000: 1.0, 5000: 0.5, 10_000: 0.1}
  )
  pairs = {
    'name': 'piecewise_constant_schedule',
    'boundaries': ('10%', 5000, '100%'),
    'scales': (1.0, 0.5, 0.1),
  }
  assert build_schedule(pairs, run=RUN) == built
  multistep = {
    'name': 'multistep_schedule',
    'init_value': 0.1,
    'boundaries': ('30ep', '60ep', '80%'),
  }
  assert build_schedule(multistep, run=RUN) == fs.multistep_schedule(
    0.1, [3750, 7500, 8000]
  )
  shifted = {'name': 'Shift', 'schedule': WARMUP, 'begin': '1%'}
  assert build_schedule(shifted, run=RUN) == build_schedule(WARMUP).shift(100)
  joined = {
    'name': 'join_schedules',
    'schedules': {'s0': 1.0, 's1': {**WARMUP, 'decay_steps': '40%'}},
    'boundaries': ('50%',),
  }
  assert build_schedule(joined, run=RUN) == fs.join_schedules(
    [1.0, fs.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 4000)], [5000]
  )
  optimizer = {'name': 'sgd', 'learning_rate': {**WARMUP, 'decay_steps': '9%'}}
  state = build_optimizer(optimizer, run=RUN).init(jnp.ones(2))
  assert '"decay_steps": 900' in state.spec or '"decay_steps":900' in state.spec


def test_a_batch_size_ramp():
  """A phase of examples is as long as its place in the run makes it."""
  ramp = {**RUN, 'batch_size': {'0': 100, '1000': 200}}
  config = {
    'name': 'wsd_schedule',
    'peak_value': 1.0,
    'warmup_steps': '50_000ex',
    'stable_steps': '100_000ex',
    'decay_steps': '50_000ex',
  }
  # 500 steps of 100; then 500 of 100 and 250 of 200; then 250 of 200.
  assert build_schedule(config, run=ramp) == fs.wsd_schedule(1.0, 500, 750, 250)
  late = {
    'name': 'join_schedules',
    'schedules': (1.0, config),
    'boundaries': (1000,),
  }
  assert build_schedule(late, run=ramp) == fs.join_schedules(
    [1.0, fs.wsd_schedule(1.0, 250, 500, 250)], [1000]
  )
  warmed = {
    'name': 'warmup_schedule',
    'warmup_steps': 1000,
    'schedule': {**WARMUP, 'warmup_steps': '20_000ex'},
  }
  assert build_schedule(warmed, run=ramp) == fs.warmup_schedule(
    fs.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 90), 1000
  )


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    (
      {**WARMUP, 'warmup_steps': '5%'},
      r"^lr\.warmup_steps: '5%' needs total_steps, which is not given\. Pass",
    ),
    (
      {**WARMUP, 'warmup_steps': '5 epochs'},
      r"^lr\.warmup_steps: '5 epochs' has the unknown unit 'epochs'\. Did you",
    ),
    (
      {**WARMUP, 'warmup_steps': 0.05},
      r'^lr\.warmup_steps: a number of steps must be whole, got 0\.05\. Wr',
    ),
    (
      {**WARMUP, 'warmup_steps': None},
      r'^lr\.warmup_steps is missing \(None, or a placeholder that is not set',
    ),
    (
      {**PIECEWISE, 'boundaries': ('5%',), 'scales': (1.0,)},
      r"^lr\.boundaries_and_scales\.5%: '5%' needs total_steps",
    ),
    (
      {'name': 'multistep_schedule', 'init_value': 1, 'boundaries': (5, '1ep')},
      r"^lr\.boundaries\[1\]: '1ep' needs steps_per_epoch",
    ),
  ],
)
def test_what_cannot_be_resolved_says_where(config, message):
  """With the number that is missing."""
  with pytest.raises(ValueError, match=message):
    build_schedule(config, path='lr')


@pytest.mark.parametrize('form', FORMS)
def test_shared_schedules(form):
  """Several hyperparameters refer to one config; circles are found."""
  config = {
    'name': 'adamw',
    'schedules': {
      'main': {**WARMUP, 'warmup_steps': '10%', 'decay_steps': '90%'},
      'half': {'name': 'Multiply', 'schedules': {'s0': 'main', 's1': 0.5}},
    },
    'learning_rate': 'main',
    'weight_decay': 'half',
    'b1': {'name': 'follow', 'schedule': 'main', 'function': {'0': 0.9}},
  }
  main = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000)
  assert build_schedules(form(config), run=RUN) == {
    'learning_rate': main,
    'weight_decay': main * 0.5,
    'b1': fs.follow(main, {0.0: 0.9}),
  }
  used = fs.hyperparams(
    build_optimizer(form(config), run=RUN).init(jnp.ones(2))
  )
  assert set(used) == {'learning_rate', 'weight_decay', 'b1'}


def test_errors_of_shared_schedules():
  """A misspelt name, a circle, what is no mapping, an error inside."""
  config = {
    'name': 'sgd',
    'schedules': {
      'main': {'name': 'Every', 'schedule': 'other', 'steps': 3},
      'other': {'name': 'Every', 'schedule': 'main', 'steps': 3},
      'bad': {**WARMUP, 'peak': 1.0},
    },
  }
  for value, message in (
    (
      {'name': 'Every', 'schedule': 'mian', 'steps': 3},
      r'^optimizer\.learning_'
      r'rate\.schedule: a string must be a name in optimizer\.schedules, got '
      r"'mian'\. Did you mean 'main'\? There are main, other, bad\.",
    ),
    (
      'main',
      r'^optimizer\.schedules\.main contains itself: main -> other',
    ),
    ('bad', r'^optimizer\.schedules\.bad\.peak: unknown key\.'),
  ):
    with pytest.raises(ValueError, match=message):
      build_optimizer({**config, 'learning_rate': value})
  with pytest.raises(ValueError, match=r'^optimizer\.schedules must be a mapp'):
    build_optimizer({'name': 'sgd', 'learning_rate': 1.0, 'schedules': 3})


def test_registered_functions():
  """A user's own name, with durations where it declares steps."""

  @catalog.register('test_halved_cosine')
  def halved_cosine(peak_value, decay_steps: Steps, note='none'):
    assert note in ('none', 'some')
    return 0.5 * fs.cosine_decay_schedule(peak_value, decay_steps)

  try:
    config = {'name': 'test_halved_cosine', 'peak_value': 1.0}
    built = build_schedule({**config, 'decay_steps': '10%'}, run=RUN)
    assert built == 0.5 * fs.cosine_decay_schedule(1.0, 1000)
    assert build_schedule(to_config(built)) == built
    with pytest.raises(ValueError, match=r'decay_steps is missing\. test_halv'):
      build_schedule(config)
    with pytest.raises(ValueError, match="Did you mean 'test_halved_cosine'"):
      build_schedule({'name': 'test_halved_cosin', 'peak_value': 1.0})
    assert catalog.register('test_halved_cosine', halved_cosine)
    with pytest.raises(ValueError, match=r"name must be new, got 'test_halved"):
      catalog.register('test_halved_cosine', lambda: 1.0)
  finally:
    del catalog._REGISTERED['test_halved_cosine']


def test_registered_classes():
  """A user's own class, under a name and by its place in a module."""
  schedule = zoo.InverseSqrt(init_value=0.25, timescale=100)
  assert to_config(schedule)['name'] == 'zoo:InverseSqrt'
  assert build_schedule(to_config(schedule)) == schedule
  catalog.register('test_inverse_sqrt', zoo.InverseSqrt)
  try:
    config = to_config(2.0 * schedule)
    assert config['schedules']['s1']['name'] == 'test_inverse_sqrt'
    assert build_schedule(config) == 2.0 * schedule
  finally:
    del catalog._REGISTERED['test_inverse_sqrt']


@pytest.mark.parametrize('name', ['cosine_decay_schedule', 'Multiply'])
def test_names_of_the_library_are_taken(name):
  """They can't come to mean something else."""
  with pytest.raises(ValueError, match='register: name must be new'):
    catalog.register(name, lambda: 1.0)
  with pytest.raises(TypeError, match='register: name must be a string'):
    catalog.register(3, lambda: 1.0)
  with pytest.raises(TypeError, match='register: builder must be callable'):
    catalog.register('test_new', 3)


def test_what_no_config_can_hold():
  """A function, and numbers that are being traced."""
  with pytest.raises(TypeError, match='function must be plain data'):
    to_config(fs.as_schedule(optax.constant_schedule(0.1)))
  with pytest.raises(TypeError, match='must be plain data'):
    jax.jit(lambda s: to_config(s) and 1)(fs.constant_schedule(0.1))


@pytest.mark.parametrize(
  ('config', 'error', 'message'),
  [
    (
      {'name': 'Cosine', 'init_value': 1.0, 'end_value': 0, 'decay_steps': -1},
      ValueError,
      'Cosine: decay_steps must be a non-negative integer, got -1',
    ),
    (
      {'name': 'Constant', 'constant': float('nan')},
      ValueError,
      'Constant: constant must be finite, got nan',
    ),
    (
      {'name': 'Constant', 'constant': '0.1'},
      TypeError,
      "Constant: constant must be a real number, got '0.1'",
    ),
    (
      {'name': 'Join', 'schedules': (1.0, 2.0, 3.0), 'boundaries': (5, 3)},
      ValueError,
      'Join: boundaries must be increasing, got',
    ),
    (
      {'name': 'Table', 'values': (1.0, float('inf'))},
      ValueError,
      'Table: values must be finite',
    ),
  ],
)
def test_classes_check_their_numbers_too(config, error, message):
  """What a function would refuse is refused here."""
  with pytest.raises(error, match=f'^lr: {message}'):
    build_schedule(config, path='lr')


def test_a_reactive_schedule_in_an_optimizer():
  """With the stateful wrapper, which is an argument."""
  config = {
    'name': 'sgd',
    'learning_rate': {'name': 'reduce_on_plateau', 'init_value': 0.5},
  }
  tx = build_optimizer(config, inject=fs.inject_stateful_hyperparams)
  plateau = build_schedule(config['learning_rate'])
  assert build_schedule(to_config(plateau)) == plateau
  product = plateau * fs.linear_schedule(1.0, 0.0, 10)
  again = build_schedule(json.loads(json.dumps(to_config(product))))
  assert again.factors[0] == plateau
  params = jnp.ones(2)
  _, state = tx.update(params, tx.init(params), params, value=1.0)
  assert fs.hyperparams(state)['learning_rate'] == 0.5


@pytest.mark.parametrize(
  ('name', 'key'), [('Multiply', 'schedules'), ('Product', 'factors')]
)
def test_a_product_with_a_stateful_schedule(name, key):
  """As `*` makes it, whatever it is called; plain factors are wrapped."""
  warmup = {
    'name': 'warmup_constant_schedule',
    'init_value': 0.0,
    'peak_value': 0.5,
    'warmup_steps': 10,
  }
  plateau = {'name': 'reduce_on_plateau', 'init_value': 1.0}
  parts = {'s0': 0.5, 's1': warmup, 's2': plateau}
  schedule = build_schedule({'name': name, key: parts})
  expected = [fs.WrappedSchedule(fs.constant_schedule(0.5))]
  expected += [fs.WrappedSchedule(build_schedule(warmup))]
  assert schedule.factors == (*expected, build_schedule(plateau))
  assert build_schedule(to_config(schedule)) == schedule


@pytest.mark.parametrize('name', ['Add', 'maximum', 'Shift'])
def test_what_a_stateful_schedule_cannot_do(name):
  """It is multiplied, and nothing else."""
  plateau = {'name': 'reduce_on_plateau', 'init_value': 1.0}
  config = {'name': name, 'schedules': {'s0': 0.5, 's1': plateau}}
  if name == 'Shift':
    config = {'name': name, 'schedule': plateau, 'begin': 3}
  with pytest.raises(TypeError, match=r'^lr: .*stateful.*multipl'):
    build_schedule(config, path='lr')


def test_losses_are_averaged_over_a_duration():
  """Such as an epoch; patience counts what is compared."""
  plateau = {
    'name': 'reduce_on_plateau',
    'init_value': 1.0,
    'accumulation_size': '1ep',
  }
  schedule = build_schedule(plateau, run={'steps_per_epoch': 22})
  assert schedule.accumulation_size == 22

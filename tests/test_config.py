"""Schedules from configs, and configs from schedules."""

import inspect
import json

import jax
import ml_collections
import numpy as np
import optax
import pytest

from config_forms import FORMS
from config_forms import WARMUP
import flax_sched as fs
from flax_sched import catalog
from flax_sched.config import build_schedule
from flax_sched.config import to_config
import zoo


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

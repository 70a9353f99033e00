"""Errors in the configs of schedules say where, and what is accepted there."""

import jax
import optax
import pytest

from config_forms import PIECEWISE
from config_forms import WARMUP
import flax_sched as fs
from flax_sched.config import build_schedule
from flax_sched.config import to_config


def without(config, key):
  """The config less one key."""
  return {k: v for k, v in config.items() if k != key}


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

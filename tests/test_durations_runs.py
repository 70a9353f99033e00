"""A run in every form that it may be given in, and the errors of runs."""

import re

import ml_collections
from ml_collections import config_dict
import numpy as np
import pytest

from example_runs import RAMP
from flax_sched.durations import resolve
from flax_sched.runs import as_run
from flax_sched.runs import Run


@pytest.mark.parametrize(
  'form',
  [
    dict,
    ml_collections.ConfigDict,
    ml_collections.FrozenConfigDict,
    lambda config: Run(**config),
    lambda config: Run(**ml_collections.ConfigDict(config)),
  ],
)
@pytest.mark.parametrize(
  'ramp',
  [
    {0: 4, 3: 8},
    {'3': 8, '0': 4},
    {3: 8.0, 0: np.int32(4)},
    {'3e0': '8', 0: 4},
  ],
)
def test_every_form_of_a_run(form, ramp):
  """A mapping of any kind is the same run, its ramp with any integers."""
  frozen = form is ml_collections.FrozenConfigDict
  if frozen or (form is not dict and len({*map(type, ramp)}) > 1):
    # A ConfigDict sorts its keys, and a frozen one takes strings only.
    ramp = {str(key): size for key, size in ramp.items()}
  config = {
    'total_steps': '20',
    'examples_per_epoch': 2e1,
    'batch_size': ramp,
    'gradient_accumulation': np.float64(2),
  }
  run = as_run(form(config))
  assert run == RAMP
  assert as_run(run) is run
  assert list(run.batch_size) == [0, 3]
  assert resolve('14ex', form(config), path='') == 2


def test_placeholders_and_references():
  """What is not set is not given; what follows another value is read."""
  config = ml_collections.ConfigDict(
    {
      'total_steps': config_dict.placeholder(int),
      'batch_size': config_dict.placeholder(int),
      'gradient_accumulation': config_dict.placeholder(int),
    }
  )
  assert as_run(config) == Run() == as_run(None)
  assert Run(total_steps=config.total_steps).total_steps is None
  config.batch_size = config.get_ref('total_steps') * 2
  config.total_steps = 100
  assert as_run(config) == Run(total_steps=100, batch_size=200)


def test_a_run_keeps_its_ramp():
  """The caller's mapping may change later."""
  ramp = {0: 4, 3: 8}
  run = Run(batch_size=ramp)
  ramp[0] = 5
  assert run.batch_size == {0: 4, 3: 8}
  assert Run(batch_size={0: 4, 7: 4}).batch_size == 4


def test_run_takes_keywords_only():
  """Six numbers in a row say nothing."""
  with pytest.raises(TypeError):
    Run(1000)


# ---------------------------------------------------------------------------
# Errors.


@pytest.mark.parametrize(
  ('run', 'message'),
  [
    (
      {'total_steps': 0},
      'Run: total_steps must be a positive integer, got 0.',
    ),
    (
      {'total_steps': 1.5},
      'Run: total_steps must be a positive integer, got 1.5.',
    ),
    (
      {'batch_size': '5%'},
      "Run: batch_size must be a positive integer, got '5%'.",
    ),
    (
      {'batch_size': True},
      'Run: batch_size must be a positive integer, got True.',
    ),
    (
      {'steps_per_epoch': float('inf')},
      'Run: steps_per_epoch must be a positive integer, got inf.',
    ),
    (
      {'total_steps': {0: 1}},
      'Run: total_steps must be a positive integer, got {0: 1}.',
    ),
    (
      {'gradient_accumulation': -1},
      'Run: gradient_accumulation must be a positive integer, got -1.',
    ),
    (
      {'batch_size': {}},
      'Run: batch_size must have the key 0, the size from the first step on, '
      'got {}.',
    ),
    (
      {'tokens_per_batch': {5: 1}},
      'Run: tokens_per_batch must have the key 0, the size from the first step '
      'on, got {5: 1}.',
    ),
    (
      {'batch_size': {0: 1, -5: 1}},
      'Run: batch_size key must be a non-negative integer, got -5.',
    ),
    (
      {'batch_size': {0: 1, 's1': 1}},
      "Run: batch_size key must be a non-negative integer, got 's1'.",
    ),
    (
      {'batch_size': {0: 1, '5': 0}},
      "Run: batch_size['5'] must be a positive integer, got 0.",
    ),
    (
      {'batch_size': {0: 1, 5: None}},
      'Run: batch_size[5] must be a positive integer, got None.',
    ),
    (
      {'batch_size': {0: 1, 5: 2, '5': 3}},
      "Run: batch_size has the step 5 twice: {0: 1, 5: 2, '5': 3}.",
    ),
    (
      {'total_step': 5},
      "as_run: 'total_step' is an unknown key. Did you mean 'total_steps'? "
      'Run takes total_steps, steps_per_epoch, examples_per_epoch, batch_size, '
      'tokens_per_batch, gradient_accumulation.',
    ),
    (
      {7: 5},
      'as_run: 7 is an unknown key. Run takes total_steps, steps_per_epoch, '
      'examples_per_epoch, batch_size, tokens_per_batch, '
      'gradient_accumulation.',
    ),
    (
      1000,
      'as_run: run must be a Run, None or a mapping, got 1000. Run takes '
      'total_steps, steps_per_epoch, examples_per_epoch, batch_size, '
      'tokens_per_batch, gradient_accumulation.',
    ),
  ],
)
def test_errors_of_runs(run, message):
  """Each says what is wrong with which argument."""
  with pytest.raises((TypeError, ValueError), match=f'^{re.escape(message)}$'):
    as_run(run)

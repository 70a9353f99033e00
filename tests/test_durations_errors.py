"""Errors of durations say what is accepted, and which number is missing."""

import re

from jax import numpy as jnp
import pytest

from example_runs import IMAGENET
from example_runs import RAMP
from flax_sched.durations import phases
from flax_sched.durations import resolve
from flax_sched.runs import Run

FORMS = (
  "Write steps as 500 or '500 steps', a share of the run as '5%', epochs as "
  "'10ep', examples as '1.28e6ex', tokens as '3e9tok', or a sum of these as "
  "'100% - 500'."
)


@pytest.mark.parametrize(
  ('duration', 'message'),
  [
    (
      '10epochs',
      "'10epochs' has the unknown unit 'epochs'. Did you mean 'ep'?",
    ),
    ('1Epoch', "'1Epoch' has the unknown unit 'Epoch'. Did you mean 'ep'?"),
    ('1e6example', "unit 'example'. Did you mean 'ex'?"),
    ('3e9 tokens', "unit 'tokens'. Did you mean 'tok'?"),
    ('5 percent', "unit 'percent'. Did you mean '%'?"),
    ('5%%', "unit '%%'. Did you mean '%'?"),
    ('5 Steps', "unit 'Steps'. Did you mean 'steps'?"),
    ('5% + 10k', "'5% + 10k' has the unknown unit 'k'."),
    ('1/2', "'1/2' has the unknown unit '/'."),
    ('1,000', "'1,000' has the unknown unit ','."),
    ('', "cannot read ''."),
    (' ', "cannot read ' '."),
    ('half', "cannot read 'half'."),
    ('--5', "cannot read '--5'."),
    ('5% -', "cannot read '5% -' at '-'."),
    ('5% 100', "cannot read '5% 100' at '100'."),
    ('1e9999', "cannot read '1e9999' at '9'."),
    ('2.0.3', "cannot read '2.0.3' at '.3'."),
    ('\u0665', "cannot read '\u0665'."),
    ('nan', "cannot read 'nan'."),
    (1.5, 'a number of steps must be whole, got 1.5.'),
    ('1.5 steps', "a number of steps must be whole, got '1.5 steps'."),
    (float('nan'), 'a number of steps must be whole, got nan.'),
    (float('inf'), 'a number of steps must be whole, got inf.'),
  ],
)
def test_errors_of_reading(duration, message):
  """Each lists all that is accepted."""
  pattern = f'^lr\\.warmup_steps: .*{re.escape(message)} {re.escape(FORMS)}$'
  with pytest.raises(ValueError, match=pattern):
    resolve(duration, IMAGENET, path='lr.warmup_steps')


RAMP_ONLY = Run(steps_per_epoch=5, batch_size={0: 1, 5: 2})


@pytest.mark.parametrize(
  ('duration', 'run', 'message'),
  [
    (
      0.05,
      None,
      "a number of steps must be whole, got 0.05. Write '5%' for that share of "
      'the run.',
    ),
    (
      '0.125',
      None,
      "a number of steps must be whole, got '0.125'. Write '12.5%' for that "
      'share of the run.',
    ),
    (
      '5% - 500',
      Run(total_steps=1000),
      "'5% - 500' must not be negative, but is -450 steps in this run. "
      'Subtract less.',
    ),
    (
      '-500',
      None,
      "'-500' must not be negative, but is -500 steps in this run. "
      'Subtract less.',
    ),
    (
      '5%',
      None,
      "'5%' needs total_steps, which is not given. Pass "
      'run=Run(total_steps=...).',
    ),
    (
      '100% - 10ep',
      Run(total_steps=1000),
      "'100% - 10ep' needs steps_per_epoch (or examples_per_epoch and "
      'batch_size), which is not given. Pass run=Run(steps_per_epoch=...).',
    ),
    (
      '10ep',
      Run(examples_per_epoch=1000),
      "'10ep' needs batch_size, which is not given. Pass "
      'run=Run(batch_size=...).',
    ),
    (
      '10ep',
      RAMP_ONLY,
      "'10ep' needs examples_per_epoch (as batch_size is a ramp), which is not "
      'given. Pass run=Run(examples_per_epoch=...).',
    ),
    (
      '10ex',
      Run(),
      "'10ex' needs batch_size, which is not given. Pass "
      'run=Run(batch_size=...).',
    ),
    (
      '10tok',
      IMAGENET,
      "'10tok' needs tokens_per_batch, which is not given. Pass "
      'run=Run(tokens_per_batch=...).',
    ),
  ],
)
def test_errors_of_resolving(duration, run, message):
  """Each says which number is missing, and where."""
  path = 'optimizer.learning_rate.warmup_steps'
  pattern = f'^{re.escape(f"{path}: {message}")}$'
  with pytest.raises(ValueError, match=pattern):
    resolve(duration, run, path=path)
  path, _, name = path.rpartition('.')
  with pytest.raises(ValueError, match=pattern):
    phases({'a': 3, name: duration}, run, path=path)
  with pytest.raises(ValueError, match=f'^duration: {re.escape(message)}$'):
    resolve(duration, run, path='')


@pytest.mark.parametrize('unknown', [None, jnp.int32(5)])
def test_error_of_an_unknown_start_on_a_ramp(unknown):
  """The length would be wrong without a word."""
  message = re.escape(
    "lr.decay_steps: '10ex' depends on where it begins, as batch_size is a "
    f'ramp, and that is not known after stable_steps={unknown!r}. Give that as '
    'a number or a string.'
  )
  durations = {'stable_steps': unknown, 'decay_steps': '10ex'}
  with pytest.raises(ValueError, match=f'^{message}$'):
    phases(durations, RAMP, path='lr')

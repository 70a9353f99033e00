"""Durations of steps, shares of the run, epochs, examples and tokens."""

from fractions import Fraction
import re

import hypothesis
from hypothesis import strategies as st
from jax import numpy as jnp
import ml_collections
from ml_collections import config_dict
import numpy as np
import pytest

from flax_sched.durations import phases
from flax_sched.durations import resolve
from flax_sched.runs import as_run
from flax_sched.runs import Run

# ImageNet: 300 epochs of 1,281,167 examples, 1024 at a time.
IMAGENET = Run(
  total_steps=375_300,
  steps_per_epoch=1251,
  examples_per_epoch=1_281_167,
  batch_size=1024,
)
# A language model: 3.2e11 tokens, 2**19 at a time, 2**20 from step 5000 on.
TOKENS = Run(
  total_steps=307_500,
  tokens_per_batch={0: 2**19, 5000: 2**20},
)
# 4, 4 | 4, 8 | 8, 8 | 8, 8 ...: updates of 8, 12, 16, 16 ... examples.
RAMP = Run(
  total_steps=20,
  examples_per_epoch=20,
  batch_size={0: 4, 3: 8},
  gradient_accumulation=2,
)


@pytest.mark.parametrize(
  ('duration', 'run', 'expected'),
  [
    (500, None, 500),
    (0, None, 0),
    (-3, None, -3),  # the schedule function has its own words for it
    (1e4, None, 10_000),
    (2**40, None, 2**40),
    (10**400, None, 10**400),
    (np.int64(7), None, 7),
    (np.float32(7.0), None, 7),
    (Fraction(7), None, 7),
    ('500', None, 500),
    ('  5e2  ', None, 500),
    ('10_000', None, 10_000),
    ('1.5e3', None, 1500),
    ('5.', None, 5),
    ('1e+3', None, 1000),
    ('500 steps', None, 500),
    ('1step', None, 1),
    ('0', None, 0),
    ('0%', IMAGENET, 0),
    ('0ep', IMAGENET, 0),
    ('500 - 500', None, 0),
    ('+500 - 20+3', None, 483),
    ('-500 + 100%', IMAGENET, 374_800),
    ('5%', IMAGENET, 18_765),
    ('100 %', IMAGENET, 375_300),
    ('150%', Run(total_steps=1000), 1500),
    ('0.1%', Run(total_steps=1000), 1),
    ('.1%', Run(total_steps=1000), 1),
    ('0.01%', Run(total_steps=1000), 1),  # not 0
    ('1e-300ex', IMAGENET, 1),
    ('100% - 99.99%', Run(total_steps=1000), 1),
    ('0.24%', Run(total_steps=1000), 2),
    ('0.25%', Run(total_steps=1000), 3),  # halves up
    ('10ep', IMAGENET, 12_510),
    ('0.5ep', IMAGENET, 626),
    ('1e1ep', IMAGENET, 12_510),
    ('10ep+5', IMAGENET, 12_515),
    ('1.28e6ex', IMAGENET, 1250),
    ('5% + 100', IMAGENET, 18_865),
    ('100% - 10ep', IMAGENET, 362_790),
    ('0.3ep + 0.2ep', IMAGENET, 626),  # rounded once: 625.5, not 375 + 250
    ('1ep', Run(examples_per_epoch=1000, batch_size=300), 3),
    ('3ep', Run(examples_per_epoch=1000, batch_size=300), 10),
    ('100%', Run(total_steps=1000, gradient_accumulation=8), 125),
    ('10%', Run(total_steps=1000, gradient_accumulation=8), 13),
    ('1ep', Run(steps_per_epoch=1000, gradient_accumulation=3), 333),
    ('300', Run(total_steps=1000, gradient_accumulation=8), 300),
    ('1e3ex', Run(batch_size=10, gradient_accumulation=4), 25),
    ('3e9tok', Run(tokens_per_batch=2**20), 2861),
    ('3e9tok', TOKENS, 5361),
    ('3.2e11tok', TOKENS, 307_676),
    ('100%', TOKENS, 307_500),
    ('7ex', RAMP, 1),
    ('13.9ex', RAMP, 1),
    ('14ex', RAMP, 2),
    ('27ex', RAMP, 2),
    ('28ex', RAMP, 3),
    ('1ep', RAMP, 2),
    ('100% - 1ep', RAMP, 9),
    ('100% - 6.8ep', RAMP, 1),  # 148 examples in all: 12 before
  ],
)
def test_values(duration, run, expected):
  """Real durations in real runs."""
  resolved = resolve(duration, run, path='warmup_steps')
  assert resolved == expected
  assert type(resolved) is int


@pytest.mark.parametrize(
  ('start', 'expected'), [(0, 5), (1, 4), (2, 4), (3, 4), (100, 4)]
)
def test_a_ramp_depends_on_the_start(start, expected):
  """Later updates see more examples: 8, 12, 16, 16 ... in each."""
  assert resolve('67ex', RAMP, path='', start=start) == expected
  assert resolve('40%', RAMP, path='', start=start) == 4
  assert resolve('67ex', Run(batch_size=16), path='', start=start) == 4


@pytest.mark.parametrize(
  'x', [None, True, np.arange(3), jnp.int32(3), [1], np.True_, {}]
)
def test_what_is_no_duration_is_returned_as_it_is(x):
  """Schedule functions take JAX arrays too, and check what they take."""
  assert resolve(x, Run(), path='warmup_steps') is x


@pytest.mark.parametrize(
  ('durations', 'total', 'expected'),
  [
    ({'a': '5%', 'b': '95%'}, 1010, [51, 959]),
    ({'a': '5%', 'b': '75%', 'c': '20%'}, 10, [1, 7, 2]),
    ({'a': '10%', 'b': '89%', 'c': '1%'}, 10, [1, 8, 1]),
    ({'a': '99.8%', 'b': '0.1%', 'c': '0.1%'}, 100, [98, 1, 1]),
    ({'a': '0.1%', 'b': '0.1%', 'c': '99.8%'}, 100, [1, 1, 98]),
    ({'a': '0.1%', 'b': 5, 'c': '94.9%'}, 100, [1, 5, 94]),
    ({'a': '99.8%', 'b': 5, 'c': '0.1%'}, 100, [99, 5, 1]),
    ({'a': '50%', 'b': '50%'}, 1, [1, 1]),  # no room for both
    ({'a': '5%', 'b': '0%', 'c': '100% - 5%'}, 1010, [51, 0, 959]),
    ({'a': 100, 'b': '100% - 100'}, 1010, [100, 910]),
    ({'a': '5%', 'b': None, 'c': '95%'}, 1010, [51, None, 959]),
    ({'a': '5%', 'b': -3, 'c': '95%'}, 1010, [51, -3, 959]),
    ({}, 10, []),
  ],
)
def test_phases(durations, total, expected):
  """Ends are rounded, plain steps are kept, and no phase is lost."""
  lengths = phases(durations, Run(total_steps=total), path='learning_rate')
  assert lengths == dict(zip(durations, expected, strict=True))


def test_phases_on_a_ramp():
  """Each begins where the one before ends: 8 + 12 | 16 + 16 | 16 examples."""
  durations = {'warmup': '20ex', 'stable': '32ex', 'decay': '16ex'}
  expected = {'warmup': 2, 'stable': 2, 'decay': 1}
  assert phases(durations, RAMP, path='') == expected
  expected = {'warmup': 1, 'stable': 2, 'decay': 1}
  assert phases(durations, RAMP, path='', start=5) == expected


def test_phases_take_what_is_no_duration():
  """An array's length is not known, but nor does it matter without a ramp."""
  array = jnp.int32(7)
  durations = {'a': '5%', 'b': array, 'c': '95%'}
  lengths = phases(durations, {'total_steps': 1010}, path='')
  assert lengths['b'] is array
  assert (lengths['a'], lengths['c']) == (51, 959)
  assert phases({'a': None, 'b': '5%'}, RAMP, path='') == {'a': None, 'b': 1}


# ---------------------------------------------------------------------------
# Laws.

AMOUNTS = st.fractions(0, 50, max_denominator=1000).map(
  lambda x: Fraction(round(x * 1000), 1000)
)
RAMPS = st.dictionaries(st.integers(1, 40), st.integers(1, 9), max_size=5)


def decimal(x):
  """The number in digits."""
  return f'{x // 1}.{int(x % 1 * 1000):03d}' if x % 1 else str(x)


def seen(run, sizes, update):
  """What the updates before one see, a training step at a time."""
  return sum(
    sizes[max(key for key in sizes if key <= step)]
    for step in range(update * run.gradient_accumulation)
  )


@hypothesis.given(
  amount=AMOUNTS,
  ramp=RAMPS,
  first=st.integers(1, 9),
  every=st.integers(1, 5),
  start=st.integers(0, 30),
  unit=st.sampled_from(['ex', 'tok', 'ep']),
)
def test_a_simulated_run(amount, ramp, first, every, start, unit):
  """No other number of updates is nearer to what was asked for."""
  sizes = {0: first, **ramp}
  run = Run(
    examples_per_epoch=3,
    batch_size=sizes,
    tokens_per_batch=sizes,
    gradient_accumulation=every,
  )
  updates = resolve(f'{decimal(amount)}{unit}', run, path='', start=start)
  target = amount * (3 if unit == 'ep' else 1)
  begin = seen(run, sizes, start)
  off, best = None, 0
  while off is None or seen(run, sizes, start + best) - begin <= target:
    off = abs(seen(run, sizes, start + best) - begin - target)
    best += 1
  after = abs(seen(run, sizes, start + best) - begin - target)
  nearest = best if after <= off else best - 1
  assert updates == max(nearest, int(amount > 0))


@hypothesis.given(
  amount=AMOUNTS,
  ramp=RAMPS,
  first=st.integers(1, 9),
  every=st.integers(1, 5),
  total=st.integers(60, 90),
)
def test_back_from_the_end_on_a_ramp(amount, ramp, first, every, total):
  """'100% - Nex' is where what is left to see is nearest to N."""
  sizes = {0: first, **ramp}
  run = Run(
    total_steps=total * every, batch_size=sizes, gradient_accumulation=every
  )
  whole = seen(run, sizes, total)
  duration = f'100% - {decimal(amount)}ex'
  updates = resolve(duration, run, path='')
  left = [whole - seen(run, sizes, update) for update in range(total + 1)]
  assert abs(left[updates] - amount) == min(abs(x - amount) for x in left)


@hypothesis.given(
  amount=AMOUNTS,
  total=st.integers(1, 10**12),
  every=st.integers(1, 5),
  unit=st.sampled_from(['%', 'ep', 'ex', 'tok']),
)
def test_exactness_without_a_ramp(amount, total, every, unit):
  """At most half an update off, which no float is at these sizes."""
  run = Run(
    total_steps=total * 100,
    steps_per_epoch=total,
    batch_size=1,
    tokens_per_batch={0: 1, 7: 1},  # this is none
    gradient_accumulation=every,
  )
  exact = amount * (total if unit in ('%', 'ep') else 1) / every
  updates = resolve(f'{decimal(amount)}{unit}', run, path='', start=3)
  half = Fraction(1, 2)
  assert -half < updates - exact <= half or (updates == 1 and 0 < exact < half)


@hypothesis.given(
  parts=st.lists(st.integers(0, 1000), min_size=1, max_size=6),
  total=st.integers(1, 2000),
  every=st.integers(1, 5),
  start=st.integers(0, 10),
)
def test_phases_make_up_the_run(parts, total, every, start):
  """Shares that sum to all of the run do so in updates, in every run."""
  parts.append(100 * 1000 - sum(parts))
  durations = {
    str(i): f'{decimal(Fraction(x, 1000))}%' for i, x in enumerate(parts)
  }
  run = Run(total_steps=total, gradient_accumulation=every)
  lengths = phases(durations, run, path='', start=start).values()
  room = resolve('100%', run, path='')
  assert sum(lengths) == max(room, sum(x > 0 for x in parts))
  for length, x in zip(lengths, parts, strict=True):
    assert length >= (x > 0)


@hypothesis.given(
  phase=st.lists(
    st.one_of(
      st.integers(0, 20),
      AMOUNTS.map(lambda x: f'{decimal(x)}%'),
      AMOUNTS.map(lambda x: f'{decimal(x)}ex'),
    ),
    max_size=5,
  ),
  ramp=RAMPS,
  every=st.integers(1, 3),
)
def test_phases_keep_plain_steps_and_positive_phases(phase, ramp, every):
  """Whatever is around them."""
  run = Run(
    total_steps=40,
    batch_size={0: 3, **ramp},
    gradient_accumulation=every,
  )
  durations = {str(i): x for i, x in enumerate(phase)}
  lengths = phases(durations, run, path='')
  for name, duration in durations.items():
    if isinstance(duration, int):
      assert lengths[name] == duration
    else:
      positive = float(re.match(r'[\d.]+', duration).group()) > 0
      assert lengths[name] >= positive


# ---------------------------------------------------------------------------
# Runs.


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

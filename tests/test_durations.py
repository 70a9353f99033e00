"""Durations of steps, shares of the run, epochs, examples and tokens."""

from fractions import Fraction

from jax import numpy as jnp
import numpy as np
import pytest

from example_runs import IMAGENET
from example_runs import RAMP
from flax_sched.durations import after
from flax_sched.durations import phases
from flax_sched.durations import resolve
from flax_sched.runs import Run
from flax_sched.runs import Start

# A language model: 3.2e11 tokens, 2**19 at a time, 2**20 from step 5000 on.
TOKENS = Run(
  total_steps=307_500,
  tokens_per_batch={0: 2**19, 5000: 2**20},
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


@pytest.mark.parametrize(
  ('duration', 'start', 'expected'),
  [
    ('33%', 0, Start(17, Fraction(33, 2))),
    ('67%', Start(17, Fraction(33, 2)), Start(50, Fraction(50))),
    ('0.1%', 0, Start(1, Fraction(1, 20))),
    ('99.9%', Start(1, Fraction(1, 20)), Start(50, Fraction(50))),
    (np.int64(7), Start(17, Fraction(33, 2)), Start(24, Fraction(47, 2))),
    (-5, 0, Start(-5, Fraction(-5))),
    (
      None,
      Start(17, Fraction(33, 2)),
      Start(17, Fraction(17), 'lr.begin=None'),
    ),
    (None, Start(17, Fraction(17), 'a=0'), Start(17, Fraction(17), 'a=0')),
  ],
)
def test_what_follows_begins_where_it_ends(duration, start, expected):
  """Exactly, and at a whole update; after what is no duration, who knows."""
  run = Run(total_steps=50)
  assert after(duration, run, path='lr.begin', start=start) == expected

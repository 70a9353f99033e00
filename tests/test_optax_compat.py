"""Optax's names with Optax's behaviour, against the installed Optax."""

import inspect
import logging
import pathlib
import pickle
import sys
import types
import unittest

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import optax
from optax import schedules as theirs
import pytest

import flax_sched as fs
from flax_sched import numerics
from flax_sched import optax_compat as ours
from flax_sched.schedule import Function

PUBLIC = sorted(
  name
  for name, value in vars(theirs).items()
  if not name.startswith('_') and not inspect.ismodule(value)
)
FUNCTIONS = [name for name in PUBLIC if name.endswith(('schedule', 'decay'))]
FUNCTIONS = [*FUNCTIONS, 'join_schedules']


def test_every_name_is_there():
  """And no other."""
  assert ours.__all__ == sorted(ours.__all__)
  assert [n for n in PUBLIC if n[0].islower()] == [
    n for n in ours.__all__ if n[0].islower()
  ]
  assert set(PUBLIC) == set(ours.__all__)


@pytest.mark.parametrize('name', [name for name in PUBLIC if name[0].islower()])
def test_signatures_are_optaxs(name):
  """Names, order, defaults and annotations."""
  assert inspect.signature(getattr(ours, name)) == inspect.signature(
    getattr(theirs, name)
  )


# ---------------------------------------------------------------------------
# Values, over random arguments.

_values = st.floats(2.0**-10, 100, width=32)
_steps = st.integers(1, 3000)
_begins = st.integers(0, 50)
_exponents = st.floats(0.5, 3, width=32)
_kwargs = {
  'constant_schedule': {'value': _values},
  'linear_schedule': {
    'init_value': _values,
    'end_value': _values,
    'transition_steps': _steps,
    'transition_begin': _begins,
  },
  'polynomial_schedule': {
    'init_value': _values,
    'end_value': _values,
    'power': _exponents,
    'transition_steps': _steps,
    'transition_begin': _begins,
  },
  'exponential_decay': {
    'init_value': _values,
    'transition_steps': _steps,
    'decay_rate': st.floats(0.125, 1.25, width=32),
    'transition_begin': _begins,
    'staircase': st.booleans(),
    'end_value': st.one_of(st.none(), _values),
  },
  'cosine_decay_schedule': {
    'init_value': _values,
    'decay_steps': _steps,
    'alpha': st.floats(0, 1, width=32),
    'exponent': _exponents,
  },
  'cosine_onecycle_schedule': {
    'transition_steps': st.integers(10, 3000),
    'peak_value': _values,
    'pct_start': st.floats(0.125, 0.875, width=32),
    'div_factor': st.floats(2, 100, width=32),
    'final_div_factor': st.floats(2, 1e4, width=32),
  },
  'linear_onecycle_schedule': {
    'transition_steps': st.integers(20, 3000),
    'peak_value': _values,
    'pct_start': st.floats(0.125, 0.5, width=32),
    'pct_final': st.floats(0.625, 0.875, width=32),
    'div_factor': st.floats(2, 100, width=32),
    'final_div_factor': st.floats(2, 1e4, width=32),
  },
  'piecewise_constant_schedule': {
    'init_value': _values,
    'boundaries_and_scales': st.dictionaries(
      st.integers(0, 3000), st.floats(0, 2, width=32), max_size=6
    ),
  },
  'piecewise_interpolate_schedule': {
    'interpolate_type': st.sampled_from(['linear', 'cosine']),
    'init_value': _values,
    'boundaries_and_scales': st.dictionaries(
      st.integers(1, 3000), st.floats(0, 2, width=32), max_size=6
    ),
  },
  'warmup_constant_schedule': {
    'init_value': _values,
    'peak_value': _values,
    'warmup_steps': _steps,
  },
  'warmup_cosine_decay_schedule': {
    'init_value': _values,
    'peak_value': _values,
    'warmup_steps': st.integers(0, 500),
    'decay_steps': st.integers(501, 3000),
    'end_value': _values,
    'exponent': _exponents,
  },
  'warmup_exponential_decay_schedule': {
    'init_value': _values,
    'peak_value': _values,
    'warmup_steps': st.integers(0, 500),
    'transition_steps': _steps,
    'decay_rate': st.floats(0.125, 1.25, width=32),
    'transition_begin': _begins,
    'staircase': st.booleans(),
    'end_value': st.one_of(st.none(), _values),
  },
  'sgdr_schedule': {
    'cosine_kwargs': st.lists(
      st.fixed_dictionaries(
        {
          'init_value': _values,
          'peak_value': _values,
          'warmup_steps': st.integers(0, 100),
          'decay_steps': st.integers(101, 1000),
          'end_value': _values,
        }
      ),
      min_size=1,
      max_size=4,
    )
  },
}
RANDOM = {
  name: st.fixed_dictionaries(kwargs) for name, kwargs in _kwargs.items()
}


def _assert_alike(got, expected, counts, scale):
  """Within what Optax's own float32 arithmetic is worth."""
  for n in counts:
    value = np.minimum(expected(n), numerics.MAX_FLOAT32)  # Optax's may be inf
    np.testing.assert_allclose(
      np.asarray(got(n)), value, rtol=2e-5, atol=2e-6 * scale
    )


def _largest(kwargs):
  numbers = [
    abs(x)
    for x in jax.tree.leaves(kwargs)
    if isinstance(x, float) and abs(x) <= 100
  ]
  return max([*numbers, 1.0])


def _scale(kwargs):
  """What a difference is measured by."""
  power = kwargs.get('power', kwargs.get('exponent', 1.0))
  # Below 1, a power magnifies what Optax rounds near the end of a decay.
  rounded = max(1.0, 2.0 ** (-22 * power) / 2e-6) if power < 1 else 1.0
  return _largest(kwargs) * rounded


def test_every_function_is_drawn():
  """But for joins, which are below."""
  assert set(RANDOM) | {'join_schedules'} == set(FUNCTIONS)


@pytest.mark.parametrize('name', RANDOM)
@settings(max_examples=10)
@given(data=st.data())
def test_values_are_optaxs(name, data):
  """At counts around everything that happens, on the host."""
  kwargs = data.draw(RANDOM[name])
  edges = [x for x in jax.tree.leaves(kwargs) if type(x) is int]
  edges += [*kwargs.get('boundaries_and_scales', {})]
  near = [max(x + d, 0) for x in edges for d in (-1, 0, 1)]
  # Few: Optax takes a millisecond for each.
  counts = st.one_of(st.integers(0, 4000), st.sampled_from([0, *near]))
  counts = data.draw(st.lists(counts, min_size=6, max_size=6))
  got = getattr(ours, name)(**kwargs)
  expected = getattr(theirs, name)(**kwargs)
  assert isinstance(got, fs.Schedule)
  assert not isinstance(got, Function)
  _assert_alike(got, expected, counts, _scale(kwargs))


@pytest.mark.parametrize('name', RANDOM)
@settings(max_examples=1)
@given(data=st.data())
def test_positional_and_compiled(name, data):
  """Optax's order of arguments; device counts, in and out of jit."""
  kwargs = data.draw(RANDOM[name])
  # Hypothesis draws them in any order.
  parameters = inspect.signature(getattr(theirs, name)).parameters
  arguments = [kwargs[parameter] for parameter in parameters]
  got = getattr(ours, name)(*arguments)
  expected = getattr(theirs, name)(*arguments)
  scale = _scale(kwargs)
  _assert_alike(got, expected, [jnp.int32(3), jnp.int32(700)], scale)
  _assert_alike(jax.jit(got), expected, [jnp.int32(3)], scale)
  assert pickle.loads(pickle.dumps(got)) == got


@settings(max_examples=8)
@given(
  st.lists(st.sampled_from(sorted(RANDOM)), min_size=2, max_size=4), st.data()
)
def test_joins(names, data):
  """Of any of them, of closures too."""
  kwargs = [data.draw(RANDOM[name]) for name in names]
  boundaries = sorted(
    data.draw(
      st.sets(
        st.integers(1, 2000), min_size=len(names) - 1, max_size=len(names) - 1
      )
    )
  )

  def join(module):
    parts = [
      getattr(module, n)(**k) for n, k in zip(names, kwargs, strict=True)
    ]
    return module.join_schedules([*parts[:-1], parts[-1].__call__], boundaries)

  counts = [0, 1, *(b + d for b in boundaries for d in (-1, 0, 1)), 3000]
  _assert_alike(join(ours), join(theirs), counts, max(map(_largest, kwargs)))


# ---------------------------------------------------------------------------
# Edges.


@pytest.mark.parametrize(
  ('name', 'args', 'constant'),
  [
    ('linear_schedule', (0.5, 0.1, 0), 0.5),
    ('linear_schedule', (0.5, 0.1, -3), 0.5),
    ('polynomial_schedule', (0.5, 0.1, 2, 0), 0.5),
    ('exponential_decay', (0.5, 0, 0.9), 0.5),
    ('exponential_decay', (0.5, -1, 0.9), 0.5),
    ('exponential_decay', (0.5, 10, 0), 0.5),
    ('warmup_constant_schedule', (0.5, 0.1, 0), 0.5),
    ('piecewise_interpolate_schedule', ('linear', 0.5), 0.5),
    ('piecewise_interpolate_schedule', ('linear', 0.5, {}), 0.5),
  ],
)
def test_constant_ones(name, args, constant):
  """Where Optax's transition is switched off, it logs so; so it does here."""
  schedule = getattr(ours, name)(*args)
  assert schedule == ours.AsGiven(constant=constant)
  _assert_alike(schedule, getattr(theirs, name)(*args), [0, 1, 100], 1.0)


# Optax 0.2.6 divides by an interval of no length.
@pytest.mark.filterwarnings('ignore:.*encountered in divide')
@pytest.mark.parametrize(
  ('name', 'args'),
  [
    ('linear_schedule', (0.5, 0.1, 10, -5)),
    ('polynomial_schedule', (0.5, 0.1, 2, 10, -5)),
    ('exponential_decay', (0.5, 10, 0.9, -5)),
    ('piecewise_constant_schedule', (0.5,)),
    ('piecewise_constant_schedule', (0.5, None)),
    ('piecewise_constant_schedule', (0.5, {0: 0.5, 3: 0.1})),
    ('warmup_cosine_decay_schedule', (0.1, 0.5, 0, 20)),
    ('warmup_cosine_decay_schedule', (0.1, 0.0, 5, 20, 0.3)),
    ('warmup_exponential_decay_schedule', (0.1, 0.5, 0, 10, 0.9)),
    # Beyond our classes: Optax's own schedule.
    ('exponential_decay', (0.5, 1, -0.5, 0, True)),
    ('piecewise_interpolate_schedule', ('cosine', 0.5, {0: 0.5, 9: 2.0})),
    ('cosine_onecycle_schedule', (2, 0.5)),
    ('polynomial_schedule', (0.5, 0.1, 0, 10)),
  ],
)
def test_edges(name, args):
  """Whatever Optax does with them."""
  got, expected = (getattr(module, name)(*args) for module in (ours, theirs))
  _assert_alike(got, expected, range(40), 1.0)


def test_log_lines(caplog):
  """Optax's own."""
  from absl import logging as absl_logging

  absl_logging.get_absl_logger().propagate = True
  with caplog.at_level(logging.INFO, logger='absl'):
    ours.linear_schedule(0.5, 0.1, 0)
    ours.polynomial_schedule(0.5, 0.1, 2, 10, -5)
  assert 'non-positive `transition_steps`' in caplog.text
  assert 'negative `transition_begin`' in caplog.text


@pytest.mark.parametrize(
  ('name', 'args'),
  [
    ('cosine_decay_schedule', (0.5, 0)),
    ('warmup_cosine_decay_schedule', (0.1, 0.5, 10, 10)),
    ('piecewise_constant_schedule', (0.5, {3: -1.0})),
    ('piecewise_interpolate_schedule', ('linear', 0.5, {3: -1.0})),
    ('piecewise_interpolate_schedule', ('spline', 0.5, {3: 1.0})),
    ('cosine_onecycle_schedule', (0, 0.5)),
    ('linear_onecycle_schedule', (-1, 0.5)),
    ('linear_schedule', (0.5, 0.1)),
    ('linear_schedule', (0.5, 0.1, 10, 0, 7)),
  ],
)
def test_errors_are_optaxs(name, args):
  """The same type, with the same words."""
  with pytest.raises((TypeError, ValueError)) as expected:
    getattr(theirs, name)(*args)
  with pytest.raises(expected.type) as caught:
    getattr(ours, name)(*args)
  assert str(caught.value) == str(expected.value)


def test_constants_come_back_as_given():
  """`optax.MultiSteps` takes the number of its steps from a schedule."""
  value = ours.constant_schedule(4)(3)
  assert value == 4
  assert type(value) is int
  tx = optax.MultiSteps(optax.sgd(0.1), ours.constant_schedule(2))
  state = tx.init(jnp.ones(3))
  for expected in (0.0, -0.1, 0.0, -0.1):
    updates, state = jax.jit(tx.update)(jnp.ones(3), state)
    np.testing.assert_allclose(updates, expected)


def test_a_fraction_of_a_step_is_an_error():
  """A loud one: the count of updates is an integer."""
  schedule = ours.linear_schedule(0.5, 0.1, 10)
  for count in (0.5, jnp.float32(0.5)):
    with pytest.raises(TypeError, match='count must be an integer'):
      schedule(count)


def test_cycles_may_come_from_a_generator():
  """Optax takes any iterable of keyword dicts."""
  cycle = {'init_value': 0.1, 'peak_value': 1.0}
  cycle = {**cycle, 'warmup_steps': 2, 'decay_steps': 10}
  schedule = ours.sgdr_schedule(cycle for _ in range(3))
  _assert_alike(schedule, theirs.sgdr_schedule([cycle] * 3), range(35), 1.0)


# ---------------------------------------------------------------------------
# Programs.


def _train(module, steps=50):
  """A program that could say `from optax import schedules as module`."""
  lr = module.warmup_cosine_decay_schedule(0.0, 0.1, 10, 40, 0.001)
  factory = module.inject_hyperparams(
    optax.adamw, static_args=('eps_root',), hyperparam_dtype=jnp.float32
  )
  tx = factory(learning_rate=lr, weight_decay=0.1)
  params = {'w': jnp.linspace(-1.0, 1.0, 6)}
  state = tx.init(params)
  step = jax.jit(tx.update)
  for n in range(steps):
    if n == 25:
      state.hyperparams['weight_decay'] = 0.01
    updates, state = step(
      jax.tree.map(lambda x: x + 0.3, params), state, params
    )
    params = optax.apply_updates(params, updates)
  return params, state


def test_a_program_trains_the_same():
  """Injected, with a constant that is assigned in place half-way."""
  (params, state), (expected, their_state) = _train(ours), _train(theirs)
  np.testing.assert_allclose(params['w'], expected['w'], rtol=1e-6, atol=1e-6)
  assert jax.tree.structure(state) == jax.tree.structure(their_state)
  assert state.hyperparams['weight_decay'] == np.float32(0.01)


def test_as_a_learning_rate():
  """Not injected."""

  def train(module):
    lr = module.join_schedules(
      [
        module.linear_schedule(0.0, 0.5, 5),
        module.exponential_decay(0.5, 5, 0.5),
      ],
      [5],
    )
    tx, params = optax.sgd(lr, momentum=0.9), jnp.ones(3)
    state = tx.init(params)
    for _ in range(20):
      updates, state = tx.update(0.1 * params, state, params)
      params = optax.apply_updates(params, updates)
    return params

  np.testing.assert_allclose(train(ours), train(theirs), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')  # theirs, as Optax runs them
@pytest.mark.parametrize(
  'name', ['_schedule_test', '_join_test', '_inject_test']
)
def test_optaxs_own_tests(name, monkeypatch):
  """The test files that come with Optax, pointed at this module."""
  path = pathlib.Path(theirs.__file__).parent / f'{name}.py'
  if not path.exists():
    pytest.skip('this version of Optax comes without its tests')
  text = path.read_text()
  for module in ('_schedule', '_join', '_inject'):
    text = text.replace(
      f'from optax.schedules import {module}\n',
      f'from flax_sched import optax_compat as {module}\n',
    )
  text = text.replace(
    'from optax import schedules\n',
    'from flax_sched import optax_compat as schedules\n',
  )
  assert 'optax_compat' in text
  module = types.ModuleType(name)
  monkeypatch.setitem(sys.modules, name, module)
  exec(compile(text, str(path), 'exec'), vars(module))
  suite = unittest.defaultTestLoader.loadTestsFromModule(module)
  result = unittest.TestResult()
  suite.run(result)
  assert result.testsRun > 0
  assert not result.failures + result.errors, result

"""Operators and methods of schedules: what they mean, what they refuse."""

import pickle
import re

from hypothesis import given
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched as fs
from flax_sched import numerics
from flax_sched.schedule import Add
from flax_sched.schedule import Constant
from flax_sched.schedule import Divide
from flax_sched.schedule import Join
from flax_sched.schedule import Minimum
from flax_sched.schedule import Multiply
from flax_sched.schedule import Shift
from flax_sched.schedule import Subtract
import zoo

LINE = fs.linear_schedule(1.0, 0.0, 10)
COSINE = fs.cosine_decay_schedule(0.5, 20)
COUNTS = np.arange(30)

plain = zoo.parametrize(lambda entry: not zoo.holds_function(entry.schedule))


# ---------------------------------------------------------------------------
# Operators.


@pytest.mark.parametrize(
  'other',
  [2, 2.5, np.float32(2.5), np.float64(2.5), np.int32(2), jnp.float32(2.5)],
  ids=lambda x: type(x).__name__,
)
def test_numbers_on_either_side(other):
  """Python's, NumPy's and JAX's: the values are combined at each count."""
  line, x = LINE(COUNTS), np.float64(other)
  for got, expected in (
    (LINE + other, line + x),
    (other + LINE, x + line),
    (LINE - other, line - x),
    (other - LINE, x - line),
    (LINE * other, line * x),
    (other * LINE, x * line),
    (LINE / other, line / x),
    (other / (LINE + 1), x / (line + 1)),
    (-LINE, -line),
  ):
    assert isinstance(got, fs.Schedule)
    np.testing.assert_allclose(got(COUNTS), expected, rtol=3e-7, atol=1e-7)


def test_schedules_and_callables_on_either_side():
  """A plain callable is taken as a schedule."""

  def closure(count):
    return optax.linear_schedule(0.5, 1.5, 10)(count)

  expected = LINE(COUNTS) * np.asarray(closure(COUNTS))
  for product in (LINE * closure, closure * LINE):
    assert isinstance(product, Multiply)
    np.testing.assert_allclose(product(COUNTS), expected, rtol=1e-6)
  np.testing.assert_allclose(
    (LINE + COSINE)(COUNTS), LINE(COUNTS) + COSINE(COUNTS), rtol=1e-6
  )


@pytest.mark.parametrize('other', ['2', None, [1.0], {}, object(), 1j, True])
def test_other_operands_are_type_errors(other):
  """As for numbers: Python's own error names both types."""
  for combine in (
    lambda: LINE * other,
    lambda: other * LINE,
    lambda: LINE + other,
    lambda: other - LINE,
    lambda: LINE / other,
  ):
    with pytest.raises(TypeError, match=r'unsupported operand|sequence'):
      combine()


def test_a_stateful_schedule_keeps_its_own_product():
  """`lr * reduce_on_plateau(1.0)` reacts; sums with it have no meaning."""
  plateau = fs.reduce_on_plateau(1.0)
  for product in (LINE * plateau, plateau * LINE):
    assert not isinstance(product, fs.Schedule)
    assert product(product.init()) == 1
  with pytest.raises(TypeError, match='unsupported operand'):
    LINE + plateau


def test_sums_of_sums_are_one_sum():
  """So that a program, a repr and a spec are flat; the order stays."""
  a, b, c = LINE, COSINE, Constant(constant=np.float32(2.0))
  assert (a + b) + c == a + (b + c) == Add(schedules=(a, b, c))
  assert (a * b) * c == a * (b * c) == Multiply(schedules=(a, b, c))
  assert (a - b) - c == Subtract(schedules=(a, b, c))
  assert a - (b - c) == Subtract(schedules=(a, Subtract(schedules=(b, c))))
  assert (a / c) / c == Divide(schedules=(a, c, c))
  assert a * b + c == Add(schedules=(Multiply(schedules=(a, b)), c))


def test_equal_where_built_alike():
  """Equal, with equal hashes and pickles; other operators are other things."""
  made = 0.5 * LINE + COSINE / 3 - 0.1
  again = 0.5 * LINE + COSINE / 3 - 0.1
  assert made == again
  assert hash(made) == hash(again)
  assert pickle.loads(pickle.dumps(made)) == made
  different = {LINE + 2, LINE - 2, LINE * 2, LINE / 2, fs.minimum(LINE, 2)}
  assert len(different) == 5
  assert jax.jit(LINE + 2)(5) != jax.jit(LINE * 2)(5)


def test_repr_is_what_was_written():
  """With parentheses where they are needed."""
  assert repr((LINE + 0.5) * COSINE) == (
    '(Linear(init_value=1.0, end_value=0.0, transition_steps=10) + '
    'Constant(constant=0.5)) * Cosine(init_value=0.5, end_value=0.0, '
    'decay_steps=20)'
  )
  assert repr(LINE.clip(0.1)) == (
    'maximum(Linear(init_value=1.0, end_value=0.0, transition_steps=10), '
    'Constant(constant=0.1))'
  )


def test_division_by_zero():
  """By the number, at once; by a schedule that reaches 0, a huge value."""
  for zero in (0, 0.0, np.float32(0)):
    with pytest.raises(ZeroDivisionError, match='the divisor must not be 0'):
      LINE / zero
  over = 1.0 / LINE
  largest = numerics.MAX_FLOAT32
  assert over(10) == np.float32(2.0**126)
  assert jax.jit(over)(10) == np.float32(2.0**126)
  assert (8.0 / LINE)(10) == largest
  assert (-8.0 / LINE)(10) == jax.jit(-8.0 / LINE)(10) == -largest


@given(
  st.sampled_from(zoo.ZOO),
  st.sampled_from(zoo.ZOO),
  st.integers(0, zoo.MAX_COUNT),
)
def test_algebra(one, other, count):
  """Commutative, and the minimum and maximum are one of the two."""
  if one.is_closure or other.is_closure:
    return
  a, b = one.schedule, other.schedule
  assert (a + b)(count) == (b + a)(count)
  if max(abs(a(count)), abs(b(count))) < numerics.MAX_FLOAT32:
    # Of three factors, the product of two may overflow, and that of others not.
    assert (a * b)(count) == (b * a)(count)
  low, high = fs.minimum(a, b)(count), fs.maximum(a, b)(count)
  assert {low, high} == {a(count), b(count)}
  assert low <= high
  assert (a - a)(count) == 0
  assert (a * 1)(count) == (a + 0)(count) == (a / 1)(count) == a(count)


@pytest.mark.parametrize(
  'combine',
  [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    fs.minimum,
    lambda a, b: a.then(b, 100),
  ],
)
def test_the_program_is_that_of_the_parts(combine):
  """A combination computes each part once, and little more."""

  def size(schedule):
    jaxpr = jax.make_jaxpr(lambda s, n: s(n))(schedule, np.int32(5))
    return str(jaxpr).count(' = ')

  a, b = fs.cosine_decay_schedule(0.5, 20), fs.exponential_decay(0.5, 0.9, 20)
  assert size(combine(a, b)) < size(a) + size(b) + 150
  # Two of a kind in a join are one computation.
  assert size(a.then(a, 100)) < 1.5 * size(a) + 60


# ---------------------------------------------------------------------------
# Methods.


@plain
def test_shift_and_back(entry):
  """Later by k and then earlier by k is the schedule itself."""
  for k in (1, 1000):
    moved = entry.schedule.shift(k).shift(-k)
    for count in (0, 5, 10**6):
      assert moved(count) == entry.schedule(count)
  assert entry.schedule.shift(7)(3) == entry.schedule(0)


def test_then_is_flat():
  """A chain of `then` is one join, where the boundaries increase."""
  chain = LINE.then(COSINE, 10).then(0.5, 30)
  assert chain == fs.join_schedules([LINE, COSINE, 0.5], [10, 30])
  earlier = LINE.then(COSINE, 10).then(0.5, 5)
  assert earlier(4) == LINE(4)
  assert earlier(5) == earlier(20) == 0.5
  assert isinstance(earlier.schedules[0], Join)


@pytest.mark.parametrize(
  'build',
  [
    LINE.every,
    LINE.repeat,
    lambda steps: fs.sgdr_schedule(LINE, steps),
    lambda steps: fs.sgdr_schedule(LINE, steps, t_mult=2.0),
    lambda steps: LINE.repeat(steps, m_mult=0.5),
    lambda steps: fs.step_schedule(1.0, steps),
  ],
)
def test_lengths_from_jax(build):
  """A float counts as its integer; what cannot be checked, as at least 1."""
  for steps, same in ((jnp.float32(4), 4), (jnp.int32(0), 1)):
    schedule, expected = build(steps), build(same)(COUNTS)
    values = jax.jit(lambda s: s(COUNTS))(schedule)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    on_host = jax.device_get(schedule)
    np.testing.assert_allclose(on_host(COUNTS), expected, rtol=1e-6)


def test_repeat_of_a_curve_can_grow():
  """The curve's own length is the first cycle; else cycles are joined."""
  growing = COSINE.repeat(20, t_mult=2, m_mult=0.5)
  assert growing(20) == growing(0) * 0.5
  assert growing(60) == growing(0) * 0.25
  four = fs.linear_schedule(1.0, 0.0, jnp.int32(4))
  for curve, period in ((four, 4), (four, jnp.int32(4)), (LINE, jnp.int32(10))):
    assert curve.repeat(period, t_mult=2)(period) == 1
  message = (
    r'^repeat: period must be the length of the curve, 20, where t_mult is not '
    r'1, got {} for Cosine\(.*\)\. sgdr_schedule takes any, and stretches'
  )
  with pytest.raises(ValueError, match=message.format('10')):
    COSINE.repeat(10, t_mult=2)
  with pytest.raises(ValueError, match=message.format('.*Tracer.*')):
    jax.jit(lambda period: COSINE.repeat(period, t_mult=2)(3))(20)
  with pytest.raises(ValueError, match='t_mult must be 1 for what is not a cu'):
    (COSINE + 1).repeat(20, t_mult=2)


@pytest.mark.parametrize(
  ('call', 'error', 'message'),
  [
    (lambda: LINE.shift(0.5), ValueError, 'shift: steps must be a non-negat'),
    (lambda: LINE.shift(-0.5), ValueError, 'shift: steps must be a positive'),
    (lambda: LINE.shift('5'), TypeError, "shift: steps must be a .*, got '5'"),
    (lambda: LINE.shift(2**31), ValueError, 'shift: steps must be at most 2'),
    (lambda: LINE.shift(True), TypeError, 'shift: steps must be'),
    (lambda: LINE.every(0), ValueError, 'every: steps must be a positive'),
    (lambda: LINE.then(0.5, -1), ValueError, 'then: at must be a non-neg'),
    (lambda: LINE.then('x', 1), TypeError, "then: other must be .* 'x'"),
    (lambda: LINE.repeat(0), ValueError, 'repeat: period must be a positive'),
    (lambda: LINE.repeat(5, 0.5), ValueError, 'repeat: t_mult must be at le'),
    (lambda: LINE.repeat(5, 1, 0), ValueError, 'repeat: m_mult must be pos'),
    (lambda: LINE.clip(2, 1), ValueError, 'clip: low must be at most high'),
    (lambda: LINE.clip('x'), TypeError, "clip: low must be a real .* 'x'"),
    (lambda: LINE.clip(high=[1]), TypeError, 'clip: high must be a real'),
    (fs.minimum, ValueError, 'minimum: schedules must not be empty'),
    (fs.maximum, ValueError, 'maximum: schedules must not be empty'),
    (lambda: fs.follow(LINE, {}), ValueError, 'follow: function must not be'),
    (lambda: fs.follow(LINE, 3), TypeError, 'follow: function must be a map'),
    (
      lambda: fs.follow(LINE, {'a': 1.0}),
      TypeError,
      "follow: function key 'a' must be a real number",
    ),
    (
      lambda: fs.follow(LINE, {0.0: 'b'}),
      TypeError,
      r"follow: function\[0.0\] must be a real number, got 'b'",
    ),
  ],
)
def test_errors(call, error, message):
  """The method, the argument, the value and what it must be."""
  with pytest.raises(error, match=message):
    call()


def test_clip_with_schedules():
  """Bounds may move; no bound is the schedule itself."""
  assert LINE.clip() is LINE
  clipped = LINE.clip(0.1, fs.linear_schedule(0.5, 0.7, 10))
  assert clipped(0) == 0.5
  assert clipped(10) == np.float32(0.1)
  assert isinstance(LINE.clip(high=0.5), Minimum)


def test_parameters_may_not_be_named_as_methods():
  """Else a method would be taken for the parameter's default."""
  message = (
    'Shifted: shift is a method of schedules. Give the parameter another'
  )
  with pytest.raises(TypeError, match=message):

    class Shifted(fs.Schedule):
      """A class that hides a method."""

      shift: int

      def value(self, count):
        return count


# ---------------------------------------------------------------------------
# In an optimizer.


@pytest.mark.parametrize(
  'inject', [fs.inject_hyperparams, fs.inject_stateful_hyperparams]
)
def test_a_hyperparameter_follows_another(inject):
  """Weight decay proportional to the learning rate, momentum its mirror."""
  lr = fs.warmup_cosine_decay_schedule(0.0, 0.1, 5, 15)
  tx = inject(
    optax.adamw,
    learning_rate=lr,
    weight_decay=0.5 * lr,
    b1=fs.follow(lr, {0.0: 0.95, 0.1: 0.85}),
  )
  params = jnp.ones(3)
  state = tx.init(params)
  update = jax.jit(tx.update)
  for count in range(20):
    _, state = update(params, state, params)
    used = fs.hyperparams(state)
    assert used['weight_decay'] == pytest.approx(0.5 * lr(count), rel=1e-6)
    assert used['b1'] == pytest.approx(0.95 - lr(count), rel=1e-6)
  assert update._cache_size() == 1


def test_one_program_for_other_numbers():
  """Numbers inside of a combination are leaves too."""
  calls = []

  @jax.jit
  def value(schedule, count):
    calls.append(1)
    return schedule(count)

  for peak in (1.0, 2.0, 3.0):
    schedule = (peak * LINE + 0.5).shift(3).clip(0.1, peak)
    assert value(schedule, 5) == pytest.approx(float(schedule(5)), rel=1e-6)
  assert len(calls) == 1
  assert re.search('Shift', repr(schedule))
  assert isinstance(LINE.shift(3), Shift)

"""Gradients of a validation loss in what a schedule is built from.

Softmax regression on handwritten digits, 12 steps of adamw: a warm-up of 4, a
decay of 6, and 2 steps past the end.
"""

import functools

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits

import flax_sched as fs
import zoo

WARM_UP, DECAY, STEPS = 4, 6, 12
AT = {
  'init_value': 0.01,
  'peak_value': 0.04,
  'end_value': 0.005,
  'power': 1.5,
  'weight_decay': 0.3,
}


# A line compiles in a fraction of the time.
AT_LINE = {name: value for name, value in AT.items() if name != 'power'}


def schedule_of(at):
  """A line up to the peak, then down a polynomial, or a line."""
  peak, end = at['peak_value'], at['end_value']
  rise = fs.linear_schedule(at['init_value'], peak, WARM_UP)
  if 'power' in at:
    fall = fs.polynomial_schedule(peak, end, at['power'], DECAY)
  else:
    fall = fs.linear_schedule(peak, end, DECAY)
  return fs.join_schedules([rise, fall], [WARM_UP])


def adamw(wrapper, learning_rate, weight_decay):
  """Adam's root of 0, of a pixel that is always 0, has no finite slope."""
  return wrapper(
    optax.adamw,
    learning_rate=learning_rate,
    weight_decay=weight_decay,
    eps_root=1e-8,
  )


def sgd(wrapper, learning_rate, weight_decay):
  """The learning rate alone."""
  del weight_decay
  return wrapper(optax.sgd, learning_rate=learning_rate)


def start_built(wrapper, params, at, optimizer=adamw):
  """A transformation that is built of the traced values."""
  tx = optimizer(wrapper, schedule_of(at), at['weight_decay'])
  return tx, tx.init(params)


def start_set(params, at, optimizer=adamw):
  """A transformation that is built before, and a state that is changed."""
  before = schedule_of(AT if 'power' in at else AT_LINE)
  tx = optimizer(fs.inject_stateful_hyperparams, before, 0.1)
  state = fs.set_schedules(tx.init(params), learning_rate=schedule_of(at))
  if optimizer is adamw:
    state = fs.set_schedules(state, weight_decay=at['weight_decay'])
  return tx, state


STARTS = {
  'fast, built': functools.partial(start_built, fs.inject_hyperparams),
  'full, built': functools.partial(start_built, fs.inject_stateful_hyperparams),
  'full, set': start_set,
}


@functools.cache
def data():
  """Images and labels: 150 to train on, 150 to validate."""
  digits = load_digits()
  images = np.asarray(digits.data[:300] / 16, np.float32)
  labels = digits.target[:300].astype(np.int32)
  return (images[::2], labels[::2]), (images[1::2], labels[1::2])


def loss_fn(params, batch):
  """The cross entropy of a linear model."""
  images, labels = batch
  logits = images @ params['kernel'] + params['bias']
  return jnp.mean(
    optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  )


def zero_params():
  """The parameters before the first step, in the dtype that JAX chooses."""
  return {'kernel': jnp.zeros((64, 10)), 'bias': jnp.zeros(10)}


def trained(tx, state, wrap=lambda step: step):
  """The parameters and the optimizer's state after all steps."""

  @wrap
  def step(carry, _):
    params, state = carry
    grads = jax.grad(loss_fn)(params, data()[0])
    updates, state = tx.update(grads, state, params)
    return (optax.apply_updates(params, updates), state), None

  start = zero_params(), state
  return jax.lax.scan(step, start, length=STEPS)[0]


def valid_loss(start, at, **options):
  """The loss on the validation data after training."""
  tx, state = start(zero_params(), at)
  return loss_fn(trained(tx, state, **options)[0], data()[1])


@functools.cache
def hypergradient(name):
  """The loss and its gradient, compiled."""
  return jax.jit(
    jax.value_and_grad(functools.partial(valid_loss, STARTS[name]))
  )


def as_arrays(at):
  """The numbers as traced ones are: in the dtype that JAX chooses."""
  return {name: jnp.asarray(value, float) for name, value in at.items()}


@functools.cache
def finite_differences(power):
  """The loss and its gradient at AT or AT_LINE, by central differences.

  Nothing of the library runs on the device here: plain Optax trains, in double
  precision, by the values that the schedule has on the host.
  """
  center = AT if power else AT_LINE
  with zoo.enable_x64(True):

    @jax.jit
    def loss(rates, weight_decay):
      tx = optax.adamw(
        lambda count: rates[count],
        weight_decay=weight_decay,
        eps_root=1e-8,
      )
      params, _ = trained(tx, tx.init(zero_params()))
      return loss_fn(params, data()[1])

    def at_values(at):
      rates = schedule_of(at)(np.arange(STEPS)).astype(np.float64)
      return float(loss(rates, at['weight_decay']))

    gradient = {}
    for name, value in center.items():
      # Large enough for values that are rounded to single precision.
      step = 2e-3 * value
      above, below = ({**center, name: value + s} for s in (step, -step))
      gradient[name] = (at_values(above) - at_values(below)) / (2 * step)
    return at_values(center), gradient


WAYS = {'fast, built': AT_LINE, 'full, built': AT, 'full, set': AT_LINE}
each_way = pytest.mark.parametrize(
  ('name', 'at'),
  [
    pytest.param(
      name, at, marks=[pytest.mark.slow] * (name != 'fast, built'), id=name
    )
    for name, at in WAYS.items()
  ],
)


def assert_close(got, expected, rtol):
  """Two gradients, slope by slope."""
  assert got.keys() == expected.keys()
  for name, slope in expected.items():
    np.testing.assert_allclose(got[name], slope, rtol=rtol, err_msg=name)


@each_way
def test_as_finite_differences(name, at):
  """In each number of the schedules, through each way to inject them."""
  loss, gradient = hypergradient(name)(as_arrays(at))
  expected_loss, expected = finite_differences('power' in at)
  np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
  assert_close(gradient, expected, rtol=1e-3)
  assert min(map(abs, expected.values())) > 1e-3  # they tell something


@pytest.mark.slow
def test_double_precision():
  """The hypergradient of a program in double precision is as good."""
  with zoo.enable_x64(True):
    start = STARTS['full, built']
    gradient = jax.jit(jax.grad(functools.partial(valid_loss, start)))
    slopes = gradient(as_arrays(AT_LINE))
    assert {slope.dtype for slope in slopes.values()} == {np.dtype('float64')}
    assert_close(slopes, finite_differences(False)[1], rtol=1e-3)


MODES = {
  'forward': lambda f, at: jax.jacfwd(f)(at),
  'steps computed again': lambda f, at: jax.grad(
    functools.partial(f, wrap=jax.checkpoint)
  )(at),
  'a population': lambda f, at: jax.tree.map(
    lambda slopes: slopes[1],
    jax.vmap(jax.grad(f))({k: jnp.stack([2 * x, x]) for k, x in at.items()}),
  ),
}


@pytest.mark.slow
@pytest.mark.parametrize('mode', MODES)
def test_other_modes(mode):
  """Each is the same gradient."""
  f = functools.partial(valid_loss, STARTS['full, built'])
  gradient = jax.jit(functools.partial(MODES[mode], f))(as_arrays(AT_LINE))
  assert_close(gradient, finite_differences(False)[1], rtol=1e-3)


def test_in_the_arrays_of_a_state():
  """The gradient in a state is a state: the slopes are where the numbers are.

  A number that the schedules hold twice, such as the peak, has two slopes, and
  their sum is that of the number.
  """
  tx, state = STARTS['full, built'](zero_params(), AT_LINE)
  parameters = state.hyperparams_states.parameters

  def state_with(numbers):
    states = state.hyperparams_states.replace(
      parameters={**parameters, 'float32': numbers}
    )
    return state.replace(hyperparams_states=states)

  def loss(numbers):
    return loss_fn(trained(tx, state_with(numbers))[0], data()[1])

  slopes = jax.jit(jax.grad(loss))(parameters['float32'])
  found = state_with(slopes).hyperparams_states
  rise, fall = found['learning_rate'].schedules
  gradient = {
    'init_value': rise.init_value,
    'peak_value': rise.end_value + fall.init_value,
    'end_value': fall.end_value,
    'weight_decay': found['weight_decay'].constant,
  }
  assert_close(gradient, finite_differences(False)[1], rtol=1e-3)


def by_hand(count):
  """The slope of the learning rate in each number."""
  up = min(count / WARM_UP, 1)
  left = 1 - min(max(count - WARM_UP, 0) / DECAY, 1)
  weight = left ** AT['power']
  warm = count < WARM_UP
  drop = AT['peak_value'] - AT['end_value']
  log = np.log(left) if left else 0.0
  return {
    'init_value': 1 - up,
    'peak_value': up if warm else weight,
    'end_value': 0.0 if warm else 1 - weight,
    'power': 0.0 if warm else drop * weight * log,
  }


EDGES = [0, 1, WARM_UP - 1, WARM_UP, WARM_UP + 1, WARM_UP + DECAY - 1]
EDGES += [WARM_UP + DECAY, WARM_UP + DECAY + 1, 10**6, 2**31 - 2]


@pytest.mark.parametrize('name', STARTS)
def test_edges(name):
  """One step from each edge: finite, and what the formula says."""

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def slopes(at, count):
    params = jnp.float32(0.0)
    tx, state = STARTS[name](params, at, optimizer=sgd)
    updates, state = tx.update(-1.0, state.replace(count=count), params)
    return updates, fs.hyperparams(state)['learning_rate']

  for count in EDGES:
    got, rate = slopes(as_arrays(AT), jnp.int32(count))
    np.testing.assert_allclose(rate, schedule_of(AT)(count), rtol=1e-6)
    for number, slope in by_hand(count).items():
      np.testing.assert_allclose(got[number], slope, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@each_way
def test_finite_where_values_are_0(name, at):
  """A warm-up from 0, a decay to 0, no weight decay, a power below 1."""
  at = {**at, 'init_value': 0.0, 'end_value': 0.0, 'weight_decay': 0.0}
  for change in ({}, {'power': 0.5}, {'peak_value': 0.0}):
    values = {**at, **{k: x for k, x in change.items() if k in at}}
    loss, gradient = hypergradient(name)(as_arrays(values))
    for value in (loss, *gradient.values()):
      assert np.isfinite(value)


@each_way
def test_descent_on_the_peak(name, at):
  """Each outer step lowers the validation loss."""
  log, losses = np.log(at['peak_value'] / 4), []
  for _ in range(6):
    peak = np.exp(log)
    values = as_arrays({**at, 'peak_value': peak})
    loss, gradient = hypergradient(name)(values)
    losses.append(float(loss))
    log -= 2.5 * peak * float(gradient['peak_value'])
  assert losses == sorted(losses, reverse=True)
  assert losses[-1] < 0.9 * losses[0]


def test_lengths_are_no_variables():
  """Numbers of steps are integers, whose gradient is JAX's empty one."""

  def rate(steps):
    schedule = fs.warmup_constant_schedule(0.0, 0.1, steps)
    tx = fs.inject_stateful_hyperparams(optax.sgd, learning_rate=schedule)
    return fs.hyperparams(tx.init(jnp.ones(3)))['learning_rate']

  with pytest.raises(TypeError, match='int32'):
    jax.grad(rate)(jnp.int32(3))
  gradient = jax.jit(jax.grad(rate, allow_int=True))(jnp.int32(3))
  assert gradient.dtype == jax.float0


@pytest.mark.parametrize(
  'schedule_of',
  [
    lambda steps: fs.warmup_constant_schedule(0.0, 0.1, steps),
    lambda steps: fs.cosine_decay_schedule(0.1, steps),
    lambda steps: fs.polynomial_schedule(0.1, 0.0, 2.0, steps),
    lambda steps: fs.exponential_decay(0.1, 0.5, steps),
    lambda steps: fs.warmup_cosine_decay_schedule(0.0, 0.1, steps, 10 * steps),
    lambda steps: fs.sgdr_schedule(fs.cosine_decay_schedule(0.1, 5), steps),
    lambda steps: fs.inverse_sqrt_schedule(0.1, steps),
  ],
)
def test_a_length_that_is_a_float_has_none_either(schedule_of):
  """A slope that leaves out what the boundaries move would be half of one."""
  for count in (1, 3, 7):
    slope = jax.grad(lambda steps, n=count: schedule_of(steps)(n))(6.0)
    assert slope == 0


def test_adam_needs_eps_root():
  """As the page says: the slope of the root of 0 is not finite."""

  def after(rate, eps_root):
    tx = fs.inject_hyperparams(
      optax.adam, learning_rate=rate, eps_root=eps_root
    )
    params, state = jnp.ones(2), tx.init(jnp.ones(2))
    for _ in range(2):
      grads = params * np.array([1.0, 0.0], np.float32)
      updates, state = tx.update(grads, state, params)
      params = optax.apply_updates(params, updates)
    return jnp.sum(params)

  assert np.isnan(jax.jit(jax.grad(after))(0.1, 0.0))
  assert np.isfinite(jax.jit(jax.grad(after))(0.1, 1e-8))


def test_a_state_of_constants_takes_no_traced_schedule():
  """`inject_hyperparams` keeps schedules as constants; numbers are traced."""
  params = jnp.ones(3)
  tx = fs.inject_hyperparams(optax.sgd, learning_rate=0.1)

  def update(new):
    state = fs.set_schedules(tx.init(params), learning_rate=new)
    return jnp.sum(tx.update(params, state)[0])

  assert jax.grad(update)(0.1) == -3
  with pytest.raises(TypeError, match=r'must be plain data, got .*Tracer'):
    jax.grad(lambda peak: update(fs.cosine_decay_schedule(peak, 10)))(0.1)


def test_overrides_have_gradients():
  """As a number that `set_hyperparams` puts in place of a schedule."""
  params = jnp.ones(3)
  tx = fs.inject_stateful_hyperparams(
    optax.sgd, learning_rate=fs.cosine_decay_schedule(0.1, 10)
  )

  def update(rate):
    state = fs.set_hyperparams(tx.init(params), learning_rate=rate)
    return jnp.sum(tx.update(params, state)[0])

  assert jax.grad(update)(0.5) == -3

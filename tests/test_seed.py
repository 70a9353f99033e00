"""Every code block of the specification's "Usage Examples", as written.

`flax_sched` stands in for `optax` for the names that the specification lists;
optimizers, `chain`, `scale`, `scale_by_adam` and `apply_updates` stay Optax's.
The specification's text has lost its indentation, which is restored here, and
leaves `compute_loss`, the parameters and the data to the reader.
"""

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

import flax_sched

PARAMS = {'w': jnp.ones(3), 'b': jnp.zeros(())}
BATCH = (jnp.eye(3), jnp.arange(3.0))


def compute_loss(params, batch):
  """A linear regression."""
  x, y = batch
  return jnp.mean((x @ params['w'] + params['b'] - y) ** 2)


def _trains(optimizer):
  """The loss falls over a few jitted steps."""
  params, opt_state = PARAMS, optimizer.init(PARAMS)

  @jax.jit
  def step(params, opt_state):
    grads = jax.grad(compute_loss)(params, BATCH)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state

  for _ in range(10):
    params, opt_state = step(params, opt_state)
  assert compute_loss(params, BATCH) < compute_loss(PARAMS, BATCH)
  return opt_state


def test_basic_schedule_usage():
  """Basic Schedule Usage."""
  # Create different schedules
  constant_lr = flax_sched.constant_schedule(0.001)
  linear_decay = flax_sched.linear_schedule(0.001, 0.0001, 1000)
  cosine_decay = flax_sched.cosine_decay_schedule(0.001, 1000)
  exponential_decay = flax_sched.exponential_decay(0.001, 0.96, 100)

  # Use schedule with optimizer
  optimizer = optax.adam(learning_rate=cosine_decay)

  # Evaluate schedule at different steps
  step_0_lr = constant_lr(0)  # 0.001
  step_500_lr = linear_decay(500)  # 0.0005
  step_1000_lr = cosine_decay(1000)  # close to 0

  assert step_0_lr == np.float32(0.001)
  # The comment in the specification rounds: half-way from 1e-3 to 1e-4.
  assert step_500_lr == np.float32(0.00055)
  assert step_1000_lr == 0
  assert exponential_decay(100) == pytest.approx(0.00096, rel=1e-6)
  _trains(optimizer)


def test_warmup_schedules():
  """Warmup Schedules."""
  # Warmup followed by cosine decay
  warmup_cosine = flax_sched.warmup_cosine_decay_schedule(
    init_value=0.0,
    peak_value=0.001,
    warmup_steps=1000,
    decay_steps=9000,
    end_value=0.00001,
  )

  # Warmup followed by constant
  warmup_constant = flax_sched.warmup_constant_schedule(
    init_value=0.0, peak_value=0.001, warmup_steps=500
  )

  # Use with optimizer
  optimizer = optax.adamw(learning_rate=warmup_cosine, weight_decay=0.01)

  assert warmup_cosine(np.array([0, 1000, 10_000, 20_000])) == pytest.approx(
    [0.0, 0.001, 0.00001, 0.00001], rel=1e-7
  )
  assert warmup_constant(np.array([0, 250, 500, 1000])) == pytest.approx(
    [0.0, 0.0005, 0.001, 0.001], rel=1e-7
  )
  _trains(optimizer)


def test_piecewise_schedules():
  """Piecewise Schedules."""
  # Different learning rates at different training phases
  boundaries_and_scales = {
    500: 1.0,  # LR = init_value * 1.0 until step 500
    1000: 0.5,  # LR = init_value * 0.5 from step 500-1000
    1500: 0.1,  # LR = init_value * 0.1 from step 1000-1500
  }

  piecewise_sched = flax_sched.piecewise_constant_schedule(
    boundaries_and_scales
  )

  # With interpolation
  piecewise_interp = flax_sched.piecewise_interpolate_schedule(
    'linear', 0.001, boundaries_and_scales
  )

  steps = np.array([0, 499, 500, 999, 1000, 1499, 1500, 9999])
  assert piecewise_sched(steps) == pytest.approx(
    [1.0, 1.0, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1]
  )
  steps = np.array([0, 500, 750, 1000, 1250, 1500, 9999])
  assert piecewise_interp(steps) == pytest.approx(
    [0.001, 0.001, 0.00075, 0.0005, 0.0003, 0.0001, 0.0001]
  )


def test_advanced_scheduling():
  """Advanced Scheduling."""
  # One-cycle schedule
  onecycle = flax_sched.cosine_onecycle_schedule(
    transition_steps=5000,
    peak_value=0.01,
    pct_start=0.3,  # 30% warmup
    pct_final=0.85,  # 85% before final decay
  )

  # SGDR with restarts
  base_cosine = flax_sched.cosine_decay_schedule(0.001, 1000)
  sgdr = flax_sched.sgdr_schedule(base_cosine, restart_period=1000, t_mult=2.0)

  # Join multiple schedules
  schedules = [
    flax_sched.constant_schedule(0.001),  # First 1000 steps
    flax_sched.linear_schedule(0.001, 0.0001, 1000),  # Next 1000 steps
  ]
  joined = flax_sched.join_schedules(schedules, [1000])

  assert onecycle(np.array([0, 1500, 4250, 5000])) == pytest.approx(
    [0.0004, 0.01, 0.0004, 4e-8]
  )
  assert sgdr(np.array([0, 500, 1000, 2000, 3000, 7000])) == pytest.approx(
    [0.001, 0.0005, 0.001, 0.0005, 0.001, 0.001]
  )
  assert joined(np.array([0, 1000, 1500, 2000, 3000])) == pytest.approx(
    [0.001, 0.001, 0.00055, 0.0001, 0.0001]
  )


def test_hyperparameter_scheduling():
  """Hyperparameter Scheduling."""
  # Schedule multiple hyperparameters
  base_transform = optax.scale_by_adam()

  scheduled_transform = flax_sched.inject_hyperparams(
    base_transform,
    learning_rate=flax_sched.cosine_decay_schedule(0.001, 1000),
    b1=flax_sched.linear_schedule(0.9, 0.95, 500),
    b2=flax_sched.constant_schedule(0.999),
  )

  # Create complete optimizer
  optimizer = optax.chain(
    scheduled_transform,
    optax.scale(-1.0),  # Apply negative learning rate
  )

  opt_state = _trains(optimizer)
  assert isinstance(opt_state[0], flax_sched.InjectHyperparamsState)
  assert flax_sched.hyperparams(opt_state) == {
    'learning_rate': pytest.approx(0.000999800, rel=1e-6),
    'b1': pytest.approx(0.9009, rel=1e-6),
    'b2': np.float32(0.999),
  }


def test_training_loop_integration():
  """Training Loop Integration."""
  # Create schedule
  schedule = flax_sched.warmup_cosine_decay_schedule(
    init_value=0.0, peak_value=0.001, warmup_steps=1000, decay_steps=9000
  )

  optimizer = optax.adam(learning_rate=schedule)

  def train_step(params, opt_state, batch, step):
    """Training step with scheduled learning rate."""

    def loss_fn(p):
      return compute_loss(p, batch)

    loss_val, grads = jax.value_and_grad(loss_fn)(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    params = optax.apply_updates(params, updates)

    # Current learning rate for logging
    current_lr = schedule(step)

    return params, opt_state, loss_val, current_lr

  params, opt_state = PARAMS, optimizer.init(PARAMS)
  for run in (train_step, jax.jit(train_step)):
    result = run(params, opt_state, BATCH, 500)
    assert result[2] == compute_loss(PARAMS, BATCH)
    assert result[3] == np.float32(0.0005)


def test_state_classes():
  """Schedule State Classes: the fields that the specification names, first."""
  fields = {
    flax_sched.InjectHyperparamsState: ['count', 'inner_state'],
    flax_sched.InjectStatefulHyperparamsState: [
      'count',
      'inner_state',
      'hyperparams_states',
    ],
    flax_sched.WrappedSchedule: ['schedule_fn'],
  }
  for cls, names in fields.items():
    assert list(cls.__dataclass_fields__)[: len(names)] == names


def test_stateful_hyperparameters():
  """inject_stateful_hyperparams, called as the specification says."""
  cosine = flax_sched.cosine_decay_schedule(0.001, 1000)
  transform = flax_sched.inject_stateful_hyperparams(
    optax.scale_by_adam(),
    learning_rate=flax_sched.WrappedSchedule(schedule_fn=cosine),
  )
  opt_state = _trains(optax.chain(transform, optax.scale(-1.0)))
  assert opt_state[0].count == 10
  assert opt_state[0].hyperparams_states['learning_rate'] == cosine

"""Where the schedule functions differ from Optax, as the README lists it."""

import numpy as np
import optax

import flax_sched as fs


def test_exponential_decay_takes_the_rate_first():
  """Optax takes the steps first."""
  ours = fs.exponential_decay(0.1, 0.5, 100)
  theirs = optax.exponential_decay(0.1, 100, 0.5)
  for n in (0, 50, 100, 1000):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=1e-6)


def test_decay_steps_do_not_include_the_warm_up():
  """Optax's do."""
  ours = fs.warmup_cosine_decay_schedule(0.0, 1.0, 100, 400)
  theirs = optax.warmup_cosine_decay_schedule(0.0, 1.0, 100, 500)
  for n in (0, 50, 100, 300, 400, 600):
    np.testing.assert_allclose(ours(n), theirs(n), atol=1e-6)


def test_piecewise_scales_hold_until_their_boundary():
  """In Optax they multiply up, and apply from their boundary on."""
  ours = fs.piecewise_constant_schedule({10: 1.0, 20: 0.5, 30: 0.25}, 2.0)
  theirs = optax.piecewise_constant_schedule(2.0, {10: 0.5, 20: 0.5})
  for n in (0, 9, 10, 11, 19, 20, 21, 29, 30, 31, 99):
    assert ours(n) == theirs(n)


def test_piecewise_knots_are_relative_to_the_first_value():
  """In Optax they are at the running product."""
  ours = fs.piecewise_interpolate_schedule('cosine', 2.0, {10: 0.5, 20: 0.25})
  theirs = optax.piecewise_interpolate_schedule(
    'cosine', 2.0, {10: 0.5, 20: 0.5}
  )
  for n in (0, 3, 10, 17, 20, 99):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=1e-5)


def test_linear_onecycle_is_optax_with_the_last_argument_last():
  """Three phases, the same knots."""
  ours = fs.linear_onecycle_schedule(100, 1.0, 0.3, 0.85, 1e4, 25.0)
  theirs = optax.linear_onecycle_schedule(100, 1.0, 0.3, 0.85, 25.0, 1e4)
  for n in (0, 10, 30, 60, 85, 90, 100, 200):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=2e-5, atol=1e-7)


def test_cosine_onecycle_has_three_phases():
  """The first and the last value are Optax's; in between is one more knot."""
  ours = fs.cosine_onecycle_schedule(100, 1.0)
  theirs = optax.cosine_onecycle_schedule(100, 1.0)
  for n in (0, 15, 30, 100):
    np.testing.assert_allclose(ours(n), theirs(n), rtol=1e-5, atol=1e-7)
  assert ours(85) == np.float32(0.04)


def test_sgdr_stretches_one_curve():
  """Optax takes a list of keyword dicts."""
  ours = fs.sgdr_schedule(fs.cosine_decay_schedule(1.0, 7), 10, 2.0)
  cycles = [10, 20, 40]
  theirs = optax.sgdr_schedule(
    [
      {
        'init_value': 1.0,
        'peak_value': 1.0,
        'warmup_steps': 0,
        'decay_steps': steps,
      }
      for steps in cycles
    ]
  )
  for n in (0, 5, 9, 10, 20, 29, 30, 50, 69):
    np.testing.assert_allclose(ours(n), theirs(n), atol=1e-6)

"""Exact values of schedules, of the arguments of the public functions.

They come from mpmath, written anew from the docstrings: a formula here shares
no code with `flax_sched`. Parameters are rounded to float32 first, as a
schedule's leaves are, so that an error is the arithmetic's own.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

from flax_sched import numerics

MAX_COUNT = 2**31 - 1

mp = mpmath.mp.clone()
mp.dps = 60

Exact = Callable[[int], Any]  # count -> mpf

LARGEST = mp.mpf(numerics.MAX_FLOAT32)


def rounded(x: Any) -> Any:
  """A parameter as the float32 that a schedule holds, exactly."""
  return mp.mpf(float(np.float32(x)))


def length(steps: Any) -> Any:
  """A number of steps: an integer, beyond int32 the nearest float32."""
  return mp.mpf(int(steps)) if steps <= MAX_COUNT else rounded(steps)


def progress(n: int, steps: Any, begin: int = 0) -> Any:
  """How much of a span is done, from 0 to 1."""
  return min(max(n - begin, 0) / length(steps), mp.mpf(1))


def half_wave(p: Any) -> Any:
  """Half a cosine wave, from 1 at p = 0 down to 0 at p = 1."""
  return mp.cos(mp.pi * p / 2) ** 2


def exact_constant(value):
  """constant_schedule."""
  return lambda n: rounded(value)


def linear_at(init_value, end_value):
  """A straight line, as a function of progress."""
  init, end = rounded(init_value), rounded(end_value)
  return lambda p: init + (end - init) * p


def exact_linear(init_value, end_value, transition_steps, transition_begin=0):
  """linear_schedule."""
  at = linear_at(init_value, end_value)
  return lambda n: at(progress(n, transition_steps, transition_begin))


def polynomial_at(init_value, end_value, power):
  """A polynomial, as a function of progress."""
  init, end = rounded(init_value), rounded(end_value)
  return lambda p: end + (init - end) * (1 - p) ** rounded(power)


def one_minus_power_at(init_value, end_value, power):
  """One minus a power of progress."""
  init, end = rounded(init_value), rounded(end_value)
  return lambda p: end + (init - end) * (1 - p ** rounded(power))


def exact_polynomial(
  init_value, end_value, power, transition_steps, transition_begin=0
):
  """polynomial_schedule."""
  at = polynomial_at(init_value, end_value, power)
  return lambda n: at(progress(n, transition_steps, transition_begin))


def per_longer(decay_rate, steps=1):
  """A rate close to 1 is one over longer, where a float32 is good enough."""
  rate = mp.mpf(decay_rate)
  while abs(mp.log(rate)) < 0.02 and rate != 1:
    rate, steps = rate**10, steps * 10
  return rounded(rate), steps


def exact_exponential(
  init_value,
  decay_rate,
  transition_steps,
  transition_begin=0,
  staircase=False,
  end_value=None,
):
  """exponential_decay."""

  rate, steps = rounded(decay_rate), length(transition_steps)
  if not staircase:
    rate, steps = per_longer(decay_rate, steps)

  def value(n):
    turns = max(n - transition_begin, 0) / steps
    turns = mp.floor(turns) if staircase else turns
    result = rounded(init_value) * rate**turns
    if end_value is None:
      return result
    bound = max if rate < 1 else min
    return bound(result, rounded(end_value))

  return value


def cosine_at(init_value, alpha=0.0, exponent=1.0):
  """Half a cosine wave, as a function of progress."""
  init, alpha = rounded(init_value), rounded(alpha)
  power = rounded(exponent)
  return lambda p: init * ((1 - alpha) * half_wave(p) ** power + alpha)


def exact_cosine(init_value, decay_steps, alpha=0.0, exponent=1.0):
  """cosine_decay_schedule."""
  at = cosine_at(init_value, alpha, exponent)
  return lambda n: at(progress(n, decay_steps))


def between_knots(
  interpolate_type: str, steps: Sequence[int], values: Sequence[Any]
) -> Exact:
  """Through the knots (steps[i], values[i]); the last one holds on."""

  def value(n):
    i = bisect.bisect_right(steps, n) - 1
    if i + 1 == len(steps):
      return values[-1]
    p = mp.mpf(n - steps[i]) / (steps[i + 1] - steps[i])
    weight = 1 - p if interpolate_type == 'linear' else half_wave(p)
    return values[i + 1] + (values[i] - values[i + 1]) * weight

  return value


def onecycle_knots(transition_steps, pct_start=0.3, pct_final=0.85):
  """The steps at which a cycle's phases end."""
  peak = int(pct_start * transition_steps)
  final = max(int(pct_final * transition_steps), peak + 1)
  return [0, peak, min(final, transition_steps), transition_steps]


def exact_onecycle(interpolate_type):
  """cosine_onecycle_schedule and linear_onecycle_schedule."""

  def exact(
    transition_steps,
    peak_value,
    pct_start=0.3,
    pct_final=0.85,
    final_div_factor=1e4,
    div_factor=25.0,
  ):
    peak, div = rounded(peak_value), rounded(div_factor)
    return between_knots(
      interpolate_type,
      onecycle_knots(transition_steps, pct_start, pct_final),
      [peak / div, peak, peak / div, peak / (div * rounded(final_div_factor))],
    )

  return exact


def exact_piecewise_constant(boundaries_and_scales, init_value=1.0):
  """piecewise_constant_schedule."""
  steps = sorted(boundaries_and_scales)
  scales = [rounded(boundaries_and_scales[step]) for step in steps]

  def value(n):
    index = min(bisect.bisect_right(steps, n), len(steps) - 1)
    return rounded(init_value) * scales[index]

  return value


def exact_piecewise_interpolate(
  interpolate_type, init_value, boundaries_and_scales
):
  """piecewise_interpolate_schedule."""
  steps = sorted(boundaries_and_scales)
  scales = [1, *(rounded(boundaries_and_scales[step]) for step in steps)]
  values = [rounded(init_value) * scale for scale in scales]
  return between_knots(interpolate_type, [0, *steps], values)


def exact_join(parts: Sequence[Exact], boundaries: Sequence[int]) -> Exact:
  """join_schedules."""
  starts = [0, *boundaries]

  def value(n):
    i = bisect.bisect_right(boundaries, n)
    return parts[i](n - starts[i])

  return value


def exact_warmup(init_value, peak_value, warmup_steps, then):
  """A straight line up to the peak, then another schedule."""
  line = exact_linear(init_value, peak_value, max(warmup_steps, 1))
  return exact_join([line, then], [warmup_steps])


def exact_warmup_constant(init_value, peak_value, warmup_steps):
  """warmup_constant_schedule."""
  then = exact_constant(peak_value)
  return exact_warmup(init_value, peak_value, warmup_steps, then)


def exact_warmup_cosine(
  init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, exponent=1.0
):
  """warmup_cosine_decay_schedule."""
  peak, end = rounded(peak_value), rounded(end_value)

  def then(n):
    weight = half_wave(progress(n, decay_steps)) ** rounded(exponent)
    return end + (peak - end) * weight

  return exact_warmup(init_value, peak_value, warmup_steps, then)


def exact_warmup_exponential(
  init_value, peak_value, warmup_steps, transition_steps, decay_rate, **options
):
  """warmup_exponential_decay_schedule."""
  then = exact_exponential(peak_value, decay_rate, transition_steps, **options)
  return exact_warmup(init_value, peak_value, warmup_steps, then)


def exact_sgdr(at: Callable[[Any], Any], restart_period, t_mult=1.0) -> Exact:
  """sgdr_schedule of a curve given as a function of progress."""
  period, growth = mp.mpf(restart_period), rounded(t_mult)

  def start(i):
    return period * (growth**i - 1) / (growth - 1)

  def value(n):
    if growth == 1:
      return at(mp.mpf(n % restart_period) / period)
    i = int(mp.floor(mp.log(1 + n * (growth - 1) / period, growth)))
    i += (start(i + 1) <= n) - (start(i) > n)
    return at((n - start(i)) / (start(i + 1) - start(i)))

  return value


def exact_inverse_time(init_value, decay_rate, transition_steps):
  """inverse_time_decay."""
  init, rate = rounded(init_value), rounded(decay_rate)
  return lambda n: init / (1 + rate * n / length(transition_steps))


def exact_power(init_value, power, timescale, offset=None):
  """power_schedule."""
  scale = rounded(timescale)
  start = scale if offset is None else rounded(offset)

  def value(n):
    return rounded(init_value) * max((n + start) / scale, 1) ** rounded(power)

  return value


def rational_at(init_value, end_value, beta=0.5):
  """REX, as a function of progress."""
  init, end, b = rounded(init_value), rounded(end_value), rounded(beta)
  return lambda p: end + (init - end) * (1 - p) / (1 - p + b * p)


def exact_rex(init_value, end_value, transition_steps, beta=0.5):
  """rex_schedule."""
  at = rational_at(init_value, end_value, beta)
  return lambda n: at(progress(n, transition_steps))


def exact_tanh(init_value, end_value, transition_steps, lower=-6.0, upper=3.0):
  """tanh_decay_schedule."""
  init, end = rounded(init_value), rounded(end_value)
  low, high = rounded(lower), rounded(upper)

  def value(n):
    x = low + (high - low) * progress(n, transition_steps)
    return end + (init - end) * (1 - mp.tanh(x)) / 2

  return value


# Of the decays' shapes, as a function of progress: how far up the value is.
SHAPES = {
  'linear': lambda p: 1 - p,
  'cosine': half_wave,
  '1-sqrt': lambda p: 1 - mp.sqrt(p),
  'square': lambda p: 1 - p**2,
}


def shaped_at(shape, init, end, mirrored=False):
  """A decay of a named shape, or its mirror image."""
  if shape == 'exponential':
    return lambda p: init * (end / init) ** p
  if mirrored:
    return lambda p: init + (end - init) * SHAPES[shape](1 - p)
  return lambda p: end + (init - end) * SHAPES[shape](p)


def exact_shaped_warmup(init, peak, warmup_steps, shape, then):
  """A warm-up of a named shape, then another schedule."""
  at = shaped_at(shape, init, peak, mirrored=True)
  rise = lambda n: at(progress(n, max(warmup_steps, 1)))  # noqa: E731
  return exact_join([rise, then], [warmup_steps])


def exact_warmup_polynomial(
  init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, power=1.0
):
  """warmup_polynomial_decay_schedule."""
  then = exact_polynomial(peak_value, end_value, power, decay_steps)
  return exact_warmup(init_value, peak_value, warmup_steps, then)


def exact_inverse_sqrt(
  peak_value, warmup_steps, timescale=None, init_value=0.0
):
  """inverse_sqrt_schedule."""
  scale = warmup_steps if timescale is None else timescale
  then = exact_power(peak_value, -0.5, scale)
  return exact_warmup(init_value, peak_value, warmup_steps, then)


def exact_wsd(
  peak_value,
  warmup_steps,
  stable_steps,
  decay_steps,
  init_value=0.0,
  end_value=0.0,
  decay_shape='linear',
  warmup_shape='linear',
):
  """wsd_schedule."""
  peak = rounded(peak_value)
  at = shaped_at(decay_shape, peak, rounded(end_value))
  then = exact_join(
    [exact_constant(peak_value), lambda n: at(progress(n, decay_steps))],
    [stable_steps],
  )
  return exact_shaped_warmup(
    rounded(init_value), peak, warmup_steps, warmup_shape, then
  )


def exact_cyclic_wsd(
  peak_value,
  warmup_steps,
  stable_steps,
  decay_steps,
  num_cycles=None,
  init_value=0.0,
  end_value=0.0,
  decay_shape='linear',
):
  """cyclic_wsd_schedule."""
  peak, end = rounded(peak_value), rounded(end_value)
  at = shaped_at(decay_shape, peak, end)
  period = stable_steps + decay_steps

  def then(n):
    if num_cycles is not None and n >= num_cycles * period:
      return end
    return at(progress(n % period, decay_steps, stable_steps))

  return exact_warmup(init_value, peak_value, warmup_steps, then)


def exact_multistep(init_value, boundaries, gamma=0.1):
  """multistep_schedule."""

  def value(n):
    k = bisect.bisect_right(boundaries, n)
    return rounded(init_value) * rounded(rounded(gamma) ** k)

  return value


def exact_step(init_value, step_size, gamma=0.1):
  """step_schedule."""
  return exact_exponential(init_value, gamma, step_size, staircase=True)


def exact_table(values):
  """table_schedule."""
  return lambda n: rounded(values[min(n, len(values) - 1)])


def exact_onecycle_momentum(
  transition_steps,
  base_momentum=0.85,
  max_momentum=0.95,
  pct_start=0.3,
  pct_final=0.85,
  interpolate_type='cosine',
):
  """onecycle_momentum_schedule."""
  low, high = rounded(base_momentum), rounded(max_momentum)
  return between_knots(
    interpolate_type,
    onecycle_knots(transition_steps, pct_start, pct_final),
    [high, low, high, high],
  )


def exact_cyclic(
  init_value, peak_value, up_steps, down_steps=None, mode='triangular', gamma=1
):
  """cyclic_schedule."""
  low, high = rounded(init_value), rounded(peak_value)
  down = up_steps if down_steps is None else down_steps
  rate, steps = per_longer(gamma)

  def value(n):
    cycle, local = divmod(n, up_steps + down)
    x = mp.mpf(local) / up_steps
    if local > up_steps:
      x = mp.mpf(up_steps + down - local) / down
    scale = {
      'triangular': 1,
      'triangular2': mp.mpf(2) ** -cycle,
      'exp_range': rate ** (mp.mpf(n) / steps),
    }
    return low + (high - low) * x * scale[mode]

  return value


def exact_ema(decay=0.9999, offset=10):
  """ema_decay_schedule."""
  return lambda n: min(rounded(decay), mp.mpf(1 + n) / (offset + n))


def exact_bias_corrected(decay):
  """bias_corrected_decay_schedule."""
  b = rounded(decay)
  return lambda n: b * (1 - b**n) / (1 - b ** (n + 1))


def exact_adafactor(decay_rate=0.8):
  """adafactor_decay_schedule."""
  return lambda n: 1 - mp.mpf(n + 1) ** -rounded(decay_rate)


EXACT: dict[str, Callable[..., Exact]] = {
  'inverse_time_decay': exact_inverse_time,
  'power_schedule': exact_power,
  'rex_schedule': exact_rex,
  'tanh_decay_schedule': exact_tanh,
  'warmup_polynomial_decay_schedule': exact_warmup_polynomial,
  'inverse_sqrt_schedule': exact_inverse_sqrt,
  'wsd_schedule': exact_wsd,
  'cyclic_wsd_schedule': exact_cyclic_wsd,
  'multistep_schedule': exact_multistep,
  'step_schedule': exact_step,
  'table_schedule': exact_table,
  'onecycle_momentum_schedule': exact_onecycle_momentum,
  'cyclic_schedule': exact_cyclic,
  'ema_decay_schedule': exact_ema,
  'bias_corrected_decay_schedule': exact_bias_corrected,
  'adafactor_decay_schedule': exact_adafactor,
  'constant_schedule': exact_constant,
  'as_schedule': exact_constant,
  'linear_schedule': exact_linear,
  'polynomial_schedule': exact_polynomial,
  'exponential_decay': exact_exponential,
  'cosine_decay_schedule': exact_cosine,
  'cosine_onecycle_schedule': exact_onecycle('cosine'),
  'linear_onecycle_schedule': exact_onecycle('linear'),
  'piecewise_constant_schedule': exact_piecewise_constant,
  'piecewise_interpolate_schedule': exact_piecewise_interpolate,
  'warmup_constant_schedule': exact_warmup_constant,
  'warmup_cosine_decay_schedule': exact_warmup_cosine,
  'warmup_exponential_decay_schedule': exact_warmup_exponential,
}


def ulps(got: Any, exact: Any, scale: Any = 0) -> float:
  """The error of `got`, in units of float32's last place.

  Args:
    got: a float32.
    exact: the exact value.
    scale: the unit is that of |exact|, or of this where it is larger. Below
      the smallest normal number, which devices flush to 0, the unit is that
      number. Beyond the largest float32, that one is what is exact.

  Returns:
    The error, 0 for an exact result.
  """
  exact = min(max(mp.mpf(exact), -LARGEST), LARGEST)
  size = max(abs(exact), mp.mpf(scale))
  if size < mp.mpf(2) ** -126:
    unit = mp.mpf(2) ** -126
  else:
    unit = mp.mpf(2) ** (int(mp.floor(mp.log(size, 2))) - 23)
  return float(abs(mp.mpf(float(got)) - exact) / unit)

"""How far is a value from the exact one?

The largest error, in float32 units in the last place of the exact value, over
the whole horizon, both ends with all their neighbours included. Both sides are
compiled; the exact values are mpmath's, from parameters rounded to float32.
Steps at which the exact value is 0 are left out.
"""

import jax
import mpmath
import numpy as np
import optax

from benchmarks import side_by_side
import flax_sched as fs

mpmath.mp.prec = 200


def exact_cosine(init, steps):
  def value(n):
    progress = mpmath.mpf(min(n, steps)) / steps
    return init * mpmath.sin(mpmath.pi * (1 - progress) / 2) ** 2

  return value


def exact_linear(init, end, steps):
  def value(n):
    progress = mpmath.mpf(min(n, steps)) / steps
    return init * (1 - progress) + end * progress

  return value


def exact_warmup_cosine(peak, warmup, decay):
  rise, fall = exact_linear(0, peak, warmup), exact_cosine(peak, decay)
  return lambda n: rise(n) if n < warmup else fall(n - warmup)


def exact_exponential(init, rate, steps):
  return lambda n: init * rate ** (mpmath.mpf(n) / steps)


def cases(horizon):
  """Name, ours, Optax's, and the exact function, over one horizon."""
  peak, rate = (mpmath.mpf(float(np.float32(x))) for x in (1e-3, 0.9))
  warmup = horizon // 100
  steps = max(horizon // 100, 1)
  yield (
    'cosine',
    fs.cosine_decay_schedule(1e-3, horizon),
    optax.cosine_decay_schedule(1e-3, horizon),
    exact_cosine(peak, horizon),
  )
  yield (
    'linear',
    fs.linear_schedule(1e-3, 0.0, horizon),
    optax.linear_schedule(1e-3, 0.0, horizon),
    exact_linear(peak, 0, horizon),
  )
  yield (
    'warm-up cosine',
    fs.warmup_cosine_decay_schedule(0.0, 1e-3, warmup, horizon - warmup),
    optax.warmup_cosine_decay_schedule(0.0, 1e-3, warmup, horizon),
    exact_warmup_cosine(peak, warmup, horizon - warmup),
  )
  yield (
    'exponential, 100 times 0.9',
    fs.exponential_decay(1e-3, 0.9, steps),
    optax.exponential_decay(1e-3, steps, 0.9),
    exact_exponential(peak, rate, steps),
  )


def ulps(value, exact):
  unit = mpmath.mpf(float(np.spacing(np.float32(abs(exact)))))
  return float(abs(mpmath.mpf(float(value)) - exact) / unit)


def worst(schedule, exact, counts):
  values = np.asarray(jax.jit(jax.vmap(schedule))(counts))
  errors = [
    ulps(value, exact(int(n)))
    for n, value in zip(counts, values, strict=True)
    if exact(int(n)) != 0
  ]
  return max(errors)


def main():
  rows = []
  for horizon in (1000, 100_000, 2_000_000_000):
    rng = np.random.default_rng(0)
    counts = np.concatenate(
      [
        np.arange(100),
        rng.integers(0, horizon, 1000),
        np.arange(horizon - 100, horizon),
      ]
    ).astype(np.int32)
    for name, ours, theirs, exact in cases(horizon):
      errors = (worst(schedule, exact, counts) for schedule in (theirs, ours))
      rows.append([name, f'{horizon:,}', *(f'{e:.2g}' for e in errors)])
  side_by_side.print_table(
    ['schedule', 'steps', 'Optax, ulp', 'flax_sched, ulp'], rows
  )


if __name__ == '__main__':
  main()

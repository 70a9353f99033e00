"""How does a program grow with the pieces of its schedule?

Optimized HLO instructions of `jax.jit(schedule)` for a scalar count, and the
time to trace and compile it (ratio of medians, the sides taking turns).
"""

import itertools
import statistics

from jax import numpy as jnp
import optax

from benchmarks import side_by_side
import flax_sched as fs

ROUNDS = 3


def piecewise_constant(pieces):
  boundaries = [10 * (i + 1) for i in range(pieces)]
  values = [1.0 / (i + 2) for i in range(pieces + 1)]
  ours = dict(zip([*boundaries, boundaries[-1] + 10], values, strict=True))
  factors = [b / a for a, b in itertools.pairwise(values)]
  return (
    fs.piecewise_constant_schedule(ours),
    optax.piecewise_constant_schedule(
      values[0], dict(zip(boundaries, factors, strict=True))
    ),
  )


def joined_cosines(pieces):
  def join(library):
    return library.join_schedules(
      [library.cosine_decay_schedule(1 / (i + 1), 100) for i in range(pieces)],
      [100 * (i + 1) for i in range(pieces - 1)],
    )

  return join(fs), join(optax)


def warm_restarts(pieces):
  cycles = [
    {
      'init_value': 1.0,
      'peak_value': 1.0,
      'warmup_steps': 0,
      'decay_steps': 100,
    }
  ] * pieces
  cosine = fs.cosine_decay_schedule(1.0, 100)
  return fs.sgdr_schedule(cosine, 100), optax.sgdr_schedule(cycles)


def main():
  count = jnp.int32(5)
  rows = []
  for name, build, sizes in (
    ('piecewise constant, boundaries', piecewise_constant, (10, 1000, 10_000)),
    ('join of cosines, parts', joined_cosines, (2, 100)),
    ('SGDR, cycles', warm_restarts, (2, 100)),
  ):
    for size in sizes:
      ours, theirs = build(size)
      if size > 1000:
        rows.append(
          [name, f'{size:,}', '', side_by_side.instructions(ours, count), '']
        )
        continue
      seconds = [
        (
          side_by_side.compile_seconds(theirs, count),
          side_by_side.compile_seconds(lambda n, s=ours: s(n), count),
        )
        for _ in range(ROUNDS)
      ]
      ratio = statistics.median(a / b for a, b in seconds)
      rows.append(
        [
          name,
          f'{size:,}',
          side_by_side.instructions(theirs, count),
          side_by_side.instructions(ours, count),
          f'{ratio:.2f}',
        ]
      )
  side_by_side.print_table(
    [
      'schedule',
      'pieces',
      'Optax, instructions',
      'flax_sched, instructions',
      'compile time, Optax / flax_sched',
    ],
    rows,
  )


if __name__ == '__main__':
  main()

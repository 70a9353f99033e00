"""What does another value of a schedule's parameter cost?

32 learning rates, one after the other: the compilations of the step (JAX's own
events), and the time of all runs of one step each, compilations included.
"""

import functools
import time

import jax
from jax import numpy as jnp
import optax

from benchmarks import side_by_side
import flax_sched as fs

PEAKS = [1e-4 * (i + 1) for i in range(32)]


def count_compilations(run):
  """The programs compiled in a function, and the seconds it took."""
  compiled = []

  def listen(event, _, **kwargs):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(kwargs)

  jax.monitoring.register_event_duration_secs_listener(listen)
  start = time.perf_counter()
  run()
  seconds = time.perf_counter() - start
  jax.monitoring.clear_event_listeners()
  return len(compiled), seconds


def with_optax():
  for peak in PEAKS:
    lr = optax.warmup_cosine_decay_schedule(0.0, peak, 100, 1000)
    tx = optax.adam(lr)
    step = jax.jit(lambda g, s, tx=tx: tx.update(g, s))
    step(GRADS, tx.init(GRADS))


def with_flax_sched():
  @functools.cache
  def step_of():
    tx = fs.inject_stateful_hyperparams(optax.adam, learning_rate=1.0)
    return jax.jit(lambda g, s: tx.update(g, s))

  for peak in PEAKS:
    lr = fs.warmup_cosine_decay_schedule(0.0, peak, 100, 900)
    tx = fs.inject_stateful_hyperparams(optax.adam, learning_rate=lr)
    step_of()(GRADS, tx.init(GRADS))


GRADS = {'w': jnp.ones((8, 8))}


def main():
  for run in (with_optax, with_flax_sched):  # small operations of their own
    run()
  ours, our_seconds = count_compilations(with_flax_sched)
  theirs, their_seconds = count_compilations(with_optax)
  side_by_side.print_table(
    ['', 'compilations', 'time / flax_sched'],
    [
      ['Optax', theirs, f'{their_seconds / our_seconds:.1f}'],
      ['flax_sched', ours, 1],
    ],
  )


if __name__ == '__main__':
  main()

"""What the compiled programs are: their size, their number, their inputs.

Sizes are of scalar counts on CPU. The times they stand for are in
`benchmarks/results.md`.
"""

import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from benchmarks import program_size
from benchmarks import step
from benchmarks import sweep
from benchmarks.side_by_side import instructions
import flax_sched as fs
import zoo

COUNT = jnp.int32(5)


@pytest.mark.parametrize('pieces', [10, 1000, 10_000])
def test_piecewise_constant_does_not_grow(pieces):
  """One comparison of the count with all boundaries, and one look-up."""
  schedule, _ = program_size.piecewise_constant(pieces)
  smallest, _ = program_size.piecewise_constant(10)
  size = instructions(schedule, COUNT)
  assert size == instructions(smallest, COUNT)
  assert size <= 40


@pytest.mark.parametrize(
  'build', [program_size.joined_cosines, program_size.warm_restarts]
)
def test_cycles_do_not_grow(build):
  """A hundred cosine cycles are as large as two."""
  two, hundred = (instructions(build(n)[0], COUNT) for n in (2, 100))
  assert hundred <= 1.5 * two
  assert hundred < instructions(build(100)[1], COUNT)


def test_kinds_of_a_join_decide_its_size():
  """A join of n schedules of k classes evaluates k times."""
  parts = [
    fs.linear_schedule(0.0, 1.0, 10),
    fs.cosine_decay_schedule(1.0, 10),
    fs.exponential_decay(1.0, 0.5, 10),
  ]
  few, many = (
    fs.join_schedules(parts * k, [10 * (i + 1) for i in range(3 * k - 1)])
    for k in (2, 20)
  )
  assert instructions(many, COUNT) <= 1.1 * instructions(few, COUNT)


def test_another_value_compiles_nothing():
  """32 peaks: one program here, 32 in Optax."""
  sweep.with_flax_sched()
  compilations, _ = sweep.count_compilations(sweep.with_flax_sched)
  assert compilations == 1
  compilations, _ = sweep.count_compilations(sweep.with_optax)
  assert compilations >= len(sweep.PEAKS)


def test_schedules_as_arguments_compile_once():
  """`jax.jit` of a function that takes the schedule."""
  schedules = [
    fs.warmup_cosine_decay_schedule(0.0, 1e-3 * i, 100 * i, 900 + i, 1e-5 * i)
    for i in range(1, 33)
  ]
  jitted = jax.jit(lambda schedule, n: schedule(n))

  def run():
    for schedule in schedules:
      jitted(schedule, COUNT)

  compilations, _ = sweep.count_compilations(run)
  assert compilations == 1
  values = [jitted(schedule, COUNT) for schedule in schedules]
  expected = [schedule(5) for schedule in schedules]
  np.testing.assert_array_max_ulp(values, expected, 1)


def _kernels(program):
  return program.as_text().partition('\nENTRY ')[2].count(' fusion(')


def _compiled_step(tx):
  """The number of its kernels, and of the arrays in its state."""
  state = step.init_state(tx)
  program = jax.jit(step.make_step(tx)).lower(state, step.X).compile()
  return _kernels(program), len(jax.tree.leaves(state))


@functools.cache
def _steps():
  return {
    name: _compiled_step(tx) for name, tx in step.transformations().items()
  }


def test_few_kernels_and_arrays_in_a_step():
  """What a step bound by dispatch pays for: arrays, and kernels at its start.

  XLA on CPU wakes another thread where eight kernels can start at once, which
  costs such a step more than all its arithmetic.
  """
  kernels, arrays = _steps()['constants']
  fast_kernels, fast_arrays = _steps()['flax_sched.inject_hyperparams']
  assert fast_arrays == arrays + 1 + 3  # the count, three values
  assert fast_kernels <= kernels + 6
  state_kernels, state_arrays = _steps()[
    'flax_sched.inject_stateful_hyperparams'
  ]
  # The count, three values, the overrides, the parameters of either dtype.
  assert state_arrays == arrays + 1 + 3 + 1 + 2
  assert state_kernels <= kernels + 14


@pytest.mark.parametrize(
  ('name', 'limit'), [('warmup_cosine', 3), ('exponential', 9), ('sgdr', 40)]
)
def test_few_kernels_where_parameters_are_traced(name, limit):
  """A long formula is cut into kernels, a short one is hardly any."""
  (entry,) = [entry for entry in zoo.ZOO if entry.name == name]
  program = jax.jit(lambda s, n: s(n)).lower(entry.schedule, COUNT).compile()
  assert 1 <= _kernels(program) <= limit

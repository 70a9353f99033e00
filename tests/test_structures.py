"""Schedules of different classes are different structures to JAX."""

import jax
import numpy as np

import flax_sched as fs
from flax_sched import numerics


def of_class(number):
  """A schedule of a class of its own, whose value is its number."""

  class Numbered(fs.Schedule):
    """A class that differs from the others in its formula alone."""

    init_value: float

    def value(self, count):
      return numerics.number(self.init_value) + np.float64(number)

  return Numbered(init_value=np.float32(0.5))


def test_a_program_is_never_taken_for_that_of_another_class():
  """JAX 0.10 ran another's for that of one in ten classes, without a word."""
  schedules = [of_class(number) for number in range(120)]
  value = jax.jit(lambda schedule: schedule.init_value + schedule.NUMBER)
  for number, schedule in enumerate(schedules):
    type(schedule).NUMBER = number
    assert value(schedule) == number + 0.5
  assert len({jax.tree.structure(schedule) for schedule in schedules}) == 120


def test_classes_with_the_same_numbers_are_other_structures():
  """A straight line is no half a cosine wave."""
  line = fs.linear_schedule(1.0, 0.0, 10)
  cosine = fs.cosine_decay_schedule(1.0, 10)
  assert jax.tree.leaves(line) == jax.tree.leaves(cosine)
  assert jax.tree.structure(line) != jax.tree.structure(cosine)
  assert jax.tree.structure(line + 1) != jax.tree.structure(line * 1)

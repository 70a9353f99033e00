"""Schedules that are stretched: their values, their lengths, what has none."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest

import flax_sched as fs
from flax_sched import numerics
from flax_sched.spans import Steps
from flax_sched.tables import Table
import laws
import zoo

LINE = fs.linear_schedule(1.0, 0.0, 10)


def can_be_stretched(entry):
  """Whether all its lengths are known, and none is that of a table."""
  return not (
    zoo.holds_function(entry.schedule)
    or entry.name.startswith('user')
    or any(isinstance(part, Table) for part in zoo.parts(entry.schedule))
  )


@zoo.parametrize(
  lambda entry: can_be_stretched(entry) and 'long' not in entry.name
)
def test_stretch_by_one_changes_nothing(entry):
  """And by 3 and then a third is the schedule itself."""
  schedule = entry.schedule
  assert schedule.stretch(1) == schedule
  if any(
    np.max(leaf, initial=0) > zoo.MAX_COUNT / 3
    for leaf in jax.tree.leaves(schedule)
    if np.asarray(leaf).dtype.kind == 'i'
  ):
    return
  back = schedule.stretch(3).stretch(1 / 3)
  for count in (0, 1, 17, 500, 10**5):
    expected = pytest.approx(float(schedule(count)), rel=1e-5, abs=1e-9)
    assert back(count) == expected


@zoo.parametrize(
  lambda entry: (
    can_be_stretched(entry) and entry.end is not None and entry.end < 10**8
  )
)
def test_stretched_values(entry):
  """schedule.stretch(5)(5 n) is schedule(n): lengths are exact multiples."""
  stretched = entry.schedule.stretch(5)
  for count in entry.steps:
    if count < 4 * 10**8:
      assert stretched(5 * count) == pytest.approx(
        float(entry.schedule(count)), rel=1e-6, abs=1e-30
      )


def test_stretch_needs_to_know_the_lengths():
  """Functions, classes that declare none, tracers, and fractions of a table."""

  class Undeclared(fs.Schedule):
    """A class without `Steps`."""

    timescale: int

    def value(self, count):
      return numerics.number(count) / numerics.number(self.timescale)

  class Declared(fs.Schedule):
    """A class with `Steps`."""

    timescale: Steps

    def value(self, count):
      return numerics.number(count) / numerics.number(self.timescale)

  assert Declared(timescale=10).stretch(2.5) == Declared(timescale=25)
  for schedule in (Undeclared(timescale=3), fs.as_schedule(lambda n: n)):
    with pytest.raises(TypeError, match=r'^stretch: the lengths of .* are not'):
      (schedule + LINE).stretch(2)
  with pytest.raises(ValueError, match='factor must be whole for a table'):
    fs.table_schedule([1.0, 2.0]).stretch(1.5)
  with pytest.raises(TypeError, match='transition_steps must be concrete'):
    jax.jit(lambda s: s.stretch(2)(3))(LINE)
  with pytest.raises(ValueError, match=r'must be at most 2\*\*31 - 1'):
    fs.linear_schedule(0.0, 1.0, 2**30).stretch(2)
  for factor in (0, -1, float('nan'), float('inf')):
    with pytest.raises(ValueError, match='stretch: factor must be'):
      LINE.stretch(factor)
  for factor in ('2', None, True, np.ones(2), jnp.float32(2)):
    with pytest.raises(TypeError, match='stretch: factor must be'):
      LINE.stretch(factor)


@zoo.parametrize(
  can_be_stretched,
  quick=lambda entry: entry.name in laws.FEW,
)
@pytest.mark.parametrize('factor', [0.1, 0.001])
def test_made_shorter(entry, factor):
  """Values are finite, and equal on host and device within 4 ulp.

  So they are where a length would be rounded to 0.
  """
  schedule = entry.schedule.stretch(factor)
  counts = np.rint(np.array(entry.steps) * factor).astype(np.int32)
  counts = np.concatenate([[0, 1, 2, 3, 5, zoo.MAX_COUNT], counts])
  counts = np.resize(counts[: zoo.SIZE].astype(np.int32), zoo.SIZE)
  on_host = schedule(counts)
  assert np.all(np.isfinite(on_host))
  on_device = schedule(jnp.asarray(counts))
  assert laws.ulps_between(on_host, on_device) <= 4


def test_lengths_stay_above_0():
  """Whole ones at least 1; those that need not be whole are not rounded."""
  assert LINE.stretch(0.01).transition_steps == 1
  assert LINE.every(400).stretch(0.001).steps == 1
  assert LINE.shift(400).stretch(0.001).begin == 1
  assert LINE.shift(-400).stretch(0.001).begin == 0
  assert list(LINE.then(1.0, 0).stretch(0.1).boundaries) == [0]
  assert fs.linear_schedule(1.0, 0.0, 3 * 10**9).stretch(
    1e-10
  ) == fs.linear_schedule(1.0, 0.0, 1)
  power = fs.power_schedule(1.0, -0.5, 1, offset=0)
  assert power.stretch(0.1) == fs.power_schedule(1.0, -0.5, 0.1, offset=0)
  decay = fs.adafactor_decay_schedule().stretch(0.25)
  assert decay(1) == fs.adafactor_decay_schedule()(4)
  for schedule in (power, fs.inverse_sqrt_schedule(1.0, 400)):
    least = schedule.stretch(1e-30)
    counts = np.array([0, 1, 400, zoo.MAX_COUNT])
    np.testing.assert_allclose(least(jnp.asarray(counts)), least(counts), 4e-7)

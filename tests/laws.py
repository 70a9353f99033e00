"""What the laws share: the entries that each is for, programs, values."""

import functools

import jax
from jax import numpy as jnp
import numpy as np

import zoo

each = zoo.parametrize()
each_of_numbers = zoo.parametrize(lambda entry: not entry.is_closure)
# For what compiles for seconds: one entry of each formula.
FEW = (
  'linear_falling',
  'cosine',
  'exponential',
  'polynomial_square',
  'piecewise_constant',
  'piecewise_linear',
  'warmup_cosine',
  'sgdr',
  'join_same',
)
each_few = zoo.parametrize(lambda entry: entry.name in FEW)
# For what compiles a program of its own: one entry for each class.
each_kind = zoo.parametrize(
  lambda entry: zoo.is_first_of_kind(entry) and zoo.is_of_few(entry),
  quick=lambda entry: entry.name in FEW,
)
each_kind_of_numbers = zoo.parametrize(
  lambda entry: (
    zoo.is_first_of_kind(entry)
    and zoo.is_of_few(entry)
    and not entry.is_closure
  )
)


@jax.jit
def evaluate(schedule, count):
  """The value, where parameters and count are both traced."""
  return schedule(count)


@jax.jit
def differentiate(schedule, count):
  """The gradient in the schedule's leaves."""
  return jax.grad(lambda s, n: s(n), allow_int=True)(schedule, count)


@functools.cache
def on_host(name):
  """The values of an entry on the host."""
  entry = zoo.known_entry(name)
  return np.array([entry.schedule(int(n)) for n in entry.counts], np.float32)


@functools.cache
def on_device(name):
  """The values of an entry on the device."""
  entry = zoo.known_entry(name)
  return np.asarray(entry.schedule(jnp.asarray(entry.counts)))


def is_float(leaf):
  """Whether it has fractions."""
  return np.asarray(leaf).dtype.kind == 'f'


def changed(leaf):
  """A leaf with other numbers, of the same type."""
  if isinstance(leaf, (int, float)):
    return leaf + 1
  if is_float(leaf):
    return (leaf * 1.25 + 0.25).astype(leaf.dtype)
  return leaf + (leaf < zoo.MAX_COUNT)


def ulps_between(a, b):
  """The largest difference, in units in the last place of a float32."""
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  unit = np.spacing(np.clip(np.abs(a), 2.0**-126, 1e38).astype(np.float32))
  return np.max(np.abs(a - b) / unit, initial=0)

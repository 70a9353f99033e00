"""The list of all schedules, each beside its exact value.

Every law in `test_laws_*.py` and every promise in `test_exactness.py` runs over
`ZOO`. Whoever adds a schedule adds it here; `test_laws.py` fails until they do.

The exact values are those of `exact.py`.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import inspect
import math
from typing import Any

from flax import struct
import jax
import numpy as np
import optax
import pytest

from exact import cosine_at
from exact import EXACT
from exact import Exact
from exact import exact_constant
from exact import exact_join
from exact import exact_sgdr
from exact import exact_shaped_warmup
from exact import exact_wsd
from exact import LARGEST
from exact import linear_at
from exact import MAX_COUNT
from exact import mp
from exact import one_minus_power_at
from exact import onecycle_knots
from exact import progress
from exact import rational_at
from exact import rounded
from exact import shaped_at
from exact import SHAPES
import flax_sched as fs
from flax_sched import numerics
from flax_sched.compose import Crossfade
from flax_sched.curves import OneMinusPower
from flax_sched.following import FollowFunction
from flax_sched.schedule import Function

# ---------------------------------------------------------------------------
# The list.


@dataclasses.dataclass(frozen=True)
class Entry:
  """One schedule, and what is known about it.

  Attributes:
    name: the test's id.
    schedule: the schedule.
    exact: its exact value, of a count; None for a wrapped closure, whose
      arithmetic is not this library's.
    boundaries: the counts at which its formula changes.
    end: the count from which its value is held; None if it has none.
    covers: the public functions that built it.
    call: its config: the `name` of a function, and its arguments.
    at: its exact value as a function of progress, for a curve.
  """

  name: str
  schedule: fs.Schedule
  exact: Exact | None
  boundaries: tuple[int, ...] = ()
  end: int | None = None
  covers: tuple[str, ...] = ()
  call: dict[str, Any] | None = None
  at: Callable[[Any], Any] | None = None

  @property
  def steps(self) -> list[int]:
    """The counts at which mistakes show."""
    edges = [*self.boundaries, *([] if self.end is None else [self.end])]
    last = max([100, *(edge for edge in edges if edge <= MAX_COUNT)])
    counts = {0, 1, 2, 7, last // 3, last // 2, last - last // 100, MAX_COUNT}
    counts |= {edge + offset for edge in edges for offset in (-1, 0, 1)}
    return sorted(n for n in counts if 0 <= n <= MAX_COUNT)

  @property
  def counts(self) -> np.ndarray:
    """The same, in an array as long as every entry's: one compilation each."""
    steps = self.steps
    return np.array(steps + steps[-1:] * (SIZE - len(steps)), np.int32)

  @property
  def is_closure(self) -> bool:
    """Whether its numbers are inside a wrapped callable."""
    return self.exact is None


ZOO: list[Entry] = []


def known_entry(name: str) -> Entry:
  """The entry of a name."""
  (entry,) = [entry for entry in ZOO if entry.name == name]
  return entry


def add(
  name: str, schedule: fs.Schedule, exact: Exact | None, **known
) -> Entry:
  """Adds an entry."""
  assert name not in {entry.name for entry in ZOO}, name
  ZOO.append(Entry(name, schedule, exact, **known))
  return ZOO[-1]


def build(
  name: str,
  function: str,
  *args,
  boundaries: Sequence[int] = (),
  end: int | None = None,
  at: Callable[[Any], Any] | None = None,
  **kwargs,
) -> Entry:
  """Adds what a public function builds from plain numbers."""
  bound = inspect.signature(getattr(fs, function)).bind(*args, **kwargs)
  return add(
    name,
    getattr(fs, function)(*args, **kwargs),
    EXACT[function](*args, **kwargs),
    call={'name': function, **bound.arguments},
    boundaries=tuple(boundaries),
    end=end,
    covers=(function,),
    at=at,
  )


def join(name: str, parts: Sequence[Entry], boundaries: Sequence[int]) -> Entry:
  """Adds a join of entries."""
  starts, ends = [0, *boundaries], [*boundaries, MAX_COUNT]
  edges = {
    start + edge
    for part, start, end in zip(parts, starts, ends, strict=True)
    for edge in (0, *part.boundaries, part.end or 0)
    if start + edge <= end
  }
  last = parts[-1].end
  return add(
    name,
    fs.join_schedules([part.schedule for part in parts], boundaries),
    None
    if any(part.is_closure for part in parts)
    else exact_join([part.exact for part in parts], list(boundaries)),
    boundaries=tuple(sorted(edges)),
    end=None
    if last is None or starts[-1] + last > MAX_COUNT
    else starts[-1] + last,
    covers=('join_schedules', *(f for part in parts for f in part.covers)),
  )


def sgdr(name: str, curve: Entry, restart_period: int, t_mult=1.0) -> Entry:
  """Adds warm restarts of an entry that is a curve."""
  growth = float(np.float32(t_mult))
  starts, step = [0.0], float(restart_period)
  while len(starts) < 8:
    starts.append(starts[-1] + step)
    step *= growth
  return add(
    name,
    fs.sgdr_schedule(curve.schedule, restart_period, t_mult),
    exact_sgdr(curve.at, restart_period, t_mult),
    boundaries=tuple(sorted({math.ceil(start) for start in starts})),
    covers=('sgdr_schedule', *curve.covers),
  )


class InverseSqrt(fs.Schedule):
  """A user's own schedule: init_value / sqrt(1 + n / timescale)."""

  init_value: float
  timescale: int
  upside_down: bool = struct.field(pytree_node=False, default=False)

  def value(self, count):
    """The formula."""
    ratio = 1 + numerics.number(count) / numerics.number(self.timescale)
    root = numerics.sqrt(ratio)
    init = numerics.number(self.init_value)
    return init * root if self.upside_down else init / root


def optax_closure(count):
  """A schedule as Optax builds it: numbers in a closure."""
  return OPTAX_COSINE(count)


OPTAX_COSINE = optax.cosine_decay_schedule(1e-3, 1000, alpha=0.1)


def _seed() -> None:
  """The schedules of the seed's examples, as it calls them."""
  build('constant', 'constant_schedule', 0.001, end=0)
  build('linear_falling', 'linear_schedule', 0.001, 0.0001, 1000, end=1000)
  build(
    'cosine', 'cosine_decay_schedule', 0.001, 1000, end=1000, at=cosine_at(1e-3)
  )
  build('exponential', 'exponential_decay', 0.001, 0.96, 100)
  build(
    'warmup_cosine',
    'warmup_cosine_decay_schedule',
    init_value=0.0,
    peak_value=0.001,
    warmup_steps=1000,
    decay_steps=9000,
    end_value=0.00001,
    boundaries=[1000],
    end=10_000,
  )
  build(
    'warmup_constant',
    'warmup_constant_schedule',
    init_value=0.0,
    peak_value=0.001,
    warmup_steps=500,
    end=500,
  )
  scales = {500: 1.0, 1000: 0.5, 1500: 0.1}
  build(
    'piecewise_constant',
    'piecewise_constant_schedule',
    scales,
    boundaries=scales,
    end=1000,
  )
  build(
    'piecewise_linear',
    'piecewise_interpolate_schedule',
    'linear',
    0.001,
    scales,
    boundaries=scales,
    end=1500,
  )
  build(
    'cosine_onecycle',
    'cosine_onecycle_schedule',
    transition_steps=5000,
    peak_value=0.01,
    pct_start=0.3,
    pct_final=0.85,
    boundaries=onecycle_knots(5000),
    end=5000,
  )


def _values() -> None:
  """Constants and straight lines."""
  build('constant_zero', 'constant_schedule', 0, end=0)
  build('constant_negative', 'constant_schedule', -3.5, end=0)
  build('as_schedule', 'as_schedule', 0.9, end=0)
  build('linear_rising', 'linear_schedule', 0.9, 0.999, 777, end=777)
  build(
    'linear_begin',
    'linear_schedule',
    0.1,
    0.7,
    300,
    transition_begin=50,
    boundaries=[50],
    end=350,
  )
  build('linear_crossing_zero', 'linear_schedule', -0.3, 0.7, 10**6, end=10**6)
  build('linear_to_zero', 'linear_schedule', 1.0, 0.0, 10**9, end=10**9)
  build('linear_one_step', 'linear_schedule', 1.0, 0.5, 1, end=1)
  build('linear_long', 'linear_schedule', 0.1, 0.0, MAX_COUNT, end=MAX_COUNT)
  build('linear_beyond_int32', 'linear_schedule', 1.0, 3.0, 10**11)


def _polynomials() -> None:
  """Polynomials."""
  function = 'polynomial_schedule'
  build('polynomial_square', function, 1.0, 0.0, 2.0, 100, end=100)
  build('polynomial_root', function, 0.1, 1e-3, 0.5, 1000, end=1000)
  build('polynomial_rising', function, 0.0, 3e-4, 3.0, 5000, end=5000)
  build('polynomial_line', function, 0.2, 0.1, 1, 33, end=33)
  build('polynomial_crossing_zero', function, 0.5, -0.25, 1.7, 10**5, end=10**5)
  build('polynomial_long', function, 6e-4, 1e-5, 0.9, 2 * 10**9, end=2 * 10**9)
  build('polynomial_beyond_int32', function, 1.0, 0.25, 2.5, 3 * 10**9)
  build(
    'polynomial_begin',
    function,
    0.9,
    0.1,
    power=1.5,
    transition_steps=60,
    transition_begin=40,
    boundaries=[40],
    end=100,
  )


def _exponentials() -> None:
  """Exponential decays."""
  function = 'exponential_decay'
  build('exponential_half_lives', function, 1.0, 0.5, 10**7)
  build('exponential_growing', function, 1e-7, 1.3, 10, end_value=10, end=704)
  build('exponential_unbounded', function, 1e-3, 10.0, 2)
  build('exponential_vanishing', function, 1.0, 1e-3, 3)
  build('exponential_constant', function, 0.7, 1.0, 3)
  build('exponential_beyond_int32', function, 0.7, 0.5, 10**10)
  build(
    'exponential_staircase',
    function,
    0.1,
    0.9,
    30,
    staircase=True,
    boundaries=[30, 60, 3000],
  )
  build('exponential_end', function, 0.1, 0.5, 50, end_value=1e-3, end=333)
  build(
    'exponential_options',
    function,
    init_value=0.1,
    decay_rate=0.5,
    transition_steps=50,
    transition_begin=25,
    staircase=True,
    end_value=0.013,
    boundaries=[25, 75, 125, 175],
    end=175,
  )


def _cosines() -> None:
  """Cosine decays."""
  function = 'cosine_decay_schedule'
  build(
    'cosine_alpha',
    function,
    0.1,
    12_345,
    alpha=0.1,
    end=12_345,
    at=cosine_at(0.1, 0.1),
  )
  build(
    'cosine_exponent',
    function,
    0.1,
    500,
    exponent=2.0,
    end=500,
    at=cosine_at(0.1, exponent=2.0),
  )
  build('cosine_all', function, 3e-4, 10**6, 0.05, 0.7, end=10**6)
  build('cosine_rising', function, 0.9, 400, alpha=1.1, end=400)
  build('cosine_negative', function, -1e-3, 400, alpha=0.5, end=400)
  build('cosine_one_step', function, 1.0, 1, end=1)
  build('cosine_long', function, 0.1, 2 * 10**9, end=2 * 10**9)
  build('cosine_beyond_int32', function, 1000.0, 10**10)


def _onecycles() -> None:
  """One-cycle schedules, down to the shortest."""
  for shape in ('cosine', 'linear'):
    function = f'{shape}_onecycle_schedule'
    for steps in range(1, 6):
      build(
        f'{shape}_onecycle_{steps}',
        function,
        steps,
        1.0,
        boundaries=range(steps),
        end=steps,
      )
    build(
      f'{shape}_onecycle_options',
      function,
      10**6,
      3e-3,
      pct_start=0.1,
      pct_final=0.5,
      final_div_factor=100.0,
      div_factor=10.0,
      boundaries=onecycle_knots(10**6, 0.1, 0.5),
      end=10**6,
    )
    build(
      f'{shape}_onecycle_no_final_phase',
      function,
      100,
      1.0,
      pct_start=0.5,
      pct_final=1.0,
      boundaries=[50],
      end=100,
    )
    build(
      f'{shape}_onecycle_no_warmup',
      function,
      100,
      1.0,
      pct_start=0.0,
      boundaries=[85],
      end=100,
    )
  build(
    'linear_onecycle',
    'linear_onecycle_schedule',
    transition_steps=5000,
    peak_value=0.01,
    boundaries=onecycle_knots(5000),
    end=5000,
  )


def _pieces() -> None:
  """Piecewise schedules."""
  many = {7 * i * i: 1.0 / i for i in range(1, 1001)}
  some = [7, 7 * 500**2, 7 * 999**2]
  constant = 'piecewise_constant_schedule'
  interpolate = 'piecewise_interpolate_schedule'
  build('piecewise_constant_one', constant, {10: 0.3}, 5.0, end=0)
  build(
    'piecewise_constant_init',
    constant,
    {100: 1, 300: 0.1, 200: 2},
    init_value=0.02,
    boundaries=[100, 200, 300],
    end=200,
  )
  build(
    'piecewise_constant_many', constant, many, boundaries=some, end=some[-1]
  )
  build(
    'piecewise_cosine',
    interpolate,
    'cosine',
    0.1,
    {1000: 2.0, 5000: 0.5, 10**6: 0.0},
    boundaries=[1000, 5000],
    end=10**6,
  )
  build(
    'piecewise_linear_long',
    interpolate,
    'linear',
    0.3,
    {1: 3.0, 2: 0.1, 10**9: 0.7, MAX_COUNT: 0.2},
    boundaries=[1, 2, 10**9],
    end=MAX_COUNT,
  )
  build(
    'piecewise_linear_many',
    interpolate,
    'linear',
    0.5,
    many,
    boundaries=some,
    end=7 * 1000**2,
  )
  build(
    'piecewise_cosine_many',
    interpolate,
    'cosine',
    0.5,
    many,
    boundaries=some,
    end=7 * 1000**2,
  )
  build(
    'piecewise_linear_one',
    interpolate,
    'linear',
    -2.0,
    {50: 0.25},
    end=50,
  )


def _warmups() -> None:
  """Warm-ups."""
  constant = 'warmup_constant_schedule'
  cosine = 'warmup_cosine_decay_schedule'
  exponential = 'warmup_exponential_decay_schedule'
  build('warmup_constant_none', constant, 0.5, 0.1, 0, end=0)
  build('warmup_constant_falling', constant, 0.5, 0.1, 64, end=64)
  build('warmup_constant_long', constant, 0.0, 0.1, MAX_COUNT, end=MAX_COUNT)
  build('warmup_cosine_none', cosine, 0.5, 1e-3, 0, 500, end=500)
  build(
    'warmup_cosine_exponent',
    cosine,
    1e-6,
    2e-3,
    2000,
    10**6,
    1e-5,
    exponent=1.5,
    boundaries=[2000],
    end=1_002_000,
  )
  build('warmup_cosine_one_step', cosine, 0.0, 1.0, 1, 1, boundaries=[1], end=2)
  build(
    'warmup_cosine_long',
    cosine,
    1e-5,
    1e-3,
    10**9,
    10**9,
    boundaries=[10**9],
    end=2 * 10**9,
  )
  build(
    'warmup_exponential',
    exponential,
    0.0,
    1e-3,
    100,
    transition_steps=200,
    decay_rate=0.9,
    boundaries=[100],
  )
  build(
    'warmup_exponential_none', exponential, 0.3, 1e-3, 0, 200, decay_rate=0.9
  )
  build(
    'warmup_exponential_options',
    exponential,
    init_value=0.1,
    peak_value=1.0,
    warmup_steps=10,
    transition_steps=5,
    decay_rate=0.5,
    transition_begin=20,
    staircase=True,
    end_value=0.2,
    boundaries=[10, 30, 35, 40],
    end=45,
  )


def _restarts() -> None:
  """Warm restarts."""
  known = {entry.name: entry for entry in ZOO}
  cosine = known['cosine']
  sgdr('sgdr', cosine, 1000)
  sgdr('sgdr_doubling', cosine, 1000, t_mult=2.0)
  sgdr('sgdr_one_and_a_half', cosine, 1000, t_mult=1.5)
  sgdr('sgdr_tripling', cosine, 100, t_mult=3)
  sgdr('sgdr_a_tenth_more', known['cosine_alpha'], 777, t_mult=1.1)
  sgdr('sgdr_every_step', cosine, 1)
  line = dataclasses.replace(
    known['linear_falling'], at=linear_at(0.001, 0.0001)
  )
  sgdr('sgdr_linear', line, 64, t_mult=2)


def _joins() -> None:
  """Joins."""
  known = {entry.name: entry for entry in ZOO}
  cosine, line = known['cosine'], known['linear_falling']
  join('join_seed', [known['constant'], line], [1000])
  join(
    'join_kinds',
    [
      known['linear_rising'],
      cosine,
      known['exponential'],
      known['polynomial_square'],
      known['piecewise_constant'],
      known['constant'],
    ],
    [500, 1200, 1300, 1450, 3000],
  )
  join('join_same', [cosine] * 10, [1000 * i for i in range(1, 10)])
  join(
    'join_alternating',
    [line, cosine, known['linear_rising'], known['cosine_alpha'], line],
    [100, 2000, 2001, 10**6],
  )
  nested = join('join_nested_inner', [line, known['constant']], [700])
  join(
    'join_nested',
    [nested, known['warmup_cosine'], nested],
    [1500, 12_000],
  )
  join('join_from_zero', [known['constant'], cosine], [0])
  join('join_of_one', [cosine], [])
  join('join_long', [line, known['cosine_long']], [MAX_COUNT - 10])
  join(
    'join_begin', [known['linear_begin'], known['polynomial_begin']], [10**9]
  )
  join('join_piecewise', [known['piecewise_cosine'], cosine], [10**5])


def _resumed() -> None:
  """What becomes of a schedule when a run is changed on the way."""
  known = {entry.name: entry for entry in ZOO}

  def crossfade(name, old, new, begin, steps):
    a, b = old.exact, new.exact

    def exact(n):
      p = progress(n, steps, begin)
      return (1 - p) * a(n) + p * b(n)

    last = max(begin + steps, new.end or 0)
    inside = (begin, *old.boundaries, old.end or 0, *new.boundaries)
    add(
      name,
      Crossfade(
        old=old.schedule,
        new=new.schedule,
        begin=np.int32(begin),
        transition_steps=np.int32(steps),
      ),
      exact,
      boundaries=tuple(sorted({0, *(n for n in inside if n < last), last})),
      end=None if new.end is None and new.name != 'constant' else last,
    )

  cosine, warmup = known['cosine'], known['warmup_cosine']
  crossfade('crossfade', cosine, known['cosine_alpha'], 300, 200)
  crossfade('crossfade_kinds', warmup, known['linear_falling'], 500, 10_000)
  crossfade('crossfade_constant', cosine, known['constant'], 0, 1)
  crossfade('crossfade_late', known['constant'], warmup, 10**9, 10**9)
  for power in (0.5, 2.0):
    at = one_minus_power_at(0.001, 0.0001, power)
    add(
      f'one_minus_power_{power}',
      OneMinusPower(
        init_value=np.float32(0.001),
        end_value=np.float32(0.0001),
        power=np.float32(power),
        transition_steps=np.int32(1000),
      ),
      lambda n, at=at: at(progress(n, 1000)),
      end=1000,
    )


def _further_decays() -> None:
  """Inverse time and powers, REX, tangent, k-decay."""
  build('inverse_time', 'inverse_time_decay', 0.1, 0.5, 1000)
  build('inverse_time_fast', 'inverse_time_decay', 2.0, 30.0, 7)
  build('power', 'power_schedule', 0.5, -0.5, timescale=100)
  build('power_rising', 'power_schedule', 0.01, 0.25, 33.7, offset=1)
  power = 'power_schedule'
  build('power_flat_first', power, 0.02, -0.51, 1234.5, 0, boundaries=[1235])
  build('rex', 'rex_schedule', 1.0, 0.0, 1000, end=1000)
  build('rex_fast', 'rex_schedule', 0.1, 0.01, 10**6, beta=10.0, end=10**6)
  build('rex_long', 'rex_schedule', 0.1, 0.2, 2 * 10**9, 0.75, end=2 * 10**9)
  build('tanh', 'tanh_decay_schedule', 0.1, 0.0, 900, end=900)
  build('tanh_rising', 'tanh_decay_schedule', 0.01, 0.3, 64, -2, 2, end=64)
  known = {entry.name: entry for entry in ZOO}
  for name, k in (('cosine', 1.5), ('linear_falling', 2.0), ('rex', 0.5)):
    at = {
      'cosine': cosine_at(1e-3),
      'linear_falling': linear_at(0.001, 0.0001),
      'rex': rational_at(1.0, 0.0),
    }[name]
    add(
      f'k_decay_{name}',
      fs.k_decay_schedule(known[name].schedule, k),
      lambda n, at=at, k=k: at(progress(n, 1000) ** rounded(k)),
      end=1000,
      covers=('k_decay_schedule',),
      at=lambda p, at=at, k=k: at(p ** rounded(k)),
    )
  sgdr('sgdr_k_decay', known_entry('k_decay_cosine'), 100, t_mult=2)


def _further_warmups() -> None:
  """Warm-ups before everything, and warmup-stable-decay."""
  polynomial = 'warmup_polynomial_decay_schedule'
  build('warmup_linear', polynomial, 0, 1e-3, 100, 900, end=1000)
  build(
    'warmup_polynomial',
    polynomial,
    1e-5,
    1e-3,
    100,
    10**5,
    1e-6,
    power=2.0,
    boundaries=[100],
    end=100_100,
  )
  root = 'inverse_sqrt_schedule'
  build('inverse_sqrt', root, 0.01, 1000, boundaries=[1000])
  build('inverse_sqrt_slow', root, 0.01, 10, 10_000.5, 1e-4, boundaries=[10])
  build('inverse_sqrt_no_warmup', root, 0.01, 0, timescale=64)
  for shape in (*SHAPES, 'exponential'):
    build(
      f'wsd_{shape}',
      'wsd_schedule',
      0.01,
      100,
      800,
      200,
      init_value=1e-4,
      end_value=1e-5,
      decay_shape=shape,
      warmup_shape=shape,
      boundaries=[100, 900],
      end=1100,
    )
  build(
    'wsd_long',
    'wsd_schedule',
    3e-4,
    2000,
    10**9,
    10**8,
    decay_shape='1-sqrt',
    boundaries=[2000, 10**9 + 2000],
    end=10**9 + 10**8 + 2000,
  )
  build('wsd_decay_only', 'wsd_schedule', 0.1, 0, 0, 10, end=10)
  cyclic = 'cyclic_wsd_schedule'
  build('cyclic_wsd', cyclic, 0.1, 10, 60, 40, boundaries=[10, 70, 110, 170])
  build(
    'cyclic_wsd_ending',
    cyclic,
    0.1,
    10,
    0,
    40,
    num_cycles=3,
    end_value=0.01,
    decay_shape='cosine',
    boundaries=[10, 50, 90],
    end=130,
  )
  decay = known_entry('exponential')
  at = shaped_at('1-sqrt', decay.exact(500), rounded(1e-5))
  add(
    'cooldown',
    fs.cooldown_schedule(decay.schedule, 500, 200, 1e-5, '1-sqrt'),
    exact_join([decay.exact, lambda n: at(progress(n, 200))], [500]),
    boundaries=(500,),
    end=700,
    covers=('cooldown_schedule',),
  )
  for shape in ('cosine', 'exponential'):
    add(
      f'warmup_schedule_{shape}',
      fs.warmup_schedule(decay.schedule, 50, 1e-4, shape),
      exact_shaped_warmup(
        rounded(1e-4), rounded(0.001), 50, shape, decay.exact
      ),
      boundaries=(50,),
      covers=('warmup_schedule',),
    )


def _further_pieces() -> None:
  """Steps, tables and cycles."""
  steps = (10, 300, 10**6)
  build('multistep', 'multistep_schedule', 0.3, steps, 0.2, boundaries=steps)
  build('step', 'step_schedule', 0.1, 30, 0.8, boundaries=[30, 60])
  values = [0.1, 0.7, 0.3, 1e-9, 0.0, 5.0]
  build('table', 'table_schedule', values, boundaries=range(5), end=5)
  build('table_of_one', 'table_schedule', [0.25], end=0)
  momentum = 'onecycle_momentum_schedule'
  knots = onecycle_knots(5000)
  build('momentum', momentum, 5000, boundaries=knots, end=knots[2])
  build(
    'momentum_linear',
    momentum,
    100,
    0.8,
    0.9,
    0.5,
    0.75,
    'linear',
    boundaries=[50],
    end=75,
  )
  edges = [5, 12, 17, 24]
  build('cyclic', 'cyclic_schedule', 1e-3, 0.01, 5, 7, boundaries=edges)
  build(
    'cyclic_halved',
    'cyclic_schedule',
    1e-3,
    0.01,
    50,
    mode='triangular2',
    boundaries=[50, 100, 150, 200],
  )
  build(
    'cyclic_exponential',
    'cyclic_schedule',
    1e-3,
    0.01,
    500,
    200,
    mode='exp_range',
    gamma=0.9994,
    boundaries=[500, 700, 1200, 1400],
  )
  build('ema_decay', 'ema_decay_schedule')
  build('ema_decay_options', 'ema_decay_schedule', 0.99, 2, boundaries=[98])
  build('bias_corrected', 'bias_corrected_decay_schedule', 0.999)
  build('bias_corrected_fast', 'bias_corrected_decay_schedule', 0.5)
  build('adafactor_decay', 'adafactor_decay_schedule')
  build('adafactor_decay_fast', 'adafactor_decay_schedule', 2.5)


def _composed() -> None:
  """What operators and methods make of schedules."""
  line, cosine = known_entry('linear_falling'), known_entry('cosine')
  warmup, growing = known_entry('warmup_cosine'), known_entry('exponential')

  def composed(name, schedule, exact, *parts, end=None, covers=(), more=()):
    edges = {e for part in parts for e in (*part.boundaries, part.end or 0)}
    add(
      name,
      schedule,
      exact,
      boundaries=tuple(sorted({*edges, *more})),
      end=end,
      covers=covers,
    )

  a, b, w, g = (entry.schedule for entry in (line, cosine, warmup, growing))
  x, y, v, e = (entry.exact for entry in (line, cosine, warmup, growing))
  composed('add', a + b + 0.5, lambda n: x(n) + y(n) + 0.5, line, cosine)
  composed(
    'subtract', w - 2 * a, lambda n: v(n) - 2 * x(n), line, warmup, end=10_000
  )
  composed(
    'subtract_crossing', 3e-4 - b, lambda n: rounded(3e-4) - y(n), cosine
  )
  composed('multiply', a * b, lambda n: x(n) * y(n), line, cosine, end=1000)
  composed('negated', -w, lambda n: -v(n), warmup, end=10_000)
  composed('divide', g / a, lambda n: e(n) / x(n), growing, line)
  composed('divide_number', b / 3, lambda n: y(n) / 3, cosine, end=1000)
  composed(
    'arithmetic',
    (a + 0.1) * (1 - b) / (g + 2),
    lambda n: (x(n) + rounded(0.1)) * (1 - y(n)) / (e(n) + 2),
    line,
    cosine,
    growing,
  )
  composed(
    'divide_by_zero',
    known_entry('linear_to_zero').schedule / known_entry('cosine').schedule,
    lambda n: (
      known_entry('linear_to_zero').exact(n) / max(y(n), mp.mpf(2) ** -126)
    ),
    cosine,
  )
  huge = known_entry('exponential_unbounded')

  def largest(x):
    return min(x, LARGEST)

  composed(
    'overflow',
    huge.schedule * 1e9,
    lambda n: largest(largest(huge.exact(n)) * rounded(1e9)),
  )
  composed(
    'overflow_of_sum',
    huge.schedule + huge.schedule,
    lambda n: largest(2 * largest(huge.exact(n))),
  )
  composed(
    'underflow',
    1e-20 / (huge.schedule * 1e-10),
    lambda n: rounded(1e-20) / largest(largest(huge.exact(n)) * rounded(1e-10)),
  )
  composed(
    'minimum',
    fs.minimum(a, b, 7e-4),
    lambda n: min(x(n), y(n), rounded(7e-4)),
    line,
    cosine,
    end=1000,
    covers=('minimum',),
  )
  composed(
    'maximum',
    fs.maximum(a, 2 * b, 1e-5),
    lambda n: max(x(n), 2 * y(n), rounded(1e-5)),
    line,
    cosine,
    end=1000,
    covers=('maximum',),
  )
  composed(
    'clip',
    w.clip(1e-4, 9e-4),
    lambda n: min(max(v(n), rounded(1e-4)), rounded(9e-4)),
    warmup,
    end=10_000,
  )
  composed(
    'shift', w.shift(77), lambda n: v(max(n - 77, 0)), end=10_077, more=[77]
  )
  composed(
    'shift_back', w.shift(-500), lambda n: v(n + 500), end=9500, more=[500]
  )
  far = known_entry('cosine_long')
  composed(
    'shift_far_back',
    far.schedule.shift(-(10**9)),
    lambda n: far.exact(n + 10**9),
    end=10**9,
  )
  composed(
    'every', b.every(30), lambda n: y(n // 30), end=30_000, more=[30, 60]
  )
  composed(
    'then',
    a.then(b, 500).then(0.5, 700),
    exact_join([x, y, exact_constant(0.5)], [500, 700]),
    end=700,
    more=[500],
  )
  composed('repeat', w.repeat(1500), lambda n: v(n % 1500), more=[1500, 3000])
  composed(
    'repeat_falling',
    b.repeat(1000, m_mult=0.7),
    lambda n: y(n % 1000) * rounded(0.7) ** (n // 1000),
    more=[1000, 2000],
  )
  doubling = known_entry('sgdr_doubling')
  composed(
    'repeat_growing',
    b.repeat(1000, t_mult=2.0, m_mult=0.5),
    lambda n: (
      doubling.exact(n) / mp.mpf(2) ** ((n // 1000 + 1).bit_length() - 1)
    ),
    doubling,
  )
  composed(
    'stretch',
    known_entry('wsd_1-sqrt').schedule.stretch(2.5),
    exact_wsd(0.01, 250, 2000, 500, 1e-4, 1e-5, '1-sqrt', '1-sqrt'),
    more=[250, 2250],
    end=2750,
  )
  points = {0.001: 0.9, 0.0001: 0.1, 0.0005: 0.2}
  knots = sorted((rounded(k), rounded(value)) for k, value in points.items())

  def followed(n):
    x = min(max(v(n), knots[0][0]), knots[-1][0])
    i = min(bisect.bisect_right([k for k, _ in knots], x), len(knots) - 1)
    (low, a), (high, b) = knots[i - 1 : i + 1]
    return a + (b - a) * (x - low) / (high - low)

  composed(
    'follow',
    fs.follow(w, points),
    followed,
    warmup,
    end=10_000,
    covers=('follow',),
  )
  composed(
    'follow_one',
    fs.follow(w, {0.5: 0.3}),
    lambda n: rounded(0.3),
    covers=('follow',),
    end=0,
  )
  composed('follow_function', fs.follow(w, double), None, covers=('follow',))


def double(value):
  """A function of a schedule's value."""
  return value * 2


def _users() -> None:
  """What users bring: their own classes, and closures."""
  add(
    'user_class',
    InverseSqrt(init_value=0.3, timescale=100),
    lambda n: rounded(0.3) / mp.sqrt(1 + mp.mpf(n) / 100),
  )
  add(
    'user_class_static',
    InverseSqrt(init_value=0.3, timescale=100, upside_down=True),
    lambda n: rounded(0.3) * mp.sqrt(1 + mp.mpf(n) / 100),
  )
  closure = add(
    'closure',
    fs.as_schedule(optax_closure),
    None,
    end=1000,
    covers=('as_schedule',),
  )
  known = {entry.name: entry for entry in ZOO}
  join('join_closure', [known['linear_rising'], closure], [300])


_seed()
_values()
_polynomials()
_exponentials()
_cosines()
_onecycles()
_pieces()
_warmups()
_restarts()
_joins()
_resumed()
_further_decays()
_further_warmups()
_further_pieces()
_composed()
_users()


# JAX 0.8 has it elsewhere.
if hasattr(jax, 'enable_x64'):
  enable_x64 = jax.enable_x64
else:
  pass

SIZE = max(len(entry.steps) for entry in ZOO)


def parametrize(
  keep: Callable[[Entry], bool] = lambda entry: True,
  *,
  quick: Callable[[Entry], bool] = lambda entry: True,
) -> Any:
  """Runs a test over the entries of the list that `keep` keeps.

  Those that are not `quick` are left to `make test-slow`.
  """
  entries = [
    pytest.param(
      entry, marks=[] if quick(entry) else [pytest.mark.slow], id=entry.name
    )
    for entry in ZOO
    if keep(entry)
  ]
  return pytest.mark.parametrize('entry', entries)


def classes(entry: Entry) -> frozenset[str]:
  """The classes that an entry is made of."""
  return frozenset(
    type(part).__name__ + getattr(part, 'interpolate_type', '')
    for part in parts(entry.schedule)
  )


def is_first_of_kind(entry: Entry) -> bool:
  """Whether no entry before it has the same classes."""
  return entry is next(e for e in ZOO if classes(e) == classes(entry))


@functools.cache
def few_kinds() -> frozenset[frozenset[str]]:
  """Sets of classes, as small ones as there are, that have each class."""
  few: set[frozenset[str]] = set()
  for entry in sorted(ZOO, key=lambda entry: len(classes(entry))):
    if not classes(entry) <= frozenset().union(*few):
      few.add(classes(entry))
  return frozenset(few)


def is_of_few(entry: Entry) -> bool:
  """Whether it has classes that no smaller one has: for slow tests."""
  return classes(entry) in few_kinds()


def parts(schedule: fs.Schedule) -> Iterator[fs.Schedule]:
  """A schedule and the schedules inside it."""
  yield schedule
  for field in dataclasses.fields(schedule):
    inside = getattr(schedule, field.name)
    for part in inside if isinstance(inside, tuple) else [inside]:
      if isinstance(part, fs.Schedule):
        yield from parts(part)


def holds_function(schedule: fs.Schedule) -> bool:
  """Whether a wrapped callable is inside, whose numbers nobody can see."""
  return any(
    isinstance(part, Function | FollowFunction) for part in parts(schedule)
  )

"""What the benchmarks share: sides that take turns, and tables."""

from collections.abc import Callable, Mapping, Sequence
import re
import statistics
import time

import jax


def take_turns(
  sides: Mapping[str, Callable[[], None]], rounds: int
) -> dict[str, list[float]]:
  """Seconds of each side in each round. Noise of the machine hits all alike."""
  seconds: dict[str, list[float]] = {name: [] for name in sides}
  for run in sides.values():
    run()  # what the first call alone does is not measured
  for _ in range(rounds):
    for name, run in sides.items():
      start = time.perf_counter()
      run()
      seconds[name].append(time.perf_counter() - start)
  return seconds


def ratio(seconds: Sequence[float], base: Sequence[float]) -> float:
  """The median over the rounds of one side's time over the other's."""
  return statistics.median(a / b for a, b in zip(seconds, base, strict=True))


def compile_seconds(function: Callable[..., object], *args: object) -> float:
  """The time to trace and compile a function, without any cache."""
  jax.clear_caches()
  start = time.perf_counter()
  jax.jit(function).lower(*args).compile()
  return time.perf_counter() - start


def instructions(function: Callable[..., object], *args: object) -> int:
  """The number of instructions in the optimized program."""
  text = jax.jit(function).lower(*args).compile().as_text()
  return len(re.findall(r'^\s+(?:ROOT )?%?\S+ = ', text, re.MULTILINE))


def print_table(
  header: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
  """Prints a table in Markdown."""
  print('|', ' | '.join(header), '|')
  print('|', ' | '.join('---' for _ in header), '|')
  for row in rows:
    print('|', ' | '.join(map(str, row)), '|')

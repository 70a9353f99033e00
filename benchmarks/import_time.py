"""What does `import flax_sched` add to `import flax, optax`?

Fresh processes that take turns; the median, and the ratio to Flax and Optax.
"""

import statistics
import subprocess
import sys

from benchmarks import side_by_side

PROGRAM = """
import time
start = time.perf_counter()
import flax, optax
middle = time.perf_counter()
import flax_sched
print(middle - start, time.perf_counter() - middle)
"""


def main():
  runs = []
  for _ in range(9):
    done = subprocess.run(
      [sys.executable, '-c', PROGRAM],
      check=True,
      capture_output=True,
      text=True,
    )
    runs.append(tuple(map(float, done.stdout.split())))
  added = statistics.median(b for _, b in runs)
  share = statistics.median(b / a for a, b in runs)
  side_by_side.print_table(
    ['added, ms', 'added / `import flax, optax`'],
    [[f'{1000 * added:.0f}', f'{share:.3f}']],
  )


if __name__ == '__main__':
  main()

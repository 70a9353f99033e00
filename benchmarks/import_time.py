"""What does `import flax_sched` add to `import flax, optax`?

Fresh processes, all modules compiled as after an installation; the median, and
the ratio to Flax and Optax.
"""

import os
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
  # Where Python keeps no bytecode, it would compile this package each time.
  env = {k: v for k, v in os.environ.items() if k != 'PYTHONDONTWRITEBYTECODE'}
  runs = []
  for _ in range(10):
    done = subprocess.run(
      [sys.executable, '-c', PROGRAM],
      check=True,
      capture_output=True,
      env=env,
      text=True,
    )
    runs.append(tuple(map(float, done.stdout.split())))
  del runs[0]  # it may have compiled
  added = statistics.median(b for _, b in runs)
  share = statistics.median(b / a for a, b in runs)
  side_by_side.print_table(
    ['added, ms', 'added / `import flax, optax`'],
    [[f'{1000 * added:.0f}', f'{share:.3f}']],
  )


if __name__ == '__main__':
  main()

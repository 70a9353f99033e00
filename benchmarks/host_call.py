"""What does `schedule(step)` cost in a training loop, for a log line?

`float(schedule(step))` with a Python integer. Optax dispatches every operation
to the device and waits for the result; flax_sched computes on the host.
"""

import optax

from benchmarks import side_by_side
import flax_sched as fs

CALLS = 50
CASES = {
  'linear': (
    fs.linear_schedule(0.1, 0.0, 1000),
    optax.linear_schedule(0.1, 0.0, 1000),
  ),
  'cosine': (
    fs.cosine_decay_schedule(0.1, 1000),
    optax.cosine_decay_schedule(0.1, 1000),
  ),
  'warm-up cosine': (
    fs.warmup_cosine_decay_schedule(0.0, 0.1, 100, 900),
    optax.warmup_cosine_decay_schedule(0.0, 0.1, 100, 1000),
  ),
  'one-cycle cosine': (
    fs.cosine_onecycle_schedule(1000, 0.1),
    optax.cosine_onecycle_schedule(1000, 0.1),
  ),
}


def calls(schedule):
  def run():
    for step in range(0, 20 * CALLS, 20):
      float(schedule(step))

  return run


def main():
  rows = []
  for name, (ours, theirs) in CASES.items():
    seconds = side_by_side.take_turns(
      {'ours': calls(ours), 'optax': calls(theirs)}, rounds=15
    )
    ratio = side_by_side.ratio(seconds['optax'], seconds['ours'])
    rows.append([name, f'{ratio:.1f}'])
  side_by_side.print_table(['schedule', 'time, Optax / flax_sched'], rows)


if __name__ == '__main__':
  main()

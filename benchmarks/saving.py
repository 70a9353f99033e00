"""What does it add to a checkpoint that it remembers the schedules?

A `TrainState` of 100 MB, adamw, its learning rate, b1 and weight decay
scheduled, saved to the disk: by Orbax alone (`StandardSave`), and by
`flax_sched.checkpoint.save`. The time until the call returns, while training
waits, and until all is written; the median over rounds that take turns.
"""

import functools
import pathlib
import tempfile
import time

from flax.training.train_state import TrainState
import jax
import optax
import orbax.checkpoint as ocp

from benchmarks import side_by_side
import flax_sched as fs
from flax_sched import checkpoint

PARAMETERS, LAYERS, ROUNDS = 25_000_000 // 3, 24, 50


def init_state(size=PARAMETERS):
  """A state of that many parameters, and of two moments of each."""
  tx = fs.inject_hyperparams(
    optax.adamw,
    learning_rate=fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000, 1e-5),
    b1=fs.linear_schedule(0.9, 0.95, 5000),
    weight_decay=fs.cosine_decay_schedule(0.1, 10_000),
  )
  keys = jax.random.split(jax.random.key(0), LAYERS)
  params = {
    f'layer_{i}': jax.random.normal(key, (size // LAYERS,))
    for i, key in enumerate(keys)
  }
  return TrainState.create(apply_fn=None, params=params, tx=tx)


def with_orbax(manager, step, state):
  manager.save(step, args=ocp.args.StandardSave(state))


SIDES = {'Orbax': with_orbax, 'flax_sched': checkpoint.save}


@functools.partial(jax.jit, donate_argnums=0)
def train_step(state):
  """New arrays: none that is on the host already."""
  return state.apply_gradients(grads=state.params)


def take_turns(rounds, state, folder):
  """Seconds until the call returns, and until all is written, by side."""
  returned, written = ({name: [] for name in SIDES} for _ in range(2))
  options = ocp.CheckpointManagerOptions(max_to_keep=1)
  managers = {
    name: ocp.CheckpointManager(pathlib.Path(folder) / name, options=options)
    for name in SIDES
  }
  for step in range(rounds + 1):
    for name, save in SIDES.items():
      state = jax.block_until_ready(train_step(state))
      start = time.perf_counter()
      save(managers[name], step, state)
      returned[name].append(time.perf_counter() - start)
      managers[name].wait_until_finished()
      written[name].append(time.perf_counter() - start)
  for manager in managers.values():
    manager.close()
  # What the first call alone does is not measured.
  return [
    {name: seconds[1:] for name, seconds in times.items()}
    for times in (returned, written)
  ]


def main():
  with tempfile.TemporaryDirectory() as folder:
    times = take_turns(ROUNDS, init_state(), folder)
  rows = []
  for until, seconds in zip(
    ('the call returns', 'all is written'), times, strict=True
  ):
    ratio = side_by_side.ratio(seconds['flax_sched'], seconds['Orbax'])
    rows.append([until, f'{ratio:.2f}'])
  side_by_side.print_table(['until', 'time, flax_sched / Orbax'], rows)


if __name__ == '__main__':
  main()

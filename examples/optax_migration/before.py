"""Handwritten digits with Optax, Flax and Orbax: the program to migrate."""

import pathlib
from typing import Any

from flax.training.train_state import TrainState
import optax
import orbax.checkpoint as ocp
from tensorboardX import SummaryWriter

from examples.optax_migration import task


def make_schedule(total_steps: int, schedules: Any = optax.schedules) -> Any:
  """The learning rate: a tenth of the run up, the rest down."""
  return schedules.warmup_cosine_decay_schedule(
    init_value=0.0,
    peak_value=3e-3,
    warmup_steps=total_steps // 10,
    decay_steps=total_steps,
    end_value=1e-5,
  )


def make_optimizer(schedule: Any) -> optax.GradientTransformation:
  """AdamW behind clipping."""
  return optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.adamw(schedule, weight_decay=0.1),
  )


def train(
  directory: pathlib.Path,
  first_step: int,
  last_step: int,
  *,
  total_steps: int,
  seed: int = 0,
  schedules: Any = optax.schedules,
) -> TrainState:
  """Trains from one step up to another.

  Args:
    directory: the run's, for checkpoints/ and logs/.
    first_step: 0, or that of a checkpoint.
    last_step: where it stops, and saves.
    total_steps: the length of the whole run, which the schedule follows.
    seed: of the parameters and of the order of the data.
    schedules: where the schedule's function is from.

  Returns:
    The state after the last step.
  """
  images, _, labels, _ = task.load_data()
  schedule = make_schedule(total_steps, schedules)
  state = task.create_state(make_optimizer(schedule), seed)
  manager = ocp.CheckpointManager((directory / 'checkpoints').resolve())
  # A file of its own, however soon after the last one.
  writer = SummaryWriter(
    str(directory / 'logs'), filename_suffix=f'.{first_step}'
  )
  with manager, writer:
    if first_step:
      state = manager.restore(first_step, args=ocp.args.StandardRestore(state))
    for step in range(first_step, last_step):
      batch = task.batch_indices(seed, len(images), step)
      state, loss = task.train_step(state, images[batch], labels[batch])
      # Optax keeps no learning rate: it is computed a second time.
      writer.add_scalar('learning_rate', float(schedule(step)), step)
      writer.add_scalar('loss', float(loss), step)
    manager.save(last_step, args=ocp.args.StandardSave(state))
  return state

"""The same run, continued with flax_sched from Optax's own checkpoint."""

import pathlib

from flax.training.train_state import TrainState
import optax
import orbax.checkpoint as ocp

from examples.optax_migration import task
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import metrics


def make_schedule(total_steps: int) -> fs.Schedule:
  """The learning rate: a tenth of the run up, the rest down."""
  warmup_steps = total_steps // 10
  return fs.warmup_cosine_decay_schedule(
    init_value=0.0,
    peak_value=3e-3,
    warmup_steps=warmup_steps,
    decay_steps=total_steps - warmup_steps,  # here without the warm-up
    end_value=1e-5,
  )


def make_optimizer(schedule: fs.Schedule) -> optax.GradientTransformation:
  """AdamW behind clipping."""
  return optax.chain(
    optax.clip_by_global_norm(1.0),
    fs.inject_hyperparams(
      optax.adamw, learning_rate=schedule, weight_decay=0.1
    ),
  )


def train(
  directory: pathlib.Path,
  first_step: int,
  last_step: int,
  *,
  total_steps: int,
  seed: int = 0,
) -> TrainState:
  """Trains from one step up to another: see before.py.

  The checkpoint of the first step may be Optax's or one that this has saved.
  """
  images, _, labels, _ = task.load_data()
  schedule = make_schedule(total_steps)
  state = task.create_state(make_optimizer(schedule), seed)
  manager = ocp.CheckpointManager((directory / 'checkpoints').resolve())
  writer = metrics.create_writer(directory / 'logs', first_step=first_step)
  # Without the prefix, the names of the curves are those of before.
  logger = metrics.HyperparamLogger(writer, prefix='')
  with manager, logger:
    if first_step:
      state = checkpoint.restore(manager, state, step=first_step)
    for step in range(first_step, last_step):
      batch = task.batch_indices(seed, len(images), step)
      state, loss = task.train_step(state, images[batch], labels[batch])
      logger.log(step, state, loss=loss)
    checkpoint.save(manager, last_step, state)
  return state

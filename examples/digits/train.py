"""Handwritten digits, with scheduled hyperparameters from start to end.

A run that is stopped at any moment, even by kill -9, goes on when it is started
again, and ends bit for bit as if it had never stopped.
"""

import functools
import json
import pathlib
from typing import Any

from flax import linen as nn
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import config as fs_config
from flax_sched import metrics
from flax_sched import plot
from flax_sched import tensorboard

TRAINING_SIZE = 1437  # images


def load_data() -> list[np.ndarray]:
  """1,797 digits of 8 by 8 pixels: images, test images, labels, test labels."""
  images, labels = load_digits(return_X_y=True)
  images = np.float32(images / 16).reshape(-1, 8, 8, 1)
  # One split, whatever the seed, so that the accuracies of seeds compare.
  return train_test_split(
    images, np.int32(labels), test_size=360, random_state=0, stratify=labels
  )


def batch_indices(config: Any, size: int, step: int) -> np.ndarray:
  """Which of the training examples a step sees: each once in an epoch."""
  # A function of seed and step: a resumed run has no iterator to restore.
  epoch, i = divmod(step, size // config.batch_size)
  order = np.random.default_rng((config.seed, epoch)).permutation(size)
  return order[i * config.batch_size :][: config.batch_size]


class CNN(nn.Module):
  """Two convolutions and two dense layers."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """The logits of images of shape (n, 8, 8, 1)."""
    for features in (32, 64):
      x = nn.relu(nn.Conv(features, (3, 3))(x))
      x = nn.max_pool(x, (2, 2), (2, 2))
    x = nn.relu(nn.Dense(128)(x.reshape(len(x), -1)))
    return nn.Dense(10)(x)


def run_of(config: Any) -> fs_config.Run:
  """What the durations in the config are resolved by."""
  return fs_config.Run(
    total_steps=config.total_steps,
    steps_per_epoch=TRAINING_SIZE // config.batch_size,
    batch_size=config.batch_size,
  )


def create_state(config: Any) -> TrainState:
  """The state before the first step."""
  model, image = CNN(), jnp.zeros((1, 8, 8, 1))
  variables = jax.jit(model.init)(jax.random.key(config.seed), image)
  state = TrainState.create(
    apply_fn=model.apply,
    params=variables['params'],
    tx=fs_config.build_optimizer(config.optimizer, run=run_of(config)),
  )
  # An array from the start, as a checkpoint gives it back: one type, one trace.
  return state.replace(step=jnp.zeros((), jnp.int32))


@functools.partial(jax.jit, donate_argnums=0)  # the new state reuses its memory
def train_step(
  state: TrainState, images: jax.Array, labels: jax.Array
) -> tuple[TrainState, jax.Array]:
  """One update: the new state, and the loss before it."""

  def loss_of(params: Any) -> jax.Array:
    logits = state.apply_fn({'params': params}, images)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()

  loss, grads = jax.value_and_grad(loss_of)(state.params)
  return state.apply_gradients(grads=grads), loss


def train_and_evaluate(config: Any, workdir: str) -> dict[str, Any]:
  """Trains as far as the config says, from where the last run in workdir got.

  Args:
    config: a ConfigDict, such as that of configs/digits.py.
    workdir: the run's directory: for checkpoints/, logs/ (TensorBoard event
      files), result.json and hyperparameters.png.

  Returns:
    What is in result.json: test accuracy, steps, the last hyperparameters.

  Raises:
    ScheduleMismatchError: if workdir holds a run with other schedules or
      another optimizer, and config.on_change does not say what to do.
    ValueError: if workdir holds a run of other data.
  """
  directory = pathlib.Path(workdir).resolve()
  images, test_images, labels, test_labels = load_data()
  state, total_steps = create_state(config), config.total_steps
  options = ocp.CheckpointManagerOptions(max_to_keep=3)
  manager = ocp.CheckpointManager(directory / 'checkpoints', options=options)
  with manager:  # it saves in the background: the block's end waits for it
    if manager.latest_step() is not None:
      state = restore(manager, state, config)
    first_step = int(state.step)
    if first_step >= total_steps:
      print('Nothing is left to train: only the summary is made again.')
    else:
      writer = metrics.create_writer(directory / 'logs', first_step=first_step)
      with (
        metrics.HyperparamLogger(writer) as logger,
        tqdm(initial=first_step, total=total_steps, unit='step') as progress,
      ):
        for step in range(first_step, total_steps):
          batch = batch_indices(config, len(images), step)
          state, loss = train_step(state, images[batch], labels[batch])
          logger.log(step, state, loss=loss)
          done = step + 1
          if done % config.progress_every_steps == 0 or done == total_steps:
            # Already on the host: to show them does not wait for the device.
            latest = {k.split('/')[-1]: v for k, v in logger.latest.items()}
            progress.set_postfix(latest, refresh=False)
            progress.update(done - progress.n)
          if done % config.checkpoint_every_steps == 0 or done == total_steps:
            logger.flush()  # no checkpoint may be ahead of the logs
            run = ocp.args.JsonSave(identity(config))
            checkpoint.save(manager, done, state, run=run)
  logits = state.apply_fn({'params': state.params}, test_images)
  right = np.argmax(logits, axis=-1) == test_labels
  return summarize(config, state, right, directory)


def restore(
  manager: ocp.CheckpointManager, like: TrainState, config: Any
) -> TrainState:
  """The state of the last complete checkpoint, if it is of this run."""
  step, args = manager.latest_step(), ocp.args
  saved = manager.restore(step, args=args.Composite(run=args.JsonRestore())).run
  if saved != identity(config):
    raise ValueError(
      'train_and_evaluate: workdir must hold no run of other data, got '
      f'{manager.directory.parent}. Use another one, or go back from '
      f'{identity(config)} to {saved}.'
    )
  state = checkpoint.restore(
    manager, like, on_change=config.on_change, rebase_steps=config.rebase_steps
  )
  print(f'Resumed at step {step:,} of {config.total_steps:,}.')
  return state


def identity(config: Any) -> dict[str, Any]:
  """Which data a run sees: the optimizer's side, `checkpoint` compares."""
  return {'seed': config.seed, 'batch_size': config.batch_size}


def summarize(
  config: Any, state: TrainState, right: np.ndarray, directory: pathlib.Path
) -> dict[str, Any]:
  """Writes result.json, and draws what was planned against what was logged."""
  used = {name: float(value) for name, value in fs.hyperparams(state).items()}
  result = {
    'test_accuracy': float(right.mean()),
    'steps': int(state.step),
    'hyperparameters': used,
  }
  (directory / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
  planned = fs_config.build_schedules(config.optimizer, run=run_of(config))
  plot.plot_schedules(
    {name: planned[name] for name in used},
    total_steps=config.total_steps,
    logged=tensorboard.read_scalars(directory / 'logs'),
    path=directory / 'hyperparameters.png',
    title='Handwritten digits: hyperparameters',
  )
  score = f'{right.mean():.2%} ({right.sum()} of {right.size})'
  print(f'Test accuracy {score}. Results are in {directory}.')
  return result

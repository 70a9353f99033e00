"""An autoencoder of handwritten digits: its learning rate reacts to a loss.

The loss that the schedule reacts to is of images that no update sees. It is
new once in `evaluate_every_steps` updates; each update is told the last one.
"""

import functools
import pathlib
from typing import Any

from flax import linen as nn
from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from tqdm import tqdm

from examples.digits import train as digits
from examples.plateau import report
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import config as fs_config
from flax_sched import metrics
from flax_sched.reactive import ReduceOnPlateauState

VALIDATION_SIZE = 360  # of the training images
TRAINING_SIZE = digits.TRAINING_SIZE - VALIDATION_SIZE


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Images to train on, to validate by, and to test on, of 64 pixels each."""
  images, test_images, _, _ = digits.load_data()
  flat = [x.reshape(len(x), -1) for x in (images, test_images)]
  return *np.split(flat[0], [TRAINING_SIZE]), flat[1]


class Autoencoder(nn.Module):
  """64 pixels to 8 numbers, and back."""

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """The images that the 8 numbers of each image give back."""
    x = nn.relu(nn.Dense(128)(x))
    x = nn.Dense(8)(x)
    x = nn.relu(nn.Dense(128)(x))
    return nn.Dense(64)(x)


class State(TrainState):
  """A TrainState that keeps what the schedule is told.

  In the state, it is in the checkpoint too, so that a run may stop and go on
  between two evaluations.

  Attributes:
    validation_loss: float32 of shape (), the last one.
  """

  validation_loss: jax.Array


def run_of(config: Any) -> fs_config.Run:
  """What the durations in the config are resolved by."""
  return fs_config.Run(
    total_steps=config.total_steps,
    steps_per_epoch=TRAINING_SIZE // config.batch_size,
    batch_size=config.batch_size,
  )


def create_state(config: Any) -> State:
  """The state before the first step."""
  model = Autoencoder()
  variables = jax.jit(model.init)(
    jax.random.key(config.seed), jnp.zeros((1, 64))
  )
  tx = fs_config.build_optimizer(
    config.optimizer,
    run=run_of(config),
    inject=fs.inject_stateful_hyperparams,  # the state holds what it remembers
  )
  state = State.create(
    apply_fn=model.apply,
    params=variables['params'],
    tx=tx,
    validation_loss=jnp.zeros((), jnp.float32),
  )
  # An array from the start, as a checkpoint gives it back: one type, one trace.
  return state.replace(step=jnp.zeros((), jnp.int32))


def loss_of(state: State, params: Any, images: jax.Array) -> jax.Array:
  """The mean squared error of a pixel, whose values are from 0 to 1."""
  error = state.apply_fn({'params': params}, images) - images
  return jnp.mean(error**2)


@jax.jit
def evaluate(state: State, images: jax.Array) -> jax.Array:
  """The loss of images."""
  return loss_of(state, state.params, images)


@functools.partial(jax.jit, donate_argnums=0)  # the new state reuses its memory
def train_step(
  state: State, images: jax.Array
) -> tuple[State, dict[str, jax.Array]]:
  """One update: the new state, and what to log of it."""
  loss, grads = jax.value_and_grad(lambda p: loss_of(state, p, images))(
    state.params
  )
  scalars = {'loss': loss, 'validation_loss': state.validation_loss}
  for plateau in plateaus(state):
    scalars['plateau_scale'] = plateau.value  # the one that this update uses
  # Each update needs a value. That of the training loss would do as well, but
  # it is of one batch: noise, unless many are averaged.
  state = fs.apply_gradients(state, grads=grads, value=state.validation_loss)
  return state, scalars


def plateaus(state: State) -> list[ReduceOnPlateauState]:
  """What schedules that react remember; none if the config has none."""

  def remembers(x: Any) -> bool:
    return isinstance(x, ReduceOnPlateauState)

  leaves = jax.tree.leaves(state.opt_state, is_leaf=remembers)
  return [leaf for leaf in leaves if remembers(leaf)]


def train_and_evaluate(config: Any, workdir: str) -> dict[str, Any]:
  """Trains as far as the config says, from where the last run in workdir got.

  Args:
    config: a ConfigDict, such as that of configs/plateau.py.
    workdir: the run's directory: for checkpoints/, logs/ (TensorBoard event
      files), result.json and plateau.png.

  Returns:
    What is in result.json: losses, steps, the last hyperparameters, and from
    which updates on the learning rate was reduced.

  Raises:
    ScheduleMismatchError: if workdir holds a run with other schedules or
      another optimizer, and config.on_change does not say what to do.
    ValueError: if workdir holds a run of other data.
  """
  directory = pathlib.Path(workdir).resolve()
  images, validation_images, test_images = load_data()
  state, total_steps = create_state(config), config.total_steps
  options = ocp.CheckpointManagerOptions(max_to_keep=3)
  manager = ocp.CheckpointManager(directory / 'checkpoints', options=options)
  with manager:  # it saves in the background: the block's end waits for it
    if manager.latest_step() is not None:
      state = digits.restore(manager, state, config)
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
          if step % config.evaluate_every_steps == 0:
            loss = evaluate(state, validation_images)
            state = state.replace(validation_loss=loss)
          batch = digits.batch_indices(config, len(images), step)
          state, scalars = train_step(state, images[batch])
          logger.log(step, state, **scalars)
          done = step + 1
          if done % config.progress_every_steps == 0 or done == total_steps:
            # Already on the host: to show them does not wait for the device.
            latest = {k.split('/')[-1]: v for k, v in logger.latest.items()}
            progress.set_postfix(latest, refresh=False)
            progress.update(done - progress.n)
          if done % config.checkpoint_every_steps == 0 or done == total_steps:
            logger.flush()  # no checkpoint may be ahead of the logs
            run = ocp.args.JsonSave(digits.identity(config))
            checkpoint.save(manager, done, state, run=run)
  return report.write(
    directory,
    state,
    test_loss=float(evaluate(state, test_images)),
    validation_loss=float(evaluate(state, validation_images)),
    every=config.evaluate_every_steps,
  )

"""What a run leaves: its result, and a picture of the loss and the rate."""

import json
import pathlib
from typing import Any

from flax.training.train_state import TrainState
import numpy as np

import flax_sched as fs
from flax_sched import plot
from flax_sched import tensorboard


def write(
  directory: pathlib.Path,
  state: TrainState,
  *,
  test_loss: float,
  validation_loss: float,
  every: int,
) -> dict[str, Any]:
  """Writes result.json and plateau.png, and prints the test loss.

  Args:
    directory: where they go, and where the logs are.
    state: the last one.
    test_loss: that of the state.
    validation_loss: that of the state.
    every: the updates from one evaluation to the next.

  Returns:
    What is in result.json.
  """
  logged = {
    name: values
    for name, (_, values) in tensorboard.read_scalars(
      directory / 'logs', prefix=''
    ).items()
  }
  scale = logged.get('plateau_scale', np.ones(1))
  used = {name: float(value) for name, value in fs.hyperparams(state).items()}
  result = {
    'test_loss': test_loss,
    'validation_loss': validation_loss,
    'steps': int(state.step),
    'hyperparameters': used,
    'reduced_at': (np.flatnonzero(np.diff(scale)) + 1).tolist(),
  }
  (directory / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
  draw(directory / 'plateau.png', logged, result['reduced_at'], every)
  print(f'Test loss {test_loss:.6f}. Results are in {directory}.')
  return result


def draw(
  path: pathlib.Path, logged: dict[str, Any], reduced_at: list[int], every: int
) -> None:
  """Draws the validation loss, and the learning rate that reacts to it."""
  curves = {
    f'validation loss, every {every} updates': logged['validation_loss'],
    'learning rate': logged['hyperparams/learning_rate'],
  }
  figure = plot.plot_schedules(
    {name: lambda n, c=curve: c[n] for name, curve in curves.items()},
    total_steps=len(logged['validation_loss']),
    title='An autoencoder of digits: its validation loss and its learning rate',
  )
  loss, rate = figure.axes
  lowest = float(np.nanmin(logged['validation_loss']))
  loss.set_ylim(0.95 * lowest, 2 * lowest)  # without the beginning
  rate.set_yscale('log')
  highest = float(np.max(curves['learning rate']))
  rate.set_ylim(highest / 200, 1.5 * highest)  # without that of the warm-up
  for panel in figure.axes:
    for step in reduced_at:
      panel.axvline(step, color='#777777', linewidth=0.6, linestyle=':')
  figure.savefig(path)

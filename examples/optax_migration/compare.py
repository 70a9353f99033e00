"""A run of Optax that is handed over half-way, and what the endings have."""

import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np

from examples.optax_migration import after
from examples.optax_migration import before
from examples.optax_migration import task
from flax_sched import optax_compat
from flax_sched import plot
from flax_sched import tensorboard


def hand_over(
  directory: pathlib.Path, total_steps: int, seed: int
) -> dict[str, Any]:
  """Trains the first half with Optax, and the second one in three ways.

  Args:
    directory: where it all goes: optax/ is the run that goes on with Optax
      alone, flax_sched/ the one that is handed over, and optax_compat/ the one
      whose import alone is another.
    total_steps: the length of the whole run.
    seed: of the parameters and of the order of the data.

  Returns:
    What is in result.json: of each ending, its test accuracy, and how far its
    parameters, learning rates and losses are from those of Optax's.
  """
  if directory.exists() and any(directory.iterdir()):
    raise ValueError(f'workdir must be new or empty, got {directory}.')
  half, run = total_steps // 2, {'total_steps': total_steps, 'seed': seed}
  begun = directory / 'optax'
  before.train(begun, 0, half, **run)
  for name in ('flax_sched', 'optax_compat'):
    shutil.copytree(begun, directory / name)
  states = {
    'optax': before.train(begun, half, total_steps, **run),
    'flax_sched': after.train(
      directory / 'flax_sched', half, total_steps, **run
    ),
    'optax_compat': before.train(
      directory / 'optax_compat',
      half,
      total_steps,
      schedules=optax_compat,
      **run,
    ),
  }
  logs = {
    name: tensorboard.read_scalars(directory / name / 'logs', prefix='')
    for name in states
  }
  _, images, _, labels = task.load_data()
  result = {
    name: {
      'test_accuracy': task.accuracy(state, images, labels),
      'parameters': distance(state.params, states['optax'].params),
      'learning_rate': distance(*rates(logs, name)),
      'loss': distance(logs[name]['loss'][1], logs['optax']['loss'][1]),
    }
    for name, state in states.items()
  }
  text = json.dumps(result, indent=2) + '\n'
  (directory / 'result.json').write_text(text)
  draw(directory / 'migration.png', logs['flax_sched'], half, total_steps)
  print(table_of(result), end='')
  return result


def rates(logs: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
  """The learning rates of an ending, and those of Optax's."""
  return logs[name]['learning_rate'][1], logs['optax']['learning_rate'][1]


def distance(a: Any, b: Any) -> float:
  """The largest difference of two numbers in their place."""
  differences = jax.tree.map(
    lambda x, y: np.max(np.abs(np.float64(x) - np.float64(y))), a, b
  )
  return float(max(jax.tree.leaves(differences)))


def table_of(result: dict[str, dict[str, float]]) -> str:
  """The endings as a table in Markdown."""
  lines = [
    '| second half by | test accuracy | parameters | learning rate | loss |',
    '|---|---:|---:|---:|---:|',
  ]
  for name, of in result.items():
    apart = [f'{of[x]:.1e}' for x in ('parameters', 'learning_rate', 'loss')]
    cells = [name, f'{of["test_accuracy"]:.2%}', *apart]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines) + '\n'


def draw(
  path: pathlib.Path, logged: dict[str, Any], half: int, total_steps: int
) -> None:
  """Draws the learning rate and the loss of the run that was handed over."""

  def loss(step: Any) -> Any:
    return logged['loss'][1][step]

  # Optax's schedule, as one whose phases have names.
  rate = before.make_schedule(total_steps, optax_compat)
  figure = plot.plot_schedules(
    {'loss': loss, 'learning_rate': after.make_schedule(total_steps)},
    other={'loss': loss, 'learning_rate': rate},
    labels=('flax_sched', 'Optax'),
    resumed_at=half,
    total_steps=total_steps,
    logged={'learning_rate': logged['learning_rate']},
    title='A run of Optax, continued with flax_sched',
  )
  above, _ = figure.axes
  above.set_yscale('log')
  losses = logged['loss'][1]
  above.set_ylim(np.min(losses) / 2, np.max(losses) * 2)
  for text in [*above.texts]:  # a loss has no phases to name
    text.remove()
  figure.savefig(path)

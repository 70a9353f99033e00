"""What a run leaves: its result, and the picture of it and of its branches."""

import itertools
import json
import pathlib
from typing import Any

from flax import nnx
import numpy as np

from examples.lm import plans
import flax_sched as fs
from flax_sched import plot
from flax_sched import tensorboard

SCORE = 'validation_bits_per_byte'  # as it is logged

# Colours that colour-blind people tell apart (Okabe, Ito, 2008).
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00')


def write(
  config: Any,
  workdir: pathlib.Path,
  branch: plans.Branch | None,
  optimizer: nnx.Optimizer,
) -> dict[str, Any]:
  """Writes result.json and the pictures, and prints the table of all branches.

  Args:
    config: that of the run.
    workdir: the directory of the run.
    branch: the branch that was trained; None: the run itself.
    optimizer: as it is in the end.

  Returns:
    What is in result.json.
  """
  directory = branch.directory(workdir) if branch else workdir
  used = {name: float(x) for name, x in fs.hyperparams(optimizer).items()}
  result = {
    'bits_per_byte': float(scores(directory)[1][-1]),
    'steps': int(optimizer.step[...]),
    'hyperparameters': used,
  }
  (directory / 'result.json').write_text(json.dumps(result, indent=2) + '\n')
  planned = plans.plan(config, branch)
  plot.plot_schedules(
    {name: planned[name] for name in used},
    total_steps=sum(branch) if branch else config.total_steps,
    logged=tensorboard.read_scalars(directory / 'logs'),
    path=directory / 'hyperparameters.png',
    title='Language model: hyperparameters',
  )
  draw(config, workdir)
  print(
    f'{table_of(config, workdir)}\nValidation: {result["bits_per_byte"]:.3f} '
    f'bits per byte. Results are in {directory}.'
  )
  return result


def scores(directory: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
  """After how many updates a run was evaluated, and the bits per byte then."""
  steps, values = tensorboard.read_scalars(directory / 'logs', SCORE)['']
  return steps + 1, values


def finished(workdir: pathlib.Path) -> list[plans.Branch]:
  """The branches of a run that got to their ends."""
  return [
    branch
    for branch in plans.branches_of(workdir)
    if (branch.directory(workdir) / 'result.json').exists()
  ]


def table_of(config: Any, workdir: pathlib.Path) -> str:
  """The finished models by length, as a table in Markdown.

  Beside a branch is the run after as many updates, in its stable phase.
  """
  rate = plans.plan(config)['learning_rate']
  along = dict(zip(*map(np.ndarray.tolist, scores(workdir)), strict=True))
  rows = ['| updates | stable phase | cooled down | from step |']
  rows.append('|---:|---:|---:|---:|')
  for branch in finished(workdir):
    end = sum(branch)
    stable = rate(end - 1) == rate(branch.from_step) and end in along
    stable = f'{along[end]:.3f}' if stable else ''
    score = scores(branch.directory(workdir))[1][-1]
    rows.append(f'| {end:,} | {stable} | {score:.3f} | {branch.from_step:,} |')
  if config.total_steps in along:
    score = along[config.total_steps]
    rows.append(f'| {config.total_steps:,} | | {score:.3f} | the run itself |')
  return ''.join(f'{row}\n' for row in rows)


def draw(config: Any, workdir: pathlib.Path) -> None:
  """Draws the learning rate and the score: of the run, and of its branches."""
  branches, (steps, values) = finished(workdir), scores(workdir)

  def score_at(step: Any) -> np.ndarray:
    return np.interp(step, steps, values, left=np.nan, right=np.nan)

  figure = plot.plot_schedules(
    {
      'learning_rate': plans.plan(config)['learning_rate'],
      'validation, bits per byte': score_at,
    },
    total_steps=max([config.total_steps, *map(sum, branches)]),
    title='One run, and the models of other lengths that branch off from it',
  )
  rate_panel, score_panel = figure.axes
  # At first it falls by bits; what matters here are tenths of one.
  score_panel.set_ylim(values.min() - 0.2, np.quantile(values, 0.85))

  def mark_end(step: int, score: float, color: str) -> None:
    score_panel.plot(step, score, 'o', color=color, markersize=4, clip_on=False)
    score_panel.annotate(
      f'{score:.2f}',
      (step, score),
      xytext=(0, -12),
      textcoords='offset points',
      ha='center',
      color=color,
      fontsize=8.5,
    )

  mark_end(steps[-1], values[-1], COLORS[0])
  for branch, color in zip(branches, itertools.cycle(COLORS[1:])):
    at = np.arange(branch.from_step, sum(branch) + 1)
    rate = plans.plan(config, branch)['learning_rate']
    rate_panel.plot(at, rate(at), color=color)
    at, score = scores(branch.directory(workdir))
    first = score_at(branch.from_step)
    score_panel.plot([branch.from_step, *at], [first, *score], color=color)
    mark_end(at[-1], score[-1], color)
  figure.savefig(workdir / 'branches.png')

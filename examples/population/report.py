"""What a population leaves: a table of its members, and the winner's curve."""

import json
import pathlib
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import flax_sched as fs
from flax_sched import plot


def rank(columns: dict[str, Any]) -> list[dict[str, Any]]:
  """The members, by validation accuracy, and of equals by validation loss."""
  accuracy, loss = columns['validation_accuracy'], columns['validation_loss']
  return [
    {'member': int(i), **{name: float(x[i]) for name, x in columns.items()}}
    for i in np.lexsort((loss, -np.asarray(accuracy)))
  ]


def write(
  directory: pathlib.Path,
  results: list[dict[str, Any]],
  schedules: dict[str, list[fs.Schedule]],
  losses: np.ndarray,
) -> None:
  """Writes results.json, results.md and population.png, and prints the table.

  Args:
    directory: where they go.
    results: of each member, the best first.
    schedules: of each hyperparameter, those of all members.
    losses: of shape (steps, members).
  """
  directory.mkdir(parents=True, exist_ok=True)
  (directory / 'results.json').write_text(json.dumps(results, indent=2) + '\n')
  table = table_of(results)
  (directory / 'results.md').write_text(table)
  draw(directory / 'population.png', results, schedules, losses)
  best = results[0]
  print(
    f'{table}\nTest accuracy of the winner, member {best["member"]}: '
    f'{best["test_accuracy"]:.2%}. Results are in {directory.resolve()}.'
  )


def table_of(results: list[dict[str, Any]]) -> str:
  """The members as a table in Markdown."""
  names = list(results[0])
  rows = [[name.replace('_', ' ') for name in names], ['---:'] * len(names)]
  for result in results:
    rows.append(
      [
        f'{x:.1%}' if name.endswith('accuracy') else f'{x:.3g}'
        for name, x in result.items()
      ]
    )
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return ''.join(
    f'| {" | ".join(map(str.rjust, row, widths))} |\n' for row in rows
  )


def draw(
  path: pathlib.Path,
  results: list[dict[str, Any]],
  schedules: dict[str, list[fs.Schedule]],
  losses: np.ndarray,
) -> None:
  """Draws the winner's curves in colour, among the others' in grey."""
  best, steps = results[0]['member'], np.arange(len(losses))
  mean_of = max(len(losses) // 50, 1)
  padded = np.pad(losses, ((mean_of - 1, 0), (0, 0)), mode='edge')
  means = sliding_window_view(padded, mean_of, axis=0).mean(axis=-1)
  curves = {
    name: np.stack([schedule(steps) for schedule in each], axis=1)
    for name, each in schedules.items()
  } | {f'training loss, mean of {mean_of} updates': means}
  figure = plot.plot_schedules(
    {name: lambda n, c=curve: c[n, best] for name, curve in curves.items()},
    total_steps=len(steps),
    title=f'Handwritten digits: the winner, member {best} of {len(results)}',
  )
  for panel, curve in zip(figure.axes, curves.values(), strict=True):
    panel.plot(steps, curve, color='#c8c8c8', linewidth=0.7, zorder=1)
    seen = curve[np.isfinite(curve) & (curve > 0)]
    panel.set_yscale('log')  # the end of a cosine, near 0, is left out
    panel.set_ylim(np.quantile(seen, 0.01) / 1.5, np.max(seen) * 1.5)
  figure.savefig(path)

"""What the hyperparameters follow, in a run and in the branches of it."""

import pathlib
from typing import Any, NamedTuple

from flax import nnx

import flax_sched as fs
from flax_sched import config as fs_config


class Branch(NamedTuple):
  """A cooldown of so many updates, from the run's checkpoint of a step."""

  from_step: int
  steps: int

  def directory(self, workdir: pathlib.Path) -> pathlib.Path:
    """Where its checkpoints, logs and results go."""
    return workdir / 'branches' / f'{self.from_step}+{self.steps}'


def branches_of(workdir: pathlib.Path) -> list[Branch]:
  """Those in a run's directory, the earliest first."""
  names = [path.name for path in workdir.glob('branches/*+*')]
  return sorted(Branch(*map(int, name.split('+'))) for name in names)


def run_of(config: Any) -> fs_config.Run:
  """What the durations in the config are resolved by."""
  return fs_config.Run(
    total_steps=config.total_steps,
    batch_size=config.batch_size,
    tokens_per_batch=config.batch_size * config.length,
  )


def plan(config: Any, branch: Branch | None = None) -> dict[str, fs.Schedule]:
  """What each hyperparameter follows, in the run itself or in a branch."""
  schedules = fs_config.build_schedules(config.optimizer, run=run_of(config))
  if branch:
    for name, end in _ends(config, branch).items():
      schedules[name] = fs.cooldown_schedule(
        schedules[name], *branch, end, config.cooldown_shape
      )
  return schedules


def cool_down(config: Any, optimizer: nnx.Optimizer, branch: Branch) -> None:
  """Lets an optimizer, which is changed, follow the branch from now on."""
  for name, end in _ends(config, branch).items():
    fs.branch_cooldown(
      optimizer, branch.steps, config.cooldown_shape, end_value=end, name=name
    )


def _ends(config: Any, branch: Branch) -> dict[str, float]:
  """Where the run itself would lead what it has not led there yet."""
  schedules = plan(config)
  ends = {name: s(config.total_steps) for name, s in schedules.items()}
  return {
    name: float(end)
    for name, end in ends.items()
    if schedules[name](branch.from_step) != end
  }

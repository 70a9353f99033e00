"""Commands that run in this process, and what they are given."""

import json

from flax.training.train_state import TrainState
import jax
from jax import numpy as jnp
import orbax.checkpoint as ocp
import pytest

from configs import gpt
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import config as config_lib
from flax_sched.cli import main as cli
from processes import ROOT

RECIPES = sorted(
  path.stem
  for path in (ROOT / 'configs').glob('*.py')
  if path.stem not in ('plateau', 'population')
)
RUN = ('--steps-per-epoch', '22')  # of the digits example, for vit.py
COSINE = {'name': 'cosine_decay_schedule', 'init_value': 0.5, 'decay_steps': 9}
PLATEAU = {'name': 'reduce_on_plateau', 'init_value': 0.1}


@pytest.fixture
def call(capsys, monkeypatch):
  """Runs a command at the root: its exit code, and what it printed."""
  monkeypatch.chdir(ROOT)

  def run(*argv):
    capsys.readouterr()
    code = cli.main(list(map(str, argv)))
    return code, *capsys.readouterr()

  return run


@pytest.fixture
def data(call):
  """Runs a command with `--json`: its exit code, and the document."""

  def run(*argv):
    code, out, err = call(*argv, '--json')
    assert err == ''
    return code, json.loads(out, parse_constant=pytest.fail)

  return run


@pytest.fixture
def write(tmp_path):
  """Writes a config: JSON, or the lines of a Python file."""

  def run(name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    return tmp_path / name

  return run


def error_of(result):
  """The one line that an error is."""
  code, out, err = result
  assert (code, out) == (2, '')
  assert err.count('\n') == 1
  assert err.startswith('flax-sched: error: ')
  return err.removeprefix('flax-sched: error: ').strip()


def state_of(tx):
  """A state before its first update."""
  return TrainState.create(apply_fn=None, params={'w': jnp.ones(2)}, tx=tx)


def recipe(name):
  """The config of a recipe."""
  namespace = {}
  path = ROOT / 'configs' / f'{name}.py'
  exec(compile(path.read_text(), path, 'exec'), namespace)
  return namespace['get_config']()


def run_of(config):
  """The run of a recipe."""
  return {'total_steps': config.total_steps, 'steps_per_epoch': 22}


def save(directory, *states, step=0):
  """Checkpoints of states."""
  with ocp.CheckpointManager(directory) as manager:
    for i, state in enumerate(states):
      assert checkpoint.save(manager, step + 10 * i, state)
  return directory


def updates_of_gpt():
  """The states after each of 40 updates of the recipe gpt."""
  config = gpt.get_config()
  state = state_of(
    config_lib.build_optimizer(config.optimizer, run=run_of(config))
  )
  step = jax.jit(lambda s: s.apply_gradients(grads=s.params))
  for _ in range(40):
    state = step(state)
    yield state


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A directory with a checkpoint of the recipe gpt, after 40 updates."""
  *_, state = updates_of_gpt()
  return save(tmp_path_factory.mktemp('gpt') / 'checkpoints', state, step=40)


def line():
  """A schedule of ten updates."""
  return fs.linear_schedule(1.0, 0.0, 10)


def optimizer(rate=0.5):
  """The config of an optimizer."""
  return {'name': 'adamw', 'learning_rate': rate, 'weight_decay': 0.1}

"""Optimizers from configs, and configs that are overridden by flags."""

import pathlib
import re
import subprocess
import sys

import jax
from jax import numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from config_forms import FORMS
from config_forms import WARMUP
import flax_sched as fs
from flax_sched import tensorboard
from flax_sched.config import build_optimizer
from flax_sched.config import build_schedule

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.parametrize('form', FORMS)
def test_an_optimizer_is_what_inject_hyperparams_makes(form):
  """The same updates and the same hyperparameters."""
  config = {
    'name': 'adamw',
    'learning_rate': WARMUP,
    'weight_decay': 0.1,
    'nesterov': True,
  }
  tx = build_optimizer(form(config))
  expected = fs.inject_hyperparams(
    optax.adamw,
    learning_rate=build_schedule(WARMUP),
    weight_decay=0.1,
    nesterov=True,
  )
  params = {'w': jnp.arange(3.0)}
  state, expected_state = tx.init(params), expected.init(params)
  for _ in range(3):
    updates, state = tx.update(params, state, params)
    expected_updates, expected_state = expected.update(
      params, expected_state, params
    )
    np.testing.assert_array_equal(updates['w'], expected_updates['w'])
  assert fs.hyperparams(state) == fs.hyperparams(expected_state)
  assert set(fs.hyperparams(state)) == {'learning_rate', 'weight_decay'}


def test_what_is_no_hyperparameter_passes_through():
  """A mask that is a function, a dtype, a number of steps."""

  def mask(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)

  config = ml_collections.ConfigDict(
    {'name': 'adamw', 'learning_rate': 0.1, 'mu_dtype': 'bfloat16'}
  )
  config.mask = mask
  params = {'w': jnp.ones((2, 2)), 'b': jnp.ones(2)}
  state = build_optimizer(config).init(params)
  assert set(fs.hyperparams(state)) == {'learning_rate'}
  assert optax.tree.get(state, 'mu')['w'].dtype == jnp.bfloat16


@pytest.mark.parametrize(
  ('config', 'message'),
  [
    (
      0.1,
      r"^optimizer: an optimizer must be a mapping with a 'name'.* got 0\.1",
    ),
    (
      {'learning_rate': 0.1},
      r'^optimizer\.name is missing: it says which optimizer this is\. There '
      r'are learning_rate\. Known are adabelief, ',
    ),
    (
      {'name': 'admw', 'learning_rate': 0.1},
      r"^optimizer\.name: 'admw' is no known optimizer\. Did you mean "
      r"'adamw'\? Known are adabelief, ",
    ),
    # Its updates would climb the gradient.
    (
      {'name': 'scale_by_adam'},
      r"^optimizer\.name: 'scale_by_adam' is no known",
    ),
    (
      {'name': 'adamw'},
      r'^optimizer\.learning_rate is missing\. adamw takes le',
    ),
    (
      {'name': 'adamw', 'learning_rate': 0.1, 'weight_dacay': 0.1},
      r"^optimizer\.weight_dacay: unknown key\. Did you mean 'weight_decay'\? "
      r'adamw takes learning_rate, b1, b2',
    ),
    (
      {'name': 'adamw', 'learning_rate': {**WARMUP, 'peak_valeu': 1}},
      r'^optimizer\.learning_rate\.peak_valeu: unknown key',
    ),
    (
      {'name': 'sgd', 'learning_rate': float('nan')},
      r'^optimizer: inject_hyperparams: learning_rate must be finite',
    ),
  ],
)
def test_errors_of_optimizers_say_where(config, message):
  """With the path, the accepted names and the nearest one."""
  with pytest.raises(ValueError, match=message):
    build_optimizer(config)


def run_main(workdir, *arguments):
  """The digits example, as a user runs it."""
  return subprocess.run(
    [
      sys.executable,
      str(ROOT / 'examples/digits/main.py'),
      f'--workdir={workdir}',
      *arguments,
    ],
    capture_output=True,
    text=True,
    env={'PYTHONPATH': str(ROOT), 'PATH': '', 'JAX_PLATFORMS': 'cpu'},
  )


def test_overrides_on_the_command_line(tmp_path):
  """A number, a length that others follow, and a whole schedule."""
  done = run_main(
    tmp_path,
    '--config.total_steps=3',
    '--config.optimizer.learning_rate.peak_value=0.5',
    '--config.optimizer.learning_rate.init_value=0.25',
    '--config.optimizer.learning_rate.warmup_steps=2',
    '--config.optimizer.b2={"name": "constant_schedule", "value": 0.75}',
    '--config.optimizer.weight_decay={"name": "piecewise_constant_schedule",'
    ' "boundaries": (1, 3), "scales": (0.5, 0.125)}',
  )
  assert done.returncode == 0, done.stderr
  logged = tensorboard.read_scalars(tmp_path / 'logs')
  expected = {
    'learning_rate': [0.25, 0.375, 0.5],
    'b2': [0.75] * 3,
    'weight_decay': [0.5, 0.125, 0.125],
  }
  assert set(logged) == set(expected)
  for name, values in expected.items():
    np.testing.assert_array_equal(logged[name][0], [0, 1, 2])
    np.testing.assert_array_equal(logged[name][1], np.float32(values))


def test_a_misspelt_override_is_refused(tmp_path):
  """By ml_collections for a new key, by us for a name."""
  done = run_main(tmp_path, '--config.optimizer.learning_rate.peak_valeu=1e-3')
  assert done.returncode != 0
  assert 'peak_value' in done.stderr
  done = run_main(tmp_path, '--config.optimizer.name=admw')
  assert done.returncode != 0
  assert re.search(
    r"optimizer\.name: 'admw' is no known optimizer\. Did you mean 'adamw'",
    done.stderr,
  )
  assert not list(tmp_path.iterdir())

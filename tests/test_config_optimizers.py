"""Optimizers from configs, and configs that are overridden by flags."""

import inspect
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
from flax_sched import config as config_lib
from flax_sched import tensorboard
from flax_sched.cli import main
from flax_sched.config import build_optimizer
from flax_sched.config import build_schedule
from flax_sched.config import build_schedules

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


ACCEPTED = (
  r" must be a number, a schedule \(a mapping with a 'name', a name in "
  r'optimizer\.schedules, or an object\), or a function of the count, got '
)
MAIN = {'name': 'linear_schedule', 'init_value': 1.0, 'end_value': 0.0}
MAIN['transition_steps'] = 10


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(
  ('key', 'value', 'error', 'message'),
  [
    (
      'learning_rate',
      'mian',
      ValueError,
      r"'mian'\. Did you mean 'main'\? Names there: main\.$",
    ),
    (
      'learning_rate',
      '1e-3',
      ValueError,
      r"'1e-3'\. Write the number 0\.001, not a string\.$",
    ),
    ('learning_rate', '1e-3x', ValueError, r"'1e-3x'\. Names there: main\.$"),
    ('learning_rate', (0.1, 0.2), TypeError, r'[\[(]0\.1, 0\.2[\])]\.$'),
    ('learning_rate', True, TypeError, r'True\.$'),
    ('b1', '0.9', ValueError, r"'0\.9'\. Write the number 0\.9, not"),
    ('b1', None, TypeError, r'None\. Without the key it is 0\.9\.$'),
    ('eps', False, TypeError, r'False\.$'),
  ],
)
def test_a_hyperparameter_is_a_number_or_a_schedule(
  form, key, value, error, message
):
  """Not a misspelt name, or a string that looks like a number."""
  config = {'name': 'adamw', 'schedules': {'main': MAIN}}
  config = form(config | {'learning_rate': 0.1} | {key: value})
  for build in (build_schedules, build_optimizer):
    with pytest.raises(error, match=f'^optimizer\\.{key}{ACCEPTED}{message}'):
      build(config)


@pytest.mark.parametrize('value', [jnp.array(True), np.True_, 1j, float, b'1'])
def test_objects_that_are_no_numbers(value):
  """Such as booleans of JAX and NumPy, and classes."""
  config = {'name': 'sgd', 'learning_rate': value}
  message = f'^optimizer\\.learning_rate{ACCEPTED}'
  with pytest.raises(TypeError, match=message):
    build_schedules(config)


@pytest.mark.parametrize('name', config_lib._optimizers())
def test_every_optimizer_of_optax_refuses_strings_for_numbers(name):
  """And takes its own defaults, whatever they are."""
  parameters = inspect.signature(getattr(optax, name)).parameters.values()
  rate = {p.name: 0.1 for p in parameters if p.default is p.empty}
  defaults = {p.name: p.default for p in parameters if p.name not in rate}
  build_schedules({'name': name, **rate, **defaults})
  numbers = [key for key, x in defaults.items() if type(x) is float]
  for key in [*rate, *numbers, *({'learning_rate'} & defaults.keys())]:
    with pytest.raises(ValueError, match=f'^optimizer\\.{key}{ACCEPTED}'):
      build_schedules({'name': name, **rate, key: '0.1'})


def test_none_where_optax_takes_it():
  """As a default, or where only the annotation has it."""
  config = {'name': 'adafactor', 'clipping_threshold': None, 'momentum': None}
  assert build_schedules({**config, 'learning_rate': 0.1}) == {
    'learning_rate': fs.constant_schedule(0.1)
  }


class Halving:
  """A stateful schedule of a user."""

  def init(self):
    return jnp.float32(0.5)

  def update(self, state, **extra_args):
    return state / 2

  def __call__(self, state, **extra_args):
    return state


@pytest.mark.parametrize(
  'value',
  [
    optax.cosine_decay_schedule(0.5, 100),
    lambda count: 0.5 / (1 + count),
    jnp.float32(0.5),
    jnp.bfloat16(0.5),
    np.array(0.5),
    fs.linear_schedule(0.5, 0.0, 10),
    fs.reduce_on_plateau(0.5),
    Halving(),
  ],
)
def test_schedules_are_what_the_optimizer_follows(value):
  """Whatever says so: a function, a number of JAX, an object."""
  config = {'name': 'sgd', 'learning_rate': value}
  tx = build_optimizer(config, inject=fs.inject_stateful_hyperparams)
  used = fs.hyperparams(tx.init(jnp.ones(2)))
  schedules = build_schedules(config)
  assert set(schedules) == set(used) == {'learning_rate'}
  schedule = schedules['learning_rate']
  at_start = schedule.init() if hasattr(schedule, 'init') else 0
  assert schedule(at_start) == used['learning_rate'] == 0.5


def test_the_command_line_sees_functions(tmp_path, capsys):
  """A schedule of Optax that is negative is found before a launch."""
  path = tmp_path / 'config.py'
  path.write_text(
    'import optax\n'
    'def get_config():\n'
    '  rate = optax.cosine_decay_schedule(-0.5, 100)\n'
    "  return {'name': 'sgd', 'learning_rate': rate}\n"
  )
  assert main.main(['check', str(path), '--total-steps=100']) == 1
  assert 'negative' in capsys.readouterr().out


@pytest.mark.parametrize('form', FORMS)
def test_a_mask_may_be_a_mapping(form):
  """It passes through as a tree of dicts, which parameters have too."""
  mask = {'layer': {'w': True, 'name': False}, 'name': True}
  arguments = {'learning_rate': 0.5, 'weight_decay': 0.5, 'mask': mask}
  tx = build_optimizer(form({'name': 'adamw', **arguments}))
  params = jax.tree.map(lambda _: jnp.ones(2), mask)
  updates, _ = tx.update(params, tx.init(params), params)
  expected = optax.adamw(**arguments)
  expected_updates, _ = expected.update(params, expected.init(params), params)
  jax.tree.map(np.testing.assert_allclose, updates, expected_updates)


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


@pytest.mark.slow  # two programs; the messages are held elsewhere too
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

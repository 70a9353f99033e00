"""Names in configs: of shared schedules, and of what users register."""

from jax import numpy as jnp
import pytest

from config_forms import FORMS
from config_forms import RUN
from config_forms import WARMUP
import flax_sched as fs
from flax_sched import catalog
from flax_sched.config import build_optimizer
from flax_sched.config import build_schedule
from flax_sched.config import build_schedules
from flax_sched.config import to_config
from flax_sched.spans import Steps
import zoo


@pytest.mark.parametrize('form', FORMS)
def test_shared_schedules(form):
  """Several hyperparameters refer to one config; circles are found."""
  config = {
    'name': 'adamw',
    'schedules': {
      'main': {**WARMUP, 'warmup_steps': '10%', 'decay_steps': '90%'},
      'half': {'name': 'Multiply', 'schedules': {'s0': 'main', 's1': 0.5}},
    },
    'learning_rate': 'main',
    'weight_decay': 'half',
    'b1': {'name': 'follow', 'schedule': 'main', 'function': {'0': 0.9}},
  }
  main = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000)
  assert build_schedules(form(config), run=RUN) == {
    'learning_rate': main,
    'weight_decay': main * 0.5,
    'b1': fs.follow(main, {0.0: 0.9}),
  }
  used = fs.hyperparams(
    build_optimizer(form(config), run=RUN).init(jnp.ones(2))
  )
  assert set(used) == {'learning_rate', 'weight_decay', 'b1'}


def test_errors_of_shared_schedules():
  """A misspelt name, a circle, what is no mapping, an error inside."""
  config = {
    'name': 'sgd',
    'schedules': {
      'main': {'name': 'Every', 'schedule': 'other', 'steps': 3},
      'other': {'name': 'Every', 'schedule': 'main', 'steps': 3},
      'bad': {**WARMUP, 'peak': 1.0},
    },
  }
  for value, message in (
    (
      {'name': 'Every', 'schedule': 'mian', 'steps': 3},
      r'^optimizer\.learning_'
      r'rate\.schedule: a string must be a name in optimizer\.schedules, got '
      r"'mian'\. Did you mean 'main'\? There are main, other, bad\.",
    ),
    (
      'main',
      r'^optimizer\.schedules\.main contains itself: main -> other',
    ),
    ('bad', r'^optimizer\.schedules\.bad\.peak: unknown key\.'),
  ):
    with pytest.raises(ValueError, match=message):
      build_optimizer({**config, 'learning_rate': value})
  with pytest.raises(ValueError, match=r'^optimizer\.schedules must be a mapp'):
    build_optimizer({'name': 'sgd', 'learning_rate': 1.0, 'schedules': 3})


def test_registered_functions():
  """A user's own name, with durations where it declares steps."""

  @catalog.register('test_halved_cosine')
  def halved_cosine(peak_value, decay_steps: Steps, note='none'):
    assert note in ('none', 'some')
    return 0.5 * fs.cosine_decay_schedule(peak_value, decay_steps)

  try:
    config = {'name': 'test_halved_cosine', 'peak_value': 1.0}
    built = build_schedule({**config, 'decay_steps': '10%'}, run=RUN)
    assert built == 0.5 * fs.cosine_decay_schedule(1.0, 1000)
    assert build_schedule(to_config(built)) == built
    with pytest.raises(ValueError, match=r'decay_steps is missing\. test_halv'):
      build_schedule(config)
    with pytest.raises(ValueError, match="Did you mean 'test_halved_cosine'"):
      build_schedule({'name': 'test_halved_cosin', 'peak_value': 1.0})
    assert catalog.register('test_halved_cosine', halved_cosine)
    with pytest.raises(ValueError, match=r"name must be new, got 'test_halved"):
      catalog.register('test_halved_cosine', lambda: 1.0)
  finally:
    del catalog._REGISTERED['test_halved_cosine']


def test_registered_classes():
  """A user's own class, under a name and by its place in a module."""
  schedule = zoo.InverseSqrt(init_value=0.25, timescale=100)
  assert to_config(schedule)['name'] == 'zoo:InverseSqrt'
  assert build_schedule(to_config(schedule)) == schedule
  catalog.register('test_inverse_sqrt', zoo.InverseSqrt)
  try:
    config = to_config(2.0 * schedule)
    assert config['schedules']['s1']['name'] == 'test_inverse_sqrt'
    assert build_schedule(config) == 2.0 * schedule
  finally:
    del catalog._REGISTERED['test_inverse_sqrt']


@pytest.mark.parametrize('name', ['cosine_decay_schedule', 'Multiply'])
def test_names_of_the_library_are_taken(name):
  """They can't come to mean something else."""
  with pytest.raises(ValueError, match='register: name must be new'):
    catalog.register(name, lambda: 1.0)
  with pytest.raises(TypeError, match='register: name must be a string'):
    catalog.register(3, lambda: 1.0)
  with pytest.raises(TypeError, match='register: builder must be callable'):
    catalog.register('test_new', 3)

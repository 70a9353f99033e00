"""An error of the command line is one line that says what to do."""

import re

import pytest

import command_line
from command_line import COSINE
from command_line import error_of
from command_line import optimizer
from command_line import PLATEAU

call = command_line.call
write = command_line.write

GPT = 'configs/gpt.py'


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    ('lst', "'lst' is no command. Did you mean 'list'? There are list, show, "),
    ('show', "arguments are required: CONFIG. See 'flax-sched show --help'."),
    ('show a.py --nope', 'unrecognized arguments: --nope'),
    ('show nope.py', 'nope.py: no such file.'),
    ('show nope', 'nope: a config must be a file that ends in .py or .json'),
    (
      f'diff {GPT} {GPT} --step x',
      "argument --step: must be an integer, got 'x'",
    ),
    ('show configs', 'configs: a config must be a file that ends in'),
    (
      'show configs/vit.py',
      "configs/vit.py: optimizer.learning_rate.warmup_steps: '4ep' needs "
      'steps_per_epoch (or examples_per_epoch and batch_size), which is not '
      'given. Pass --steps-per-epoch N.',
    ),
    (
      'show configs/population.py',
      'configs/population.py: it has no optimizer. Point to one, or to a '
      'schedule: configs/population.py#PATH. The keys are batch_size, members,',
    ),
    (
      f'show {GPT}#optimiser',
      "optimiser: there is no such key. Did you mean 'o",
    ),
    (f'show {GPT}#optimizer.b1.x', 'optimizer.b1.x: optimizer.b1 has no keys.'),
    (f'show {GPT}:small', 'so name it without :ARGUMENT.'),
    (f'show {GPT} --total-steps x', "must be an integer, got 'x'"),
    (f'show {GPT} --total-steps 0', 'total_steps must be a positive integer'),
    (f'show {GPT} --set a', '--set a: write PATH=VALUE.'),
    (f'show {GPT} --set total_stepz=1', "Did you mean 'total_steps'?"),
    (
      f'show {GPT} --set optimizer.learning_rate.peak_valu=1',
      "learning_rate.peak_valu: unknown key. Did you mean 'peak_value'?",
    ),
    (f'show {GPT} --set optimizer.name=admw', "Did you mean 'adamw'?"),
    (
      f'check {GPT} --ignore zero_at_stat',
      "got 'zero_at_stat'. Did you mean 'zero_at_start'?",
    ),
    (
      f'check {GPT} --ignore learning_rat:flat',
      "no hyperparameter 'learning_rat'. Did you mean 'learning_rate'?",
    ),
    (f'plot {GPT} -o a.gif', '--output must end in .png, .pdf, .svg, .html'),
    (f'plot {GPT} -o nope/a.html', "No such file or directory: 'nope/a.html'"),
    (f'plot {5 * (GPT + " ")}', 'a picture has room for 4 configs, got 5.'),
    (f'plot {3 * (GPT + " ")} -o a.png', 'In .svg and .html there may be 4.'),
    (
      f'diff {GPT} nope',
      'nope: must be a config, which ends in .py or .json, or',
    ),
  ],
)
def test_errors(argv, message, call):
  """One line that says what to do; the exit code is 2."""
  assert message in error_of(call(*argv.split()))


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('def get_config(:', r'c\.py:1: SyntaxError: '),
    (
      '\nimport nope_nope',
      r"c\.py:2: ModuleNotFoundError: No module named 'no",
    ),
    ('def get_config():\n  x = 1\n  return y', r"c\.py:3: NameError: name 'y'"),
    ('import sys\nsys.exit(3)', r'c\.py:2: SystemExit: 3'),
    ('x = 1', r'c\.py: must have a function get_config\(\)\.'),
    (
      'def get_config(a):\n  return a',
      r'takes \(a\), so name it FILE:ARGUMENT',
    ),
    ('def get_config():\n  return None', r'c\.py: '),
    (
      'import flax_sched\ndef get_config():\n  return {"optimizer": {"name": '
      '"adam", "learning_rate": flax_sched.as_schedule(lambda: 3)}}',
      r'get_config.<locals>.<lambda>\(\) takes 0 positional',
    ),
  ],
)
def test_errors_in_a_python_config(content, message, call, write):
  """With the file and the line."""
  path = write('c.py', content)
  result = call('show', path, '--total-steps', 9)
  assert re.search(message, error_of(result))


def test_errors_in_a_json_config(call, write):
  """Not JSON, too many optimizers, no length."""

  def show(path):
    return error_of(call('show', path))

  assert re.search(r'a\.json: not JSON: .*line 2', show(write('a.json', '{\n')))
  several = write('b.json', {'a': optimizer(), 'b': optimizer()})
  assert 'it has several optimizers. Point to one' in show(several)
  assert 'Pass --total-steps N' in show(write('c.json', COSINE))
  empty = show(write('d.json', {}))
  assert empty.endswith('The keys are none.')
  plateau = write('e.json', {**PLATEAU})
  assert error_of(call('plot', plateau, '--total-steps', 9)).endswith(
    'its values depend on the run'
  )


def test_a_traceback_for_those_who_ask(call):
  """Above the same line."""
  code, out, err = call('show', 'configs/vit.py', '--debug')
  assert (code, out) == (2, '')
  assert err.startswith('Traceback (most recent call last)')
  assert err.splitlines()[-1].startswith('flax-sched: error: configs/vit.py')

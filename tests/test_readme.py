"""The README's code runs, and says what it prints."""

import pathlib
import re

import numpy as np
import pytest

import flax_sched as fs

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / 'README.md').read_text()


def test_python_blocks(capsys):
  """Every Python block runs as it stands, and prints what its comments say."""
  blocks = re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL)
  assert blocks
  namespace = {}
  for block in blocks:
    exec(compile(block, 'README.md', 'exec'), namespace)
  first, second, third = capsys.readouterr().out.splitlines()
  assert first == '0.0005'
  assert re.fullmatch(
    r"\{'learning_rate': Array\(1\.e-06, .*"
    r"'weight_decay': Array\(0\.0001, .*\}",
    second,
  )
  assert f'`{third}`' in ' '.join(TEXT.split())


def rows(text):
  """The cells of all tables of a page, by the page's heading and first cell."""
  found, heading = {}, ''
  for line in text.splitlines():
    if line.startswith('## '):
      heading = line.removeprefix('## ')
    elif line.startswith('| '):
      first, *others = (cell.strip() for cell in line.strip('|').split('|'))
      found.setdefault((heading, first), []).append(others)
  return found


def test_what_is_measured():
  """Each number of the table is one of the benchmarks' results."""
  results = rows((ROOT / 'benchmarks' / 'results.md').read_text())

  def of(question, first, *others):
    ((heading, _),) = {k for k in results if question in k[0] and k[1] == first}
    return next(
      row for row in results[heading, first] if row[: len(others)] == [*others]
    )

  error, size = 'How far', 'How does a program grow'
  step = 'What do scheduled hyperparameters add to a training step'
  (optax_step,) = of(step, 'optax.inject_hyperparams')
  sweep = 'another value of a schedule'
  expected = [
    of(error, 'cosine', '100,000')[1:],
    of(error, 'warm-up cosine', '1,000')[1:],
    of(size, 'piecewise constant, boundaries', '1,000')[1:3],
    [of(sweep, 'Optax')[0], of(sweep, 'flax_sched')[0]],
    [of('for a log line', 'warm-up cosine')[0], '1'],
    [optax_step, *of(step, 'flax_sched.inject_hyperparams')],
    [optax_step, *of(step, 'flax_sched.inject_stateful_hyperparams')],
  ]
  _, *said = (
    cells
    for (heading, _), many in rows(TEXT).items()
    for cells in many
    if heading == 'Measured'
  )
  assert said == expected
  assert float(expected[0][0]) == 14e6  # "off by 14 million"
  logging = [
    float(cells[1])
    for (heading, first), many in results.items()
    if 'to log the hyperparameters' in heading and first.startswith('inject')
    for cells in many
    if float(cells[0]) >= 1  # the step, in ms
  ]
  assert len(logging) == 2
  assert max(logging) <= 1.05  # "a twentieth or less"


def test_commands_and_links_exist():
  """The two commands are targets of the Makefile; linked files are there."""
  makefile = (ROOT / 'Makefile').read_text()
  for target in re.findall(r'^make (\S+)', TEXT, re.MULTILINE):
    assert re.search(rf'^{target}:', makefile, re.MULTILINE)
  for link in re.findall(r'\]\((?!http)([^)#]+)\)', TEXT):
    assert (ROOT / link).exists(), link


def test_what_the_text_says_of_single_calls():
  """The swapped arguments, and a scale that holds until its boundary."""
  with pytest.raises(ValueError, match=r'optax\.exponential_decay takes'):
    fs.exponential_decay(0.1, 1000, 0.96)
  schedule = fs.piecewise_constant_schedule({10: 0.5, 20: 0.25}, 2.0)
  np.testing.assert_array_equal(
    schedule(np.array([0, 9, 10, 99])), [1.0, 1.0, 0.5, 0.5]
  )

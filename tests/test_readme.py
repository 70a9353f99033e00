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
    r"\{'learning_rate': Array\(1\.e-06, .*'weight_decay': Array\(0\.1, .*\}",
    second,
  )
  assert f'`{third}`' in ' '.join(TEXT.split())


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

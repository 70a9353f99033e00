"""The command line as a whole: its help, its processes, its page."""

import os
import re
import shlex
import subprocess
import sys

import pytest

import command_line
from command_line import updates_of_gpt
import flax_sched as fs
from flax_sched import metrics
from flax_sched import tensorboard
from flax_sched.cli import main as cli
from processes import ROOT

call = command_line.call
trained = command_line.trained


@pytest.fixture(scope='module')
def logs(tmp_path_factory):
  """The event files of 40 updates of the recipe gpt."""
  directory = tmp_path_factory.mktemp('gpt') / 'logs'
  writer = tensorboard.TensorBoardWriter(directory)
  with metrics.HyperparamLogger(writer) as logger:
    for i, state in enumerate(updates_of_gpt()):
      logger.log(i, state)
  return directory


def test_help(call):
  """Examples for each command; no command is an error."""
  code, out, _ = call('--help')
  assert code == 0
  for command in cli._COMMANDS:
    assert f'  flax-sched {command}' in out
    code, out_of_command, _ = call(command, '--help')
    assert code == 0
    assert f'examples:\n  flax-sched {command}' in out_of_command
  code, out, err = call()
  assert (code, out) == (2, '')
  assert err.startswith('usage: flax-sched')
  assert call('--version')[1] == f'flax-sched {fs.__version__}\n'


# ---------------------------------------------------------------------------
# Processes.


def program(*command, **kwargs):
  """Runs a program in the project."""
  env = {**os.environ, 'JAX_PLATFORMS': 'none_such', 'PYTHONPATH': str(ROOT)}
  env.update(kwargs.pop('env', {}))
  return subprocess.run(
    command, capture_output=True, cwd=ROOT, env=env, check=False, **kwargs
  )


def test_no_device_and_nothing_heavy(trained, logs, tmp_path):
  """No command but `plot -o` and `report` needs more than the package does."""
  lines = [
    ['list'],
    ['show', 'configs/gpt.py'],
    ['check', 'configs/t5.py'],
    ['plot', 'configs/wsd.py'],
    ['diff', 'configs/gpt.py', 'configs/gpt.py'],
  ]
  code = (
    'import sys\n'
    'from flax_sched.cli.main import main\n'
    f'for argv in {lines}:\n'
    '  assert main(argv) == 0, argv\n'
    'heavy = {"tensorflow", "orbax", "matplotlib", "clu", "tensorboardX",\n'
    '         "plotly"}\n'
    'found = heavy & {name.partition(".")[0] for name in sys.modules}\n'
    'assert not found, found\n'
    f'assert main(["inspect", {str(trained)!r}]) == 0\n'
    f'assert main(["diff", {str(trained)!r}, "configs/gpt.py"]) == 0\n'
    f'page = {str(tmp_path / "report.html")!r}\n'
    f'assert main(["report", {str(logs)!r}, "-o", page]) == 0\n'
  )
  done = program(sys.executable, '-c', code)
  assert done.stderr.decode() == ''
  assert done.returncode == 0


def test_as_a_program():
  """`python -m flax_sched`, to a terminal that knows no such letters."""
  env = {'PYTHONIOENCODING': 'ascii'}
  done = program(sys.executable, '-m', 'flax_sched', 'list', env=env)
  assert done.returncode == 0
  assert done.stderr == b''
  assert b'????????????????  linear_schedule' in done.stdout
  done = program(sys.executable, '-m', 'flax_sched', 'show', 'configs/vit.py')
  assert done.returncode == 2
  assert done.stderr.startswith(b'flax-sched: error: configs/vit.py: ')


def test_a_reader_that_has_seen_enough():
  """`flax-sched list | head` is quiet, and the exit code is the command's."""
  read, write = os.pipe()
  os.close(read)
  try:
    done = subprocess.run(
      [sys.executable, '-m', 'flax_sched', 'check', 'configs/gpt.py'],
      stdout=write,
      stderr=subprocess.PIPE,
      cwd=ROOT,
      check=False,
    )
  finally:
    os.close(write)
  assert done.stderr == b''
  assert done.returncode == 1


# ---------------------------------------------------------------------------
# The page of the documentation.


def blocks():
  """The shell blocks of the page, each with the text after it, if any."""
  text = (ROOT / 'docs' / 'command_line.md').read_text()
  pattern = r'^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?'
  return re.findall(pattern, text, re.DOTALL | re.M)


def test_the_page_is_true(trained, logs, call, tmp_path, monkeypatch):
  """Its commands have these exit codes, and print what stands below."""
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  (tmp_path / 'runs' / 'gpt').mkdir(parents=True)
  (tmp_path / 'runs' / 'gpt' / 'checkpoints').symlink_to(trained)
  (tmp_path / 'runs' / 'gpt' / 'logs').symlink_to(logs)
  monkeypatch.chdir(tmp_path)
  assert len(blocks()) > 5
  for commands, expected in blocks():
    for command in commands.splitlines():
      program, *argv = shlex.split(command.partition('  #')[0])
      assert program == 'flax-sched'
      meant = re.search(r'# exit code (\d)$', command)
      code, out, err = call(*argv)
      assert (code, err) == (int(meant[1]) if meant else 0, ''), command
    start, dots, _ = expected.partition('...\n')
    assert out.startswith(start)
    assert dots or not expected or out == expected
  assert (tmp_path / 'schedules.png').exists()

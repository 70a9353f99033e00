"""Programs of the tests in processes of their own, none of which stays."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).parent.parent

# In a program a warning is an error too.
WARNINGS = [
  'error',
  # ml_collections 1.1.0 loads config files so, under Python 3.11.
  'ignore:the load_module:DeprecationWarning',
]
WARNING_FLAGS = [part for warning in WARNINGS for part in ('-W', warning)]


def finished(*argv, **environment):
  """A Python program that ran to its end, alone in its environment.

  Args:
    *argv: its arguments, such as '-m', 'examples.lm.main'.
    **environment: more variables of its environment.
  """
  return subprocess.run(
    [sys.executable, *WARNING_FLAGS, *map(str, argv)],
    capture_output=True,
    text=True,
    env={'JAX_PLATFORMS': 'cpu', **environment},
    cwd=ROOT,
  )


class Program:
  """A Python program of the tests that runs; killed when the block ends.

  Args:
    path: its file.
    args: what it is given.
    devices: the number of its devices.
    seconds: after these it is killed, so that nothing waits for it for ever.
    environment: more variables of its environment.
  """

  def __init__(self, path, *args, devices=1, seconds=120, **environment):
    self._errors = tempfile.TemporaryFile('w+')  # noqa: SIM115
    self._process = subprocess.Popen(
      [sys.executable, *WARNING_FLAGS, str(path), *map(str, args)],
      stdout=subprocess.PIPE,
      stderr=self._errors,
      text=True,
      env={
        'PYTHONPATH': str(ROOT),
        'JAX_PLATFORMS': 'cpu',
        'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
        **environment,
      },
    )
    self._limit = threading.Timer(seconds, self._process.kill)
    self._limit.daemon = True
    self._limit.start()

  @property
  def id(self):
    """The number by which the machine knows it."""
    return self._process.pid

  def wait(self, seconds):
    """Waits for its end: the exit status."""
    return self._process.wait(timeout=seconds)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.kill()
    self._limit.cancel()
    self._process.stdout.close()
    self._errors.close()

  def line(self):
    """The next line that it prints."""
    line = self._process.stdout.readline()
    assert line, f'ended too early:\n{self._ending()}'
    return line.rstrip('\n')

  def finish(self):
    """What else it prints, once it has ended well."""
    rest = self._process.stdout.read()
    ending = self._ending()
    assert self._process.returncode == 0, ending
    return rest

  def said(self):
    """Its last line as JSON, once it has ended well."""
    return json.loads(self.finish().splitlines()[-1])

  def kill(self):
    """Kills it with signal 9: the rest of its output, and its exit status."""
    if self._process.poll() is None:
      self._process.send_signal(signal.SIGKILL)
    rest = '' if self._process.stdout.closed else self._process.stdout.read()
    return rest, self._process.wait()

  def _ending(self):
    status = self._process.wait()
    self._errors.seek(0)
    return f'exit status {status}\n{self._errors.read()[-5000:]}'


def said_by(path, *args, **options):
  """What a program says in its last line, as JSON."""
  with Program(path, *args, **options) as program:
    return program.said()


def said_by_each(processes, path, *args, **options):
  """What each of several processes of JAX says; together they are one run.

  They are given their number, the number of all, and a free port.
  """
  port = free_port()
  with contextlib.ExitStack() as stack:
    programs = [
      stack.enter_context(
        Program(path, *args, number, processes, port, **options)
      )
      for number in range(processes)
    ]
    return each(programs, Program.said)


def each(programs, ending):
  """How each of several programs ends; where one fails, how all that failed."""
  endings, problems = [], []
  for program in programs:
    try:
      endings.append(ending(program))
    except AssertionError as error:  # that of another may be the cause
      problems.append(str(error))
  assert not problems, '\n'.join(problems)
  return endings


def free_port():
  """A port of this machine that nobody listens to.

  Nor will before its user does: it is none of those that a system gives away.
  """
  first = 20_000 + os.getpid() % 10_000
  return next(filter(_is_free, range(first, 32_000)))


def _is_free(port):
  with socket.socket() as listener, contextlib.suppress(OSError):
    listener.bind(('127.0.0.1', port))
    return True
  return False

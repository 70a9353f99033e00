"""Settings for all tests."""

import gc
import logging
import os
import sys
import time
import types

import hypothesis
from hypothesis.internal.conjecture import providers
import pytest

# Meshes need devices. JAX reads this when it is imported: not before here.
os.environ['XLA_FLAGS'] = ' '.join(
  [
    os.environ.get('XLA_FLAGS', ''),
    '--xla_force_host_platform_device_count=8',
    # All of them wait for each other, and a busy machine has two cores.
    '--xla_cpu_collective_call_terminate_timeout_seconds=300',
  ]
)

# A compilation may fall into any example, so examples have no deadline. Runs
# repeat each other; HYPOTHESIS_PROFILE=search looks for new examples.
hypothesis.settings.register_profile(
  'repeat', deadline=None, derandomize=True, print_blob=True
)
hypothesis.settings.register_profile(
  'search', deadline=None, max_examples=2000, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'repeat'))
if hypothesis.settings.get_current_profile_name() == 'repeat':
  # It also tries the numbers that stand in the modules that are loaded.
  assert providers.is_local_module_file
  providers.is_local_module_file = lambda path: False


def _orbax_reads():
  """The reads of Orbax that have not ended."""
  gc.collect()
  return [
    x
    for x in gc.get_objects()
    if type(x) is types.CoroutineType and 'orbax' in x.cr_code.co_filename
  ]


@pytest.fixture
def failing_reads(monkeypatch):
  """For tests of damaged checkpoints: nothing of them is heard in a later one.

  Where one array can't be read, Orbax closes the event loop under the reads of
  the others, which complain when they are collected. Kept by pytest or in the
  log, a complaint would hold others.
  """
  monkeypatch.setattr(sys, 'unraisablehook', lambda complaint: None)
  before = logging.root.manager.disable
  logging.disable(logging.CRITICAL)
  yield
  deadline = time.monotonic() + 10
  while _orbax_reads() and time.monotonic() < deadline:
    time.sleep(0.1)
  left = _orbax_reads()
  logging.disable(before)  # which also lets loggers forget that they were off
  assert not left


@pytest.fixture
def manager(tmp_path):
  """Orbax's manager of an empty directory."""
  import orbax.checkpoint as ocp

  with ocp.CheckpointManager(tmp_path / 'checkpoints') as manager:
    yield manager


# The tests of these files look at what one run has left.
ONE_RUN = [
  f'tests/test_{name}.py'
  for name in ('lm', 'optax_migration', 'plateau', 'population', 'site')
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
  """Tests that share programs, of schedules of one make, go to one worker.

  So do those that share a run.
  `--dist loadgroup` would do, but does nothing with pytest 9.2 (xdist 3.8).
  """
  from xdist.scheduler import LoadScopeScheduling

  import zoo

  kinds = {
    entry.name: '-'.join(sorted(zoo.classes(entry))) for entry in zoo.ZOO
  }

  class LoadKindScheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid):
      if nodeid.partition('::')[0] in ONE_RUN:
        return nodeid.partition('::')[0]
      parameters = nodeid.partition('[')[2].rstrip(']').split('-')
      names = [name for name in parameters if name in kinds]
      return kinds[names[0]] if names else nodeid

  return LoadKindScheduling(config, log)

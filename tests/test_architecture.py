"""The house: what imports what, and what is public."""

import ast
import inspect
import pathlib
import subprocess
import sys

import pytest

import flax_sched as fs

PACKAGE = pathlib.Path(fs.__file__).parent
FOLDERS = ('flax_sched.cli', 'flax_sched.report')

# Each file imports only from files above it.
ORDER = [
  'hints',
  'twofloat',
  'numerics',
  'spans',
  'segments',
  'arguments',
  'drawing',
  'formula',
  'parts',
  'schedule',
  'curves',
  'decays',
  'tables',
  'compose',
  'following',
  'forms',
  'shapes',
  'slopes',
  'warmups',
  'stable',
  'pieces',
  'onecycle',
  'cycles',
  'averages',
  'stateful',
  'reactive',
  'spec',
  'recovery',
  'transformation',
  'injected',
  'inner',
  'inject',
  'naming',
  'ways',
  'places',
  'access',
  'restart',
  'migrate',
  'record',
  'carry',
  'storage',
  'layout',
  'sharding',
  'target',
  'memory',
  'entries',
  'merge',
  'resume',
  'checkpoint',
  'runs',
  'durations',
  'classes',
  'catalog',
  'keys',
  'reading',
  'config',
  'survey',
  'findings',
  'checks',
  'sketch',
  'event_files',
  'sessions',
  'tensorboard',
  'watch',
  'snapshots',
  'copier',
  'writing',
  'metrics',
  'phases',
  'timeline',
  'wording',
  'inspection',
  'panels',
  'plot',
  'optax_compat',
  'report.changes',
  'report.history',
  'report.counts',
  'report.curves',
  'report.figures',
  'report.page',
  'report.sections',
  'report.__init__',
  '__init__',
  'cli.__init__',
  'cli.samples',
  'cli.chart',
  'cli.sources',
  'cli.loading',
  'cli.comparison',
  'cli.commands',
  'cli.main',
  '__main__',
]


def _imports(path):
  """The modules of the package that a file imports, wherever in the file."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module == 'flax_sched':
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module in FOLDERS:
      folder = node.module.removeprefix('flax_sched.')
      found |= {f'{folder}.{alias.name}' for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      package, _, name = node.module.partition('.')
      found |= {name} if package == 'flax_sched' else set()
    elif isinstance(node, ast.Import):
      found |= {
        alias.name.partition('.')[2] or '__init__'
        for alias in node.names
        if alias.name.partition('.')[0] == 'flax_sched'
      }
  # A folder is what its own file offers.
  own = {f'{name}.__init__' for name in found} & set(ORDER)
  return {f for f in found if f'{f}.__init__' not in own} | own


def test_every_file_has_its_place():
  """The order lists every file, and no other."""
  files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob('*.py')]
  names = ['.'.join(path.with_suffix('').parts) for path in files]
  assert sorted(names) == sorted(ORDER)


# Lines that a reader can hold in the head; around the package, where what
# follows is seldom needed for what is above, some more.
MOST_LINES = {'flax_sched': 300, 'examples': 300, 'benchmarks': 300}
MOST_LINES |= {'configs': 300, 'docs': 300, 'tests': 550}
LONGER = {
  # Operators and methods of a schedule make schedules: what they make, and the
  # class that has them, need each other.
  'schedule.py': 600,
  # Lists, a few lines for each entry: Optax's names, all schedules with their
  # values, examples of them, the calls that give another library's values.
  'optax_compat.py': 350,
  'zoo.py': 1150,
  'gallery.py': 750,
  'peers_jax.py': 1200,
  'peers_torch.py': 600,
  'test_coming_from.py': 800,
}


@pytest.mark.parametrize('folder', MOST_LINES)
def test_files_are_small(folder):
  """And those that are not are few."""
  lengths = {
    path.name: len(path.read_text().splitlines())
    for path in (PACKAGE.parent / folder).rglob('*.py')
    if path.name != '__init__.py'
  }
  assert lengths
  assert {
    name: length
    for name, length in lengths.items()
    if length > LONGER.get(name, MOST_LINES[folder])
  } == {}


@pytest.mark.parametrize('name', ORDER)
def test_imports_go_upwards(name):
  """So there are no import cycles either."""
  above = set(ORDER[: ORDER.index(name)])
  path = PACKAGE.joinpath(*name.split('.')).with_suffix('.py')
  assert _imports(path) <= above


def test_import_is_light():
  """`import flax_sched` loads what a schedule needs, and nothing more."""
  heavy = ['clu', 'tensorflow', 'orbax', 'ml_collections', 'matplotlib']
  program = (
    'import sys, flax, optax\n'
    'before = set(sys.modules)\n'
    'import flax_sched\n'
    'print({m.split(".")[0] for m in set(sys.modules) - before})\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', program],
    check=True,
    capture_output=True,
    text=True,
    cwd=PACKAGE.parent,
  )
  loaded = ast.literal_eval(done.stdout)
  assert 'flax_sched' in loaded
  assert not loaded & set(heavy)


def test_all_is_complete_and_sorted():
  """`__all__` is what the package offers: nothing missing, nothing more."""
  public = {
    name
    for name, value in vars(fs).items()
    if not name.startswith('_') and not inspect.ismodule(value)
  }
  assert set(fs.__all__) == public
  assert fs.__all__ == sorted(fs.__all__)


@pytest.mark.parametrize('name', fs.__all__)
def test_public_names_are_documented(name):
  """A docstring, and for a function its arguments, its result, an example."""
  value = getattr(fs, name)
  doc = inspect.getdoc(value)
  assert doc
  if inspect.isfunction(value):
    for part in ('Args:', 'Returns:', '>>> '):
      assert part in doc
    for parameter in inspect.signature(value).parameters:
      assert f'{parameter}: ' in doc

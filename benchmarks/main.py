"""Runs every benchmark of this folder and writes `results.md` beside it."""

import ast
import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

import jax

FOLDER = pathlib.Path(__file__).parent
BENCHMARKS = [
  'exactness',
  'program_size',
  'host_call',
  'step',
  'sweep',
  'population',
  'saving',
  'logging_cost',
  'import_time',
]
PACKAGES = ['jax', 'flax', 'optax', 'orbax-checkpoint', 'numpy']


def main():
  versions = ', '.join(
    f'{name} {importlib.metadata.version(name)}' for name in PACKAGES
  )
  device = jax.devices()[0]
  parts = [
    '# Measured against Optax\n\n'
    'Written by `make bench`. Both sides take turns in one process, and only\n'
    'ratios count: the machine may be busy.\n\n'
    f'{datetime.date.today()}, Python {platform.python_version()}, {versions}, '
    f'{device.device_kind} ({device.platform}), {os.cpu_count()} CPU cores.\n'
  ]
  for name in BENCHMARKS:
    path = FOLDER / f'{name}.py'
    print(f'{name} ...', flush=True)
    done = subprocess.run(
      [sys.executable, '-m', f'benchmarks.{name}'],
      check=True,
      stdout=subprocess.PIPE,
      text=True,
    )
    doc = ast.get_docstring(ast.parse(path.read_text()))
    question, _, rest = doc.partition('\n')
    parts.append(f'\n## {question}\n{rest}\n\n{done.stdout}')
  (FOLDER / 'results.md').write_text(''.join(parts))
  print(f'Wrote {FOLDER / "results.md"}.')


if __name__ == '__main__':
  main()

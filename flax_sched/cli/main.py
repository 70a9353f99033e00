"""The command line: `python -m flax_sched`, or `flax-sched`.

The exit code is 0 if all is well; 1 if `check` warns or `diff` finds a
difference; 2 if something can't be done, which an error on standard error
explains.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
import os
import sys
import textwrap
import traceback
from typing import Any, NoReturn

import flax_sched
from flax_sched.cli import commands
from flax_sched.cli.loading import RUN_FIELDS
from flax_sched.hints import did_you_mean

_PROGRAM = 'flax-sched'

_CONFIGS = """
A CONFIG is a file: JSON, or Python with a function get_config(), such as one of
ml_collections. FILE.py:ARGUMENT calls get_config('ARGUMENT'), and
FILE#optimizer.learning_rate points to a part of what it returns. There is an
optimizer in it, or a schedule, as docs/configs.md has them.
"""

_EXAMPLES = {
  'list': """
flax-sched list
flax-sched list --json
""",
  'show': """
flax-sched show configs/gpt.py
flax-sched show configs/gpt.py#optimizer.learning_rate --total-steps 600_000
flax-sched show configs/gpt.py --set optimizer.learning_rate.peak_value=1e-3
flax-sched show configs/vit.py --steps-per-epoch 22
""",
  'plot': """
flax-sched plot configs/gpt.py
flax-sched plot configs/gpt.py configs/wsd.py -o schedules.png
flax-sched plot configs/gpt.py#optimizer.learning_rate -o rate.html
""",
  'check': """
flax-sched check configs/t5.py
flax-sched check configs/gpt.py --ignore zero_at_start
flax-sched check configs/gpt.py --ignore learning_rate:zero_at_start --json
""",
  'inspect': """
flax-sched inspect runs/digits/checkpoints
flax-sched inspect runs/digits/checkpoints --step 400 --json
""",
  'diff': """
flax-sched diff configs/gpt.py configs/wsd.py
flax-sched diff runs/digits/checkpoints configs/digits.py
""",
  'report': """
flax-sched report runs/digits/logs
flax-sched report runs/digits/logs -o digits.html --total-steps 2000
""",
}

_COMMANDS = {
  'list': (commands.list_schedules, 'all schedules, with a picture of each'),
  'show': (commands.show, 'the phases of schedules, and their values'),
  'plot': (commands.plot, 'pictures, in the terminal or in a file'),
  'check': (commands.check, 'what looks wrong before a launch'),
  'inspect': (commands.inspect, 'the hyperparameters in a checkpoint'),
  'diff': (commands.diff, 'how two configs or checkpoints differ'),
  'report': (commands.report, 'a page about a run: planned against logged'),
}

_RUN_HELP = {
  'total_steps': 'the training steps of the run',
  'steps_per_epoch': 'the training steps of an epoch',
  'examples_per_epoch': 'the size of the data set',
  'batch_size': 'the examples in a training step',
  'tokens_per_batch': 'the tokens in a training step',
  'gradient_accumulation': 'the training steps in an update',
}


class _UsageError(ValueError):
  """The arguments are wrong."""


class _Parser(argparse.ArgumentParser):
  """One that raises, so that all errors look alike."""

  def error(self, message: str) -> NoReturn:
    raise _UsageError(f"{message}. See '{self.prog} --help'.")


def main(argv: Sequence[str] | None = None) -> int:
  """Runs a command.

  Args:
    argv: the arguments; None: those of the process.

  Returns:
    The exit code.
  """
  argv = list(sys.argv[1:] if argv is None else argv)
  try:
    args = _parsed(argv)
    output = args.run(args)
  except SystemExit as done:  # after a help text
    return int(done.code or 0)
  except KeyboardInterrupt:
    return 130
  except Exception as error:
    if '--debug' in argv:
      traceback.print_exc()
    print(f'{_PROGRAM}: error: {_said(error)}', file=sys.stderr)
    return 2
  text = json.dumps(output.data, indent=2) if args.json else output.text
  _write(text + '\n')
  return output.code


def _said(error: Exception) -> str:
  """An error in one line."""
  text = ' '.join(str(error).split())
  if isinstance(error, ValueError | TypeError | OSError | ImportError) and text:
    return text
  return f'{type(error).__name__}: {text} --debug shows where it came from.'


def _write(text: str) -> None:
  try:
    try:
      sys.stdout.write(text)
    except UnicodeEncodeError:  # a terminal without the letters of pictures
      encoding = sys.stdout.encoding
      sys.stdout.write(text.encode(encoding, 'replace').decode(encoding))
    sys.stdout.flush()
  except BrokenPipeError:
    # Whoever reads has seen enough. Python would complain when it exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
  if argv and not argv[0].startswith('-') and argv[0] not in _COMMANDS:
    raise _UsageError(
      f'{argv[0]!r} is no command.{did_you_mean(argv[0], _COMMANDS)} There are '
      f'{", ".join(_COMMANDS)}.'
    )
  parser = _parser()
  if not argv:
    parser.print_help(sys.stderr)
    parser.exit(2)
  return parser.parse_args(argv)


# ---------------------------------------------------------------------------
# The arguments.


def _parser() -> argparse.ArgumentParser:
  examples = ''.join(_EXAMPLES.values()).replace('\n\n', '\n')
  parser = _Parser(
    prog=_PROGRAM,
    description='Schedules of hyperparameters: configs, checkpoints, runs.',
    epilog=_epilog(examples),
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    '--version', action='version', version=f'%(prog)s {flax_sched.__version__}'
  )
  subparsers = parser.add_subparsers(metavar='COMMAND', required=True)
  for name, (run, summary) in _COMMANDS.items():
    takes_configs = name not in ('list', 'inspect', 'report')
    command = subparsers.add_parser(
      name,
      help=summary,
      description=f'{summary[0].upper()}{summary[1:]}.',
      epilog=_epilog(_EXAMPLES[name], _CONFIGS if takes_configs else ''),
      formatter_class=argparse.RawDescriptionHelpFormatter,
      allow_abbrev=False,
    )
    command.set_defaults(run=run)
    _add(name, command)
    if takes_configs:
      _add_config_options(command)
    command.add_argument(
      '--json', action='store_true', help='print one JSON document'
    )
    command.add_argument(
      '--debug', action='store_true', help='show the traceback of an error'
    )
  return parser


def _epilog(examples: str, more: str = '') -> str:
  listing = textwrap.indent(examples.strip(), '  ')
  return f'{more.strip()}\n\nexamples:\n{listing}'.strip()


def _add(name: str, command: argparse.ArgumentParser) -> None:
  """The arguments of one command."""

  def add(*names: str, **kwargs: Any) -> None:
    command.add_argument(*names, **kwargs)

  if name in ('show', 'check'):
    add('config', metavar='CONFIG')
  if name == 'check':
    add(
      '--ignore',
      action='append',
      default=[],
      metavar='[HYPERPARAM:]NAME',
      help='a warning to leave out; may be given several times',
    )
  if name == 'plot':
    add('config', nargs='+', metavar='CONFIG', help='one or several')
    add(
      '-o',
      '--output',
      metavar='FILE',
      help='where to save it: .png, .pdf, .svg, .html',
    )
  if name == 'inspect':
    text = 'the directory of a CheckpointManager, or of one step'
    add('checkpoint', metavar='CHECKPOINT', help=text)
  if name == 'diff':
    add('a', metavar='A', help='a config or a checkpoint')
    add('b', metavar='B', help='another one')
  if name in ('inspect', 'diff'):
    text = 'the step of a checkpoint (default: the latest)'
    add('--step', type=_integer, metavar='N', help=text)
  if name == 'report':
    add('logdir', metavar='LOGDIR', help='the directory of the event files')
    text = 'the page to write (default: report.html)'
    add('-o', '--output', default='report.html', metavar='FILE', help=text)
    text = 'the steps of the run (default: as far as logs and schedules go)'
    add('--total-steps', type=_integer, metavar='N', help=text)


def _add_config_options(command: argparse.ArgumentParser) -> None:
  group = command.add_argument_group('what to read')
  group.add_argument(
    '--path', help='where the optimizer or schedule is, as after #'
  )
  group.add_argument(
    '--set',
    action='append',
    default=[],
    metavar='PATH=VALUE',
    help='change the config; may be given several times',
  )
  group = command.add_argument_group(
    'the run', 'By default, what the config has under these names.'
  )
  for name in RUN_FIELDS:
    group.add_argument(
      f'--{name.replace("_", "-")}',
      type=_integer,
      metavar='N',
      help=_RUN_HELP[name],
    )


def _integer(text: str) -> int:
  try:
    number = float(text)
    if number == int(number):
      return int(text) if text.replace('_', '').isdecimal() else int(number)
  except (ValueError, OverflowError):
    pass
  raise argparse.ArgumentTypeError(f'must be an integer, got {text!r}')

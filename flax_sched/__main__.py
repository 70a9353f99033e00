"""The command line of the package: `python -m flax_sched --help`."""

import sys

from flax_sched.cli.main import main

if __name__ == '__main__':
  sys.exit(main())

"""The command line: `main.py` has the arguments, `commands.py` the commands."""

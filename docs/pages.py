"""Runs the code of the pages: `python docs/pages.py` renews what they show.

On a page, blocks of Python run one after the other, as they stand. A block of
text right after one is what it prints. A picture that follows a comment
`<!-- drawn: SCHEDULES, TOTAL_STEPS -->` shows these, by the names of the page.
"""

from collections.abc import Iterable, Iterator
import contextlib
import io
import pathlib
import re
import runpy
import sys
import tempfile
import types

from flax_sched import sketch

FOLDER = pathlib.Path(__file__).parent
_GALLERY = runpy.run_path(str(FOLDER / 'gallery.py'))
_PARTS = re.compile(
  r'^```python\n(?P<code>.*?)^```$(?:\n\n```text\n(?P<shown>.*?)^```$)?'
  r'|^<!-- drawn: (?P<drawn>.*?) -->\n\n!\[[^\]]*\]\((?P<picture>[^)]+)\)',
  re.DOTALL | re.MULTILINE,
)


def read(page: str) -> str:
  """The text of a page of this folder."""
  return (FOLDER / page).read_text(encoding='utf-8')


def run(page: str, text: str) -> dict[str, str]:
  """Runs the code of a page, in the current directory.

  Args:
    page: the name of its file.
    text: what is in it.

  Returns:
    The texts of the page and of its pictures as they should be, by path.
  """
  program = types.ModuleType('__main__')
  files, done, end = {}, [], 0
  with _as_main(program):
    for part in _PARTS.finditer(text):
      if part['drawn']:
        shown = eval(part['drawn'], vars(program))
        files[part['picture']] = _GALLERY['standing_alone'](sketch.svg(*shown))
        continue
      # With the lines of the page, so that an error says where it is.
      lines_before = '\n' * text.count('\n', 0, part.start('code'))
      code = compile(lines_before + part['code'], page, 'exec')
      with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, vars(program))
      if part['shown'] is not None:
        done += [text[end : part.start('shown')], printed.getvalue()]
        end = part.end('shown')
  return {**files, page: ''.join([*done, text[end:]])}


@contextlib.contextmanager
def _as_main(program: types.ModuleType) -> Iterator[None]:
  """Where pickle and checkpoints look for the classes of a program."""
  main, sys.modules['__main__'] = sys.modules['__main__'], program
  try:
    yield
  finally:
    sys.modules['__main__'] = main


def write(pages: Iterable[str]) -> None:
  """Runs pages, and writes what they show."""
  for page in pages:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
      files = run(page, read(page))
    for name, text in files.items():
      path = FOLDER / name
      path.parent.mkdir(exist_ok=True)
      path.write_text(text, encoding='utf-8')


if __name__ == '__main__':
  write(sys.argv[1:] or sorted(path.name for path in FOLDER.glob('*.md')))

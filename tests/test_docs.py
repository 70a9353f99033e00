"""The pages of the documentation: their code runs, and what they link is there.

A block that is marked as Python runs as it stands, after those before it on its
page. A program that is not to run here is a block of another kind.
"""

import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parent.parent / 'docs'
PAGES = [path.name for path in sorted(DOCS.glob('*.md'))]
each_page = pytest.mark.parametrize('page', PAGES)


def headings(text):
  """The names by which a link finds the headings of a page."""
  without_code = re.sub(r'```.*?```', '', text, flags=re.DOTALL)
  titles = re.findall(r'^#+ (.+)$', without_code, re.MULTILINE)
  return {
    re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles
  }


def test_there_are_pages():
  """Else the tests below would pass for nothing."""
  assert PAGES


@each_page
def test_python_blocks(page, tmp_path, monkeypatch):
  """One after the other, in an empty directory; a warning is an error."""
  text = (DOCS / page).read_text()
  monkeypatch.chdir(tmp_path)
  namespace = {'__name__': '__main__'}
  for block in re.finditer(r'^```python\n(.*?)^```', text, re.DOTALL | re.M):
    # With the lines of the page, so that an error says where it is.
    lines_before = text.count('\n', 0, block.start(1))
    source = '\n' * lines_before + block[1]
    exec(compile(source, page, 'exec'), namespace)


@each_page
def test_links_exist(page):
  """Files of the project, and headings of pages."""
  text = (DOCS / page).read_text()
  for link in re.findall(r'\]\((?!\w+:)([^)\s]+)\)', text):
    path, _, heading = link.partition('#')
    target = DOCS / path if path else DOCS / page
    assert target.exists(), link
    if heading:
      assert heading in headings(target.read_text()), link

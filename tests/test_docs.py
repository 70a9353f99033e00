"""The pages of the documentation: their code runs, and what they link is there.

A block that is marked as Python runs as it stands, after those before it on its
page, and prints what the block of text right after it says. A program that is
not to run here is a block of another kind. `docs/pages.py` has the rules.
"""

import pathlib
import re
import runpy

import pytest

DOCS = pathlib.Path(__file__).parent.parent / 'docs'
RUNNER = runpy.run_path(str(DOCS / 'pages.py'))
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob('*.md'))
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
  monkeypatch.chdir(tmp_path)
  for name, text in RUNNER['run'](page, RUNNER['read'](page)).items():
    assert RUNNER['read'](name) == text, (
      f'docs/{name} is stale: run `python docs/pages.py {page}`.'
    )


def test_what_a_page_shows_is_compared():
  """Else the test above would pass for nothing."""
  page = """
```python
print(1 + 1)
```

```text
3
```

<!-- drawn: 0.5, 10 -->

![A constant](drawings/constant.svg)
"""
  files = RUNNER['run']('page.md', page)
  assert files['page.md'] == page.replace('3', '2')
  assert files['drawings/constant.svg'].startswith('<svg')


def test_every_drawing_is_on_a_page():
  """None is left from a picture that was taken away."""
  text = ''.join(map(RUNNER['read'], PAGES))
  drawings = [path.name for path in (DOCS / 'drawings').iterdir()]
  assert drawings
  assert [name for name in drawings if f'drawings/{name})' not in text] == []


@each_page
def test_every_table_has_a_head(page):
  """A blank line within a table makes text of what is below."""
  for table in re.findall(r'(?:^\|.*\n)+', RUNNER['read'](page), re.MULTILINE):
    assert re.match(r'.*\n\|[-:| ]+\|\n', table), table


@each_page
def test_links_exist(page):
  """Files of the project, and headings of pages."""
  text = (DOCS / page).read_text()
  for link in re.findall(r'\]\((?!\w+:)([^)\s]+)\)', text):
    path, _, heading = link.partition('#')
    target = (DOCS / page).parent / path if path else DOCS / page
    assert target.exists(), link
    if heading:
      assert heading in headings(target.read_text()), link

"""The page of all schedules is complete, and as fresh as the code."""

import pathlib
import re
import runpy

import pytest

import flax_sched as fs
from flax_sched import catalog

DOCS = pathlib.Path(__file__).parent.parent / 'docs'
GALLERY = runpy.run_path(str(DOCS / 'gallery.py'))
EXAMPLES = {
  name: example
  for family in GALLERY['FAMILIES'].values()
  for name, example in family.examples.items()
}
OPERATORS = ['sum', 'difference', 'product', 'quotient']
METHODS = ['clip', 'every', 'repeat', 'shift', 'stretch', 'then']


def test_every_schedule_has_a_section():
  """Those of the catalog, the operators and the methods; each once."""
  headings = re.findall(
    r'^### (.+)$', (DOCS / 'schedules.md').read_text(), re.M
  )
  assert sorted(headings) == sorted([*catalog.FUNCTIONS, *OPERATORS, *METHODS])
  assert headings == list(EXAMPLES)


def test_files_are_fresh():
  """`python docs/gallery.py` would write what is there."""
  written = GALLERY['pages']()
  pictures = {f'pictures/{path.name}' for path in DOCS.glob('pictures/*.svg')}
  assert {*pictures, 'schedules.md'} == set(written)
  for name, text in written.items():
    assert (DOCS / name).read_text(encoding='utf-8') == text, (
      f'docs/{name} is stale: run `python docs/gallery.py`.'
    )


@pytest.mark.parametrize('name', EXAMPLES)
def test_examples_show_what_they_name(name):
  """The call has the name in it, and draws schedules, one for each step."""
  example = EXAMPLES[name]
  if name not in OPERATORS:
    assert f'{name}(' in example.call
  drawn = GALLERY['drawn'](example)
  for schedule in drawn.values() if isinstance(drawn, dict) else [drawn]:
    assert isinstance(schedule, fs.Schedule)
  assert all(len(line) <= 80 for line in example.call.splitlines())
  assert example.when.endswith('.')


def test_sections_are_complete():
  """Of a docstring: the summary, the formula as it stands, and the source."""
  page = GALLERY['pages']()['schedules.md']
  _, section = page.split('### rex_schedule\n')
  section, *_ = section.split('\n### ')
  for part in (
    'REX: a decay that holds back at first',
    '(pictures/rex_schedule.svg)',
    '```text\nend_value + (init_value - end_value) (1 - p) / (1 - p + beta p),',
    '```python\nschedule = {',
    'When: For runs',
    'Source: J. Chen',
    '[arXiv:2107.04197](https://arxiv.org/abs/2107.04197)',
  ):
    assert part in section
  # Stars that are not in code would make the text slanted.
  assert r'p\*\*k' in page
  assert '`0.1 * lr`' in page

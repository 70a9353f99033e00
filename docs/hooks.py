"""What mkdocs does beside its own: `mkdocs.yml` at the top names this file.

- Files outside of docs/ are pages too, so that links to them have an end: a
  program as a block of code, Markdown as it is.
- A link to a page whose text is the name of the file has the page's title.
- Comments in pages are filled in, so that nothing is told twice:
  `<!-- include: PATH -->` by a file, its headings one level deeper;
  `<!-- files of: FOLDER -->` by a table of its Python files and what their
  docstrings say; `<!-- api: MODULE.NAME... -->` by the reference of the public
  names that match.
"""

import ast
import pathlib
import posixpath
import re

from mkdocs.structure.files import File
import reference

ROOT = pathlib.Path(__file__).parent.parent
OUTSIDE = 'project/'  # where on the site the files outside of docs/ are

_FENCE = re.compile(r'^(```+).*?^\1$', re.DOTALL | re.MULTILINE)
_LINK = re.compile(r'(?<=\]\()(?!\w+:|#)([^)\s#]+)(?=[)#])')
_NAMED = re.compile(r'\[([\w./]+\.md)\](?=\(\1[)#])')
_COMMENT = re.compile(r'^<!-- (include|files of|api): (.+) -->$', re.MULTILINE)


def on_files(files, config):
  """Adds pages of the files that pages link to, and that these link to."""
  names = [
    _name(file.src_uri) for file in files if file.is_documentation_page()
  ]
  names += ['CHANGELOG.md', 'CONTRIBUTING.md']  # which mkdocs.yml names
  for name in names:
    if not name.startswith('docs/'):
      page = File.generated(config, _uri(name), content=_as_page(name))
      files.append(page)
    if name.endswith('.md'):
      for link in _LINK.findall(_FENCE.sub('', _read(name))):
        target = _target(link, name)
        outside = not target.startswith(('docs/', '..'))
        if outside and (ROOT / target).is_file() and target not in names:
          names.append(target)
  return files


def _read(name):
  return (ROOT / name).read_text(encoding='utf-8')


def _target(link, name):
  """The path, from the top, of what a file links to; a folder's page for it."""
  folder = posixpath.dirname(name)
  target = posixpath.normpath(posixpath.join(folder, link))
  return target + '/README.md' if (ROOT / target).is_dir() else target


def _uri(name):
  """The page of a file of the project, by its path from the top."""
  if name.startswith('docs/'):
    return name.removeprefix('docs/')
  return OUTSIDE + (name if name.endswith('.md') else f'{name}.md')


def _name(uri):
  """The file of the project that a page is made of."""
  if not uri.startswith(OUTSIDE):
    return f'docs/{uri}'
  name = uri.removeprefix(OUTSIDE)
  return name if (ROOT / name).exists() else name.removesuffix('.md')


def _as_page(name):
  text = _read(name)
  if name.endswith('.md'):
    return text
  language = 'python' if name.endswith('.py') else 'text'
  not_searched = '---\nsearch:\n  exclude: true\n---\n'
  return f'{not_searched}# {name}\n\n`````{language}\n{text}`````\n'


def on_page_markdown(markdown, page, config, files):
  """Fills in what comments name, and turns links to files to their pages."""
  here = page.file.src_uri
  if page.is_homepage:
    page.meta['hide'] = ['navigation']  # it would list this page alone

  def filled(match):
    kind, argument = match.groups()
    if kind == 'api':
      return reference.entries(argument.split())
    if kind == 'files of':
      return _table_of(argument)
    _, _, text = _read(argument).partition('\n')  # without its title
    return re.sub(
      '^#', '##', _relinked(text, argument, here, files), flags=re.M
    )

  name = _name(here)
  return _COMMENT.sub(filled, _relinked(markdown, name, here, files))


def _relinked(text, name, here, files):
  """Text of the file `name`, with links that serve on the page `here`."""

  def link(match):
    found = files.get_file_from_path(_uri(_target(match[1], name)))
    if found is None:
      return match[1]  # which mkdocs reports
    return posixpath.relpath(found.src_uri, posixpath.dirname(here) or '.')

  def titled(match):
    target = _target(match[1], name)
    if not (ROOT / target).is_file():
      return match[0]
    title, _, _ = _read(target).partition('\n')
    return f'[{title.removeprefix("# ")}]'

  def relinked(text):
    return _LINK.sub(link, _NAMED.sub(titled, text))

  parts, end = [], 0
  for code in _FENCE.finditer(text):
    parts += [relinked(text[end : code.start()]), code[0]]
    end = code.end()
  return ''.join([*parts, relinked(text[end:])])


def _table_of(folder):
  """The Python files of a folder, with the first paragraph of each."""
  rows = ['| file | what is in it |', '|---|---|']
  for path in sorted((ROOT / folder).rglob('*.py')):
    doc = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
    name = path.relative_to(ROOT / folder).as_posix()
    rows.append(f'| `{name}` | {reference.first_line(doc)} |')
  return '\n'.join(rows)

"""The documentation site: it builds without network, and nothing is missing.

What it looks like is tested in `test_site_browser.py`.
"""

import importlib
import pkgutil
import re
import urllib.parse

import pytest

import flax_sched
import sites

DOCS = sites.ROOT / 'docs'


def problems(site):
  """What is wrong with the links of a site, as lines of text."""
  pages = {
    path: sites.Page(path.read_text(encoding='utf-8'))
    for path in site.rglob('*.html')
  }
  found = []
  for path, page in pages.items():
    where = path.relative_to(site)
    found += [
      f'{where} loads {file}'
      for file in page.files
      if urllib.parse.urlsplit(file).netloc
    ]
    for link in page.links + page.files:
      parts = urllib.parse.urlsplit(link)
      if parts.scheme or parts.netloc:
        continue
      target = path
      if parts.path:
        # A page that serves for a missing one may be at any address.
        folder = site if path == site / '404.html' else path.parent
        name = urllib.parse.unquote(parts.path).removeprefix('/')
        target = (folder / name).resolve()
      if not target.is_file():
        found.append(f'{where}: {link} is no file')
      elif parts.fragment and target in pages:
        name = urllib.parse.unquote(parts.fragment)
        if name not in pages[target].anchors:
          found.append(f'{where}: {link} has no such place')
  return found


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """The site, built once."""
  folder = tmp_path_factory.mktemp('site').resolve()
  sites.build(folder)
  return folder


def test_links_are_checked(tmp_path):
  """The checker sees what it looks for."""
  (tmp_path / 'a.html').write_text(
    '<a href="b.html#here"></a><a href="b.html#there"></a>'
    '<a href="c.html"></a><img src="d.png"><a href="https://example.org"></a>'
    '<script src="https://example.org/e.js"></script>'
    '<link rel="stylesheet" href="//example.org/f.css">'
  )
  (tmp_path / 'b.html').write_text('<h2 id="here">Here</h2>')
  assert problems(tmp_path) == [
    'a.html loads https://example.org/e.js',
    'a.html loads //example.org/f.css',
    'a.html: b.html#there has no such place',
    'a.html: c.html is no file',
    'a.html: d.png is no file',
  ]


def test_no_link_is_broken(site):
  """Pages, places in them, and pictures; nothing is loaded from other hosts."""
  assert problems(site) == []


def test_styles_load_nothing_from_other_hosts(site):
  """Neither fonts nor pictures."""
  for path in site.rglob('*.css'):
    for url in re.findall(r'url\(([^)]*)\)', path.read_text(encoding='utf-8')):
      assert url.strip('"\'').startswith(('data:', '.', '#', 'assets')), url


def test_every_page_is_in_the_navigation(site):
  """A page that nobody finds is none."""
  targets = {
    (site / link.partition('#')[0]).resolve()
    for link in sites.Page((site / 'index.html').read_text()).navigation
  }
  pages = [
    path.relative_to(DOCS).with_suffix('.html') for path in DOCS.rglob('*.md')
  ]
  assert pages
  assert [page for page in pages if site / page not in targets] == []


def public_names():
  """The names that need an entry."""
  modules = {
    module.name: importlib.import_module(module.name)
    for module in pkgutil.iter_modules(flax_sched.__path__, 'flax_sched.')
    if module.name != 'flax_sched.__main__'
  }
  modules['flax_sched'] = flax_sched
  # What is said to be public.
  names = {
    f'{name}.{public}'
    for name, module in modules.items()
    for public in getattr(module, '__all__', ())
  }
  # What a config can name.
  names |= {
    f'{cls.__module__}.{cls.__name__}'
    for cls in _classes(flax_sched.Schedule)
    if not hasattr(modules[cls.__module__], '__all__')
  }
  # What a page imports: a module with all that it defines, or a name.
  for path in DOCS.rglob('*.md'):
    for found in re.findall(
      r'from (flax_sched[.\w]*) import (\w+)', path.read_text(encoding='utf-8')
    ):
      name = '.'.join(found)
      if name not in modules:
        names.add(name)
      elif not hasattr(modules[name], '__all__'):
        names |= {
          f'{name}.{defined}'
          for defined, value in vars(modules[name]).items()
          if getattr(value, '__module__', None) == name and defined[0] != '_'
        }
  return names


def _classes(base):
  """The classes that a config can name."""
  return {
    found
    for cls in base.__subclasses__()
    for found in {cls, *_classes(cls)}
    if cls.__module__.startswith('flax_sched.')
  }


def test_every_public_name_is_documented(site):
  """With one entry, that can be linked to."""
  anchors = [
    anchor
    for path in (site / 'api').glob('*.html')
    for anchor in sites.Page(path.read_text(encoding='utf-8')).anchors
  ]
  names = public_names()
  assert len(names) > 100
  assert {name for name in names if anchors.count(name) != 1} == set()


def test_nothing_private_is_documented(site):
  """No name with an underscore has an entry."""
  for path in (site / 'api').glob('*.html'):
    for anchor in sites.Page(path.read_text(encoding='utf-8')).anchors:
      assert not re.search(r'^flax_sched.*\._(?!_)', anchor), anchor

"""The documentation site in a browser: wide and narrow, light and dark."""

import contextlib
import functools
import http.server
import io
import threading

from PIL import Image
import pytest

import browsers
import sites

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """The site, built once."""
  folder = tmp_path_factory.mktemp('site').resolve()
  sites.build(folder)
  return folder


@pytest.fixture(scope='module')
def browser():
  with browsers.chromium() as started:
    yield started


class _Silent(http.server.SimpleHTTPRequestHandler):
  def log_message(self, *_):
    pass


@contextlib.contextmanager
def served(folder):
  """The address of a server of the folder's files, on this machine."""
  handler = functools.partial(_Silent, directory=folder)
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()


@pytest.mark.parametrize(
  ('width', 'dark'), [(1280, False), (390, True)], ids=['desktop', 'phone']
)
def test_pages(site, browser, width, dark):
  """All fit in their window, complain of nothing, and load the site's files."""
  index = sites.Page((site / 'index.html').read_text(encoding='utf-8'))
  names = {link.partition('#')[0] for link in index.navigation} - {'.', ''}
  assert len(names) > 30
  with served(site) as address:
    start = f'{address}/index.html'
    with browsers.opened(browser, start, width=width, dark=dark) as opened:
      opened.page.wait_for_load_state('networkidle')  # its icon, among others
      for name in sorted(names):
        _wait_for_search(opened)  # else going on would cut off a request of it
        opened.page.goto(f'{address}/{name}')
        assert opened.overflow() <= 0, name
        assert opened.errors == [], name
      others = [url for url in opened.requests if not url.startswith(address)]
      assert others == []


def _wait_for_search(opened):
  opened.page.wait_for_function(
    'document.querySelector(".md-search-result__meta").textContent.trim()'
    ' != "Initializing search"'
  )


def _search(opened, words):
  opened.page.locator('.md-search__input').click()
  opened.page.keyboard.type(words)
  results = opened.page.locator('.md-search-result__link')
  results.first.wait_for()
  return results.evaluate_all('links => links.map(link => link.href)')


@pytest.mark.parametrize(
  ('words', 'name'),
  [
    ('wsd_schedule', 'wsd_schedule'),
    ('one cycle momentum', 'onecycle_momentum_schedule'),
  ],
)
def test_search(site, browser, words, name):
  """By a name, or by its parts; from a server, and from a disk."""
  with served(site) as address:
    for top in (address, site.as_uri()):
      with browsers.opened(browser, f'{top}/index.html') as opened:
        found = _search(opened, words)
        assert any(link.endswith(f'#flax_sched.{name}') for link in found)
        assert opened.errors == []


def _brightness(locator):
  """Of the darkest and the brightest point of a part of a page."""
  return Image.open(io.BytesIO(locator.screenshot())).convert('L').getextrema()


@pytest.mark.parametrize('dark', [False, True])
def test_light_and_dark(site, browser, dark):
  """As the reader's system is, or as he says; pictures too."""
  url = (site / 'schedules.html').as_uri()
  with browsers.opened(browser, url, dark=dark) as opened:
    picture = opened.page.locator('img[alt=wsd_schedule]')
    assert _is_dark(opened.page) == dark
    darkest, brightest = _brightness(picture)
    assert (darkest < 64) if dark else (brightest > 240)  # its ground
    assert brightest - darkest > 150  # its letters
    # From the system's to light, and then to dark.
    for expected in (False, True):
      opened.page.locator('label[for^=__palette]:visible').click()
      assert _is_dark(opened.page) == expected
      darkest, brightest = _brightness(picture)
      assert (darkest < 64) if expected else (brightest > 240)
      assert brightest - darkest > 150


def _is_dark(page):
  return page.evaluate('document.body.dataset.mdColorScheme') == 'slate'

"""Pages in a real browser: headless Chromium, driven by Playwright.

`python tests/browsers.py` prints where the Chromium is; it fails if there is
none. `make test-browser` asks so before it runs the tests marked `browser`.
"""

import contextlib
import os
import shutil
import sys
import time

_NAMES = (
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
)


def find():
  """The program of a Chromium: that in $CHROMIUM, or one on the path."""
  named = os.environ.get('CHROMIUM')
  return next(filter(None, map(shutil.which, [named] if named else _NAMES)), '')


@contextlib.contextmanager
def chromium():
  """A browser, for as many pages as one likes: Playwright's `Browser`."""
  from playwright.sync_api import sync_playwright  # in the extra `browser`

  assert find(), 'Chromium is missing: apt install chromium'
  with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=find(),
      # Containers have no user for the sandbox, and little shared memory.
      args=['--no-sandbox', '--disable-dev-shm-usage'],
    )
    try:
      yield browser
    finally:
      browser.close()


class Opened:
  """A page that is open.

  Attributes:
    page: Playwright's `Page`.
    requests: the URLs of all requests so far, that of the page first.
    errors: what the page complained about so far: errors and warnings on the
      console, exceptions of its scripts, requests that failed.
  """

  def __init__(self, page):
    self.page, self.requests, self.errors = page, [], []
    page.on('request', lambda request: self.requests.append(request.url))
    page.on('requestfailed', lambda request: self.errors.append(request.url))
    page.on('pageerror', lambda error: self.errors.append(str(error)))
    page.on('console', self._said)

  def _said(self, message):
    if message.type in ('error', 'warning'):
      self.errors.append(message.text)

  def overflow(self):
    """By how many pixels the page is wider than its window."""
    return self.page.evaluate(
      'document.documentElement.scrollWidth - window.innerWidth'
    )


@contextlib.contextmanager
def opened(browser, url, *, width=1280, height=900, dark=False, **options):
  """A page in a window of its own, loaded.

  Args:
    browser: that of `chromium`.
    url: which page; of a file, `path.as_uri()`.
    width: of the window, in pixels; that of a phone is about 390.
    height: of the window.
    dark: whether the reader prefers dark pages.
    **options: more of Playwright's `new_context`, such as
      `java_script_enabled=False`.
  """
  context = browser.new_context(
    viewport={'width': width, 'height': height},
    color_scheme='dark' if dark else 'light',
    **options,
  )
  try:
    page = Opened(context.new_page())
    page.page.goto(url)
    yield page
  finally:
    context.close()


def wait_for(condition):
  """Waits until it holds.

  Playwright's `wait_for_function` asks by `eval`, which a page may forbid.
  """
  deadline = time.monotonic() + 30
  while not condition():
    assert time.monotonic() < deadline, 'it never came'
    time.sleep(0.02)


if __name__ == '__main__':
  print(find())
  sys.exit(not find())

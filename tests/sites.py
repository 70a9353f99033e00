"""The documentation site, built for the tests; and what is on its pages."""

import html.parser
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent

# `python -m mkdocs` where no connection can be made.
WITHOUT_NETWORK = """
import runpy, sys
def refuse(event, args):
  if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):
    raise OSError(f'The build must not use the network: {event} {args[1:]}')
sys.addaudithook(refuse)
sys.argv[0] = 'mkdocs'
runpy.run_module('mkdocs', run_name='__main__')
"""


def build(folder):
  """Builds the site into a folder as `make docs` does; no warning is left."""
  done = subprocess.run(
    [sys.executable, '-c', WITHOUT_NETWORK, 'build', '--site-dir', folder],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=240,
    # Else its theme advertises between the lines of the log.
    env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
  )
  assert done.returncode == 0, done.stdout + done.stderr
  assert 'WARNING' not in done.stderr, done.stderr


class Page(html.parser.HTMLParser):
  """What a page of HTML links to, and what can be linked to in it.

  Attributes:
    links: the targets of `<a>`.
    files: what a browser loads with the page.
    anchors: the names of places in it.
    navigation: the targets of the links to other pages, at the side.
  """

  def __init__(self, text):
    super().__init__()
    self.links, self.files, self.anchors = [], [], set()
    self.navigation, self._navs = [], []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    given = dict(attributes)
    self.anchors |= {given[key] for key in ('id', 'name') if given.get(key)}
    if tag == 'nav':
      self._navs.append('md-nav--primary' in given.get('class', ''))
    if tag == 'a' and 'href' in given:
      self.links.append(given['href'])
      if any(self._navs):
        self.navigation.append(given['href'])
    elif tag == 'link' and given.get('rel') in ('prev', 'next', 'canonical'):
      self.links.append(given['href'])
    elif 'href' in given:
      self.files.append(given['href'])
    if 'src' in given:
      self.files.append(given['src'])

  def handle_endtag(self, tag):
    if tag == 'nav':
      self._navs.pop()

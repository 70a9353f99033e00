"""The docstrings of the package as Markdown, for the reference."""

import pathlib
import re
import runpy

import griffe

_GALLERY = runpy.run_path(str(pathlib.Path(__file__).parent / 'gallery.py'))
plain = _GALLERY['plain']


class Docstrings(griffe.Extension):
  """Formulas and examples as code, before the sections are looked for."""

  def on_object(self, *, obj, loader, **kwargs):
    if obj.docstring is not None:
      obj.docstring.value = as_markdown(obj.docstring.value)

  def on_function(self, *, func, loader, **kwargs):
    """`Any` tells nothing of an argument."""
    for parameter in func.parameters:
      if str(parameter.annotation) == 'Any':
        parameter.annotation = None


def as_markdown(doc):
  """A docstring, its indented sections (Args and others) left as they are."""
  return '\n\n'.join(_block(part) for part in re.split(r'\n\n+', doc))


def _block(text):
  if text.startswith('>>> '):
    return f'```pycon\n{text}\n```'
  first = text.partition('\n')[0]
  if first.startswith(' ') or re.fullmatch(r'[A-Z][a-z]+:', first):
    return text
  if _is_prose(text):
    text = plain(re.sub(r'^\* ', '- ', text, flags=re.MULTILINE))
  else:
    text = _GALLERY['paragraph'](text)
  return _GALLERY['preprints_linked'](text)


def _is_prose(text):
  """Whether a formula in it, if there is one, is a part of a sentence."""
  sentence = re.match('[A-Z][a-z]* ', text) and ':\n' not in text
  return bool(sentence or '`' in text or re.search(r'[.;:]\s[A-Z]', text))

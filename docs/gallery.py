"""Writes schedules.md and its pictures: `python docs/gallery.py`.

What the page says of a schedule is its docstring. The calls, and when to use
it, are in the table `FAMILIES`.
"""

import inspect
import pathlib
import re
import textwrap
from typing import NamedTuple

import flax_sched as fs
from flax_sched import catalog
from flax_sched import sketch

FOLDER = pathlib.Path(__file__).parent
PAGE = 'schedules.md'


class Example(NamedTuple):
  """A section of the page.

  Attributes:
    call: Python code that sets `schedule`: to a schedule, or to several by
      name.
    total_steps: of the picture.
    when: when to use it, and how much is known about that.
    doc: for what has no docstring of its own.
  """

  call: str
  total_steps: int
  when: str
  doc: str = ''


class Family(NamedTuple):
  """A chapter of the page."""

  intro: str
  examples: dict[str, Example]


FAMILIES = {
  'Constant and lines': Family(
    'The simplest ones, from which others are made.',
    {
      'constant_schedule': Example(
        """
schedule = fs.constant_schedule(3e-4)
""",
        1000,
        'For what is not scheduled, and as the baseline of what is. A number '
        'does as well wherever the library takes a schedule.',
      ),
      'linear_schedule': Example(
        """
schedule = fs.linear_schedule(1e-3, 0.0, 1000)
""",
        1000,
        'A good first choice for a run whose length is known. A. Defazio et '
        'al., 2023, arXiv:2310.07831, compared it with the cosine and others '
        'on ten problems, where it did as well or better; S. Bergsma et al., '
        '2025, arXiv:2502.15938, found the same for language models, down to '
        '0.',
      ),
      'polynomial_schedule': Example(
        """
schedule = {
  f'power {power}': fs.polynomial_schedule(1e-3, 1e-5, power, 1000)
  for power in (0.5, 0.9, 2.0)
}
""",
        1000,
        'A power of 0.9 is customary in semantic segmentation since DeepLab, '
        'arXiv:1606.00915. It is close to a straight line, and nothing says '
        'that it is better elsewhere.',
      ),
    },
  ),
  'Decays': Family(
    'From a value down to a lower one. All but the exponential, the inverse '
    'time and the power end at a step that you give: that is the length of the '
    'run.',
    {
      'cosine_decay_schedule': Example(
        """
schedule = {
  'to 0': fs.cosine_decay_schedule(1e-3, 1000),
  'to a tenth': fs.cosine_decay_schedule(1e-3, 1000, alpha=0.1),
}
""",
        1000,
        'The customary choice for a run whose length is known. The length '
        'should be that of the run: J. Hoffmann et al., 2022, '
        'arXiv:2203.15556, got worse language models where it was much '
        'longer.',
      ),
      'exponential_decay': Example(
        """
schedule = {
  'smooth': fs.exponential_decay(1e-3, 0.6, 220),
  'staircase': fs.exponential_decay(1e-3, 0.6, 220, staircase=True),
}
""",
        1000,
        'The decay of many image classifiers, such as EfficientNet, '
        'arXiv:1905.11946. It has no end, but a rate that must fit the length '
        'of the run.',
      ),
      'inverse_time_decay': Example(
        """
schedule = fs.inverse_time_decay(1e-3, 1.0, 100)
""",
        1000,
        'Of this kind are the steps for which stochastic approximation is '
        'proved to converge. That it decays well for a deep network does not '
        'follow; there is little evidence for it.',
      ),
      'power_schedule': Example(
        """
schedule = {
  'from step 0': fs.power_schedule(1e-3, -0.5, 100),
  'flat first': fs.power_schedule(1e-3, -0.5, 100, offset=0),
}
""",
        1000,
        'For a language model whose number of tokens is not known in advance. '
        'The evidence is one paper. It needs a cooldown in the end: '
        '`cooldown_schedule`.',
      ),
      'rex_schedule': Example(
        """
schedule = {
  f'beta {beta}': fs.rex_schedule(1e-3, 0.0, 1000, beta)
  for beta in (0.5, 1.0, 10.0)
}
""",
        1000,
        'For runs that are short for their task. The source compares it with '
        'others on several tasks and lengths of training, where it did as well '
        'or better; few have repeated that.',
      ),
      'tanh_decay_schedule': Example(
        """
schedule = {
  'from -6 to 3': fs.tanh_decay_schedule(1e-3, 0.0, 1000),
  'from -2 to 2': fs.tanh_decay_schedule(1e-3, 0.0, 1000, -2.0, 2.0),
}
""",
        1000,
        'Where the first value should hold for long. The evidence is one paper '
        'on image classification.',
      ),
      'k_decay_schedule': Example(
        """
cosine = fs.cosine_decay_schedule(1e-3, 1000)
schedule = {
  'k = 1': cosine,
  'k = 3': fs.k_decay_schedule(cosine, 3.0),
}
""",
        1000,
        'To make any decay begin later by one number, such as in a sweep. The '
        'evidence is one preprint on image classification.',
      ),
    },
  ),
  'Warm-ups': Family(
    'A rise to the peak first. It lets a larger peak be used, above all with '
    'Adam and in transformers; how long it should be is a matter of trying: '
    'some hundred or thousand steps are customary. In the pictures it is '
    'longer than that, so that it can be seen.',
    {
      'warmup_schedule': Example(
        """
decay = fs.exponential_decay(1e-3, 0.5, 300)
schedule = {
  'linear': fs.warmup_schedule(decay, 150),
  'cosine': fs.warmup_schedule(decay, 150, warmup_shape='cosine'),
}
""",
        1000,
        'Before anything that lacks one. That a linear warm-up helps with '
        'large batches is shown in the source and was often repeated; there is '
        'little evidence for one shape over another.',
      ),
      'warmup_constant_schedule': Example(
        """
schedule = fs.warmup_constant_schedule(0.0, 1e-3, 150)
""",
        1000,
        'For short runs, and as the first part of a run whose end is not '
        'known. A decay in the end usually gives a better model: '
        '`cooldown_schedule`, `wsd_schedule`.',
      ),
      'warmup_cosine_decay_schedule': Example(
        """
schedule = fs.warmup_cosine_decay_schedule(0.0, 1e-3, 150, 850, 1e-4)
""",
        1000,
        'The customary choice for transformers whose length of training is '
        'known; down to a tenth, it is that of GPT-3, arXiv:2005.14165. '
        'Custom is not proof: see `linear_schedule` and `wsd_schedule`.',
      ),
      'warmup_polynomial_decay_schedule': Example(
        """
schedule = {
  'power 1': fs.warmup_polynomial_decay_schedule(0.0, 1e-3, 150, 850),
  'power 2': fs.warmup_polynomial_decay_schedule(
    0.0, 1e-3, 150, 850, power=2.0
  ),
}
""",
        1000,
        'With a power of 1 it is the schedule of BERT, arXiv:1810.04805, and '
        'the one that the papers under `linear_schedule` recommend.',
      ),
      'warmup_exponential_decay_schedule': Example(
        """
schedule = fs.warmup_exponential_decay_schedule(0.0, 1e-3, 150, 200, 0.6)
""",
        1000,
        'Where the exponential decay is given, such as by the recipe of an '
        'image classifier, and the batch is large.',
      ),
      'inverse_sqrt_schedule': Example(
        """
schedule = fs.inverse_sqrt_schedule(1e-3, 150)
""",
        1000,
        'For a run whose end is not known. The third source ends it with a '
        'cooldown, so that one run serves several lengths: '
        '`cooldown_schedule`.',
      ),
    },
  ),
  'Warmup-stable-decay': Family(
    'A long phase at the peak, and a decay in the end. The decay can begin at '
    'any time, so the length of the run need not be known in advance.',
    {
      'wsd_schedule': Example(
        """
schedule = {
  shape: fs.wsd_schedule(1e-3, 100, 600, 300, decay_shape=shape)
  for shape in ('linear', 'cosine', '1-sqrt', 'square')
}
""",
        1000,
        'For language models whose length of training may change. A. Hägele et '
        'al. find it as good as a cosine of the right length, with a decay '
        'over 10 to 20% of the run, and best with the shape `1-sqrt`. Other '
        'tasks are less studied.',
      ),
      'cooldown_schedule': Example(
        """
schedule = fs.cooldown_schedule(fs.inverse_sqrt_schedule(1e-3, 100), 750, 250)
""",
        1000,
        'To end a run that has no end of its own. One long run with a cooldown '
        'from several of its checkpoints gives models of several lengths, at a '
        'fraction of the cost of a run for each.',
      ),
      'cyclic_wsd_schedule': Example(
        """
schedule = fs.cyclic_wsd_schedule(1e-3, 80, 250, 90, end_value=1e-4)
""",
        1000,
        'For finished models on the way of one run. The source compares it '
        'with a separate decay for each model and with a cosine in cycles, on '
        'language models of 0.1 to 1.2 billion parameters, where it did '
        'better.',
      ),
    },
  ),
  'Cycles': Family(
    'Up and down, once or again and again.',
    {
      'cosine_onecycle_schedule': Example(
        """
schedule = fs.cosine_onecycle_schedule(1000, 0.01)
""",
        1000,
        'For short runs with a large peak, with `onecycle_momentum_schedule`. '
        'The source trains image classifiers in a fraction of the usual steps; '
        'whether a task allows that must be tried. The cosine is the custom of '
        'fastai and PyTorch.',
      ),
      'linear_onecycle_schedule': Example(
        """
schedule = fs.linear_onecycle_schedule(1000, 0.01)
""",
        1000,
        'As `cosine_onecycle_schedule`, in the straight lines of the source.',
      ),
      'onecycle_momentum_schedule': Example(
        """
schedule = fs.onecycle_momentum_schedule(1000)
""",
        1000,
        'For the momentum of SGD, or `b1` of Adam, beside a one-cycle learning '
        'rate of the same length and fractions. The source gives it as a rule '
        'of thumb.',
      ),
      'cyclic_schedule': Example(
        """
schedule = {
  'triangular': fs.cyclic_schedule(1e-4, 1e-3, 150),
  'triangular2': fs.cyclic_schedule(1e-4, 1e-3, 150, mode='triangular2'),
}
""",
        1000,
        'For image classifiers with SGD, on which the source tries it. With '
        'one long rise, to find the largest learning rate that trains: stop '
        'where the loss grows.',
      ),
      'sgdr_schedule': Example(
        """
schedule = fs.sgdr_schedule(
  fs.cosine_decay_schedule(1e-3, 150), 150, t_mult=2.0
)
""",
        1000,
        'For a good model at the end of each cycle: for ensembles of them, G. '
        'Huang et al., 2017, arXiv:1704.00109, or where the run may be stopped '
        'early. Most later recipes keep the cosine and leave out the '
        'restarts.',
      ),
    },
  ),
  'Pieces and tables': Family(
    'Values that you give yourself.',
    {
      'piecewise_constant_schedule': Example(
        """
schedule = fs.piecewise_constant_schedule(
  {300: 1.0, 600: 0.5, 1000: 0.1}, init_value=1e-3
)
""",
        1000,
        'For a recipe that gives the values themselves, of anything: a batch '
        'size, a dropout rate, a learning rate.',
      ),
      'piecewise_interpolate_schedule': Example(
        """
scales = {200: 1.0, 500: 0.9, 800: 0.2, 1000: 0.0}
schedule = {
  shape: fs.piecewise_interpolate_schedule(shape, 1e-3, scales)
  for shape in ('linear', 'cosine')
}
""",
        1000,
        'For a curve of any form, by its knots: one taken from a figure, or '
        'found by a search.',
      ),
      'multistep_schedule': Example(
        """
schedule = fs.multistep_schedule(0.1, [300, 600, 900], gamma=0.3)
""",
        1000,
        'For recipes of image classifiers and detectors with SGD, whose '
        'results are known for these steps. Where the steps should be is not '
        'known for another task; a smooth decay has fewer numbers to find.',
      ),
      'step_schedule': Example(
        """
schedule = fs.step_schedule(0.1, 220, gamma=0.5)
""",
        1000,
        'As `multistep_schedule`, in equal distances. It has no end.',
      ),
      'table_schedule': Example(
        """
schedule = fs.table_schedule([3e-4, 1e-3, 8e-4, 3e-4, 1e-4]).every(200)
""",
        1000,
        'For values that were logged or computed elsewhere, one for each step '
        'or epoch.',
      ),
    },
  ),
  'Averages': Family(
    'Decays of moving averages: of weights, or of the moments of an optimizer. '
    'Near 1, an average remembers about 1 / (1 - decay) steps.',
    {
      'ema_decay_schedule': Example(
        """
schedule = fs.ema_decay_schedule(0.99)
""",
        1000,
        'For an average of weights that would otherwise remember the first, '
        'random ones for long: in short runs, or with a decay near 1.',
      ),
      'bias_corrected_decay_schedule': Example(
        """
schedule = fs.bias_corrected_decay_schedule(0.99)
""",
        1000,
        'For an average that should be a mean of what it has seen, from the '
        'first step on. It is no choice of its own: it is another way to write '
        'the correction.',
      ),
      'adafactor_decay_schedule': Example(
        """
schedule = {
  f'rate {rate}': fs.adafactor_decay_schedule(rate) for rate in (0.5, 0.8)
}
""",
        1000,
        'For second moments, `b2`. The source takes 0.8, after a comparison on '
        'one task of translation.',
      ),
    },
  ),
  'Composition': Family(
    'What makes schedules of schedules. All of them take numbers and other '
    'callables of the count as well.',
    {
      'join_schedules': Example(
        """
schedule = fs.join_schedules(
  [fs.linear_schedule(0.0, 1e-3, 200), 1e-3, fs.linear_schedule(1e-3, 0, 400)],
  [200, 600],
)
""",
        1000,
        'For phases that no function here has.',
      ),
      'then': Example(
        """
schedule = fs.linear_schedule(0.0, 1e-3, 200).then(
  fs.cosine_decay_schedule(1e-3, 800), 200
)
""",
        1000,
        'As `join_schedules`, one boundary at a time.',
      ),
      'minimum': Example(
        """
schedule = fs.minimum(
  fs.linear_schedule(0.0, 2e-3, 400), fs.inverse_sqrt_schedule(1e-3, 200), 8e-4
)
""",
        1000,
        'For the lower of two rules, such as the formula of transformers: '
        'min(a line, an inverse square root).',
      ),
      'maximum': Example(
        """
schedule = fs.maximum(fs.exponential_decay(1e-3, 0.5, 200), 2e-4)
""",
        1000,
        'For a floor under a decay.',
      ),
      'clip': Example(
        """
schedule = fs.cosine_decay_schedule(1e-3, 1000).clip(2e-4, 9e-4)
""",
        1000,
        'For bounds on either side.',
      ),
      'sum': Example(
        """
a = fs.linear_schedule(6e-4, 0.0, 1000)
b = fs.cyclic_schedule(0.0, 2e-4, 100)
schedule = {'a': a, 'a + b': a + b}
""",
        1000,
        'For a part that is added, such as a floor or a ripple.',
        'Two schedules, value by value, a + b.\n\na(n) + b(n)',
      ),
      'difference': Example(
        """
schedule = 1 - fs.cosine_decay_schedule(0.1, 1000, alpha=0.5)
""",
        1000,
        'For what is written as its distance from something, such as a '
        'momentum from 1.',
        'A schedule less another, a - b.\n\na(n) - b(n)',
      ),
      'product': Example(
        """
decay = fs.cosine_decay_schedule(1e-3, 1000)
warmup = fs.linear_schedule(0.0, 1.0, 200)
schedule = {'decay': decay, 'warmup * decay': warmup * decay}
""",
        1000,
        'For factors: a warm-up beside a decay that does not wait for it, or '
        'a peak that is swept. It multiplies with `reduce_on_plateau` too.',
        'Two schedules, value by value, a * b.\n\na(n) * b(n)',
      ),
      'quotient': Example(
        """
lr = fs.cosine_decay_schedule(1e-3, 1000, alpha=0.1)
schedule = 1e-4 / lr
""",
        1000,
        'For weight decay that keeps its product with the learning rate.',
        'A schedule divided by another, a / b.\n\na(n) / b(n), where a divisor '
        'of 0 counts as 2**-126.',
      ),
      'follow': Example(
        """
lr = fs.linear_onecycle_schedule(1000, 1.0)
schedule = {
  'lr': lr,
  'momentum': fs.follow(lr, {0.04: 0.95, 1.0: 0.85}),
}
""",
        1000,
        'For a hyperparameter that is tied to another one, so that a change of '
        'the one is never forgotten in the other.',
      ),
      'shift': Example(
        """
cosine = fs.cosine_decay_schedule(1e-3, 700)
schedule = {'as it is': cosine, 'shift(300)': cosine.shift(300)}
""",
        1000,
        'For a start that is late, or, by a negative number, in the middle.',
      ),
      'stretch': Example(
        """
short = fs.wsd_schedule(1e-3, 50, 300, 150)
schedule = {'as it is': short, 'stretch(2)': short.stretch(2)}
""",
        1000,
        'For the same recipe over a longer run. That its best peak stays the '
        'same is not to be expected.',
      ),
      'every': Example(
        """
schedule = fs.cosine_decay_schedule(1e-3, 10).every(100)
""",
        1000,
        'For schedules that are written in epochs, as in many papers.',
      ),
      'repeat': Example(
        """
schedule = fs.cosine_decay_schedule(1e-3, 220).repeat(220, m_mult=0.6)
""",
        1000,
        'For restarts, with a lower peak each time.',
      ),
      'reduce_on_plateau': Example(
        """
plateau = fs.reduce_on_plateau(1.0, factor=0.5, patience=20, rtol=0.01)
state, loss, factors, losses = plateau.init(), 3.0, [], []
for step in range(300):
  factor = float(plateau(state))
  loss += 0.05 * (0.2 + factor - loss)  # falls to 0.2 + factor
  state = plateau.update(state, value=loss)
  factors.append(factor)
  losses.append(loss)
schedule = {
  'factor': fs.table_schedule(factors),
  'loss': fs.table_schedule(losses),
}
""",
        300,
        'For runs whose length nobody can tell. It depends on the run, so that '
        'no picture can be drawn in advance: this is what it does with a loss '
        'that is made up, and stops falling at a level that the factor sets. '
        'Two runs with different noise get different schedules, which makes '
        'them harder to compare.',
      ),
    },
  ),
}


def write() -> None:
  """Writes the page and its pictures, and removes those of former sections."""
  files = pages()
  for old in (FOLDER / 'pictures').glob('*.svg'):
    if f'pictures/{old.name}' not in files:
      old.unlink()
  for name, text in files.items():
    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding='utf-8')


def pages() -> dict[str, str]:
  """The text of each file, by its path in this folder."""
  files, rows, chapters = {}, [], []
  for family, (intro, examples) in FAMILIES.items():
    rows.append(f'| **[{family}](#{_anchor(family)})** | | |')
    chapters.append(f'## {family}\n\n{_filled(intro)}\n')
    for name, example in examples.items():
      schedule = drawn(example)
      picture = sketch.svg(schedule, example.total_steps)
      files[f'pictures/{name}.svg'] = standing_alone(picture)
      doc = _doc(name, example)
      first = next(iter(schedule.values())) if named(schedule) else schedule
      line = sketch.sparkline(first, example.total_steps, 16)
      summary = plain(doc[0].replace('\n', ' '))
      rows.append(f'| [{name}](#{_anchor(name)}) | `{line}` | {summary} |')
      chapters.append(_section(name, example, doc))
  contents = '\n'.join(['| schedule | | |', '|---|---|---|', *rows])
  files[PAGE] = '\n'.join([INTRO, contents, '', *chapters])
  return files


INTRO = """\
# All schedules

Written by `python docs/gallery.py`, from the docstrings and a table of
examples.

Each section has a picture, the formula, the call that drew the picture, when to
use the schedule, and where it comes from. In the formulas, n is the number of
completed updates. In the pictures, the two numbers beside the axis are the
lowest and the highest value. The code of each section needs one line more:

```python
import flax_sched as fs
```

`flax_sched.sketch.svg(schedule, total_steps)` draws such a picture, and
`flax_sched.sketch.sparkline` such a line as in the table.

"When" says what is known, and how well. Most schedules were compared with few
others, on few tasks, by those who propose them. The peak and the length of the
run usually matter more than the shape of the curve: tune these first.
"""


def _section(name: str, example: Example, doc: list[str]) -> str:
  """A section, of an example and the paragraphs of a docstring."""
  summary, *about = doc
  source = [part for part in about if part.startswith('Source: ')]
  parts = [
    f'### {name}',
    plain(summary),
    f'![{name}](pictures/{name}.svg)',
    *(paragraph(part) for part in about if part not in source),
    f'```python\n{example.call.strip()}\n```',
    _filled(f'When: {_linked(example.when)}'),
    *(_filled(_linked(plain(part.replace('\n', ' ')))) for part in source),
  ]
  section = '\n\n'.join(parts) + '\n'
  return section.replace('\n```\n\n```text\n', '\n\n')  # one formula


def drawn(example: Example) -> object:
  """What the picture shows: a schedule, or several by name."""
  namespace = {'fs': fs}
  exec(example.call, namespace)
  return namespace['schedule']


def named(schedule: object) -> bool:
  return isinstance(schedule, dict)


def _doc(name: str, example: Example) -> list[str]:
  """The paragraphs of a docstring before the arguments, and the source."""
  function = catalog.FUNCTIONS.get(name) or getattr(fs.Schedule, name, None)
  text = example.doc or inspect.getdoc(function)
  paragraphs = text.split('\n\n')
  ends = [i for i, part in enumerate(paragraphs) if part.startswith('Args:')]
  before = paragraphs[: ends[0]] if ends else paragraphs
  return before + [part for part in paragraphs if part.startswith('Source: ')]


def paragraph(text: str) -> str:
  """A formula as it is written, other text as Markdown."""
  if re.search(r'\*\*| [/+*-] ', _without_code(text)) and text[:2] != '- ':
    return f'```text\n{text}\n```'
  return plain(text)


def _without_code(text: str) -> str:
  return re.sub('`[^`]*`', '', text)


def plain(text: str) -> str:
  """Text whose stars are stars, outside of code."""
  parts = re.split('(`[^`]*`)', text)
  return ''.join(
    part if i % 2 else part.replace('*', r'\*') for i, part in enumerate(parts)
  )


def _linked(text: str) -> str:
  """Text whose preprints and schedules are links."""
  names = '|'.join(name for f in FAMILIES.values() for name in f.examples)
  text = preprints_linked(text)
  return re.sub(rf'`({names})`', lambda m: f'[`{m[1]}`](#{m[1]})', text)


def preprints_linked(text: str) -> str:
  return re.sub(
    r'arXiv:(\d+\.\d+)', r'[arXiv:\1](https://arxiv.org/abs/\1)', text
  )


def _filled(text: str) -> str:
  return textwrap.fill(text, 84, break_long_words=False, break_on_hyphens=False)


def _anchor(heading: str) -> str:
  return heading.lower().replace(' ', '-')


def standing_alone(picture: str) -> str:
  """A picture as a file, which no page around it gives a colour."""
  dark = '@media (prefers-color-scheme:dark){svg{color:#d0d7de}}'
  style = f'</title><style>{dark}</style>'
  return picture.replace('</title>', style, 1) + '\n'


if __name__ == '__main__':
  write()

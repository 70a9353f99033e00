"""The report in a browser: it draws, shows values, zooms, asks for nothing.

Run by `make test-browser`.
"""

import numpy as np
import pytest

import browsers
import flax_sched as fs
from flax_sched import metrics
from flax_sched import record
from flax_sched import report
from flax_sched import tensorboard
from logged_runs import LOWER
from logged_runs import LR
from logged_runs import optimizer
from logged_runs import state_of
from logged_runs import update

pytestmark = pytest.mark.browser
NAMES = ['b1', 'learning_rate', 'loss', 'accuracy of "a" & <b>']


@pytest.fixture(scope='module')
def browser():
  """One for all tests."""
  with browsers.chromium() as opened:
    yield opened


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  """The report of a run that was resumed, with other schedules later on."""
  directory = tmp_path_factory.mktemp('run')
  state = state_of(optimizer(inject=fs.inject_stateful_hyperparams))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(record, 'MOST', 1)  # what is set by hand is off the plan
    for first, last in ((0, 40), (30, 90)):
      writer = tensorboard.TensorBoardWriter(directory, first_step=first)
      with metrics.HyperparamLogger(writer) as logger:
        logger.write_hparams({'seed': 0, 'path': 'x' * 300})
        for step in range(first, last):
          if step == 60:
            state = fs.set_hyperparams(state, b1=0.5)
          state, loss = update(state)
          if step == 29:
            kept = state
          logger.log(step, state, loss=loss, **{NAMES[-1]: step / 90})
      state = fs.set_schedules(kept, learning_rate=LOWER)
  report.write_report(directory, directory / 'report.html')
  return directory / 'report.html'


@pytest.fixture
def opened(browser, path):
  """The page in a window."""
  with browsers.opened(browser, path.as_uri()) as page:
    yield page


def plot(page, i):
  """A plot, and the place of its curves in the window."""
  element = page.locator('.plot').nth(i)
  element.scroll_into_view_if_needed()
  return element, element.locator('.nsewdrag').first.bounding_box()


def at(page, i, step):
  """Moves the mouse to a step of a plot."""
  element, box = plot(page, i)
  low, high = element.evaluate('plot => plot.layout.xaxis.range')
  x = box['x'] + box['width'] * (step - low) / (high - low)
  page.mouse.move(x, box['y'] + box['height'] / 2)
  page.wait_for_selector('.hoverlayer .legendtext')
  return element.locator('.hoverlayer text').all_text_contents()


def range_of(page, i, axis):
  """What an axis shows."""
  return plot(page, i)[0].evaluate(f'plot => plot.layout.{axis}.range')


def test_every_plot_is_drawn(opened):
  """Each has its curves; nothing is complained about, and nothing asked for."""
  page = opened.page
  others = ['log', 'log', 'linear', 'log']  # the loss has a logarithmic axis
  assert page.locator('h3').all_text_contents() == [
    f'{name}{other}' for name, other in zip(NAMES, others, strict=True)
  ]
  plots = page.locator('.plot')
  assert plots.count() == len(NAMES)
  curves = []
  for i in range(len(NAMES)):
    lines = plots.nth(i).locator('.scatterlayer .trace')
    curves.append(lines.count())
    for path in lines.locator('path.js-line').all():
      assert path.get_attribute('d').count('L') > 0
  # Planned and logged; the plan that was given up, or values off the plan.
  assert curves == [3, 3, 1, 1]
  assert opened.errors == []
  assert opened.requests == [page.url]


def test_the_browser_would_stop_a_request(opened):
  """The page says of itself that it may ask for nothing."""
  failed = opened.page.evaluate(
    "fetch('http://127.0.0.1:9/').then(() => 'asked', error => String(error))"
  )
  assert 'TypeError' in failed
  assert any('Content Security Policy' in error for error in opened.errors)
  titles = opened.page.locator('.plot').first.locator('.modebar-btn')
  assert [button.get_attribute('data-attr') for button in titles.all()] == [
    None,  # the picture
    'dragmode',
    'dragmode',
    'zoom',
    'zoom',
    'zoom',
  ]


@pytest.mark.parametrize('step', [7, 23])
def test_hovering_shows_step_and_values(opened, step):
  """All digits of the float32 that was planned, and of that logged."""
  said = at(opened.page, 1, step)
  value = float(str(LR(step)))
  assert said[0] == f'{step}'
  shown = dict(text.split(' : ') for text in said[1:])
  assert set(shown) == {'planned', 'logged'}
  for text in shown.values():
    assert float(text.replace('\u2212', '-')) == value


def test_zooming(opened):
  """A drag shows a part; a double click all of it again."""
  page = opened.page
  box = plot(page, 1)[1]
  before = range_of(page, 1, 'xaxis')
  assert before == [0, 100]
  y = box['y'] + box['height'] / 2
  page.mouse.move(box['x'] + box['width'] * 0.2, y)
  page.mouse.down()
  page.mouse.move(box['x'] + box['width'] * 0.5, y, steps=5)
  page.mouse.up()
  browsers.wait_for(lambda: range_of(page, 1, 'xaxis')[1] < 90)
  low, high = range_of(page, 1, 'xaxis')
  np.testing.assert_allclose([low, high], [20, 50], atol=2)
  page.mouse.dblclick(box['x'] + box['width'] * 0.3, y)
  browsers.wait_for(lambda: range_of(page, 1, 'xaxis')[1] > 90)
  assert range_of(page, 1, 'xaxis') == before
  assert opened.errors == []


def test_the_button_changes_the_axis(opened):
  """To a logarithm and back; it says what it does."""
  page = opened.page
  button = page.locator('h3 button').nth(1)
  for says, kind in (('linear', 'log'), ('log', 'linear')):
    button.click()
    browsers.wait_for(lambda: button.text_content() == says)  # noqa: B023
    layout = plot(page, 1)[0].evaluate('plot => plot.layout.yaxis')
    assert layout['type'] == kind
    assert layout['range'][0] < layout['range'][1]
  assert opened.errors == []


def test_phases_and_values_off_the_plan(opened):
  """They are named and told; a resume has a line."""
  page = opened.page
  names = plot(page, 1)[0].locator('.annotation-text').all_text_contents()
  assert names == ['warm-up', 'decay']
  assert page.locator('.off').all_text_contents() == [
    'off the plan at 30 steps, the first 60'
  ]
  assert plot(page, 0)[0].locator('.scatterlayer .trace .point').count() == 30
  lines = plot(page, 2)[0].locator('.shapelayer path')
  assert lines.count() == 1


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('width', [1280, 390])
def test_light_and_dark_wide_and_narrow(browser, path, dark, width):
  """Text is seen on its ground, and nothing is wider than the window."""
  options = {'has_touch': True, 'is_mobile': True} if width < 500 else {}
  with browsers.opened(
    browser, path.as_uri(), width=width, dark=dark, **options
  ) as opened:
    ground, ink = opened.page.evaluate("""() => {
      const light = (color) => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(Number);
        return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
      };
      const tick = document.querySelector('.plot .xtick text');
      return [
        light(getComputedStyle(document.body).backgroundColor),
        light(getComputedStyle(tick).fill),
      ];
    }""")
    assert ground < 0.2 if dark else ground > 0.8
    assert ink > 0.8 if dark else ink < 0.2
    assert opened.overflow() <= 0
    for box in opened.page.locator('.plot').all():
      assert box.bounding_box()['width'] <= width
    assert opened.errors == []
    assert opened.requests == [path.as_uri()]


def test_the_colours_follow_the_reader(opened):
  """At once, while the page is open."""
  fill = "getComputedStyle(document.querySelector('.xtick text')).fill"
  before = opened.page.evaluate(fill)
  opened.page.emulate_media(color_scheme='dark')
  browsers.wait_for(lambda: opened.page.evaluate(fill) != before)
  assert opened.errors == []


def test_without_scripts(browser, path):
  """What is no plot is there all the same."""
  with browsers.opened(
    browser, path.as_uri(), java_script_enabled=False
  ) as opened:
    text = opened.page.inner_text('body')
    for part in ('weight_decay', 'off the plan at 30', 'schedules[0].end_val'):
      assert part in text

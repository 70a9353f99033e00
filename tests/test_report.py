"""The page of a report takes no text for markup, and a command writes it."""

import json
import sys

import pytest

import flax_sched as fs
from flax_sched import metrics
from flax_sched import record
from flax_sched import report
from flax_sched import tensorboard
from flax_sched.cli import main as cli
from flax_sched.report import page
import logged_runs
from logged_runs import figures_of
from logged_runs import optimizer
from logged_runs import state_of
from logged_runs import train
from logged_runs import update
from logged_runs import without_record

written = logged_runs.written

NASTY = '</script><script>alert("x")</script>&<b>'


def test_texts_of_the_user_are_texts(tmp_path, written):
  """Whatever a tag, a setting or a path is called."""
  logs = tmp_path / 'a<b>&'
  state = state_of(optimizer())
  with metrics.HyperparamLogger(tensorboard.TensorBoardWriter(logs)) as logger:
    logger.write_hparams({NASTY: NASTY})
    state, _ = update(state)
    logger.log(0, state, **{NASTY: 1.0})
  data, _ = written(logs)
  assert NASTY in data['scalars']
  assert data['config'] == {NASTY: NASTY}
  text = (tmp_path / 'report.html').read_text()
  assert '<b>' not in text.replace('&nbsp;<b>', '').partition('<script>')[0]
  assert text.count('alert(') == text.count('alert(&quot;x')
  assert text.count('<script') == text.count('</script>') == 3


def test_no_text_ends_the_data_of_the_figures(tmp_path):
  """Whatever a figure has in it comes back as it was."""
  figure = {'data': [{'type': 'scatter', 'name': NASTY}], 'layout': {}}
  text = page.page('', [], {'a': {**figure, 'phases': [[0, 1, NASTY]]}})
  (tmp_path / 'page.html').write_text(text)
  (read,) = figures_of(tmp_path / 'page.html')
  assert (read['data'][0]['name'], read['phases'][0][2]) == (NASTY, NASTY)


# ---------------------------------------------------------------------------
# The command.


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
  """Runs a command in an empty directory: code, output, error."""
  monkeypatch.chdir(tmp_path)

  def call(*argv):
    capsys.readouterr()
    code = cli.main(['report', *map(str, argv)])
    return code, *capsys.readouterr()

  return call


def test_the_command(run, tmp_path, monkeypatch):
  """It writes the page where it is told to, and says what is off the plan."""
  state = state_of(optimizer(inject=fs.inject_stateful_hyperparams))
  change = {5: lambda state: fs.set_hyperparams(state, b1=0.5)}
  with monkeypatch.context() as patch:
    patch.setattr(record, 'MOST', 1)  # no more of them
    train(tmp_path / 'logs', state, range(10), change=change)
  code, out, err = run('logs')
  assert (code, err) == (0, '')
  assert out == (
    'b1 is off the plan at 5 of 10 steps, the first 5.\nwrote report.html\n'
  )
  assert (tmp_path / 'report.html').read_text().startswith('<!doctype html>')
  code, out, err = run('logs', '-o', 'a.html', '--total-steps', '50', '--json')
  assert (code, err) == (0, '')
  data = json.loads(out, parse_constant=pytest.fail)
  assert data == {
    **report.write_report('logs', 'b.html', total_steps=50),
    'output': 'a.html',
  }
  assert (tmp_path / 'a.html').read_text() == (tmp_path / 'b.html').read_text()


def test_errors_of_the_command(run, tmp_path):
  """One line each, with the remedy."""
  (tmp_path / 'work').mkdir()
  without_record(tmp_path / 'work' / 'logs', range(3))
  for argv, said in (
    (['nowhere'], 'nowhere: no such directory.'),
    (
      ['work'],
      'work: holds no TensorBoard event files. Did you mean work/logs?',
    ),
    (['work/logs', '--total-steps', '0'], 'total_steps must be a positive int'),
    (['work/logs', '-o', 'none/a.html'], 'none/a.html'),
  ):
    code, out, err = run(*argv)
    assert (code, out, err.count('\n')) == (2, '', 1)
    assert said in err


def test_without_plotly(tmp_path, monkeypatch):
  """The error names the extra."""
  without_record(tmp_path / 'logs', range(3))
  monkeypatch.setitem(sys.modules, 'plotly', None)
  with pytest.raises(ImportError, match=r'pip install flax-sched\[report\]'):
    report.write_report(tmp_path / 'logs', tmp_path / 'report.html')
  assert not (tmp_path / 'report.html').exists()

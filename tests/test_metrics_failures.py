"""`HyperparamLogger` where a step, its block or its writer fails."""

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from flax_sched import metrics
from recorders import new_state
from recorders import Recorder
from recorders import train
from recorders import written


def train_and_fail(recorder, steps=2, **kwargs):
  """Some steps, and then an error inside the block."""
  with metrics.HyperparamLogger(recorder, **kwargs) as logger:
    train(logger, steps)
    raise ZeroDivisionError


def test_a_step_that_fails_loses_nothing_before_it():
  """The end of the block writes the last step and closes the writer."""
  recorder = Recorder()
  with pytest.raises(ZeroDivisionError):
    train_and_fail(recorder)
  assert [call[0] for call in recorder.calls[:-1]] == [0, 1]
  assert recorder.calls[-1] == 'close'


class Full(Recorder):
  """A writer whose disk is full for a while."""

  def write_scalars(self, step, scalars):
    """Fails at two steps."""
    if step in (1, 2):
      raise OSError('No space left on device')
    super().write_scalars(step, scalars)

  def flush(self):
    """Always fails."""
    raise OSError('No space left on device')


def test_a_writer_that_fails_is_reported_once(caplog):
  """Training goes on, and so does the log."""
  recorder = Full()
  with metrics.HyperparamLogger(recorder) as logger:
    train(logger, steps=5)
    logger.flush()
  (record,) = caplog.records
  assert record.levelname == 'ERROR'
  assert record.getMessage().startswith(
    'HyperparamLogger: Full.write_scalars failed at step 1: OSError: No space '
    'left on device. The training goes on'
  )
  assert 'pass raise_errors=True' in record.getMessage()
  assert [step for step, _ in written(recorder)] == [0, 3, 4]
  assert recorder.calls[-1] == 'close'


def test_a_writer_that_fails_may_stop_the_training():
  """Its error, with what the logger knows; the next steps are still written."""
  recorder = Full()
  logger = metrics.HyperparamLogger(recorder, raise_errors=True)
  train(logger, steps=5)
  for step in (1, 2):
    with pytest.raises(OSError, match='No space left') as caught:
      logger.flush()
    assert caught.value.__notes__ == [
      f'HyperparamLogger: Full.write_scalars failed at step {step}.'
    ]
  logger.close()
  assert [step for step, _ in written(recorder)] == [0, 3, 4]


def test_an_error_of_the_block_is_the_one_that_is_raised():
  """Not that of a writer which fails in the end."""
  recorder = Full()
  with pytest.raises(ZeroDivisionError):
    train_and_fail(recorder, steps=5, raise_errors=True)
  assert [step for step, _ in written(recorder)] == [0, 3, 4]


@pytest.mark.parametrize('error', [jax.errors.JaxRuntimeError, ValueError])
@pytest.mark.parametrize('block_fails', [False, True])
def test_a_step_that_fails_on_the_device(
  caplog, monkeypatch, block_fails, error
):
  """The steps before it are written, and its error is not lost."""
  device_get = jax.device_get

  def failing(arrays):
    host = device_get(arrays)
    if any(np.any(array >= 100) for array in host):
      raise error('INTERNAL: step 100')
    return host

  monkeypatch.setattr(jax, 'device_get', failing)
  recorder, state = Recorder(), new_state()

  def run():
    with metrics.HyperparamLogger(recorder) as logger:
      for step in range(127):
        logger.log(step, state, mark=jnp.float32(step))
      if block_fails:
        raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError if block_fails else error):
    run()
  assert [step for step, _ in written(recorder)] == [*range(100)]
  assert recorder.calls[-1] == 'close'
  assert ['INTERNAL: step 100' in r.getMessage() for r in caplog.records] == (
    [True] if block_fails else []
  )

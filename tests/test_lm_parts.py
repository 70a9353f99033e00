"""The parts of the language model example: its text, its model, baselines."""

import sys
import zlib

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

import configs.lm
from examples.lm import baselines
from examples.lm import data
from examples.lm import model


def paragraphs(text):
  """Those of a text, without the space around them."""
  return [part.strip() for part in text.tobytes().decode().split('\n\n')]


def test_the_text():
  """Some hundred kilobytes; no paragraph occurs twice, or in both parts."""
  text = data.load_data()
  assert 200_000 < len(text.train) < 1_000_000
  assert 0.05 < len(text.validation) / len(text.train) < 0.2
  parts = paragraphs(text.train) + paragraphs(text.validation)
  assert len(parts) == len(set(parts)) > 2000
  assert any('"while" statement' in part for part in parts)


def test_a_python_without_the_text(monkeypatch):
  """The error says what is missing, and how to get it."""
  monkeypatch.setitem(sys.modules, 'pydoc_data.topics', None)
  with pytest.raises(ImportError, match=r'pydoc_data\.topics.*apt install'):
    data.load_data()


def test_batches_depend_on_seed_and_step_alone():
  """Sequences from anywhere in the text, each with its next byte."""
  text = np.arange(200, dtype=np.uint8)

  def batch(seed, step):
    return data.batch(text, 50, 8, seed=seed, step=step)

  one = batch(0, 3)
  assert one.shape == (50, 9)
  np.testing.assert_array_equal(one[:, 1:], one[:, :-1] + 1)
  assert one.max() > 180
  np.testing.assert_array_equal(batch(0, 3), one)
  assert not np.array_equal(batch(0, 4), one)
  assert not np.array_equal(batch(1, 3), one)
  everything = np.concatenate([batch(0, step) for step in range(99)])
  assert set(everything.flat) == set(text)


def test_windows_predict_each_byte_once():
  """But the first one, and a rest that fills no batch."""
  text = np.arange(100, dtype=np.uint8)
  windows = data.windows(text, 3, 8)
  assert windows.shape == (4, 3, 9)
  np.testing.assert_array_equal(windows[..., 1:].ravel(), np.arange(1, 97))
  with pytest.raises(ValueError, match=r'of 100 bytes, got 13 \* 8\. Use a'):
    data.windows(text, 13, 8)


def test_baselines():
  """A text that repeats itself is predicted, one that is random is not."""
  random = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8)
  text = data.Data(random[:18_000], random[18_000:])
  same = data.Data(random[:18_000], random[:2000])
  for bits_of in (
    lambda d: baselines.ngrams(d, 4),
    lambda d: baselines.compressed(d, zlib.compress),
  ):
    assert 7.9 < bits_of(text) < 9.0
    assert bits_of(same) < 2.0
  letters = data.Data(*np.split(random % 4, [18_000]))
  assert baselines.ngrams(letters, 1) == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_the_model_looks_back_only(dtype):
  """At all of the past, and at the order of it; logits are float32."""
  config = configs.lm.get_config().model
  config.update(layers=1, width=32, heads=2, dtype=dtype)
  transformer = model.Transformer(config, nnx.Rngs(0))
  tokens = jnp.arange(12)[None]
  forward = jax.jit(lambda model, tokens: model(tokens))
  logits = forward(transformer, tokens)
  assert logits.dtype == jnp.float32
  assert logits.shape == (1, 12, 256)
  for changed in (tokens.at[0, 5].set(200), tokens.at[0, 5:7].set([6, 5])):
    other = forward(transformer, changed)
    same = np.all(np.asarray(other == logits), axis=-1)[0]
    assert list(same) == [True] * 5 + [False] * 7

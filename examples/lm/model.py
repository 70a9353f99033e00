"""A decoder-only transformer over bytes, and how well it predicts them."""

from typing import Any

from flax import nnx
import jax
from jax import numpy as jnp
import optax

BYTES = 256  # the vocabulary


class Transformer(nnx.Module):
  """Pre-norm blocks of causal attention and a dense network.

  `config` has layers, width, heads, and the dtype to compute in; parameters are
  float32.
  """

  def __init__(self, config: Any, rngs: nnx.Rngs):
    dtype = jnp.dtype(config.dtype)
    self.embed = nnx.Embed(BYTES, config.width, dtype=dtype, rngs=rngs)
    self.blocks = nnx.List(
      [
        Block(config.width, config.heads, dtype, rngs)
        for _ in range(config.layers)
      ]
    )
    self.norm = nnx.RMSNorm(config.width, dtype=dtype, rngs=rngs)
    self.head = nnx.Linear(
      config.width, BYTES, use_bias=False, dtype=dtype, rngs=rngs
    )

  def __call__(self, tokens: jax.Array) -> jax.Array:
    """The logits of each next byte, float32 of shape (batch, length, 256)."""
    x = self.embed(tokens)
    for block in self.blocks:
      x = block(x)
    return self.head(self.norm(x)).astype(jnp.float32)


class Block(nnx.Module):
  """Attention and a dense network, each added to what comes in."""

  def __init__(self, width: int, heads: int, dtype: Any, rngs: nnx.Rngs):
    def dense(size_in: int, size_out: int) -> nnx.Linear:
      return nnx.Linear(
        size_in, size_out, use_bias=False, dtype=dtype, rngs=rngs
      )

    self.heads = heads
    self.norm_1 = nnx.RMSNorm(width, dtype=dtype, rngs=rngs)
    self.qkv = dense(width, 3 * width)
    self.out = dense(width, width)
    self.norm_2 = nnx.RMSNorm(width, dtype=dtype, rngs=rngs)
    self.up = dense(width, 4 * width)
    self.down = dense(4 * width, width)

  def __call__(self, x: jax.Array) -> jax.Array:
    x = x + self.attention(self.norm_1(x))
    return x + self.down(jax.nn.gelu(self.up(self.norm_2(x))))

  def attention(self, x: jax.Array) -> jax.Array:
    """Each position looks at itself and at those before it."""
    qkv = self.qkv(x).reshape(*x.shape[:2], 3, self.heads, -1)
    q, k, v = (qkv[:, :, i] for i in range(3))
    y = jax.nn.dot_product_attention(rotated(q), rotated(k), v, is_causal=True)
    return self.out(y.reshape(x.shape))


def rotated(x: jax.Array) -> jax.Array:
  """With rotary positions, Su et al. 2021: (batch, length, heads, size)."""
  length, half = x.shape[1], x.shape[-1] // 2
  angles = jnp.outer(jnp.arange(length), 1e4 ** (-jnp.arange(half) / half))
  cos, sin = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
  a, b = x[..., :half], x[..., half:]
  both = jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
  return both.astype(x.dtype)


def loss_of(model: Transformer, tokens: jax.Array) -> jax.Array:
  """The mean cross entropy of the next byte, in nats."""
  logits, targets = model(tokens[:, :-1]), tokens[:, 1:]
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
  return losses.mean()


@jax.jit
def evaluate(model: Transformer, batches: jax.Array) -> jax.Array:
  """The mean cross entropy over many batches, in bits per byte."""
  losses = jax.lax.map(lambda tokens: loss_of(model, tokens), batches)
  return losses.mean() / jnp.log(2)

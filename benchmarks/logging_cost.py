"""What does it cost to log the hyperparameters of every step?

Steps of about 0.2 and 1 ms, by the width of a network, the state donated;
learning rate, b1 and weight decay scheduled. The writer throws away what it
gets. Time over that of the same steps without logging: the median over rounds
that take turns.

`with the loss` logs the loss beside them. `float() of each` is what a loop does
that reads each value from the state: it waits for every step.
"""

import jax
from jax import numpy as jnp
import optax

from benchmarks import side_by_side
import flax_sched as fs
from flax_sched import metrics

WIDTHS, STEPS, ROUNDS = (64, 144), 128, 40
INJECTIONS = {
  'inject_hyperparams': fs.inject_hyperparams,
  'inject_stateful_hyperparams': fs.inject_stateful_hyperparams,
}


class Nowhere:
  """A writer that costs nothing."""

  def write_scalars(self, step, scalars):
    pass

  def write_texts(self, step, texts):
    pass


class Naive:
  """Reads every value at once."""

  def __init__(self, writer):
    self._writer = writer

  def log(self, step, state, **scalars):
    values = {**fs.hyperparams(state), **scalars}
    self._writer.write_scalars(
      step, {name: float(value) for name, value in values.items()}
    )


def training(inject, width, logger=None, with_loss=False):
  """A function that makes STEPS steps and logs each."""
  tx = inject(
    optax.adamw,
    learning_rate=fs.warmup_cosine_decay_schedule(0.0, 1e-3, 1000, 9000, 1e-5),
    b1=fs.linear_schedule(0.9, 0.95, 5000),
    weight_decay=fs.cosine_decay_schedule(0.1, 10_000),
  )

  def loss_fn(params, x):
    hidden = x
    for _ in range(3):
      hidden = jnp.tanh(hidden @ params['in']) @ params['out']
    return jnp.mean((hidden - x) ** 2)

  def step(params, opt_state, x):
    loss, grads = jax.value_and_grad(loss_fn)(params, x)
    updates, opt_state = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss

  step = jax.jit(step, donate_argnums=(0, 1))
  keys = jax.random.split(jax.random.key(0), 3)
  first, second, x = (
    jax.random.normal(key, (width, width)) / width**0.5 for key in keys
  )
  params = {'in': first, 'out': second}
  opt_state, done = tx.init(params), 0

  def run():
    nonlocal params, opt_state, done
    for _ in range(STEPS):
      params, opt_state, loss = step(params, opt_state, x)
      if logger is not None:
        scalars = {'loss': loss} if with_loss else {}
        logger.log(done, opt_state, **scalars)
      done += 1
    jax.block_until_ready(params)

  return run


def sides(inject, width):
  new = metrics.HyperparamLogger
  return {
    'nothing': training(inject, width),
    'HyperparamLogger': training(inject, width, new(Nowhere())),
    'with the loss': training(inject, width, new(Nowhere()), with_loss=True),
    'float() of each': training(inject, width, Naive(Nowhere())),
  }


def main():
  rows = []
  for width in WIDTHS:
    for name, inject in INJECTIONS.items():
      seconds = side_by_side.take_turns(sides(inject, width), ROUNDS)
      base = seconds['nothing']
      milliseconds = 1e3 * sorted(base)[ROUNDS // 2] / STEPS
      rows.append(
        [
          name,
          f'{milliseconds:.1f}',
          *(
            f'{side_by_side.ratio(seconds[side], base):.2f}'
            for side in list(seconds)[1:]
          ),
        ]
      )
  side_by_side.print_table(
    [
      'hyperparameters',
      'step, ms',
      'HyperparamLogger',
      'with the loss',
      'float() of each',
    ],
    rows,
  )


if __name__ == '__main__':
  main()

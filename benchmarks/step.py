"""What do scheduled hyperparameters add to a training step?

A step that is bound by dispatch, where it shows most: a two-layer MLP of width
64, adamw, learning rate, b1 and weight decay scheduled, the state donated. Time
over that of the same step with constants: the median over rounds that take
turns. The overhead is what is above 1.

Part of it is no schedule's: `values passed in` is the step with the three
hyperparameters as arrays of a state that nothing computes.
"""

import jax
from jax import numpy as jnp
import optax

from benchmarks import side_by_side
import flax_sched as fs

WIDTH, STEPS, ROUNDS = 64, 200, 40
X = jnp.ones((8, WIDTH))


def init_params():
  keys = jax.random.split(jax.random.key(0), 2)
  return {
    'hidden': jax.random.normal(keys[0], (WIDTH, WIDTH)) / 8,
    'hidden_bias': jnp.zeros(WIDTH),
    'out': jax.random.normal(keys[1], (WIDTH, WIDTH)) / 8,
    'out_bias': jnp.zeros(WIDTH),
  }


def loss_fn(params, x):
  hidden = jnp.tanh(x @ params['hidden'] + params['hidden_bias'])
  return jnp.mean((hidden @ params['out'] + params['out_bias'] - x) ** 2)


def transformations():
  ours = {
    'learning_rate': fs.warmup_cosine_decay_schedule(
      0.0, 1e-3, 1000, 9000, 1e-5
    ),
    'b1': fs.linear_schedule(0.9, 0.95, 5000),
    'weight_decay': fs.cosine_decay_schedule(0.1, 10_000),
  }
  theirs = {
    'learning_rate': optax.warmup_cosine_decay_schedule(
      0.0, 1e-3, 1000, 10_000, 1e-5
    ),
    'b1': optax.linear_schedule(0.9, 0.95, 5000),
    'weight_decay': optax.cosine_decay_schedule(0.1, 10_000),
  }
  constants = {'learning_rate': 1e-3, 'b1': 0.9, 'weight_decay': 0.1}
  return {
    'constants': optax.adamw(**constants),
    'values passed in': fs.inject_hyperparams(optax.adamw, **constants),
    'flax_sched.inject_hyperparams': fs.inject_hyperparams(optax.adamw, **ours),
    'flax_sched.inject_stateful_hyperparams': fs.inject_stateful_hyperparams(
      optax.adamw, **ours
    ),
    'optax.inject_hyperparams': optax.inject_hyperparams(optax.adamw)(**theirs),
  }


def make_step(tx):
  """The training step of a state, parameters and the optimizer's state."""

  def step(state, x):
    params, opt_state = state
    grads = jax.grad(loss_fn)(params, x)
    updates, opt_state = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state

  return step


def init_state(tx):
  params = init_params()
  return params, tx.init(params)


def training(tx):
  """A function that makes STEPS steps, each dispatched before the last ends."""
  step = jax.jit(make_step(tx), donate_argnums=0)
  state = init_state(tx)

  def run():
    nonlocal state
    for _ in range(STEPS):
      state = step(state, X)
    jax.block_until_ready(state)

  return run


def main():
  sides = {name: training(tx) for name, tx in transformations().items()}
  seconds = side_by_side.take_turns(sides, ROUNDS)
  rows = [
    [name, f'{side_by_side.ratio(seconds[name], seconds["constants"]):.2f}']
    for name in sides
  ]
  side_by_side.print_table(['hyperparameters', 'time / constants'], rows)


if __name__ == '__main__':
  main()

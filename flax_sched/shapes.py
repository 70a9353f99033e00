"""The basic schedules, of one formula each.

In the formulas, n is the count of completed updates, from 0. Every function
checks its arguments and returns a `Schedule` whose numbers are float32 and
int32 leaves; each argument may also be a JAX array or a tracer, which is taken
unchecked.
"""

from __future__ import annotations

from typing import Any

from flax_sched import arguments
from flax_sched import twofloat
from flax_sched.curves import Linear
from flax_sched.curves import Polynomial
from flax_sched.forms import begin
from flax_sched.forms import cosine
from flax_sched.forms import exponential
from flax_sched.schedule import Constant
from flax_sched.schedule import Schedule
from flax_sched.spans import Steps


def constant_schedule(value: Any) -> Schedule:
  """The same value at every step.

  Args:
    value: the value.

  Returns:
    The schedule.

  Raises:
    TypeError: if `value` is not a number.
    ValueError: if it is not finite.

  >>> constant_schedule(0.001)(1000)
  np.float32(0.001)
  """
  name = 'constant_schedule'
  return Constant(constant=arguments.value(name, 'value', value))


def linear_schedule(
  init_value: Any,
  end_value: Any,
  transition_steps: Steps,
  transition_begin: Steps = 0,
) -> Schedule:
  """A straight line from one value to another.

  init_value + (end_value - init_value) min(n / transition_steps, 1)

  Args:
    init_value: the value at count 0.
    end_value: the value from the end of the transition on.
    transition_steps: how long the transition takes, in steps.
    transition_begin: the step at which it begins; `init_value` before.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if a step count is not a positive integer (`transition_begin`
      may be 0), or a value is not finite.

  >>> linear_schedule(0.001, 0.0001, 1000)(500)
  np.float32(0.00055)
  """
  name = 'linear_schedule'
  curve = Linear(
    init_value=arguments.value(name, 'init_value', init_value),
    end_value=arguments.value(name, 'end_value', end_value),
    transition_steps=arguments.steps(
      name, 'transition_steps', transition_steps
    ),
  )
  return begin(name, 'transition_begin', transition_begin, curve)


def polynomial_schedule(
  init_value: Any,
  end_value: Any,
  power: Any,
  transition_steps: Steps,
  transition_begin: Steps = 0,
) -> Schedule:
  """A polynomial from one value to another.

  end_value + (init_value - end_value) (1 - min(n / transition_steps, 1))**power

  Args:
    init_value: the value at count 0.
    end_value: the value from the end of the transition on.
    power: the exponent, above 0; 1 is a straight line.
    transition_steps: how long the transition takes, in steps.
    transition_begin: the step at which it begins; `init_value` before.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `power` is not positive, a step count is not a positive
      integer (`transition_begin` may be 0), or a value is not finite.

  >>> polynomial_schedule(1.0, 0.0, 2.0, 100)(50)
  np.float32(0.25)
  """
  name = 'polynomial_schedule'
  curve = Polynomial(
    init_value=arguments.value(name, 'init_value', init_value),
    end_value=arguments.value(name, 'end_value', end_value),
    power=arguments.value(name, 'power', power, positive=True),
    transition_steps=arguments.steps(
      name, 'transition_steps', transition_steps
    ),
  )
  return begin(name, 'transition_begin', transition_begin, curve)


def exponential_decay(
  init_value: Any,
  decay_rate: Any,
  transition_steps: Steps,
  transition_begin: Steps = 0,
  staircase: bool = False,
  end_value: Any = None,
) -> Schedule:
  """A value that is multiplied by a rate every so many steps.

  init_value decay_rate**(n / transition_steps)

  A rate close to 1 is kept as the rate of ten, a hundred... times as many
  steps, since a float32 of it would be off by a percent in the long run.

  Optax takes `transition_steps` before `decay_rate`. Swapped by habit, they are
  an error here, since step counts are positive integers.

  Args:
    init_value: the value at count 0.
    decay_rate: the factor for each `transition_steps`, above 0: 0.96 decays by
      4%, a rate above 1 grows.
    transition_steps: the steps between two applications of the rate.
    transition_begin: the step at which the decay begins; `init_value` before.
    staircase: whether the rate applies all at once, at the end of each
      `transition_steps` (n / transition_steps is rounded down).
    end_value: the value to stop at: the lowest for a rate below 1, the highest
      for a rate above 1. None: no bound.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay_rate` is not positive, a step count is not a positive
      integer (`transition_begin` may be 0), or a value is not finite.

  >>> exponential_decay(0.1, 0.5, 1000)(2000)
  np.float32(0.025)
  """
  name = 'exponential_decay'
  curve = exponential(
    name, init_value, decay_rate, transition_steps, staircase, end_value
  )
  return begin(name, 'transition_begin', transition_begin, curve)


def cosine_decay_schedule(
  init_value: Any,
  decay_steps: Steps,
  alpha: Any = 0.0,
  exponent: Any = 1.0,
  end_value: Any = None,
) -> Schedule:
  """Half a cosine wave from a value down to a fraction of it.

  init_value ((1 - alpha) ((1 + cos(pi p)) / 2)**exponent + alpha),
  where p = min(n / decay_steps, 1).

  Args:
    init_value: the value at count 0.
    decay_steps: how long the decay takes, in steps; the end value holds after.
    alpha: the end value as a fraction of `init_value`, at least 0.
    exponent: the power that the cosine is raised to, above 0.
    end_value: the end value itself, instead of `alpha`.

  Returns:
    The schedule.

  Raises:
    TypeError: if an argument is not a number.
    ValueError: if `decay_steps` is not a positive integer, `alpha` is negative
      or given beside `end_value`, `exponent` is not positive, or a value is not
      finite.

  Source: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
  Restarts", ICLR 2017.

  >>> cosine_decay_schedule(0.001, 1000)(500)
  np.float32(0.0005)
  """
  name = 'cosine_decay_schedule'
  init_value = arguments.value(name, 'init_value', init_value)
  end = init_value * arguments.value(name, 'alpha', alpha, low=0.0)
  if end_value is not None:
    if not twofloat.is_host(alpha) or alpha != 0:
      raise ValueError(
        f'{name}: alpha must not be given beside end_value, got '
        f'alpha={alpha!r} and end_value={end_value!r}.'
      )
    end = arguments.value(name, 'end_value', end_value)
  decay_steps = arguments.steps(name, 'decay_steps', decay_steps)
  return cosine(name, init_value, end, decay_steps, exponent)

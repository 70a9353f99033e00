"""What a run is made of: its steps, epochs, batches; and places in it."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from fractions import Fraction
import math
import numbers
import re
from typing import Any, NamedTuple

from flax_sched.hints import did_you_mean

# Three digits of exponent at most: 10**999999999 would take all memory.
NUMBER = r'(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
  """What a run is made of, to resolve durations into steps.

  A training step is a call of the training step; an update is a step of the
  optimizer, and what schedules count. Integral floats and strings of integers
  count as integers.

  Attributes:
    total_steps: the training steps of the whole run.
    steps_per_epoch: the training steps of an epoch.
    examples_per_epoch: the size of the data set, instead of `steps_per_epoch`.
      Under a ramp of `batch_size` it alone counts.
    batch_size: the examples in a training step, on all hosts together. A
      mapping is a ramp: `{0: 256, 1000: 512}` is 256, and 512 from training
      step 1000 on. Keys may be strings of integers, as JSON makes them.
    tokens_per_batch: the tokens in a training step, likewise.
    gradient_accumulation: the training steps in an update, as
      `every_k_schedule` of `optax.MultiSteps`.

  Raises:
    TypeError: if one is not a number.
    ValueError: if one is not a positive integer, or a ramp has no key 0.

  >>> from flax_sched import durations
  >>> run = Run(total_steps=9000, batch_size={0: 256, 1000: 512})
  >>> durations.resolve('5%', run, path='warmup_steps')
  450
  >>> durations.resolve('512_000ex', run, path='warmup_steps')
  1500
  """

  total_steps: int | None = None
  steps_per_epoch: int | None = None
  examples_per_epoch: int | None = None
  batch_size: int | Mapping[Any, Any] | None = None
  tokens_per_batch: int | Mapping[Any, Any] | None = None
  gradient_accumulation: int = 1

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      x = getattr(self, field.name)
      if x is None:  # also a placeholder of ml_collections that is not set
        x = field.default
      elif _is_mapping(x) and field.name in ('batch_size', 'tokens_per_batch'):
        x = _ramp(field.name, x)
      else:
        x = _integer(field.name, x)
      object.__setattr__(self, field.name, x)


def as_run(run: Any) -> Run:
  """A `Run` from a `Run`, None, or a mapping with the arguments of `Run`.

  Raises:
    TypeError: if it is something else.
    ValueError: if a key is unknown.
  """
  if isinstance(run, Run):
    return run
  names = [field.name for field in dataclasses.fields(Run)]
  takes = f'Run takes {", ".join(names)}.'
  if run is not None and not _is_mapping(run):
    raise TypeError(
      f'as_run: run must be a Run, None or a mapping, got {run!r}. {takes}'
    )
  arguments = {} if run is None else dict(run.items())
  for key in arguments:
    if key not in names:
      near = did_you_mean(key, names)
      raise ValueError(f'as_run: {key!r} is an unknown key.{near} {takes}')
  return Run(**arguments)


class Start(NamedTuple):
  """Where in the run something begins.

  Attributes:
    update: the update.
    exact: what that was rounded from: what follows is rounded from there.
    unknown: what lies before it and is of no known length, for errors.
  """

  update: int
  exact: Fraction
  unknown: str = ''

  def rounded(self) -> Start:
    """The same, for a length that has to do with no other one."""
    return self._replace(exact=Fraction(self.update))


def as_start(start: Start | int) -> Start:
  """A start, from one or from an update."""
  return start if isinstance(start, Start) else Start(start, Fraction(start))


def number(x: Any) -> Fraction | None:
  """The number that `x` is or spells; None if it is no finite number."""
  if isinstance(x, str):
    return Fraction(x) if re.fullmatch(NUMBER, x, re.ASCII) else None
  if isinstance(x, bool) or not isinstance(x, numbers.Real):
    return None
  if isinstance(x, numbers.Integral):
    return Fraction(int(x))
  return Fraction(float(x)) if math.isfinite(x) else None


def _integer(name: str, x: Any, *, least: int = 1) -> int:
  value = number(x)
  if value is None or value.denominator > 1 or value < least:
    kind = 'a positive' if least else 'a non-negative'
    error = TypeError if value is None else ValueError
    raise error(f'Run: {name} must be {kind} integer, got {x!r}.')
  return int(value)


def _ramp(name: str, mapping: Any) -> int | dict[int, int]:
  """A ramp in ascending order; a number if its size never changes."""
  ramp: dict[int, int] = {}
  for key, size in mapping.items():
    step = _integer(f'{name} key', key, least=0)
    if step in ramp:
      raise ValueError(f'Run: {name} has the step {step} twice: {mapping!r}.')
    ramp[step] = _integer(f'{name}[{key!r}]', size)
  if 0 not in ramp:
    raise ValueError(
      f'Run: {name} must have the key 0, the size from the first step on, got '
      f'{mapping!r}.'
    )
  return dict(sorted(ramp.items())) if len({*ramp.values()}) > 1 else ramp[0]


def _is_mapping(x: Any) -> bool:
  return hasattr(x, 'items')  # A ConfigDict is neither a dict nor a Mapping.

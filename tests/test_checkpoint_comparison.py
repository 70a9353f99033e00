"""Random pairs of schedules: the fields that differ, and each choice."""

from flax.training.train_state import TrainState
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from jax import numpy as jnp
import optax
import orbax.checkpoint as ocp
import pytest

from checkpointing import WRAPPERS
import flax_sched as fs
from flax_sched import checkpoint
from flax_sched import injected
from flax_sched import record
from flax_sched import spec

NUMBERS = st.floats(0.0078125, 1.0, width=32)
STEPS = st.integers(1, 10**6)
SCHEDULES = st.one_of(
  st.builds(fs.constant_schedule, NUMBERS),
  st.builds(fs.linear_schedule, NUMBERS, NUMBERS, STEPS),
  st.builds(fs.cosine_decay_schedule, NUMBERS, STEPS),
  st.builds(
    fs.warmup_cosine_decay_schedule, NUMBERS, NUMBERS, STEPS, STEPS, NUMBERS
  ),
  st.builds(
    fs.piecewise_constant_schedule,
    st.dictionaries(STEPS, NUMBERS, min_size=1, max_size=4),
    NUMBERS,
  ),
)


def fields_of(schedule):
  """Every number of a schedule, by the way to it."""

  def walk(x, path):
    if isinstance(x, dict):
      for key, item in x.items():
        yield from walk(item, f'{path}.{key}')
    elif isinstance(x, list):
      for i, item in enumerate(x):
        yield from walk(item, f'{path}[{i}]')
    else:
      yield path[1:], x

  return dict(walk(spec.to_spec(schedule), ''))


@given(SCHEDULES, SCHEDULES)
def test_the_comparison_lists_what_differs(old, new):
  """Exactly the fields that differ; schedules of other structure as wholes."""
  entries = [
    {'learning_rate': {'schedule': spec.to_spec(s), 'count': 0, 'value': 0.0}}
    for s in (old, new)
  ]
  found = list(record.differences(*entries))
  a, b = fields_of(old), fields_of(new)
  assert bool(found) == (old != new)
  if a.keys() == b.keys() and a['kind'] == b['kind']:
    assert {d.field: (d.checkpoint, d.config) for d in found} == {
      field: (a[field], b[field]) for field in a if a[field] != b[field]
    }
  elif a['kind'] != b['kind']:
    assert [d.field for d in found] == ['']


@given(
  st.fixed_dictionaries(
    {'learning_rate': SCHEDULES, 'weight_decay': SCHEDULES}
  ),
  st.fixed_dictionaries(
    {'learning_rate': SCHEDULES, 'weight_decay': SCHEDULES}
  ),
  st.sampled_from(sorted(WRAPPERS)),
  st.sampled_from(sorted(WRAPPERS)),
  st.integers(0, 10**6),
)
@settings(max_examples=20)
def test_each_choice_gives_what_it_says(
  tmp_path_factory, old, new, wrapper, other, count
):
  """For random pairs of schedules, saved and restored."""

  def state_at(wrapper, schedules):
    tx = WRAPPERS[wrapper](optax.adamw, **schedules)
    params = {'w': jnp.ones(2)}
    state = TrainState.create(apply_fn=None, params=params, tx=tx)
    return fs.reset_count(state, count)

  def values(state):
    followed = injected.schedules(state.opt_state)
    return {name: float(s(count)) for name, s in followed.items()}

  target = state_at(other, new)
  expected = [
    {name: float(s(count)) for name, s in schedules.items()}
    for schedules in (old, new)
  ]
  with ocp.CheckpointManager(tmp_path_factory.mktemp('random')) as manager:
    checkpoint.save(manager, 0, state_at(wrapper, old))
    if old == new:
      assert values(checkpoint.restore(manager, target)) == expected[1]
    else:
      with pytest.raises(checkpoint.ScheduleMismatchError) as caught:
        checkpoint.restore(manager, target)
      assert {d.name for d in caught.value.differences} == {
        name for name in old if old[name] != new[name]
      }
    for choice, side in (('checkpoint', 0), ('config', 1)):
      restored = checkpoint.restore(manager, target, on_change=choice)
      assert values(restored) == pytest.approx(expected[side], rel=1e-6)
    restored = checkpoint.restore(
      manager, target, on_change='rebase', rebase_steps=10
    )
    assert values(restored) == pytest.approx(expected[0], rel=1e-6)

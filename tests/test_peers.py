"""The values that other libraries compute, by a call each.

`peer_values.json` holds tables made by running the libraries' own code (each
with its version, arguments and convention). Here is, for each table, the call
that gives the same numbers, or why nobody should want them.
"""

import json
import pathlib

import numpy as np
import pytest

import peers_jax
import peers_torch

TABLES = json.loads(
  (pathlib.Path(__file__).parent / 'peer_values.json').read_text()
)
CASES = {**peers_torch.CASES, **peers_jax.CASES}


def test_every_table_is_here():
  """None is missing, and none is in both files."""
  assert {table['id'] for table in TABLES} == set(CASES)
  assert len(CASES) == len(peers_torch.CASES) + len(peers_jax.CASES)


@pytest.mark.parametrize('table', TABLES, ids=lambda table: table['id'])
def test_same_values(table):
  """Within what the other library's own rounding explains."""
  case = CASES[table['id']]
  steps, values = np.array(table['steps']), np.array(table['values'])
  keep = np.array([step not in case.except_at for step in steps])
  if case.until is not None:
    keep &= steps <= case.until
  if not keep.all():
    assert case.why
  assert keep.sum() >= min(6, len(steps))
  got = case.values(table['params'], steps[keep])
  # The peer's arithmetic is float32's, or ours is, whichever is coarser.
  tolerance = max(case.rtol, 2e-6 if table['dtype'] == 'float32' else 0)
  scale = np.max(np.abs(values))
  np.testing.assert_allclose(
    got, values[keep], rtol=tolerance, atol=tolerance * 0.1 * scale
  )


@pytest.mark.parametrize('table', TABLES, ids=lambda table: table['id'])
def test_left_out_values_do_differ(table):
  """What is said to be a fault of the peer is none of ours."""
  case = CASES[table['id']]
  steps = [
    step
    for step in table['steps']
    if step in case.except_at or (case.until is not None and step > case.until)
  ]
  for step in steps:
    at = table['steps'].index(step)
    got = case.values(table['params'], np.array([step]))[0]
    assert abs(got - table['values'][at]) > 1e-6 * max(
      np.max(np.abs(table['values'])), 1e-30
    )

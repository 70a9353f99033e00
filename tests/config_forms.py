"""Every form of a mapping that a config may have, and examples."""

import json

import ml_collections

WARMUP = {
  'name': 'warmup_cosine_decay_schedule',
  'init_value': 0.0,
  'peak_value': 1e-3,
  'warmup_steps': 10,
  'decay_steps': 90,
}


def json_round_trip(config):
  """What another program would read."""
  return json.loads(ml_collections.ConfigDict(config).to_json())


FORMS = [
  dict,
  ml_collections.ConfigDict,
  ml_collections.FrozenConfigDict,
  json_round_trip,
]

PIECEWISE = {'name': 'piecewise_constant_schedule'}

RUN = {
  'total_steps': 10_000,
  'steps_per_epoch': 125,
  'batch_size': 256,
  'tokens_per_batch': 2048,
}

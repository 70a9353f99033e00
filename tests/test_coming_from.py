"""docs/coming_from.md: each row gives the numbers of the other library.

The right-hand side of a row is evaluated, and compared with the table of
`peer_values.json` that `ROWS` names for it, as `test_peers.py` compares its own
calls. The left-hand side has the arguments of that table, and no others.
"""

import ast
from collections.abc import Iterator
import functools
import pathlib
import re

import jax
import numpy as np
import pytest

import flax_sched as fs
from peers import Case
from test_peers import CASES
from test_peers import TABLES

TEXT = (
  pathlib.Path(__file__).parent.parent / 'docs' / 'coming_from.md'
).read_text()
BY_ID = {table['id']: table for table in TABLES}
CODE = re.compile(r'`([^`]+)`')

# The tables of each section's rows, in order.
ROWS = {
  'PyTorch': (
    'torch/StepLR',
    'torch/MultiStepLR',
    'torch/ExponentialLR',
    'torch/ConstantLR',
    'torch/LinearLR/up',
    'torch/PolynomialLR',
    'torch/CosineAnnealingLR',
    'torch/CosineAnnealingWarmRestarts/T_mult2',
    'torch/OneCycleLR/cos/three_phase=False',
    'torch/OneCycleLR/cos/three_phase=True',
    'torch/OneCycleLR/cos/three_phase=False/momentum',
    'torch/CyclicLR/triangular2',
    'torch/CyclicLR/triangular/momentum',
    'torch/SequentialLR/LinearLR+CosineAnnealingLR',
    'torch/ChainedScheduler/ConstantLR+ExponentialLR',
    'torch/ReduceLROnPlateau/min-rel',
    'torch/ReduceLROnPlateau/max-abs',
  ),
  'Transformers': (
    'transformers/constant',
    'transformers/constant_with_warmup',
    'transformers/linear',
    'transformers/polynomial',
    'transformers/polynomial/defaults',
    'transformers/cosine',
    'transformers/cosine/num_cycles',
    'transformers/cosine_with_restarts',
    'transformers/cosine_with_min_lr/min_lr',
    'transformers/cosine_with_min_lr/min_lr_rate',
    'transformers/cosine_warmup_with_min_lr',
    'transformers/inverse_sqrt',
    'transformers/inverse_sqrt/timescale',
    'transformers/inverse_sqrt/no-warmup',
    'transformers/warmup_stable_decay/linear/1-sqrt',
    'transformers/warmup_stable_decay/num_stable_steps',
  ),
  'timm': (
    'timm/Cosine',
    'timm/Cosine/warmup-prefix',
    'timm/Cosine/warmup-noprefix',
    'timm/Cosine/k_decay',
    'timm/Cosine/cycles-growing',
    'timm/Tanh',
    'timm/Poly',
    'timm/Poly/warmup-prefix-k_decay',
    'timm/Step',
    'timm/Step/warmup',
    'timm/MultiStep',
    'timm/WSD/cosine',
    'timm/WSD/power',
    'timm/WSD/exp',
    'timm/WSD/rsqrt-linear',
  ),
  'Optax': (
    'optax/linear/begin5',
    'optax/polynomial/begin0',
    'optax/cosine/alpha-exponent',
    'optax/exponential',
    'optax/warmup_constant',
    'optax/warmup_cosine',
    'optax/warmup_exponential',
    'optax/piecewise_constant',
    'optax/piecewise_interpolate/linear',
    'optax/linear_onecycle',
    'optax/cosine_onecycle',
    'optax/sgdr',
    'optax/join',
    'optax/reduce_on_plateau/loss',
  ),
  'T5X': (
    't5x/constant*linear_warmup*rsqrt_decay',
    't5x/constant*rsqrt_decay',
    't5x/constant*linear_warmup*rsqrt_normalized_decay',
    't5x/step_offset',
    't5x/linear_decay',
    't5x/constant*linear_warmup*cosine_decay',
    't5x/constant*decay_every',
    't5x/constant*linear_warmup*decay_every',
  ),
  'Scenic': (
    'scenic/polynomial',
    'scenic/linear_warmup*polynomial',
    'scenic/piecewise_constant',
    'scenic/piecewise_linear',
    'scenic/linear_warmup*cosine_decay',
    'scenic/cosine_decay/alpha',
    'scenic/cosine_decay/t_mul-m_mul',
    'scenic/linear_warmup*rsqrt_decay',
    'scenic/linear_warmup*rsqrt_decay*linear_cooldown',
    'scenic/linear_warmup*linear_decay',
    'scenic/decay_every',
    'scenic/exponential_decay/staircase',
  ),
  'big_vision': (
    'big_vision/cosine',
    'big_vision/cosine-cooldown',
    'big_vision/linear',
    'big_vision/polynomial',
    'big_vision/linear-scale-bs-epochs',
    'big_vision/rsqrt',
    'big_vision/rsqrt-cooldown',
    'big_vision/rsqrt-shift-cooldown',
    'big_vision/stair',
  ),
  'Megatron-LM': (
    'megatron/cosine',
    'megatron/cosine/no-warmup',
    'megatron/cosine/increment8',
    'megatron/linear',
    'megatron/constant',
    'megatron/inverse-square-root',
    'megatron/WSD/linear',
    'megatron/WSD/cosine',
    'megatron/WSD/minus_sqrt',
    'megatron/WSD/exponential',
    'megatron/weight-decay/linear',
    'megatron/weight-decay/cosine',
  ),
  'OLMo-core': (
    'olmo_core/ConstantWithWarmup',
    'olmo_core/LinearWithWarmup',
    'olmo_core/CosWithWarmup',
    'olmo_core/HalfCosWithWarmup',
    'olmo_core/CosWithWarmupAndLinearDecay',
    'olmo_core/InvSqrtWithWarmup',
    'olmo_core/PowerLR',
    'olmo_core/WSD',
    'olmo_core/WSD/fractions',
    'olmo_core/WSDS',
    'olmo_core/Exponential',
    'olmo_core/Sequential',
  ),
  'Levanter': (
    'levanter/constant',
    'levanter/cosine',
    'levanter/cosine/exponent',
    'levanter/cosine/cooldown',
    'levanter/cosine/fractions-decay',
    'levanter/cosine/cycles',
    'levanter/linear',
    'levanter/linear/decay',
    'levanter/linear/cycle_length',
    'levanter/inv_sqrt/timescale',
    'levanter/inv',
    'levanter/power',
  ),
  'AXLearn': (
    'axlearn/polynomial',
    'axlearn/exponential',
    'axlearn/inverse_sqrt',
    'axlearn/adafactor',
    'axlearn/constant_with_linear_warmup',
    'axlearn/linear_schedule_with_warmup',
    'axlearn/cosine_with_linear_warmup',
    'axlearn/cosine_with_linear_warmup/decay_begin',
    'axlearn/warmup_stable_decay',
    'axlearn/stepwise',
    'axlearn/ema_schedule',
    'axlearn/adafactor_decay_rate',
    'axlearn/decay_bias_correction',
  ),
  'Keras': (
    'keras/ExponentialDecay',
    'keras/ExponentialDecay/staircase',
    'keras/PiecewiseConstantDecay',
    'keras/PolynomialDecay',
    'keras/PolynomialDecay/cycle',
    'keras/InverseTimeDecay',
    'keras/InverseTimeDecay/staircase',
    'keras/CosineDecay',
    'keras/CosineDecay/warmup',
    'keras/CosineDecayRestarts/t_mul1',
    'keras/CosineDecayRestarts/t_mul',
  ),
  'nanoGPT and nanochat': (
    'nanogpt/get_lr',
    'nanochat/base_lr_multiplier/warmup10',
    'nanochat/muon_momentum',
    'nanochat/weight_decay',
    'nanochat/sft_lr_multiplier',
    'nanochat/sft_muon_momentum',
    'nanochat/rl_lr_multiplier',
  ),
}

# Arguments that a row does not have, since these are the library's defaults, or
# do nothing there.
DEFAULTS = {
  'PyTorch': {
    'anneal_strategy': ['cos'],
    'base_momentum': [0.8, 0.85],
    'cooldown': [0],
    'cycle_momentum': [True],
    'div_factor': [25.0],
    'end_factor': [1.0],
    'eps': [1e-8],
    'final_div_factor': [1e4],
    'gamma': [1.0],
    'max_momentum': [0.9, 0.95],
    'min_lr': [0.0],
    'mode': ['min', 'triangular'],
    'pct_start': [0.3],
    'step_size_down': [5],  # that of step_size_up
    'three_phase': [False],
    'threshold': [1e-4],
    'threshold_mode': ['rel'],
  },
  'Transformers': {
    'min_lr_ratio': [0.0],
    'num_cycles': [0.5],
    'warmup_type': ['linear'],
  },
  'timm': {
    'decay_power': [2.0],
    'decay_ratio': [0.1],
    'lb': [-7.0],
    'stable_power': [0.8],  # of stable_fn='power'
    'ub': [3.0],
  },
  'Optax': {
    'atol': [0.0],
    'cooldown': [0],
    'div_factor': [25.0],
    'end_value': [0.0],
    'final_div_factor': [1e4],
    'min_scale': [0.0],
    'pct_final': [0.85],
    'pct_start': [0.3],
    'transition_begin': [0],
  },
  'T5X': {'min_learning_rate': [1e-8]},
  'Scenic': {'alpha': [0.0]},
  'big_vision': {},
  'Megatron-LM': {
    'end_wd': [0.0],
    'increment': [1],
    'init_lr': [0.0],
    'lr_decay_style': ['cosine'],  # of the rate, in the rows of weight decays
    'start_wd': [0.0],
    'wd_incr_steps': [100],
    'wd_incr_style': ['constant'],
  },
  'OLMo-core': {
    'decay_min_lr': [0.0],
    'period_lr_multipliers': [None],
  },
  'Levanter': {'rewarmup': [0.0]},
  'AXLearn': {
    'alpha': [0.0],
    'begin_value': [0.0],
    'sub': ['constant'],  # a number
    'decay_power': [-0.5],
    'end_value': [0.0],
    'step_offset': [0],
  },
  'Keras': {'alpha': [0.0], 'power': [1.0], 't_mul': [2.0]},
  'nanoGPT and nanochat': {},
}


# What a section's `lr` is called there, where the rows do not say it.
BASE = {
  'PyTorch': 'lr',
  'Transformers': 'lr',
  'timm': 'lr',
  'T5X': 'base_learning_rate',
  'Scenic': 'base_learning_rate',
  'big_vision': 'base',
  'Megatron-LM': 'max_lr',
  'OLMo-core': 'initial_lr',
  'Levanter': 'learning_rate',
}

# The rows whose schedules have no end.
ENDLESS = {
  'torch/StepLR',
  'torch/ExponentialLR',
  'torch/CosineAnnealingWarmRestarts/T_mult2',
  'torch/CyclicLR/triangular2',
  'torch/CyclicLR/triangular/momentum',
  'torch/ChainedScheduler/ConstantLR+ExponentialLR',
  'transformers/inverse_sqrt',
  'transformers/inverse_sqrt/timescale',
  'transformers/inverse_sqrt/no-warmup',
  'timm/Step',
  'timm/Step/warmup',
  'optax/exponential',
  'optax/warmup_exponential',
  't5x/constant*linear_warmup*rsqrt_decay',
  't5x/constant*rsqrt_decay',
  't5x/constant*linear_warmup*rsqrt_normalized_decay',
  't5x/constant*linear_warmup*cosine_decay',
  't5x/constant*decay_every',
  't5x/constant*linear_warmup*decay_every',
  't5x/step_offset',
  'scenic/cosine_decay/alpha',
  'scenic/cosine_decay/t_mul-m_mul',
  'scenic/linear_warmup*rsqrt_decay',
  'scenic/decay_every',
  'scenic/exponential_decay/staircase',
  'big_vision/rsqrt',
  'megatron/inverse-square-root',
  'olmo_core/InvSqrtWithWarmup',
  'levanter/inv_sqrt/timescale',
  'levanter/power',
  'axlearn/inverse_sqrt',
  'axlearn/adafactor',
  'axlearn/adafactor_decay_rate',
  'axlearn/decay_bias_correction',
  'keras/ExponentialDecay',
  'keras/ExponentialDecay/staircase',
  'keras/PolynomialDecay/cycle',
  'keras/InverseTimeDecay',
  'keras/InverseTimeDecay/staircase',
  'keras/CosineDecayRestarts/t_mul1',
  'keras/CosineDecayRestarts/t_mul',
}

# Numbers in sentences that no row has: each is in a test of this file.
OTHER_NUMBERS = {
  'PyTorch': {15},
  'timm': {1e-6},
  'Levanter': {10_000},
  'nanoGPT and nanochat': {1e-7, 1e-8},
}


def sections() -> dict[str, str]:
  """The text of each section of the page that has a table."""
  titles = re.split(r'^## (.+)$', TEXT, flags=re.MULTILINE)[1:]
  return dict(zip(titles[::2], titles[1::2], strict=True))


def calls(section: str) -> list[tuple[str, str]]:
  """The rows of a section's table: their call, and ours."""
  lines = re.findall(r'^\|(.+)\|$', sections()[section], re.MULTILINE)
  cells = [line.split(' | ') for line in lines[2:]]
  assert all(len(row) == 2 for row in cells), cells
  return [
    (CODE.search(theirs)[1], CODE.search(ours)[1]) for theirs, ours in cells
  ]


def prose(section: str) -> str:
  """What a section says beside its table, on one line."""
  text = re.sub(r'^\|.*$', '', sections()[section], flags=re.MULTILINE)
  return ' '.join(text.split())


def names(section: str) -> dict[str, float]:
  """What the section's sentences define, such as `lr = 0.1`."""
  found = re.findall(r'`(\w+) = ([\d.e-]+)`', prose(section))
  return {name: ast.literal_eval(value) for name, value in found}


ALL = [
  pytest.param(section, number, id=table_id)
  for section, ids in ROWS.items()
  for number, table_id in enumerate(ids)
]
# Those that react to a metric, and so are no functions of the count.
PLATEAUS = [param for param in ALL if 'metrics' in BY_ID[param.id]['params']]
each_row = pytest.mark.parametrize(('section', 'number'), ALL)
each_plateau = pytest.mark.parametrize(('section', 'number'), PLATEAUS)
each_other_row = pytest.mark.parametrize(
  ('section', 'number'), [param for param in ALL if param not in PLATEAUS]
)
each_section = pytest.mark.parametrize('section', ROWS)


@functools.cache
def ours(section: str, number: int) -> fs.Schedule:
  """The schedule of a row's right-hand side."""
  call = calls(section)[number][1]
  return eval(call, {'fs': fs, **names(section)})


def row(section: str, number: int) -> tuple[dict, Case]:
  """The table that a row is compared with, and how it is."""
  table_id = ROWS[section][number]
  return BY_ID[table_id], CASES[table_id]


def reactions(plateau: fs.Schedule, table: dict) -> list[float]:
  """The values of a `reduce_on_plateau`, as the table has them."""
  sign = -1 if table['params'].get('mode') == 'max' else 1
  state = plateau.init()
  values = [plateau(state)]
  for metric in table['params']['metrics']:
    state = plateau.update(state, value=sign * metric)
    values.append(plateau(state))
  # Optax's first value is that after the first loss.
  return values[1:] if table['id'].startswith('optax/') else values


def values(schedule: fs.Schedule, table: dict, steps: np.ndarray) -> np.ndarray:
  """A row's values at the steps of its table."""
  if 'metrics' in table['params']:
    return np.asarray(reactions(schedule, table))[steps]
  if 'progress' in table['convention']:  # of a run of 1000 steps
    steps = np.rint(1000 * steps).astype(int)
  return np.asarray(schedule(steps - CASES[table['id']].first))


def literals(node: ast.AST, name: str = '') -> Iterator[tuple[str, object]]:
  """The values in a call, each with the name of its argument."""
  match node:
    case ast.Call():
      yield '', ast.unparse(node.func)
      for argument in node.args:
        yield from literals(argument)
      for keyword in node.keywords:
        yield from literals(keyword.value, keyword.arg)
    case ast.List() | ast.Tuple():
      for element in node.elts:
        yield from literals(element, name)
    case ast.Dict():
      for key, value in zip(node.keys, node.values, strict=True):
        text = isinstance(key, ast.Constant) and isinstance(key.value, str)
        if not text:
          yield from literals(key, name)
        yield from literals(value, key.value if text else name)
    case ast.Constant(value=value) if value is not ...:
      yield name, value
    case ast.UnaryOp() | ast.BinOp() | ast.Name():
      yield name, node


def stated(section: str, number: int) -> list[tuple[str, object]]:
  """The arguments in a row's left-hand side, by name."""
  call = calls(section)[number][0]
  if not re.match(r'[\w.]+\(', call):
    call = f'arguments({call})'
  found = []
  for name, value in literals(ast.parse(call, mode='eval').body):
    if isinstance(value, ast.Name) and value.id == 'opt':
      continue
    if isinstance(value, ast.AST):
      value = eval(ast.unparse(value), names(section))
    found.append((name, value))
  return found


def numbers(text: str) -> set[float]:
  """The numbers in a text, but those in words and after a minus."""
  found = re.findall(r'(?<![\w.])\d[\d_,]*(?:\.\d+)?(?:e-?\d+)?(?!\w)', text)
  return {float(number.rstrip(',').replace(',', '')) for number in found}


def leaves(params: object, name: str = '') -> Iterator[tuple[str, object]]:
  """The values in a table's parameters, each with its name."""
  match params:
    case dict():
      for key, value in params.items():
        yield from leaves(value, key)
    case list():
      for value in params:
        yield from leaves(value, name)
    case _:
      yield name, params


def test_rows_and_tables_match():
  """Each row has a table, each table of `ROWS` a row, and none comes twice."""
  assert list(sections()) == list(ROWS)
  ids = [table_id for section in ROWS.values() for table_id in section]
  assert len(set(ids)) == len(ids)
  assert set(ids) <= set(BY_ID)
  for section, of_section in ROWS.items():
    assert len(calls(section)) == len(of_section), section
    assert 5 <= len(of_section) <= 17
  # A library without a section has no table.
  peers = {table_id.partition('/')[0] for table_id in BY_ID}
  assert peers == {table_id.partition('/')[0] for table_id in ids}


@each_row
def test_ours_has_their_values(section, number):
  """With the tolerance of `test_peers.py`, and the steps that it compares."""
  table, case = row(section, number)
  steps, theirs = np.array(table['steps']), np.array(table['values'])
  keep = np.array([step not in case.except_at for step in steps])
  if case.until is not None:
    keep &= steps <= case.until
  assert keep.sum() >= min(6, len(steps))
  got = values(ours(section, number), table, steps[keep])
  tolerance = max(case.rtol, 2e-6 if table['dtype'] == 'float32' else 0)
  scale = np.max(np.abs(theirs))
  np.testing.assert_allclose(
    got, theirs[keep], rtol=tolerance, atol=tolerance * 0.1 * scale
  )


@each_row
def test_theirs_has_the_arguments_of_the_table(section, number):
  """All of them but defaults, and no others."""
  table, _ = row(section, number)
  params = list(leaves(table['params']))
  by_name = {}
  for name, value in params:
    by_name.setdefault(name, []).append(value)
  called = stated(section, number)
  whole = f'arguments {table["id"]} {table["source"]} {table["params"]}'
  for name, value in called:
    if name in by_name:
      assert value in by_name[name], (name, value)
    elif isinstance(value, str):
      assert not name
      assert value.split('.')[-1] in whole, value
    else:
      assert not name, name
      assert value in [other for _, other in params], value
  for name, value in params:
    said = [other for of, other in called if of in (name, '')]
    said += [
      value
      for of, value in names(section).items()
      if name in (of, f'{of}_arg') or (of == 'lr' and name == BASE.get(section))
    ]
    if name != 'metrics' and value not in DEFAULTS[section].get(name, []):
      assert value in said, (name, value)


@each_row
def test_lr_is_the_base_rate(section, number):
  """Where a row has `lr`, the table has its value."""
  if re.search(r'\blr\b', ' '.join(calls(section)[number])):
    table, _ = row(section, number)
    found = [value for _, value in leaves(table['params'])]
    assert names(section)['lr'] in found


@each_section
def test_versions(section):
  """Those whose values are compared."""
  for table_id in ROWS[section]:
    assert BY_ID[table_id]['peer'] in prose(section)


@each_section
def test_past_the_end(section):
  """What goes on elsewhere is named, and holds its last value here."""
  said = prose(section).partition('Past the end, ')[2]
  assert said
  for number in range(len(ROWS[section])):
    table, case = row(section, number)
    beyond = table.get('past_end')
    differs = case.until is not None
    if beyond:
      got = np.asarray(ours(section, number)(np.array(beyond['steps'])))
      differs |= not np.allclose(got, beyond['values'], rtol=1e-5, atol=1e-9)
    if differs:
      words = re.findall(r'\w[\w-]+', calls(section)[number][0])
      named = [word for word in words if f'`{word}`' in said]
      function = table['id'].split('/')[1]
      assert named or f'`{function}`' in said, table['id']
      end = (case.until or table['steps'][-1]) - case.first
      schedule = ours(section, number)
      if table['id'] != 'megatron/inverse-square-root':
        assert schedule(end + 1000) == schedule(end + 1)
      else:
        assert schedule(end + 1000) < schedule(end + 1)


# What the sentences say.


@each_section
def test_where_they_count_from_1(section):
  """It is said, and only there."""
  firsts = {CASES[table_id].first for table_id in ROWS[section]}
  assert len(firsts) == 1
  assert ('counts from 1:' in prose(section)) == (firsts == {1})


@each_section
def test_what_has_no_end(section):
  """The rows that go on for ever, in the sections that say so."""
  found = set()
  for number, table_id in enumerate(ROWS[section]):
    table, _ = row(section, number)
    if 'metrics' not in table['params']:
      last = 1000 if 'progress' in table['convention'] else table['steps'][-1]
      after = ours(section, number)(np.arange(last, last + 50))
      if np.ptp(after):
        found.add(table_id)
  assert found == ENDLESS & set(ROWS[section])
  assert bool(found) == ('no end' in prose(section))


@each_section
def test_numbers_in_sentences(section):
  """They are in a row too, or a test below is about them."""
  said = re.sub(r'Compared with .*? (?=The|In|nanoGPT)', '', prose(section))
  in_rows = ' '.join(map(' '.join, calls(section)))
  alone = numbers(said) - numbers(in_rows) - {0.0, 1.0}
  assert alone - set(names(section).values()) == OTHER_NUMBERS.get(
    section, set()
  )


@each_other_row
def test_every(section, number):
  """A schedule in epochs, stepped once for each, is `.every` of it."""
  schedule = ours(section, number)
  steps = np.arange(60)
  np.testing.assert_array_equal(
    schedule.every(7)(7 * steps + 6), schedule(steps)
  )


@each_plateau
def test_plateaus(section, number):
  """Their margins and lowest values, which their tables hardly show."""
  table, _ = row(section, number)
  params, plateau = table['params'], ours(section, number)
  torch = table['id'].startswith('torch/')
  assert plateau.patience == params['patience'] + torch
  if torch:
    relative = params['threshold_mode'] == 'rel'
    margin = params['threshold']
    margins = (margin, 0.0) if relative else (0.0, margin)
    low = params['min_lr']
  else:
    margins, low = (params['rtol'], params['atol']), params['min_scale']
  expected = np.float32([params['factor'], *margins, low])
  got = [plateau.factor, plateau.rtol, plateau.atol, plateau.min_value]
  np.testing.assert_array_equal(got, expected)


def test_t5x_floor():
  """To its own digits, and not to those of the peak."""
  for number, table_id in enumerate(ROWS['T5X']):
    first = BY_ID[table_id]['values'][0]
    np.testing.assert_allclose(ours('T5X', number)(0), first, rtol=1e-5)


def test_torch_onecycle():
  """The peak's step and the last one; Optax's, a step later."""
  params = BY_ID['torch/OneCycleLR/cos/three_phase=False']['params']
  assert params['pct_start'] * params['total_steps'] - 1 == 14
  schedule = ours('PyTorch', 8)
  np.testing.assert_array_equal(schedule.boundaries, [14, 49])
  optax = fs.cosine_onecycle_schedule(50, 0.1, pct_final=None)
  np.testing.assert_array_equal(optax.boundaries, [15, 50])
  linear = BY_ID['torch/OneCycleLR/linear/three_phase=False']
  assert linear['values'][linear['steps'].index(50)] < 0


def test_torch_other_sentences():
  """A milestone given twice, a LambdaLR, and a mean of losses."""
  table = BY_ID['torch/MultiStepLR/duplicate-milestone']
  twice = fs.multistep_schedule(0.1, [5, 12, 25], 0.2) * fs.multistep_schedule(
    1.0, [12], 0.2
  )
  np.testing.assert_allclose(
    twice(np.array(table['steps'])), table['values'], rtol=4e-7
  )
  factor = 0.1 * fs.as_schedule(lambda count: 0.5**count)
  np.testing.assert_allclose(
    jax.jit(factor)(np.array([0, 3])), [0.1, 0.0125], rtol=4e-7
  )
  plateau = fs.reduce_on_plateau(1.0, 0.5, patience=1, accumulation_size=3)
  state = plateau.init()
  for _ in range(5):
    state = plateau.update(state, value=1.0)
  assert plateau(state) == 1.0
  assert plateau(plateau.update(state, value=1.0)) == 0.5


def test_timm_tanh_and_cycles():
  """The curve's first value, and a factor of a whole cycle."""
  first = ours('timm', 5)(0)
  assert 0 < 1 - first / 0.1 < 1e-6
  cycle = fs.cosine_decay_schedule(0.1, 5, end_value=0.001)
  repeated = cycle.repeat(5, m_mult=0.5)
  np.testing.assert_allclose(repeated(9), 0.5 * cycle(4), rtol=4e-7)


def test_defaults_that_are_named():
  """1e-7, 10,000, 1e-8 and 2."""
  assert BY_ID['transformers/polynomial/defaults']['values'][-1] == 1e-7
  assert 'lr_end' not in BY_ID['transformers/polynomial/defaults']['params']
  flat = BY_ID['levanter/inv_sqrt']
  assert flat['values'][-1] == max(flat['values'])
  assert 'timescale fixed at 10000' in flat['note']
  factor = BY_ID['t5x/linear_decay']['params']['decay_factor']
  assert round(1 / factor) == 100


def test_levanter_floor():
  """It is reached after the end of the table."""
  schedule = ours('Levanter', 9)
  assert schedule(900) > np.float32(0.001) == schedule(10_000)


def test_levanter_inv_has_no_peak():
  """At step 10; here it has."""
  table = BY_ID['levanter/inv']
  at = table['values'][table['steps'].index(10)]
  assert at < 0.99 * 0.01
  assert ours('Levanter', 10)(10) == np.float32(0.01)


def test_nanochat_small_term():
  """1e-8 over a warm-up of a tenth is 1e-7."""
  table = BY_ID['nanochat/sft_lr_multiplier']
  np.testing.assert_allclose(table['values'][0], 1e-7)
  assert ours('nanoGPT and nanochat', 4)(0) == 0


def test_nanochat_first_values():
  """Shares of 1 / 11 and 1 / 10, and peaks at steps 10 and 9."""
  first, second = (
    ours('nanoGPT and nanochat', number)(np.arange(20)) for number in (0, 1)
  )
  np.testing.assert_allclose(first[0], 6e-4 / 11, rtol=4e-7)
  np.testing.assert_allclose(second[0], 1 / 10, rtol=4e-7)
  assert np.argmax(first) == 10
  assert np.argmax(second) == 9


def test_scenic_cosine_stays_at_0():
  """With a warm-up; without one, the peak is back, as there."""
  assert ours('Scenic', 4)(60) == ours('Scenic', 4)(1000) == 0
  assert BY_ID[ROWS['Scenic'][4]]['values'][-2] > 0.09
  assert ours('Scenic', 5)(25) == np.float32(0.1)


def test_transformers_minimum_before_the_end():
  """At step 99 of 100; and steps after the warm-up."""
  early = BY_ID['transformers/cosine_warmup_with_min_lr']
  assert min(early['values'][5:]) == early['values'][early['steps'].index(99)]
  defined = names('Transformers')
  assert defined['num_training_steps'] - defined['num_warmup_steps'] == 90


def test_megatron_floor():
  """`.clip(0.0005)` is reached later than the table's end."""
  schedule = ours('Megatron-LM', 5)
  assert schedule(60) > 0.0005 > schedule(10_000)
  assert schedule.clip(0.0005)(10_000) == np.float32(0.0005)


def test_cooldowns_differ():
  """That which is a factor is below that which starts from a value."""
  lr = fs.inverse_sqrt_schedule(0.1, 8, timescale=20)
  from_value = fs.cooldown_schedule(lr, 50, 10)
  assert ours('Scenic', 8)(55) < 0.99 * from_value(55)

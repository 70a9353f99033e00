"""Reports on schedules before a launch: each warning, and its absence."""

import math
import time

from hypothesis import given
from hypothesis import strategies as st
import jax
from jax import numpy as jnp
import ml_collections
import numpy as np
import pytest

import flax_sched as fs
from flax_sched.checks import check
from flax_sched.findings import Finding
from flax_sched.runs import Run
import zoo

MAX_COUNT = 2**31 - 1


def warmup(warmup_steps, decay_steps, init=1e-5, end=1e-5):
  """A warm-up to 0.001, and a cosine."""
  return fs.warmup_cosine_decay_schedule(
    init, 1e-3, warmup_steps, decay_steps, end
  )


def stages(*boundaries):
  """1.0, and a tenth of it from each boundary on."""
  values = [0.1**i for i in range(len(boundaries) + 1)]
  return fs.join_schedules(values, list(boundaries))


def joined(old, new, boundary):
  """One schedule after the other."""
  return fs.join_schedules([old, new], [boundary])


def spike(value, step):
  """0.001, but for one step."""
  return joined(joined(1e-3, value, step), 1e-3, step + 1)


def names(report):
  """The names of the warnings."""
  return [finding.name for finding in report.warnings]


CONSTANT = fs.constant_schedule(0.1)
FALLING = fs.linear_schedule(0.1, 0.0, 1000)


# name of the warning, schedule that has it, steps, where, innocent, its steps
CASES = [
  ('zero_at_start', warmup(10, 90, 0.0), 100, 0, warmup(10, 90), 100),
  ('zero_at_start', warmup(10, 90, 0.0), 100, 0, lambda n: 1 + 0 * n, 100),
  # A warm-up that begins late; a single zero at the start.
  (
    'zero_for_long',
    joined(0.0, FALLING, 20),
    1020,
    0,
    joined(0.0, FALLING, 10),
    1010,
  ),
  ('zero_for_long', 0.0, 100, 0, fs.linear_schedule(0, 0.1, 50), 50),
  # A decay that is over, for a few steps.
  ('zero_for_long', FALLING, 1020, 1000, FALLING, 1010),
  ('zero_for_long', lambda n: 1.0 * (n < 970), 1000, 970, FALLING, 1000),
  (
    'negative',
    fs.linear_schedule(0.1, -0.1, 1000),
    1000,
    501,
    fs.linear_schedule(0.1, -0.1, 1000),
    501,
  ),
  ('negative', fs.linear_schedule(1, -1, 10**9), 10**9, 500_000_001, 0.1, 10),
  # The warm-up outlasts the run; or fills most of it.
  ('warmup_too_long', warmup(200, 800), 100, 99, warmup(20, 80), 100),
  ('warmup_too_long', warmup(51, 49), 100, 51, warmup(50, 50), 100),
  (
    'warmup_too_long',
    fs.warmup_constant_schedule(0.01, 0.1, 101),
    100,
    99,
    fs.warmup_constant_schedule(0.01, 0.1, 100),
    100,
  ),
  (
    'warmup_too_long',
    fs.linear_schedule(0.9, 0.999, 102),
    100,
    99,
    fs.exponential_decay(1e-6, 1.1, 10),  # a search for a learning rate
    100,
  ),
  (
    'warmup_too_long',
    warmup(6 * 10**8, 4 * 10**8),
    10**9,
    599_999_965,  # from there on, float32 has no number below the peak
    warmup(5 * 10**8, 5 * 10**8),
    10**9,
  ),
  # It ends with the run, and falls after it, or stays.
  (
    'warmup_too_long',
    fs.wsd_schedule(0.1, 100, 100, 100, 0.01),
    100,
    99,
    fs.linear_schedule(0.9, 0.999, 100),
    100,
  ),
  ('flat', stages(1000), 1000, 1000, stages(999), 1000),
  ('flat', joined(0.1, FALLING, 10**6), 1000, 10**6 + 1, CONSTANT, 1000),
  # The decay counts from the end of the warm-up.
  ('end_not_reached', warmup(100, 1000), 1000, 1100, warmup(100, 900), 1000),
  (
    'end_not_reached',
    fs.linear_schedule(1.0, 0.0, 1_234_567_890),
    10**9,
    1_234_567_890,
    fs.exponential_decay(0.1, 0.5, 1000),
    10**4,
  ),
  (
    'end_not_reached',
    fs.exponential_decay(0.1, 0.5, 1000, end_value=0.05),
    500,
    1000,
    zoo.InverseSqrt(init_value=0.1, timescale=100),
    10**4,
  ),
  ('end_not_reached', stages(50, 150), 100, 150, stages(50, 99), 100),
  ('end_not_reached', FALLING, 999, 1000, FALLING, 1000),
  # An end that is held; a warm-up, a last stage and 5% may be.
  ('ends_early', FALLING, 1100, 1000, FALLING, 1052),
  ('ends_early', warmup(10, 50), 100, 60, stages(50, 60), 100),
  (
    'ends_early',
    fs.linear_schedule(0.9, 0.1, 123_456_789),
    10**9,
    123_456_789,
    fs.linear_schedule(0.1, 0.9, 123_456_789),
    10**9,
  ),
  ('ends_early', fs.linear_schedule(1, 0, 99), 200, 99, CONSTANT, 200),
  # Parts that do not meet.
  (
    'jump',
    joined(fs.linear_schedule(0.1, 0.05, 500), 0.01, 500),
    510,
    500,
    joined(fs.linear_schedule(0.1, 0.05, 500), 0.05, 500),
    510,
  ),
  ('jump', stages(123_456_789), 10**9, 123_456_789, warmup(100, 10**9), 10**9),
  ('jump', stages(MAX_COUNT - 1), MAX_COUNT, MAX_COUNT - 1, 1.0, MAX_COUNT),
  ('jump', stages(20), 30, 20, stages(20), 29),
  ('jump', fs.sgdr_schedule(FALLING, 1000), 3000, 1000, FALLING, 1000),
  *(
    ('jump', stages(3), 40, 3, warmup(steps, 40), 40) for steps in (1, 2, 3, 5)
  ),
  ('jump', stages(30), 40, 30, fs.polynomial_schedule(1, 0, 0.5, 40), 40),
  # A spike and a dip of one step, a first update that is far too large.
  ('jump', spike(1.0, 400), 1000, 400, fs.cyclic_schedule(0.1, 1, 1), 1000),
  ('jump', spike(0.0, 400), 1000, 400, fs.cyclic_schedule(0.1, 1, 2), 1000),
  ('jump', spike(1.0, 1), 1000, 1, spike(1.0, 400), 400),
  ('jump', spike(1.0, 0), 1000, 1, spike(0.0, 0), 1000),
  ('jump', spike(1.0, 0), 10**9, 1, lambda n: 1 / (1 + n), 1000),
  (
    'not_finite',
    lambda n: np.where(n < 77, 1.0, np.nan),
    100,
    77,
    lambda n: np.where(n < 100, 1.0, np.nan),
    100,
  ),
  (
    'not_finite',
    lambda n: np.where(n < 77_777_777, 1.0, np.inf),
    10**9,
    77_777_777,
    lambda n: 1 / (1 + n),
    100,
  ),
]


@pytest.mark.parametrize(
  ('name', 'guilty', 'steps', 'step', 'innocent', 'innocent_steps'), CASES
)
def test_warning(name, guilty, steps, step, innocent, innocent_steps):
  """It fires where it should, says where, and not on the nearest innocent."""
  report = check(guilty, steps)
  (finding,) = (f for f in report.warnings if f.name == name)
  assert finding.step == step
  assert finding.message[-1] == '.'
  assert name not in names(check(innocent, innocent_steps))
  ignoring = check(guilty, steps, ignore=[name])
  assert names(ignoring) == [n for n in names(report) if n != name]
  assert check(guilty, steps, ignore=names(report)).ok


def test_above_peak():
  """A value above what is meant, beyond the rounding of float32."""
  assert check(FALLING, 1000, peak_value=0.1).ok
  report = check(FALLING, 1000, peak_value=0.09)
  assert report.warnings == (
    Finding(
      'above_peak',
      'the value is 0.1 at step 0, above peak_value=0.09. Lower the schedule, '
      'or raise peak_value.',
      0,
    ),
  )


def test_one_fact_is_one_warning():
  """An early end at 0, a run without a change, a value that is NaN."""
  assert names(check(FALLING, 2000)) == ['ends_early']
  assert names(check(stages(1000), 10)) == ['flat']
  assert names(check(lambda n: -np.inf * n, 100)) == ['not_finite']


@pytest.mark.parametrize('total_steps', [10**4, 10**9])
def test_steps_are_exact(total_steps):
  """The first step of the peak, and of the end, as a float32."""
  lr = warmup(total_steps * 6 // 10, total_steps * 6 // 10)
  report = check(lr, total_steps)
  late, unfinished = report.warnings
  assert (late.name, unfinished.name) == ('warmup_too_long', 'end_not_reached')
  assert late.step == report.peak_step
  assert lr(late.step - 1) < lr(late.step) == lr(total_steps * 6 // 10)
  assert lr(unfinished.step - 1) > lr(unfinished.step) == lr(MAX_COUNT)


def test_the_report_has_the_values():
  """Of the first update, the largest, the last, and long after."""
  lr = warmup(100, 900, 1e-4)
  report = check(lr, 1000)
  assert report.ok
  assert report.total_steps == 1000
  assert report.first == lr(0)
  assert (report.peak, report.peak_step) == (lr(100), 100)
  assert report.last == lr(999)
  assert report.end == lr(MAX_COUNT)
  lines = str(report).splitlines()
  assert [line.split()[0] for line in lines[1:]] == [
    'first',
    'peak',
    'last',
    'end',
  ]
  report = check(warmup(100, 1900, 0.0), 1000)
  assert str(report).splitlines()[5:] == [
    f'{finding.name}: {finding.message}' for finding in report.warnings
  ]
  assert names(report) == ['zero_at_start', 'end_not_reached']


@pytest.mark.parametrize('total_steps', [100, 1000, 10**4, 10**5])
@pytest.mark.parametrize(
  'endless',
  [
    fs.adafactor_decay_schedule(),
    fs.adafactor_decay_schedule(0.5),
    fs.bias_corrected_decay_schedule(0.999),
    fs.bias_corrected_decay_schedule(0.9999),
    1.0 - fs.inverse_time_decay(1.0, 1.0, 100),
    1.0 - fs.exponential_decay(1.0, 0.5, 5000),
    1e-3 + fs.exponential_decay(1.0, 0.5, 5000),
    0.9 - fs.exponential_decay(0.1, 0.5, 200, staircase=True),
    lambda n: 0.1 + jnp.exp(-n / 3000),
    lambda n: 0.9 - 0.5 / (1 + n) ** 2,
  ],
)
def test_what_only_float32_ends_has_no_end(endless, total_steps):
  """A rise or decay for ever comes too close to its limit for a float32."""
  report = check(endless, total_steps)
  assert not {'warmup_too_long', 'end_not_reached'} & {*names(report)}, report


@pytest.mark.parametrize('done', [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize('end', [0.0, 1e-6, 0.05, 0.9])
@pytest.mark.parametrize(
  'build',
  [
    lambda end: fs.linear_schedule(1.0, end, 10**5),
    lambda end: fs.cosine_decay_schedule(1.0, 10**5, end_value=end),
    lambda end: fs.cosine_decay_schedule(
      1.0, 10**5, end_value=end, exponent=2.0
    ),
    lambda end: fs.polynomial_schedule(1.0, end, 4.0, 10**5),
    lambda end: fs.polynomial_schedule(1.0, end, 0.5, 10**5),
    lambda end: fs.rex_schedule(1.0, end, 10**5),
    lambda end: fs.tanh_decay_schedule(1.0, end, 10**5),
    lambda end: fs.exponential_decay(1.0, 0.5, 9000, end_value=max(end, 1e-3)),
  ],
)
def test_an_end_after_the_run_is_an_end(build, end, done):
  """However little is left, for every way to come there."""
  total_steps = int(done * 10**5)
  report = check(build(end), total_steps)
  far = abs(report.last - report.end) > 1e-5
  assert ('end_not_reached' in names(report)) or not far, report


def test_jumps_are_counted():
  """The first three are listed; of a sample they are at least so many."""
  staircase = fs.sgdr_schedule(FALLING, 1000)
  (finding,) = check(staircase, 6000).warnings
  assert finding.message.startswith(
    '5 of the steps jump: 1,000, 2,000, 3,000, ..., first from 0.0001 to 0.1.'
  )
  (finding,) = check(stages(123), 1000).warnings
  assert finding.message.startswith('1 of the steps jumps: 123, first from 1 ')
  (finding,) = check(staircase, 10**9).warnings
  assert finding.message.startswith('at least ')
  assert finding.step == 1000


@pytest.mark.parametrize('exponent', [6, 7, 8, 9])
@pytest.mark.parametrize('steps', [1, 99, 12_345, 654_321])
def test_the_peak_of_a_huge_run_is_exact(exponent, steps):
  """Where it is between two samples too."""
  lr = warmup(steps, 10**exponent - steps)
  report = check(lr, 10**exponent, ignore=['warmup_too_long'])
  assert report.ok, report
  assert (report.peak, report.peak_step) == (lr(steps), steps)


@given(
  peak=st.floats(1e-6, 10.0),
  warmup_part=st.floats(0.0, 0.5),
  init_part=st.floats(1e-3, 1.0),
  end_part=st.floats(0.0, 0.9),
  total_steps=st.integers(1, 10**5) | st.integers(1, MAX_COUNT * 9 // 10),
)
def test_a_sane_run_has_no_warnings(
  peak, warmup_part, init_part, end_part, total_steps
):
  """A warm-up from above 0, and a cosine that ends with the run."""
  warmup_steps = int(warmup_part * total_steps)
  lr = fs.warmup_cosine_decay_schedule(
    init_part * peak,
    peak,
    warmup_steps,
    total_steps - warmup_steps,
    end_part * peak,
  )
  report = check(lr, total_steps, peak_value=peak)
  assert report.ok, report


@zoo.parametrize(
  quick=lambda entry: zoo.is_first_of_kind(entry) and zoo.is_of_few(entry)
)
@pytest.mark.parametrize('total_steps', [1, 2, 1000, 10**9, MAX_COUNT])
def test_any_schedule(entry, total_steps):
  """No schedule is too odd, and none takes long."""
  start = time.perf_counter()
  report = check(entry.schedule, total_steps)
  # A second on a free machine, and seconds where it compiles first.
  assert time.perf_counter() - start < 60
  assert report.first == entry.schedule(0)
  assert report.last == entry.schedule(total_steps - 1)
  assert report.peak == entry.schedule(report.peak_step)
  assert report.peak >= max(report.first, report.last)
  assert report.end == entry.schedule(MAX_COUNT)
  assert str(report)


def one_branch(n):
  """A function of one count."""
  return 1e-3 if n < 500 else 1e-3 * math.exp((500 - n) / 100)


def compares_all(n):
  """A function that gives an array the wrong values."""
  return 0.1 * np.max(n) / 1000


@pytest.mark.parametrize('total_steps', [1000, 10**9])
def test_functions_of_one_count(total_steps):
  """They are called for one count after the other, on a sample."""
  report = check(one_branch, total_steps)
  assert report.peak == np.float32(1e-3)
  assert report.end == 0
  report = check(compares_all, total_steps)
  assert report.first == 0
  assert report.last == fs.as_schedule(compares_all)(total_steps - 1)
  # Python's floats overflow with an error.
  report = check(lambda n: math.exp(n / 100), 1000)
  assert (report.end, names(report)) == (np.finfo(np.float32).max, [])


def test_parameters_on_a_device():
  """They make no difference, and no program over all steps."""
  lr = warmup(100, 2000)
  placed = jax.tree_util.tree_map(jnp.asarray, lr)
  assert check(placed, 10**9) == check(lr, 10**9)
  assert check(0.5, 10) == check(np.float32(0.5), np.int64(10))


@pytest.mark.parametrize(
  'total_steps', [0, -1, 1.5, 1e3, True, '9', None, 2**31]
)
def test_total_steps_must_be_a_positive_integer(total_steps):
  """A count, as the schedule takes."""
  with pytest.raises(
    ValueError, match=r'check: total_steps must be a positive integer, .* got '
  ):
    check(FALLING, total_steps)


def test_errors_name_the_remedy():
  """The nearest name, and all of them."""
  with pytest.raises(
    ValueError,
    match=r"check: ignore must name warnings, got 'jumps'\. Did you mean "
    r"'jump'\? They are not_finite, zero_at_start, .*, jump\.",
  ):
    check(FALLING, 1000, ignore=['jumps'])
  assert check(FALLING, 999, ignore='end_not_reached').ok
  with pytest.raises(ValueError, match='peak_value must be finite, got nan'):
    check(FALLING, 1000, peak_value=math.nan)
  with pytest.raises(TypeError, match='as_schedule'):
    check('cosine', 1000)


def test_a_config():
  """Its durations are shares of the run, its peak the one that is meant."""
  config = {
    'name': 'warmup_cosine_decay_schedule',
    'init_value': 1e-6,
    'peak_value': 1e-3,
    'warmup_steps': '5%',
    'decay_steps': '95%',
  }
  report = check(config, 2000)
  assert report.ok, report
  assert (report.peak_step, report.end) == (100, 0.0)
  frozen = ml_collections.FrozenConfigDict({**config, 'warmup_steps': '1ep'})
  assert check(frozen, 2000, run={'steps_per_epoch': 50, 'total_steps': 2000})
  with pytest.raises(ValueError, match='needs steps_per_epoch'):
    check(frozen, 2000)
  product = {'name': 'Multiply', 'schedules': {'s0': config, 's1': 3.0}}
  assert check(product, 2000).ok
  doubled = {'name': 'piecewise_constant_schedule', 'peak_value': 1.0}
  with pytest.raises(ValueError, match=r'^peak_value: unknown key'):
    check(doubled, 100)


def test_the_run_of_a_config_is_the_one_of_the_call():
  """Unless it has total steps of its own; the call counts updates."""
  config = {
    'name': 'linear_schedule',
    'init_value': 1.0,
    'end_value': 0.0,
    'transition_steps': '100%',
  }
  for run in (
    None,
    {},
    {'steps_per_epoch': 10},
    Run(steps_per_epoch=10, gradient_accumulation=4),
  ):
    assert check(config, 1000, run=run).ok
  (finding,) = check(config, 1000, run={'total_steps': 2000}).warnings
  assert (finding.name, finding.step) == ('end_not_reached', 2000)


TABLE = np.linspace(1.0, 0.0, 1000)


@pytest.mark.parametrize(
  ('function', 'count'),
  [
    (lambda n: TABLE[n], 1000),
    (lambda n: TABLE.tolist()[n], 1000),
    (lambda n: TABLE[n - 100], 1102),  # the first one above 1,100 of a sample
  ],
)
def test_a_function_that_fails_after_the_run(function, count):
  """The error names a count, and says that it is looked at."""
  with pytest.raises(
    ValueError,
    match=rf'^check: schedule failed at count {count:,}, past the end of the '
    r'run of 1,000 steps, where check looks too: IndexError\(.*Let it hold its '
    r'last value, as table\[min\(n, 999\)\] does\.$',
  ) as error:
    check(function, 1000)
  assert isinstance(error.value.__cause__, IndexError)
  with pytest.raises(IndexError, match='out of'):
    check(function, 1200)


def test_values_above_the_peak_of_a_config():
  """An exponent below 0 is refused, so a rising decay is what there is."""
  config = {
    'name': 'warmup_exponential_decay_schedule',
    'init_value': 0.1,
    'peak_value': 1.0,
    'warmup_steps': 10,
    'transition_steps': 100,
    'decay_rate': 2.0,
  }
  assert 'above_peak' in [w.name for w in check(config, 200).warnings]
  assert check(config, 200, peak_value=4.0).warnings == ()

"""The tables of JAX's and Google's libraries, of Keras and of LLM trainers.

Each `build` is what a user of that library would write here: one call, or a
short composition, with the numbers that they have. `p` holds these by the names
that the library gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

from jax import numpy as jnp
import numpy as np

import flax_sched as fs
from peers import Case

Params = dict[str, Any]


# ---------------------------------------------------------------------------
# Optax. Most calls are the same; those that are not, have a function here.


def optax_piecewise_constant(p: Params) -> fs.Schedule:
  """Optax's scales multiply up; here, each value is written."""
  boundaries, scales = zip(*p['boundaries_and_scales'], strict=True)
  values = p['init_value'] * np.cumprod([1.0, *scales])
  return fs.join_schedules(values, boundaries)


def optax_piecewise_interpolate(p: Params) -> fs.Schedule:
  """Optax's scales multiply up; here, each is relative to the first value."""
  boundaries, scales = zip(*p['boundaries_and_scales'], strict=True)
  return fs.piecewise_interpolate_schedule(
    p['interpolate_type'],
    p['init_value'],
    dict(zip(boundaries, np.cumprod(scales), strict=True)),
  )


def optax_cosine_onecycle(p: Params) -> fs.Schedule:
  """Optax's has two phases; ours of this name has three, like its linear one.

  The peak's step is rounded down: 0.29 * 100 is step 28 in floating point.
  """
  peak, up = p['peak_value'], int(p['pct_start'] * p['transition_steps'])
  low = peak / p.get('div_factor', 25.0)
  return fs.wsd_schedule(
    peak,
    warmup_steps=up,
    stable_steps=0,
    decay_steps=p['transition_steps'] - up,
    init_value=low,
    end_value=low / p.get('final_div_factor', 1e4),
    decay_shape='cosine',
    warmup_shape='cosine',
  )


def optax_warmup_cosine(p: Params) -> fs.Schedule:
  """Optax's `decay_steps` counts the warm-up too."""
  decay_steps = p['decay_steps'] - p['warmup_steps']
  return fs.warmup_cosine_decay_schedule(**{**p, 'decay_steps': decay_steps})


def optax_sgdr(p: Params) -> fs.Schedule:
  """Optax's is a list of warm-ups with cosine decays, joined."""
  ends = np.cumsum([cycle['decay_steps'] for cycle in p['cosine_kwargs']])
  cycles = [optax_warmup_cosine(cycle) for cycle in p['cosine_kwargs']]
  return fs.join_schedules(cycles, ends[:-1])


def optax_join(p: Params) -> fs.Schedule:
  """The same call, of the same calls."""
  schedules = [getattr(fs, name)(**kwargs) for name, kwargs in p['schedules']]
  return fs.join_schedules(schedules, p['boundaries'])


def optax_reduce_on_plateau(p: Params, **changes: Any) -> list[float]:
  """The scale after each loss, which Optax applies to the same update."""
  arguments = {
    'factor': p['factor'],
    'patience': p['patience'],
    'rtol': p['rtol'],
    'atol': p['atol'],
    'cooldown': p.get('cooldown', 0),
    'min_value': p.get('min_scale', 0.0),
    'accumulation_size': p.get('accumulation_size', 1),
  }
  plateau = fs.reduce_on_plateau(1.0, **{**arguments, **changes})
  state, scales = plateau.init(), []
  for loss in p['metrics']:
    state = plateau.update(state, value=loss)
    scales.append(float(plateau(state)))
  return scales


def optax_plateau_wrong_sign(p: Params) -> list[float]:
  """The scale for losses below 0, where Optax's margin has the wrong sign.

  A loss below (1 - rtol) * best is an improvement there, though it is worse
  than the best. Our margin is right for either sign, and so a negative one,
  which only an array gets past the check, is Optax's.
  """
  return optax_reduce_on_plateau(p, rtol=jnp.float32(-p['rtol']))


OPTAX = {
  'constant': Case(build=lambda p: fs.constant_schedule(**p)),
  'polynomial/begin0': Case(build=lambda p: fs.polynomial_schedule(**p)),
  'polynomial/begin5': Case(build=lambda p: fs.polynomial_schedule(**p)),
  'linear/begin0': Case(build=lambda p: fs.linear_schedule(**p)),
  'linear/begin5': Case(build=lambda p: fs.linear_schedule(**p)),
  'piecewise_constant': Case(build=optax_piecewise_constant),
  'piecewise_interpolate/linear': Case(build=optax_piecewise_interpolate),
  'piecewise_interpolate/cosine': Case(build=optax_piecewise_interpolate),
  'exponential': Case(build=lambda p: fs.exponential_decay(**p)),
  'exponential/staircase': Case(build=lambda p: fs.exponential_decay(**p)),
  'exponential/begin': Case(build=lambda p: fs.exponential_decay(**p)),
  'exponential/begin-staircase-end': Case(
    build=lambda p: fs.exponential_decay(**p)
  ),
  'exponential/growth-end': Case(build=lambda p: fs.exponential_decay(**p)),
  'cosine': Case(build=lambda p: fs.cosine_decay_schedule(**p)),
  'cosine/alpha-exponent': Case(build=lambda p: fs.cosine_decay_schedule(**p)),
  'linear_onecycle': Case(build=lambda p: fs.linear_onecycle_schedule(**p)),
  'cosine_onecycle': Case(build=optax_cosine_onecycle),
  'cosine_onecycle/int-truncation': Case(build=optax_cosine_onecycle),
  'warmup_constant': Case(build=lambda p: fs.warmup_constant_schedule(**p)),
  'warmup_cosine': Case(build=optax_warmup_cosine),
  'warmup_cosine/exponent': Case(build=optax_warmup_cosine),
  'warmup_exponential': Case(
    build=lambda p: fs.warmup_exponential_decay_schedule(**p)
  ),
  'warmup_exponential/begin-staircase-end': Case(
    build=lambda p: fs.warmup_exponential_decay_schedule(**p)
  ),
  'sgdr': Case(build=optax_sgdr),
  'join': Case(build=optax_join),
  'reduce_on_plateau/loss': Case(run=optax_reduce_on_plateau),
  'reduce_on_plateau/atol-accumulate': Case(run=optax_reduce_on_plateau),
  'reduce_on_plateau/negative': Case(run=optax_plateau_wrong_sign),
}


# ---------------------------------------------------------------------------
# T5X: a product of factors, of which one is a warm-up from 0 to 1, and a floor
# under all of them.


def t5x_rsqrt(p: Params) -> fs.Schedule:
  """'constant * linear_warmup * rsqrt_decay': base / sqrt(max(n, W))."""
  peak = p['base_learning_rate'] / p['warmup_steps'] ** 0.5
  lr = fs.inverse_sqrt_schedule(peak, p['warmup_steps'])
  return lr.clip(p.get('min_learning_rate', 1e-8))


def t5x_rsqrt_without_warmup(p: Params) -> fs.Schedule:
  """'constant * rsqrt_decay': flat until `warmup_steps`."""
  peak = p['base_learning_rate'] / p['warmup_steps'] ** 0.5
  return fs.power_schedule(peak, -0.5, timescale=p['warmup_steps'], offset=0)


def t5x_step_offset(p: Params) -> fs.Schedule:
  """The same, later, as a fine-tuning goes on counting from its checkpoint."""
  return t5x_rsqrt(p).shift(p['step_offset'])


def t5x_rsqrt_normalized(p: Params) -> fs.Schedule:
  """'constant * linear_warmup * rsqrt_normalized_decay': up to the base."""
  lr = fs.inverse_sqrt_schedule(p['base_learning_rate'], p['warmup_steps'])
  return lr.clip(1e-8)


def t5x_linear_decay(p: Params) -> fs.Schedule:
  """'linear_decay': `decay_factor` of the base less at each step."""
  lr = fs.warmup_polynomial_decay_schedule(
    0.0,
    p['base_learning_rate'],
    p['warmup_steps'],
    round(1 / p['decay_factor']),
  )
  return lr.clip(1e-8)


def t5x_cosine(p: Params) -> fs.Schedule:
  """'constant * linear_warmup * cosine_decay': the cosine starts again."""
  cycle = p['steps_per_cycle']
  cosine = fs.cosine_decay_schedule(p['base_learning_rate'], cycle)
  lr = fs.warmup_schedule(cosine.repeat(cycle), p['warmup_steps'])
  return lr.clip(p['min_learning_rate'])


def t5x_decay_every(p: Params) -> fs.Schedule:
  """'constant * decay_every'."""
  return fs.step_schedule(
    p['base_learning_rate'], p['steps_per_decay'], p['decay_factor']
  )


def t5x_warmup_decay_every(p: Params) -> fs.Schedule:
  """'constant * linear_warmup * decay_every': a product, both from step 0."""
  lr = fs.linear_schedule(0.0, 1.0, p['warmup_steps']) * t5x_decay_every(p)
  return lr.clip(1e-8)


T5X = {
  'constant*linear_warmup*rsqrt_decay': Case(build=t5x_rsqrt),
  'constant*rsqrt_decay': Case(build=t5x_rsqrt_without_warmup),
  'constant*linear_warmup*rsqrt_normalized_decay': Case(
    build=t5x_rsqrt_normalized
  ),
  'linear_decay': Case(build=t5x_linear_decay),
  'constant*linear_warmup*cosine_decay': Case(build=t5x_cosine),
  'constant*decay_every': Case(build=t5x_decay_every),
  'constant*linear_warmup*decay_every': Case(build=t5x_warmup_decay_every),
  'step_offset': Case(build=t5x_step_offset),
}


# ---------------------------------------------------------------------------
# Scenic: a product of factors too.


def scenic_polynomial(p: Params) -> fs.Schedule:
  """'constant*polynomial'."""
  base = p['base_learning_rate']
  end = base * p['end_factor']
  return fs.polynomial_schedule(base, end, p['power'], p['decay_steps'])


def scenic_warmup_polynomial(p: Params) -> fs.Schedule:
  """'constant*linear_warmup*polynomial': a product, both from step 0."""
  warmup = fs.linear_schedule(p['warmup_alpha'], 1.0, p['warmup_steps'])
  return warmup * scenic_polynomial(p)


def scenic_piecewise_constant(p: Params) -> fs.Schedule:
  """'constant*piecewise_constant': a factor applies after its event."""
  boundaries = [event + 1 for event in p['decay_events']]
  factors = fs.join_schedules([1.0, *p['decay_factors']], boundaries)
  return p['base_learning_rate'] * factors


def scenic_piecewise_linear(p: Params) -> fs.Schedule:
  """'constant*piecewise_linear'."""
  factors = dict(zip(p['decay_events'], p['decay_factors'], strict=True))
  return fs.piecewise_interpolate_schedule(
    'linear', p['base_learning_rate'], factors
  )


def scenic_warmup_cosine(p: Params) -> fs.Schedule:
  """'constant*linear_warmup*cosine_decay': the total includes the warm-up."""
  base, warmup = p['base_learning_rate'], p['warmup_steps']
  return fs.warmup_cosine_decay_schedule(
    0.0, base, warmup, p['total_steps'] - warmup
  )


def scenic_cosine(p: Params) -> fs.Schedule:
  """'constant*cosine_decay': it starts again after each cycle."""
  cycle = p['steps_per_cycle']
  lr = fs.cosine_decay_schedule(p['base_learning_rate'], cycle, p['alpha'])
  return lr.repeat(cycle, p.get('t_mul', 1.0), p.get('m_mul', 1.0))


def scenic_rsqrt(p: Params) -> fs.Schedule:
  """'constant*linear_warmup*rsqrt_decay'."""
  return fs.inverse_sqrt_schedule(
    p['base_learning_rate'], p['warmup_steps'], p['timescale']
  )


def scenic_linear(p: Params) -> fs.Schedule:
  """'constant*linear_warmup*linear_decay': the total includes the warm-up."""
  base, warmup = p['base_learning_rate'], p['warmup_steps']
  return fs.warmup_polynomial_decay_schedule(
    0.0, base, warmup, p['total_steps'] - warmup, p['end_learning_rate']
  )


def scenic_exponential(p: Params) -> fs.Schedule:
  """'constant*exponential_decay'."""
  return fs.exponential_decay(
    p['base_learning_rate'],
    p['decay_rate'],
    p['decay_steps'],
    staircase=p['staircase'],
  )


def cooldown(p: Params, steps: int) -> fs.Schedule:
  """The factor of a cooldown to 0 at the end, in Scenic and big_vision."""
  return fs.linear_schedule(1.0, 0.0, steps, p['total_steps'] - steps)


NEGATIVE = 'Past the end of the cooldown, the learning rate is negative.'

SCENIC = {
  'polynomial': Case(build=scenic_polynomial),
  'linear_warmup*polynomial': Case(build=scenic_warmup_polynomial),
  'piecewise_constant': Case(build=scenic_piecewise_constant),
  'piecewise_linear': Case(build=scenic_piecewise_linear),
  'linear_warmup*cosine_decay': Case(
    build=scenic_warmup_cosine,
    until=59,
    why='From the step at which the cosine ends, the peak is back.',
  ),
  'cosine_decay/alpha': Case(build=scenic_cosine),
  'cosine_decay/t_mul-m_mul': Case(build=scenic_cosine),
  'linear_warmup*rsqrt_decay': Case(build=scenic_rsqrt),
  'decay_every': Case(build=t5x_decay_every),
  'exponential_decay': Case(build=scenic_exponential),
  'exponential_decay/staircase': Case(build=scenic_exponential),
  'linear_warmup*linear_decay': Case(build=scenic_linear),
  'linear_warmup*rsqrt_decay*linear_cooldown': Case(
    build=lambda p: scenic_rsqrt(p) * cooldown(p, p['cooldown_steps']),
    until=60,
    why=NEGATIVE,
  ),
}


# ---------------------------------------------------------------------------
# big_vision: warm-up, decay and cooldown; lengths in steps, or relative to the
# run.


def big_vision_cosine(p: Params) -> fs.Schedule:
  """decay_type='cosine'."""
  decay = p['total_steps'] - p['warmup_steps']
  return fs.warmup_cosine_decay_schedule(
    0.0, p['base'], p['warmup_steps'], decay
  )


def big_vision_polynomial(p: Params) -> fs.Schedule:
  """decay_type='linear' or 'polynomial'."""
  return fs.warmup_polynomial_decay_schedule(
    0.0,
    p['base'],
    p['warmup_steps'],
    p['total_steps'] - p['warmup_steps'],
    p.get('linear_end', p.get('end', 0.0)),
    p.get('power', 1.0),
  )


def big_vision_linear_scaled(p: Params) -> fs.Schedule:
  """scale_with_batchsize=True, and a warm-up of epochs."""
  base = p['base'] * p['batch_size'] / 256
  warmup = p['warmup_epochs'] * p['data_size'] // p['batch_size']
  return fs.warmup_polynomial_decay_schedule(
    0.0, base, warmup, p['total_steps'] - warmup
  )


def big_vision_rsqrt(p: Params) -> fs.Schedule:
  """decay_type='rsqrt'."""
  return fs.inverse_sqrt_schedule(
    p['base'], p['warmup_steps'], p['timescale_steps']
  )


def big_vision_rsqrt_cooldown(p: Params) -> fs.Schedule:
  """The same with a cooldown."""
  lr = fs.inverse_sqrt_schedule(p['base'], p['warmup_steps'], p['timescale'])
  return lr * cooldown(p, p['cooldown_steps'])


def big_vision_rsqrt_shift(p: Params) -> fs.Schedule:
  """The same with a shift: a longer timescale, with a lower peak."""
  timescale = p['timescale'] + p['shift']
  peak = p['base'] * (p['timescale'] / timescale) ** 0.5
  lr = fs.inverse_sqrt_schedule(peak, p['warmup_steps'], timescale)
  return lr * cooldown(p, round(p['cooldown_percent'] * p['total_steps']))


def big_vision_cosine_cooldown(p: Params) -> fs.Schedule:
  """A cosine with a cooldown, and a warm-up of a fraction of the run."""
  warmup = round(p['warmup_percent'] * p['total_steps'])
  lr = fs.warmup_cosine_decay_schedule(
    0.0, p['base'], warmup, p['total_steps'] - warmup
  )
  return lr * cooldown(p, p['cooldown_steps'])


BIG_VISION = {
  'cosine': Case(build=big_vision_cosine),
  'linear': Case(build=big_vision_polynomial),
  'polynomial': Case(build=big_vision_polynomial),
  'rsqrt': Case(build=big_vision_rsqrt),
  'rsqrt-cooldown': Case(
    build=big_vision_rsqrt_cooldown, until=60, why=NEGATIVE
  ),
  'rsqrt-shift-cooldown': Case(
    build=big_vision_rsqrt_shift, until=60, why=NEGATIVE
  ),
  'cosine-cooldown': Case(build=big_vision_cosine_cooldown),
  'stair': Case(
    build=lambda p: (
      p['base'] * fs.join_schedules([1.0, *p['mults']], p['steps'])
    )
  ),
  'linear-scale-bs-epochs': Case(build=big_vision_linear_scaled),
}


# ---------------------------------------------------------------------------
# Megatron-LM: `lr_decay_steps` includes the warm-up.


def megatron_cosine(p: Params) -> fs.Schedule:
  """--lr-decay-style cosine."""
  warmup, total = p['lr_warmup_steps'], p['lr_decay_steps']
  return fs.warmup_cosine_decay_schedule(
    p['init_lr'], p['max_lr'], warmup, total - warmup, p['min_lr']
  )


def megatron_linear(p: Params) -> fs.Schedule:
  """--lr-decay-style linear."""
  warmup, total = p['lr_warmup_steps'], p['lr_decay_steps']
  return fs.warmup_polynomial_decay_schedule(
    p['init_lr'], p['max_lr'], warmup, total - warmup, p['min_lr']
  )


def megatron_constant(p: Params) -> fs.Schedule:
  """--lr-decay-style constant."""
  return fs.warmup_constant_schedule(
    p['init_lr'], p['max_lr'], p['lr_warmup_steps']
  )


def megatron_inverse_sqrt(p: Params) -> fs.Schedule:
  """--lr-decay-style inverse-square-root."""
  warmup = p['lr_warmup_steps']
  decay = fs.power_schedule(p['max_lr'], -0.5, timescale=warmup)
  return fs.warmup_schedule(decay.clip(p['min_lr']), warmup, p['init_lr'])


def megatron_wsd(p: Params) -> fs.Schedule:
  """--lr-decay-style WSD, and --lr-wsd-decay-style."""
  warmup, decay = p['lr_warmup_steps'], p['wsd_decay_steps']
  shape = p['lr_wsd_decay_style']
  return fs.wsd_schedule(
    p['max_lr'],
    warmup,
    p['lr_decay_steps'] - warmup - decay,
    decay,
    p['init_lr'],
    p['min_lr'],
    decay_shape='1-sqrt' if shape == 'minus_sqrt' else shape,
  )


def megatron_wsd_exponential(p: Params) -> fs.Schedule:
  """Its exponential one is another: 2 * 0.5**p - 1 of the way."""
  begin = p['lr_decay_steps'] - p['wsd_decay_steps']
  halved = fs.exponential_decay(2.0, 0.5, p['wsd_decay_steps'], end_value=1.0)
  decay = p['min_lr'] + (p['max_lr'] - p['min_lr']) * (halved - 1.0)
  return megatron_constant(p).then(decay, at=begin)


def megatron_weight_decay(p: Params) -> fs.Schedule:
  """--weight-decay-incr-style linear or cosine."""
  return fs.warmup_schedule(
    p['end_wd'],
    p['wd_incr_steps'],
    p['start_wd'],
    warmup_shape=p['wd_incr_style'],
  )


MEGATRON = {
  'cosine': Case(build=megatron_cosine),
  'linear': Case(build=megatron_linear),
  'constant': Case(build=megatron_constant),
  'cosine/no-warmup': Case(build=megatron_cosine),
  'inverse-square-root': Case(
    build=megatron_inverse_sqrt,
    until=60,
    why='One step past lr_decay_steps, it jumps to min_lr.',
  ),
  'WSD/linear': Case(build=megatron_wsd),
  'WSD/cosine': Case(build=megatron_wsd),
  'WSD/exponential': Case(build=megatron_wsd_exponential),
  'WSD/minus_sqrt': Case(build=megatron_wsd),
  # Lengths in samples, at so many samples to a step.
  'cosine/increment8': Case(
    build=lambda p: megatron_cosine(p).stretch(1 / p['increment'])
  ),
  'weight-decay/constant': Case(
    build=lambda p: fs.constant_schedule(p['end_wd'])
  ),
  'weight-decay/linear': Case(build=megatron_weight_decay),
  'weight-decay/cosine': Case(build=megatron_weight_decay),
}


# ---------------------------------------------------------------------------
# OLMo-core and AXLearn count from 1: the first update gets the value of step 1.
# Hence `.shift(-1)`.


def from_1(
  build: Callable[[Params], fs.Schedule],
  except_at: Sequence[int] = (0,),
  why: str = 'No update gets the value of step 0.',
  **kwargs: Any,
) -> Case:
  """A case where the peer counts from 1."""
  return Case(
    build=lambda p: build(p).shift(-1),
    first=1,
    except_at=tuple(except_at),
    why=why,
    **kwargs,
  )


def olmo_steps(p: Params, name: str, total: int) -> int:
  """A length in steps, given in steps or as a fraction of the run."""
  steps = p.get(name)
  return round(p[f'{name}_fraction'] * total) if steps is None else steps


def olmo_constant(p: Params) -> fs.Schedule:
  """ConstantWithWarmup."""
  return fs.warmup_constant_schedule(
    p['warmup_min_lr'], p['initial_lr'], p['warmup']
  )


def olmo_wsd(p: Params) -> fs.Schedule:
  """WSD."""
  total = p['t_max_arg']
  warmup, decay = olmo_steps(p, 'warmup', total), olmo_steps(p, 'decay', total)
  return fs.wsd_schedule(
    p['initial_lr'],
    warmup,
    total - warmup - decay,
    decay,
    p.get('warmup_min_lr', 0.0),
    p.get('decay_min_lr', 0.0),
  )


def olmo_tail(lr: fs.Schedule, p: Params) -> fs.Schedule:
  """A straight line to the end, from wherever a schedule is then."""
  begin = p['t_max_arg'] - p['decay']
  tail = fs.linear_schedule(lr(begin), p['decay_min_lr'], p['decay'])
  return lr.then(tail, at=begin)


def olmo_power(p: Params) -> fs.Schedule:
  """PowerLR, before its tail."""
  power = fs.power_schedule(p['initial_lr'], p['b'], timescale=p['warmup'])
  return fs.warmup_schedule(power, p['warmup'])


def olmo_linear(p: Params) -> fs.Schedule:
  """LinearWithWarmup."""
  lr, warmup = p['initial_lr'], p['warmup']
  return fs.warmup_polynomial_decay_schedule(
    p.get('warmup_min_lr', 0.0),
    lr,
    warmup,
    p['t_max_arg'] - warmup,
    p['alpha_f'] * lr,
  )


def olmo_inverse_sqrt(p: Params) -> fs.Schedule:
  """InvSqrtWithWarmup: down to alpha_f, not to 0."""
  end = p['alpha_f'] * p['initial_lr']
  decay = fs.power_schedule(p['initial_lr'] - end, -0.5, timescale=p['warmup'])
  return fs.warmup_schedule(end + decay, p['warmup'])


def olmo_cosine(p: Params) -> fs.Schedule:
  """CosWithWarmup."""
  lr, total = p['initial_lr'], p.get('t_max', p['t_max_arg'])
  warmup = olmo_steps(p, 'warmup', total)
  return fs.warmup_cosine_decay_schedule(
    p.get('warmup_min_lr', 0.0),
    lr,
    warmup,
    total - warmup,
    p['alpha_f'] * lr,
  )


def olmo_half_cosine(p: Params) -> fs.Schedule:
  """HalfCosWithWarmup: up to the middle of a cosine, then its second half."""
  half = p['t_max_arg'] - p['warmup']
  cosine = fs.cosine_decay_schedule(p['initial_lr'], 2 * half, p['alpha_f'])
  return fs.warmup_schedule(cosine.shift(-half), p['warmup'])


def olmo_exponential(p: Params) -> fs.Schedule:
  """Exponential: up, to find a learning rate."""
  low, high = p['lr_min'], p['initial_lr']
  return fs.exponential_decay(low, high / low, p['t_max_arg'], end_value=high)


def olmo_wsds(p: Params) -> fs.Schedule:
  """WSDS: periods joined, each counting from 1."""
  lr, warmup, decay = p['initial_lr'], p['warmup'], p['decay']
  first, second = p['period_lengths']
  a = fs.wsd_schedule(lr, warmup, first - warmup - decay, decay)
  b = fs.wsd_schedule(lr, 0, second - decay, decay)
  return a.shift(-1).then(b.shift(-1), at=first)


def olmo_sequential(p: Params) -> fs.Schedule:
  """Sequential: each goes on from where the one before ended, from 1."""
  (_, linear), (_, cosine) = p['schedulers']
  lr, (at,) = p['initial_lr'], p['schedulers_max']
  end = linear['alpha_f'] * lr
  a = olmo_linear({**linear, 'initial_lr': lr, 't_max_arg': at})
  rest = p['t_max_arg'] - at
  b = olmo_cosine({**cosine, 'initial_lr': end, 't_max_arg': rest})
  return a.shift(-1).then(b.shift(-1), at=at)


def olmo_composable(p: Params) -> fs.Schedule:
  """Composable: of a warm-up, a stable phase and a decay, here."""
  lr = p['initial_lr']
  warmup, stable, decay = p['stages']
  return fs.wsd_schedule(
    lr,
    warmup['duration'],
    stable['duration'],
    decay['duration'],
    warmup['start_lr'],
    decay['end_lr_fraction'] * lr,
    decay_shape=decay['shape'],
  )


EXTRAPOLATED = (
  'Past t_max, the line to the end goes on below it; and no update gets the '
  'value of step 0.'
)

OLMO_CORE = {
  'ConstantWithWarmup': from_1(olmo_constant),
  'WSD': from_1(olmo_wsd, until=60, why=EXTRAPOLATED),
  'WSD/fractions': from_1(olmo_wsd, until=60, why=EXTRAPOLATED),
  'PowerLR': from_1(
    lambda p: olmo_tail(olmo_power(p), p), until=60, why=EXTRAPOLATED
  ),
  'LinearWithWarmup': from_1(olmo_linear),
  'InvSqrtWithWarmup': from_1(olmo_inverse_sqrt),
  'CosWithWarmup': from_1(olmo_cosine),
  'CosWithWarmup/own-t_max': from_1(olmo_cosine),
  'HalfCosWithWarmup': from_1(olmo_half_cosine),
  'CosWithWarmupAndLinearDecay': from_1(
    lambda p: olmo_tail(olmo_cosine(p), p), until=60, why=EXTRAPOLATED
  ),
  'WSDS': Case(
    build=olmo_wsds,
    first=1,
    except_at=(0,),
    why='No update gets the value of step 0.',
  ),
  'Exponential': from_1(olmo_exponential),
  'Sequential': Case(
    build=olmo_sequential,
    first=1,
    except_at=(0,),
    why='No update gets the value of step 0.',
  ),
  'Composable': from_1(olmo_composable),
}


# ---------------------------------------------------------------------------
# Levanter: `warmup`, `decay`, `cooldown` and `rewarmup` are steps, or fractions
# of the run or of their cycle.


def levanter_steps(steps: float, total: int) -> int:
  """A length in steps, given in steps or, up to 1, as a fraction."""
  return int(steps * total) if steps <= 1 else int(steps)


def levanter_cosine(p: Params) -> fs.Schedule:
  """lr_schedule: cosine, with a cooldown at its end value or without."""
  lr, total = p['learning_rate'], p['num_train_steps']
  exponent = 1.0
  if not isinstance(p['lr_schedule'], str):
    exponent = p['lr_schedule'][1]['exponent']
  main = total - levanter_steps(p.get('cooldown', 0), total)
  return fs.warmup_cosine_decay_schedule(
    0.0,
    lr,
    p['warmup'],
    main - p['warmup'],
    p['min_lr_ratio'] * lr,
    exponent,
  )


def levanter_linear(p: Params) -> fs.Schedule:
  """lr_schedule: linear."""
  lr, warmup = p['learning_rate'], p['warmup']
  return fs.warmup_polynomial_decay_schedule(
    0.0, lr, warmup, p['num_train_steps'] - warmup, p['min_lr_ratio'] * lr
  )


def levanter_constant(p: Params) -> fs.Schedule:
  """lr_schedule: constant."""
  return fs.warmup_constant_schedule(0.0, p['learning_rate'], p['warmup'])


def levanter_inv(p: Params) -> fs.Schedule:
  """lr_schedule: inv: one over a straight line."""
  lr, end = p['learning_rate'], p['min_lr_ratio'] * p['learning_rate']
  steps = p['num_train_steps'] - p['warmup']
  inverse = fs.rex_schedule(lr, end, steps, beta=lr / end)
  return fs.warmup_schedule(inverse, p['warmup'])


def levanter_inv_sqrt(p: Params) -> fs.Schedule:
  """lr_schedule: inv_sqrt: flat until its timescale."""
  lr, timescale = p['learning_rate'], 10_000
  if not isinstance(p['lr_schedule'], str):
    timescale = p['lr_schedule'][1]['timescale']
  decay = fs.power_schedule(lr, -0.5, timescale, offset=p['warmup'])
  return fs.warmup_schedule(decay.clip(p['min_lr_ratio'] * lr), p['warmup'])


def levanter_power(p: Params) -> fs.Schedule:
  """lr_schedule: power: of the number of tokens since the warm-up."""
  power = p['lr_schedule'][1]
  tokens = power['batch_size'] * power['seq_length']
  after_1 = power['batch_size'] * power['a'] * tokens ** power['b']
  decay = fs.power_schedule(after_1, power['b'], timescale=1, offset=0)
  return fs.warmup_schedule(decay.clip(high=p['learning_rate']), p['warmup'])


def levanter_decay(p: Params) -> fs.Schedule:
  """A decay shorter than the run: a stable phase before it."""
  lr, total = p['learning_rate'], p['num_train_steps']
  warmup = levanter_steps(p['warmup'], total)
  decay = levanter_steps(p['decay'], total)
  return fs.wsd_schedule(
    lr,
    warmup,
    total - warmup - decay,
    decay,
    end_value=p['min_lr_ratio'] * lr,
    decay_shape=p['lr_schedule'],
  )


def levanter_cycles(p: Params) -> fs.Schedule:
  """cycles: N, each after the first with a warm-up from the last one's end."""
  lr, end = p['learning_rate'], p['min_lr_ratio'] * p['learning_rate']
  ends = [
    int(p['num_train_steps'] / p['cycles'] * (i + 1))
    for i in range(p['cycles'])
  ]
  schedules = []
  for begin, length in zip([0, *ends], np.diff([0, *ends]), strict=False):
    warmup = int(p['rewarmup'] * length) if begin else p['warmup']
    low = end if begin else 0.0
    schedules.append(
      fs.warmup_cosine_decay_schedule(low, lr, warmup, length - warmup, end)
    )
  return fs.join_schedules(schedules, ends[:-1])


def levanter_cycle_length(p: Params) -> fs.Schedule:
  """cycle_length: [a, b]: warmup-stable-decay, joined."""
  lr, end = p['learning_rate'], p['min_lr_ratio'] * p['learning_rate']
  first, second = p['cycle_length']
  decays = [int(p['decay'] * length) for length in (first, second)]
  stable = first - p['warmup'] - decays[0]
  a = fs.wsd_schedule(lr, p['warmup'], stable, decays[0], end_value=end)
  b = fs.wsd_schedule(lr, 0, second - decays[1], decays[1], end_value=end)
  return a.then(b, at=first)


LEVANTER = {
  'cosine': Case(build=levanter_cosine),
  'linear': Case(build=levanter_linear),
  'constant': Case(build=levanter_constant),
  'inv': Case(
    build=levanter_inv,
    except_at=(10,),
    why='The decay begins with its second value, twice: there is no peak.',
  ),
  'inv_sqrt': Case(build=levanter_inv_sqrt),
  'inv_sqrt/timescale': Case(build=levanter_inv_sqrt),
  'cosine/exponent': Case(build=levanter_cosine),
  'power': Case(build=levanter_power),
  'cosine/fractions-decay': Case(build=levanter_decay),
  'linear/decay': Case(build=levanter_decay),
  'cosine/cycles': Case(build=levanter_cycles),
  'linear/cycle_length': Case(build=levanter_cycle_length),
  'cosine/cooldown': Case(build=levanter_cosine),
}


# ---------------------------------------------------------------------------
# AXLearn.


def axlearn_polynomial(p: Params) -> fs.Schedule:
  """Polynomial: a power of what is done, not of what remains."""
  line = fs.linear_schedule(
    p['begin_value'], p['end_value'], p['end_step'] - p['begin_step']
  )
  return fs.k_decay_schedule(line, k=p.get('power', 1.0)).shift(p['begin_step'])


def axlearn_exponential(p: Params) -> fs.Schedule:
  """Exponential: from one value to another."""
  begin, end = p['begin_value'], p['end_value']
  return fs.exponential_decay(
    begin,
    end / begin,
    p['end_step'] - p['begin_step'],
    p['begin_step'],
    end_value=end,
  )


def axlearn_inverse_sqrt(p: Params) -> fs.Schedule:
  """inverse_sqrt: flat until `warmup_steps`."""
  warmup = p['warmup_steps']
  return fs.power_schedule(warmup**-0.5, -0.5, timescale=warmup, offset=0)


def axlearn_adafactor(p: Params) -> fs.Schedule:
  """Adafactor: with a warm-up."""
  warmup, power = p['warmup_steps'], p['decay_power']
  peak = p['scale'] * warmup**power
  decay = fs.power_schedule(peak, power, timescale=warmup)
  return fs.warmup_schedule(decay, warmup)


def axlearn_cosine(p: Params) -> fs.Schedule:
  """cosine_with_linear_warmup."""
  peak, warmup = p['peak_lr'], p['warmup_steps']
  begin = p.get('decay_begin_step', warmup)
  return fs.wsd_schedule(
    peak,
    warmup,
    begin - warmup,
    p['max_step'] - begin,
    p.get('begin_value', 0.0),
    p['alpha'] * peak,
    decay_shape='cosine',
  )


def axlearn_wsd(p: Params) -> fs.Schedule:
  """warmup_stable_decay."""
  peak, warmup, begin = p['peak_lr'], p['warmup_steps'], p['decay_begin_step']
  return fs.wsd_schedule(
    peak,
    warmup,
    begin - warmup,
    p['max_step'] - begin,
    p['begin_value'],
    p['alpha'] * peak,
  )


def axlearn_constant(p: Params) -> fs.Schedule:
  """constant_with_linear_warmup."""
  return fs.warmup_constant_schedule(
    p['begin_value'], p['peak_lr'], p['warmup_steps']
  )


def axlearn_linear(p: Params) -> fs.Schedule:
  """linear_schedule_with_warmup."""
  warmup = p['warmup_steps']
  return fs.warmup_polynomial_decay_schedule(
    p['begin_value'],
    p['peak_lr'],
    warmup,
    p['max_step'] - warmup,
    p['end_value'],
  )


def axlearn_ema(p: Params) -> fs.Schedule:
  """ema_schedule: a running mean for `warmup_steps`, then the decay."""
  mean = fs.ema_decay_schedule(p['decay'], offset=2)
  return mean.then(p['decay'], at=p['warmup_steps'] - 1)


def axlearn_stepwise(p: Params) -> fs.Schedule:
  """Stepwise: each counts from its own start."""
  polynomial, constant, exponential = (value for _, value in p['sub'])
  return fs.join_schedules(
    [
      axlearn_polynomial(polynomial),
      constant,
      axlearn_exponential(exponential),
    ],
    p['start_step'],
  )


AXLEARN = {
  'polynomial': from_1(axlearn_polynomial, except_at=()),
  'exponential': from_1(axlearn_exponential),
  'inverse_sqrt': from_1(axlearn_inverse_sqrt, except_at=()),
  'adafactor': from_1(axlearn_adafactor),
  'cosine_with_linear_warmup': from_1(axlearn_cosine),
  'cosine_with_linear_warmup/decay_begin': from_1(axlearn_cosine),
  'warmup_stable_decay': from_1(axlearn_wsd),
  'constant_with_linear_warmup': from_1(axlearn_constant),
  'linear_schedule_with_warmup': from_1(axlearn_linear),
  # These three have the shift in their definition.
  'ema_schedule': Case(
    build=axlearn_ema,
    first=1,
    except_at=(0,),
    why='No update gets the value of step 0.',
  ),
  'adafactor_decay_rate': Case(
    build=lambda p: fs.adafactor_decay_schedule(p['c']), first=1
  ),
  'decay_bias_correction': Case(
    build=lambda p: fs.bias_corrected_decay_schedule(p['decay']), first=1
  ),
  'stepwise': from_1(axlearn_stepwise),
}


# ---------------------------------------------------------------------------
# Keras.


def keras_exponential(p: Params) -> fs.Schedule:
  """ExponentialDecay."""
  return fs.exponential_decay(
    p['initial_learning_rate'],
    p['decay_rate'],
    p['decay_steps'],
    staircase=p.get('staircase', False),
  )


def keras_piecewise_constant(p: Params) -> fs.Schedule:
  """PiecewiseConstantDecay: a value applies after its boundary."""
  return fs.join_schedules(p['values'], [b + 1 for b in p['boundaries']])


def keras_polynomial(p: Params) -> fs.Schedule:
  """PolynomialDecay."""
  return fs.polynomial_schedule(
    p['initial_learning_rate'],
    p['end_learning_rate'],
    p['power'],
    p['decay_steps'],
  )


def keras_polynomial_cycle(p: Params) -> fs.Schedule:
  """PolynomialDecay(cycle=True): cycle i starts at a fraction of 1 / i.

  Each one ends at its end value, and so begins with its second.
  """
  init, end, power = (
    p['initial_learning_rate'],
    p['end_learning_rate'],
    p['power'],
  )
  steps = p['decay_steps']
  cycle = fs.polynomial_schedule(init - end, 0.0, power, steps).shift(-1)
  height = fs.power_schedule(1.0, -power, timescale=1).every(steps)
  cycles = end + cycle.repeat(steps) * height
  return fs.constant_schedule(init).then(cycles, at=1)


def keras_inverse_time(p: Params) -> fs.Schedule:
  """InverseTimeDecay."""
  lr, rate, steps = (
    p['initial_learning_rate'],
    p['decay_rate'],
    p['decay_steps'],
  )
  if p.get('staircase'):
    return fs.inverse_time_decay(lr, rate, 1).every(steps)
  return fs.inverse_time_decay(lr, rate, steps)


def keras_cosine(p: Params) -> fs.Schedule:
  """CosineDecay."""
  lr, steps, alpha = p['initial_learning_rate'], p['decay_steps'], p['alpha']
  if 'warmup_target' not in p:
    return fs.cosine_decay_schedule(lr, steps, alpha)
  peak = p['warmup_target']
  return fs.warmup_cosine_decay_schedule(
    lr, peak, p['warmup_steps'], steps, alpha * peak
  )


def keras_cosine_restarts(p: Params) -> fs.Schedule:
  """CosineDecayRestarts: the end value is the same in each cycle."""
  lr, steps = p['initial_learning_rate'], p['first_decay_steps']
  end = p['alpha'] * lr
  cosine = fs.cosine_decay_schedule(lr - end, steps)
  return end + cosine.repeat(steps, p['t_mul'], p['m_mul'])


KERAS = {
  'ExponentialDecay': Case(build=keras_exponential),
  'ExponentialDecay/staircase': Case(build=keras_exponential),
  'PiecewiseConstantDecay': Case(build=keras_piecewise_constant),
  'PolynomialDecay': Case(build=keras_polynomial),
  'PolynomialDecay/cycle': Case(build=keras_polynomial_cycle),
  'InverseTimeDecay': Case(build=keras_inverse_time),
  'InverseTimeDecay/staircase': Case(build=keras_inverse_time),
  'CosineDecay': Case(build=keras_cosine),
  'CosineDecay/warmup': Case(build=keras_cosine),
  'CosineDecayRestarts/t_mul1': Case(build=keras_cosine_restarts),
  'CosineDecayRestarts/t_mul': Case(build=keras_cosine_restarts),
}


# ---------------------------------------------------------------------------
# nanoGPT and nanochat: warm-ups whose first value is not 0.


def nanogpt(p: Params) -> fs.Schedule:
  """get_lr."""
  lr, warmup = p['learning_rate'], p['warmup_iters']
  return fs.warmup_cosine_decay_schedule(
    lr / (warmup + 1), lr, warmup, p['lr_decay_iters'] - warmup, p['min_lr']
  )


def nanochat_lr(p: Params) -> fs.Schedule:
  """The multiplier of the learning rates."""
  total, warmup = p['num_iterations'], p['warmup_steps']
  warmdown = round(p['warmdown_ratio'] * total)
  return fs.wsd_schedule(
    1.0,
    warmup - 1,
    total - warmdown - (warmup - 1),
    warmdown,
    1 / warmup,
    p['final_lr_frac'],
  )


def nanochat_momentum(p: Params) -> fs.Schedule:
  """Muon's momentum: up, along, and down in the warmdown."""
  total = p['num_iterations']
  warmdown = round(p['warmdown_ratio'] * total)
  return fs.wsd_schedule(0.97, 400, total - warmdown - 400, warmdown, 0.85, 0.9)


def nanochat_weight_decay(p: Params) -> fs.Schedule:
  """The weight decay."""
  return fs.cosine_decay_schedule(p['weight_decay_scaled'], p['num_iterations'])


def nanochat_sft_lr(p: Params) -> fs.Schedule:
  """The multiplier of the learning rates, in a run of 1000 steps."""
  warmup = round(p['warmup_ratio'] * 1000)
  warmdown = round(p['warmdown_ratio'] * 1000)
  return fs.wsd_schedule(
    1.0,
    warmup,
    1000 - warmup - warmdown,
    warmdown,
    end_value=p['final_lr_frac'],
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfProgress(Case):
  """A case whose steps are fractions of a run, here of 1000 steps."""

  def values(self, params: Params, steps: np.ndarray) -> np.ndarray:
    """The values at these fractions."""
    return super().values(params, np.rint(1000 * steps).astype(int))


NANOCHAT = {
  'base_lr_multiplier/warmup10': Case(
    build=nanochat_lr,
    until=100,
    why='Past the end of the run, the warmdown goes on.',
  ),
  'muon_momentum': Case(
    build=nanochat_momentum,
    until=1000,
    why='Past the end of the run, the warmdown goes on.',
  ),
  'weight_decay': Case(
    build=nanochat_weight_decay,
    until=1000,
    why='Past the end of the run, the cosine climbs again.',
  ),
  'sft_muon_momentum': Case(
    build=lambda p: fs.warmup_constant_schedule(0.85, 0.95, 300)
  ),
  'rl_lr_multiplier': Case(
    build=lambda p: fs.linear_schedule(1.0, 0.0, p['num_steps']),
    until=40,
    why='Past the end of the run, the learning rate is negative.',
  ),
  # nanochat adds 1e-8 to the progress, a tenth of which is the warm-up.
  'sft_lr_multiplier': OfProgress(build=nanochat_sft_lr, rtol=1.1e-6),
}


CASES = {
  f'{peer}/{name}': case
  for peer, cases in {
    'optax': OPTAX,
    't5x': T5X,
    'scenic': SCENIC,
    'big_vision': BIG_VISION,
    'megatron': MEGATRON,
    'olmo_core': OLMO_CORE,
    'levanter': LEVANTER,
    'axlearn': AXLEARN,
    'keras': KERAS,
    'nanogpt': {'get_lr': Case(build=nanogpt)},
    'nanochat': NANOCHAT,
  }.items()
  for name, case in cases.items()
}

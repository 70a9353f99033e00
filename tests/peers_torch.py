"""The schedules of PyTorch, Transformers and timm, by calls of flax_sched."""

from collections.abc import Callable
import itertools
from typing import Any

from jax import numpy as jnp

import flax_sched as fs
from peers import Case

Params = dict[str, Any]


# ---------------------------------------------------------------------------
# torch.optim.lr_scheduler


def torch_repeated_milestones(p: Params) -> fs.Schedule:
  """MultiStepLR where a milestone that is given twice counts twice."""
  once = sorted(set(p['milestones']))
  again = [m for m in once if p['milestones'].count(m) == 2]
  return fs.multistep_schedule(
    p['lr'], once, p['gamma']
  ) * fs.multistep_schedule(1.0, again, p['gamma'])


def torch_cosine(p: Params) -> fs.Schedule:
  """CosineAnnealingLR."""
  return fs.cosine_decay_schedule(
    p['lr'], p['T_max'], alpha=p['eta_min'] / p['lr']
  )


def torch_restarts(p: Params) -> fs.Schedule:
  """CosineAnnealingWarmRestarts."""
  curve = fs.cosine_decay_schedule(
    p['lr'], p['T_0'], alpha=p['eta_min'] / p['lr']
  )
  return curve.repeat(p['T_0'], t_mult=p['T_mult'])


TORCH_SHAPES = {'cos': 'cosine', 'linear': 'linear'}


def torch_onecycle_ends(p: Params) -> tuple[int, int]:
  """The steps at which OneCycleLR is at its peak and at its end."""
  return round(p['pct_start'] * p['total_steps']) - 1, p['total_steps'] - 1


def torch_onecycle(p: Params) -> fs.Schedule:
  """OneCycleLR: in two phases."""
  peak, end = torch_onecycle_ends(p)
  return fs.piecewise_interpolate_schedule(
    TORCH_SHAPES[p['anneal_strategy']],
    p['max_lr'] / p['div_factor'],
    {peak: p['div_factor'], end: 1 / p['final_div_factor']},
  )


def torch_onecycle_3(p: Params) -> fs.Schedule:
  """OneCycleLR(three_phase=True): down again as fast as it rose, then on."""
  peak, end = torch_onecycle_ends(p)
  onecycle = {
    'cos': fs.cosine_onecycle_schedule,
    'linear': fs.linear_onecycle_schedule,
  }[p['anneal_strategy']]
  return onecycle(
    end,
    p['max_lr'],
    pct_start=peak / end,
    pct_final=2 * peak / end,
    final_div_factor=p['final_div_factor'],
    div_factor=p['div_factor'],
  )


def torch_onecycle_momentum(p: Params) -> fs.Schedule:
  """The momentum of OneCycleLR."""
  peak, end = torch_onecycle_ends(p)
  return fs.onecycle_momentum_schedule(
    end,
    p['base_momentum'],
    p['max_momentum'],
    pct_start=peak / end,
    pct_final=2 * peak / end if p['three_phase'] else 1.0,
    interpolate_type=TORCH_SHAPES[p['anneal_strategy']],
  )


def torch_cyclic(low: str, high: str) -> Callable[[Params], fs.Schedule]:
  """CyclicLR, between two of its arguments."""
  return lambda p: fs.cyclic_schedule(
    p[low],
    p[high],
    p['step_size_up'],
    p['step_size_down'],
    mode=p['mode'],
    gamma=p['gamma'],
  )


def torch_polynomial(p: Params) -> fs.Schedule:
  """PolynomialLR."""
  return fs.polynomial_schedule(p['lr'], 0.0, p['power'], p['total_iters'])


def torch_linear(p: Params) -> fs.Schedule:
  """LinearLR."""
  return p['lr'] * fs.linear_schedule(
    p['start_factor'], p['end_factor'], p['total_iters']
  )


def torch_sequence(p: Params) -> fs.Schedule:
  """SequentialLR of ConstantLR, ExponentialLR and StepLR."""
  return fs.join_schedules(
    [
      p['lr'] * p['constant']['factor'],
      fs.exponential_decay(p['lr'], p['exponential']['gamma'], 1),
      fs.step_schedule(p['lr'], p['step']['step_size'], p['step']['gamma']),
    ],
    p['milestones'],
  )


def torch_chain(p: Params) -> fs.Schedule:
  """ChainedScheduler of ConstantLR and ExponentialLR: their product."""
  constant = p['constant']
  return fs.join_schedules(
    [constant['factor'], 1.0], [constant['total_iters']]
  ) * fs.exponential_decay(p['lr'], p['exponential']['gamma'], 1)


def torch_plateau(p: Params, **changes: Any) -> list[float]:
  """ReduceLROnPlateau: the value after each number of metrics."""
  relative = p['threshold_mode'] == 'rel'
  arguments = {
    'factor': p['factor'],
    'patience': p['patience'] + 1,  # PyTorch's is the last one that is endured
    'rtol': p['threshold'] if relative else 0.0,
    'atol': 0.0 if relative else p['threshold'],
    'cooldown': p['cooldown'],
    'min_value': p['min_lr'],
  }
  plateau = fs.reduce_on_plateau(p['lr'], **{**arguments, **changes})
  sign = {'min': 1, 'max': -1}[p['mode']]
  state = plateau.init()
  values = [float(plateau(state))]
  for metric in p['metrics']:
    state = plateau.update(state, value=sign * metric)
    values.append(float(plateau(state)))
  return values


def torch_plateau_wrong_sign(p: Params) -> list[float]:
  """ReduceLROnPlateau with a relative margin and negative metrics.

  There, PyTorch takes best * (1 - threshold), which is above the best: what is
  worse counts as better. Our margin is right for either sign, and so a negative
  one, which only an array gets past the check, is PyTorch's. Nothing else
  differs.
  """
  return torch_plateau(p, rtol=jnp.float32(-p['threshold']))


CLIMBS = (
  'The recursion has no end: past it the rate climbs back, all the way up.'
)
ONE_TOO_MANY = (
  'One step past the last update is let through and extrapolated, to values '
  'that turn back or overshoot: a negative rate, a momentum above the largest.'
)

TORCH = {
  'StepLR': Case(
    build=lambda p: fs.step_schedule(p['lr'], p['step_size'], p['gamma'])
  ),
  'MultiStepLR': Case(
    build=lambda p: fs.multistep_schedule(p['lr'], p['milestones'], p['gamma'])
  ),
  'MultiStepLR/duplicate-milestone': Case(build=torch_repeated_milestones),
  'ExponentialLR': Case(
    build=lambda p: fs.exponential_decay(p['lr'], p['gamma'], 1)
  ),
  'CosineAnnealingLR': Case(build=torch_cosine, until=20, why=CLIMBS),
  'CosineAnnealingWarmRestarts/T_mult1': Case(build=torch_restarts),
  'CosineAnnealingWarmRestarts/T_mult2': Case(build=torch_restarts),
  **{
    f'OneCycleLR/{strategy}/three_phase=False{of}': Case(
      build=build, until=49, why=ONE_TOO_MANY
    )
    for strategy in ('cos', 'linear')
    for of, build in (
      ('', torch_onecycle),
      ('/momentum', torch_onecycle_momentum),
    )
  },
  **{
    f'OneCycleLR/{strategy}/three_phase=True': Case(
      build=torch_onecycle_3, until=49, why=ONE_TOO_MANY
    )
    for strategy in ('cos', 'linear')
  },
  **{
    f'OneCycleLR/{strategy}/three_phase=True/momentum': Case(
      build=torch_onecycle_momentum
    )
    for strategy in ('cos', 'linear')
  },
  **{
    f'CyclicLR/{mode}{of}': Case(build=build)
    for mode in ('triangular', 'triangular2', 'exp_range')
    for of, build in (
      ('', torch_cyclic('base_lr', 'max_lr')),
      ('/momentum', torch_cyclic('max_momentum', 'base_momentum')),
    )
  },
  'PolynomialLR': Case(build=torch_polynomial),
  'PolynomialLR/power1': Case(build=torch_polynomial),
  'LinearLR/up': Case(build=torch_linear),
  'LinearLR/down': Case(build=torch_linear),
  'ConstantLR': Case(
    build=lambda p: fs.join_schedules(
      [p['lr'] * p['factor'], p['lr']], [p['total_iters']]
    )
  ),
  'SequentialLR/LinearLR+CosineAnnealingLR': Case(
    build=lambda p: fs.warmup_cosine_decay_schedule(
      p['lr'] * p['warmup']['start_factor'],
      p['lr'],
      p['warmup']['total_iters'],
      p['cosine']['T_max'],
      p['cosine']['eta_min'],
    ),
    until=30,
    why=CLIMBS,
  ),
  'SequentialLR/ConstantLR+ExponentialLR+StepLR': Case(build=torch_sequence),
  'ChainedScheduler/ConstantLR+ExponentialLR': Case(build=torch_chain),
  **{
    f'ReduceLROnPlateau/{of}': Case(run=torch_plateau)
    for of in (
      'min-rel',
      'min-rel-cooldown-minlr',
      'min-abs',
      'max-rel',
      'max-abs',
      'min-abs-negative',
    )
  },
  'ReduceLROnPlateau/min-rel-eps': Case(
    run=torch_plateau,
    until=6,
    why=(
      '`eps` stops at the first rate whose reduction would be smaller: a floor '
      'that depends on the path to it. Ours is named: `min_value`.'
    ),
  ),
  'ReduceLROnPlateau/min-rel-negative': Case(run=torch_plateau_wrong_sign),
  'ReduceLROnPlateau/max-rel-negative': Case(run=torch_plateau_wrong_sign),
}


# ---------------------------------------------------------------------------
# transformers.get_scheduler


def hf_lengths(p: Params) -> tuple[int, int]:
  """The numbers of steps of the warm-up, and of what follows."""
  warmup = p['num_warmup_steps']
  return warmup, p['num_training_steps'] - warmup


def hf_polynomial(p: Params) -> fs.Schedule:
  """'polynomial', which does not end at 0."""
  warmup, decay = hf_lengths(p)
  kwargs = p.get('scheduler_specific_kwargs', {})
  return fs.warmup_polynomial_decay_schedule(
    0.0,
    p['lr'],
    warmup,
    decay,
    end_value=kwargs.get('lr_end', 1e-7),
    power=kwargs.get('power', 1.0),
  )


def hf_cosine(p: Params) -> fs.Schedule:
  """'cosine' and 'cosine_with_min_lr'."""
  warmup, decay = hf_lengths(p)
  return fs.warmup_cosine_decay_schedule(
    0.0, p['lr'], warmup, decay, end_value=hf_end(p)
  )


def hf_end(p: Params) -> float:
  """The last value, given as it is, or as a fraction of the peak, or 0."""
  kwargs = p.get('scheduler_specific_kwargs', {})
  return kwargs.get('min_lr', p['lr'] * kwargs.get('min_lr_rate', 0.0))


def hf_early_cosine(p: Params) -> fs.Schedule:
  """'cosine_warmup_with_min_lr': all of it is a step early."""
  warmup, decay = hf_lengths(p)
  rate = p['scheduler_specific_kwargs'].get('warmup_lr_rate', 1 / warmup)
  return fs.warmup_cosine_decay_schedule(
    rate * p['lr'], p['lr'], warmup - 1, decay, end_value=hf_end(p)
  )


def hf_waves(p: Params) -> fs.Schedule:
  """'cosine' with a `num_cycles` of 1.5: down, up again and down."""
  warmup, decay = hf_lengths(p)
  halves = round(2 * p['scheduler_specific_kwargs']['num_cycles'])
  waves = fs.piecewise_interpolate_schedule(
    'cosine',
    p['lr'],
    {decay * (i + 1) // halves: i % 2 for i in range(halves)},
  )
  return fs.warmup_schedule(waves, warmup)


def hf_restarts(p: Params) -> fs.Schedule:
  """'cosine_with_restarts'."""
  warmup, decay = hf_lengths(p)
  period = decay // p['scheduler_specific_kwargs']['num_cycles']
  cycles = fs.cosine_decay_schedule(p['lr'], period).repeat(period)
  return fs.warmup_schedule(cycles, warmup).then(
    0.0, at=p['num_training_steps']
  )


def hf_inverse_sqrt(p: Params) -> fs.Schedule:
  """'inverse_sqrt': without a warm-up, the timescale is 10000."""
  warmup = p['num_warmup_steps']
  kwargs = p.get('scheduler_specific_kwargs', {})
  return fs.inverse_sqrt_schedule(
    p['lr'], warmup, timescale=kwargs.get('timescale') or warmup or 10_000
  )


def hf_wsd(p: Params) -> fs.Schedule:
  """'warmup_stable_decay': the warm-up begins at the value of the end."""
  warmup, rest = hf_lengths(p)
  kwargs = p['scheduler_specific_kwargs']
  decay = kwargs['num_decay_steps']
  low = p['lr'] * kwargs['min_lr_ratio']
  return fs.wsd_schedule(
    p['lr'],
    warmup,
    kwargs.get('num_stable_steps', rest - decay),
    decay,
    init_value=low,
    end_value=low,
    decay_shape=kwargs['decay_type'],
    warmup_shape=kwargs.get('warmup_type', 'linear'),
  )


TURNS_EARLY = (
  'It is at its minimum one update before the end, and climbs from there on.'
)

TRANSFORMERS = {
  'linear': Case(
    build=lambda p: fs.warmup_polynomial_decay_schedule(
      0.0, p['lr'], *hf_lengths(p)
    )
  ),
  'cosine': Case(build=hf_cosine),
  'cosine/num_cycles': Case(build=hf_waves),
  'cosine_with_restarts': Case(build=hf_restarts),
  'polynomial': Case(build=hf_polynomial),
  'polynomial/defaults': Case(build=hf_polynomial),
  'constant': Case(build=lambda p: fs.constant_schedule(p['lr'])),
  'constant_with_warmup': Case(
    build=lambda p: fs.warmup_constant_schedule(
      0.0, p['lr'], p['num_warmup_steps']
    )
  ),
  'inverse_sqrt': Case(build=hf_inverse_sqrt),
  'inverse_sqrt/timescale': Case(build=hf_inverse_sqrt),
  'inverse_sqrt/no-warmup': Case(build=hf_inverse_sqrt),
  'cosine_with_min_lr/min_lr': Case(build=hf_cosine),
  'cosine_with_min_lr/min_lr_rate': Case(build=hf_cosine),
  'cosine_warmup_with_min_lr': Case(
    build=hf_early_cosine, until=99, why=TURNS_EARLY
  ),
  'cosine_warmup_with_min_lr/warmup_lr_rate': Case(
    build=hf_early_cosine, until=99, why=TURNS_EARLY
  ),
  **{
    f'warmup_stable_decay/{warmup}/{decay}': Case(build=hf_wsd)
    for warmup in ('linear', 'cosine', '1-sqrt')
    for decay in ('linear', 'cosine', '1-sqrt')
  },
  'warmup_stable_decay/num_stable_steps': Case(build=hf_wsd),
}


# ---------------------------------------------------------------------------
# timm.scheduler


def timm_cosine(p: Params) -> fs.Schedule:
  """CosineLRScheduler: one cycle."""
  return fs.cosine_decay_schedule(
    p['lr'], p['t_initial'], alpha=p['lr_min'] / p['lr']
  )


def timm_tanh(p: Params) -> fs.Schedule:
  """TanhLRScheduler: one cycle; it falls the rest of the way in the end."""
  curve = fs.tanh_decay_schedule(
    p['lr'], p['lr_min'], p['t_initial'], p.get('lb', -7.0), p.get('ub', 3.0)
  )
  return curve.then(p['lr_min'], at=p['t_initial'])


def timm_poly(p: Params) -> fs.Schedule:
  """PolyLRScheduler: one cycle."""
  return fs.polynomial_schedule(
    p['lr'], p['lr_min'], p['power'], p['t_initial']
  )


def timm_step(p: Params) -> fs.Schedule:
  """StepLRScheduler."""
  return fs.step_schedule(p['lr'], p['decay_t'], p['decay_rate'])


def timm_multistep(p: Params) -> fs.Schedule:
  """MultiStepLRScheduler: a step earlier than it is told."""
  return fs.multistep_schedule(
    p['lr'], [t - 1 for t in p['decay_t']], p['decay_rate']
  )


def timm_k_decay(
  curve: Callable[[Params], fs.Schedule],
) -> Callable[[Params], fs.Schedule]:
  """One cycle with the argument `k_decay`."""
  return lambda p: fs.k_decay_schedule(curve(p), k=p['k_decay'])


def timm_cycles(
  curve: Callable[[Params], fs.Schedule],
) -> Callable[[Params], fs.Schedule]:
  """Several cycles: each longer, and from a lower peak, than the one before."""

  def build(p: Params) -> fs.Schedule:
    limit, longer = range(p['cycle_limit']), p['cycle_mul']
    lengths = [round(p['t_initial'] * longer**i) for i in limit]
    peaks = [p['lr'] * p['cycle_decay'] ** i for i in limit]
    cycles = [
      curve({**p, 'lr': peak, 't_initial': length})
      for peak, length in zip(peaks, lengths, strict=True)
    ]
    return fs.join_schedules(
      [*cycles, p['lr_min']], list(itertools.accumulate(lengths))
    )

  return build


def timm_after_warmup(
  then: Callable[[Params], fs.Schedule],
) -> Callable[[Params], fs.Schedule]:
  """A schedule after a warm-up (warmup_prefix=True)."""
  return lambda p: fs.warmup_schedule(
    then(p), p['warmup_t'], p['warmup_lr_init']
  )


def timm_under_warmup(
  curve: Callable[[Params], fs.Schedule],
) -> Callable[[Params], fs.Schedule]:
  """A warm-up instead of a schedule's first steps: up to `lr`, then a jump."""
  return lambda p: fs.join_schedules(
    [
      fs.linear_schedule(p['warmup_lr_init'], p['lr'], p['warmup_t']),
      curve(p).shift(-p['warmup_t']),
    ],
    [p['warmup_t']],
  )


def timm_wsd(p: Params) -> fs.Schedule:
  """WSDLRScheduler with a stable phase that is flat."""
  return fs.wsd_schedule(
    p['lr'],
    p['warmup_t'],
    p['t_initial'] - p['decay_t'],
    p['decay_t'],
    init_value=p['warmup_lr_init'],
    end_value=p['lr_min'],
    decay_shape=p['decay_fn'],
  )


def timm_wsd_then(
  decay: Callable[[Params], fs.Schedule],
) -> Callable[[Params], fs.Schedule]:
  """WSDLRScheduler with a decay that `wsd_schedule` does not know."""
  return timm_after_warmup(
    lambda p: fs.join_schedules(
      [p['lr'], decay(p)], [p['t_initial'] - p['decay_t']]
    )
  )


def timm_power_decay(p: Params) -> fs.Schedule:
  """1 - p**power of the way."""
  line = fs.linear_schedule(p['lr'], p['lr_min'], p['decay_t'])
  return fs.k_decay_schedule(line, k=p['decay_power'])


def timm_exp_decay(p: Params) -> fs.Schedule:
  """An exponential from 1 to `decay_ratio`, mapped to `lr` and `lr_min`."""
  return fs.follow(
    fs.exponential_decay(1.0, p['decay_ratio'], p['decay_t']),
    {p['decay_ratio']: p['lr_min'], 1.0: p['lr']},
  )


def timm_wsd_falling(p: Params) -> fs.Schedule:
  """WSDLRScheduler with a stable phase that falls, also below the decay."""
  stable = fs.warmup_schedule(
    fs.power_schedule(
      p['lr'],
      {'rsqrt': -0.5, 'power': -p['stable_power']}[p['stable_fn']],
      timescale=p['warmup_t'],
    ),
    p['warmup_t'],
    p['warmup_lr_init'],
  )
  decay = fs.linear_schedule(
    1.0, 0.0, p['decay_t'], p['warmup_t'] + p['t_initial'] - p['decay_t']
  )
  return (stable - p['lr_min']) * decay + p['lr_min']


# The first value, and the one that a warm-up aims at, is `lr`; the curve, which
# is not at its upper end yet, begins 8e-7 of it below.
TANH = 1e-6

TIMM = {
  'Cosine': Case(build=timm_cosine),
  'Cosine/warmup-noprefix': Case(build=timm_under_warmup(timm_cosine)),
  'Cosine/warmup-prefix': Case(
    build=lambda p: fs.warmup_cosine_decay_schedule(
      p['warmup_lr_init'], p['lr'], p['warmup_t'], p['t_initial'], p['lr_min']
    )
  ),
  'Cosine/cycles-equal': Case(build=timm_cycles(timm_cosine)),
  'Cosine/cycles-growing': Case(build=timm_cycles(timm_cosine)),
  'Cosine/k_decay': Case(build=timm_k_decay(timm_cosine)),
  'Cosine/all': Case(
    build=timm_after_warmup(timm_cycles(timm_k_decay(timm_cosine)))
  ),
  'Tanh': Case(build=timm_tanh, rtol=TANH),
  'Tanh/warmup-noprefix': Case(
    build=timm_after_warmup(lambda p: timm_tanh(p).shift(-p['warmup_t']))
  ),
  'Tanh/warmup-prefix-cycles': Case(
    build=timm_after_warmup(timm_cycles(timm_tanh)), rtol=TANH
  ),
  'Step': Case(build=timm_step),
  'Step/warmup': Case(build=timm_after_warmup(timm_step)),
  'Step/warmup-noprefix': Case(build=timm_under_warmup(timm_step)),
  'Poly': Case(build=timm_poly),
  'Poly/warmup-noprefix': Case(build=timm_under_warmup(timm_poly)),
  'Poly/warmup-prefix-k_decay': Case(
    build=timm_after_warmup(timm_k_decay(timm_poly))
  ),
  'Poly/cycles': Case(build=timm_cycles(timm_poly)),
  'MultiStep': Case(build=timm_multistep),
  'MultiStep/warmup': Case(build=timm_after_warmup(timm_multistep)),
  'WSD/linear': Case(build=timm_wsd),
  'WSD/1-sqrt': Case(build=timm_wsd),
  'WSD/cosine': Case(build=timm_wsd),
  'WSD/power': Case(build=timm_wsd_then(timm_power_decay)),
  'WSD/exp': Case(build=timm_wsd_then(timm_exp_decay)),
  'WSD/rsqrt-linear': Case(build=timm_wsd_falling),
  'WSD/power-linear': Case(build=timm_wsd_falling),
}


CASES: dict[str, Case] = {
  **{f'torch/{name}': case for name, case in TORCH.items()},
  **{f'transformers/{name}': case for name, case in TRANSFORMERS.items()},
  **{f'timm/{name}': case for name, case in TIMM.items()},
}

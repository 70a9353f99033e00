"""A language model with warmup-stable-decay, on all devices that there are.

A run that is stopped at any moment goes on when it is started again, and ends
bit for bit as if it had never stopped. From each checkpoint of its stable
phase, a branch makes a finished model, while the run itself goes on.
"""

from collections.abc import Iterator
import pathlib
from typing import Any

from flax import nnx
import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import optax
import orbax.checkpoint as ocp
from tqdm import tqdm

from examples.lm import data as data_lib
from examples.lm import plans
from examples.lm import report
from examples.lm import storage
from examples.lm.model import evaluate
from examples.lm.model import loss_of
from examples.lm.model import Transformer
from flax_sched import checkpoint
from flax_sched import config as fs_config
from flax_sched import metrics
from flax_sched import sharding

# A model and its optimizer. Both are pytrees: jax.jit takes and returns them.
State = dict[str, Any]


def make_mesh(config: Any) -> Mesh:
  """All devices in a row, for the batch and for the large parameters."""
  devices = jax.device_count()
  if config.batch_size % devices:
    raise ValueError(
      'batch_size must be a multiple of the number of devices, '
      f'{devices}, got {config.batch_size}.'
    )
  return jax.make_mesh((devices,), ('data',), axis_types=(AxisType.Auto,))


def param_shardings(path: tuple[str, ...], shape: tuple[int, ...]) -> P:
  """Of each matrix, a device keeps some rows; of the rest, all."""
  del path
  split = len(shape) > 1 and shape[0] % jax.device_count() == 0
  return P('data') if split else P()


def create_state(config: Any, mesh: Mesh) -> State:
  """The state before the first update, each part in its place."""
  tx = optax.chain(
    optax.clip_by_global_norm(config.clip_norm),
    fs_config.build_optimizer(config.optimizer, run=plans.run_of(config)),
  )

  def init(key: jax.Array) -> State:
    model = Transformer(config.model, nnx.Rngs(key))
    return {
      'model': model,
      'optimizer': nnx.Optimizer(model, tx, wrt=nnx.Param),
    }

  key = jax.random.key(config.seed)
  return sharding.create(init, mesh, key, param_shardings=param_shardings)


def train_step(state: State, tokens: jax.Array) -> tuple[State, jax.Array]:
  """One update: the new state, and the loss before it."""
  loss, grads = nnx.value_and_grad(loss_of)(state['model'], tokens)
  state['optimizer'].update(state['model'], grads)
  return state, loss


def train_and_evaluate(
  config: Any, workdir: str, branch: plans.Branch | None = None
) -> dict[str, Any]:
  """Trains a run, or a branch of it, from where it got the last time.

  Args:
    config: a ConfigDict, such as that of configs/lm.py.
    workdir: the run's directory, for checkpoints/, logs/ (TensorBoard event
      files), result.json, hyperparameters.png and branches.png. A branch has
      the same, but the last one, in a directory of its own in there.
    branch: from which of the run's checkpoints to branch off, and the length of
      the cooldown; None: the run itself.

  Returns:
    What is in result.json: bits per byte, steps, the last hyperparameters.

  Raises:
    FileNotFoundError: if the run has no such checkpoint.
    ScheduleMismatchError: if the checkpoint is of other schedules or of another
      optimizer, and config.on_change does not say what to do.
    ValueError: if it is of other data or of another model.
  """
  root = pathlib.Path(workdir).resolve()
  directory = branch.directory(root) if branch else root
  total_steps = sum(branch) if branch else config.total_steps
  mesh, data = make_mesh(config), data_lib.load_data()
  identity = storage.identity_of(config, data)
  with storage.open_checkpoints(root, create=False) as manager:
    storage.check_identity(manager, identity)
    state = create_state(config, mesh)
    if branch:
      state = checkpoint.restore(
        manager, state, step=branch.from_step, on_change=config.on_change
      )
      plans.cool_down(config, state['optimizer'], branch)
  with storage.open_checkpoints(directory) as manager:
    if manager.latest_step() is not None:
      state = checkpoint.restore(manager, state, on_change=config.on_change)
      print(f'Resumed at step {manager.latest_step():,} of {total_steps:,}.')
    first_step = int(state['optimizer'].step[...])
    if first_step >= total_steps:
      print('Nothing is left to train: only the summary is made again.')
    else:
      writer = metrics.create_writer(directory / 'logs', first_step=first_step)
      with (
        metrics.HyperparamLogger(writer) as logger,
        tqdm(initial=first_step, total=total_steps, unit='step') as progress,
      ):
        updates = train(config, mesh, data, state, total_steps, logger)
        for done, state in updates:
          if is_due(done, config.progress_every_steps, total_steps):
            # Already on the host: to show them does not wait for the device.
            latest = {k.split('/')[-1]: v for k, v in logger.latest.items()}
            progress.set_postfix(latest, refresh=False)
            progress.update(done - progress.n)
          if is_due(done, config.checkpoint_every_steps, total_steps):
            logger.flush()  # no checkpoint may be ahead of the logs
            run = ocp.args.JsonSave(identity)
            checkpoint.save(manager, done, state, run=run)
  return report.write(config, root, branch, state['optimizer'])


def is_due(done: int, every_steps: int, total_steps: int) -> bool:
  """Whether after this update there is what is done every so many."""
  return done % every_steps == 0 or done == total_steps


def train(
  config: Any,
  mesh: Mesh,
  data: data_lib.Data,
  state: State,
  total_steps: int,
  logger: metrics.HyperparamLogger,
) -> Iterator[tuple[int, State]]:
  """Trains up to a step: after each update, how many there were, and the state.

  A state is gone once the next update has begun, which reuses its memory.
  """
  size, length = config.batch_size, config.length
  everywhere, split = NamedSharding(mesh, P()), NamedSharding(mesh, P('data'))
  update = jax.jit(
    train_step,
    donate_argnums=0,
    out_shardings=(  # where it came in: so the second step compiles no more
      sharding.shardings(state, mesh, param_shardings),
      everywhere,
    ),
  )
  validation = jax.device_put(
    data_lib.windows(data.validation, size, length),
    NamedSharding(mesh, P(None, 'data')),
  )
  for step in range(int(state['optimizer'].step[...]), total_steps):
    tokens = data_lib.batch(
      data.train, size, length, seed=config.seed, step=step
    )
    state, loss = update(state, jax.device_put(tokens, split))
    scalars, done = {'loss': loss}, step + 1
    # Branches begin at checkpoints: so each of these has a score.
    every = config.evaluate_every_steps, config.checkpoint_every_steps
    if any(is_due(done, steps, total_steps) for steps in every):
      scalars[report.SCORE] = evaluate(state['model'], validation)
    logger.log(step, state['optimizer'], **scalars)
    yield done, state

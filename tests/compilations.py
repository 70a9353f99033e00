"""How often XLA compiles, by JAX's own events."""

import contextlib

import jax


def watch():
  """A list that gets the name of each program that is compiled from now on."""
  compiled = []

  def listen(event, _, **details):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(details.get('fun_name'))

  jax.monitoring.register_event_duration_secs_listener(listen)
  return compiled


@contextlib.contextmanager
def counted():
  """Such a list, up to the end of the block."""
  try:
    yield watch()
  finally:
    jax.monitoring.clear_event_listeners()

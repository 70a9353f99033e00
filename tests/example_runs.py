"""Runs whose lengths, epochs and batches are known."""

from flax_sched.runs import Run

# ImageNet: 300 epochs of 1,281,167 examples, 1024 at a time.
IMAGENET = Run(
  total_steps=375_300,
  steps_per_epoch=1251,
  examples_per_epoch=1_281_167,
  batch_size=1024,
)

# 4, 4 | 4, 8 | 8, 8 | 8, 8 ...: updates of 8, 12, 16, 16 ... examples.
RAMP = Run(
  total_steps=20,
  examples_per_epoch=20,
  batch_size={0: 4, 3: 8},
  gradient_accumulation=2,
)

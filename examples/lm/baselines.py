"""What simple methods need for the validation text, to compare the model with.

Usage: python -m examples.lm.baselines
"""

import bz2
from collections import Counter
from collections import defaultdict
from collections.abc import Callable
import lzma
import math
import zlib

from examples.lm.data import Data
from examples.lm.data import load_data


def compressed(data: Data, compress: Callable[[bytes], bytes]) -> float:
  """By how much the compressed text grows, in bits per byte."""
  train, validation = data.train.tobytes(), data.validation.tobytes()
  more = len(compress(train + validation)) - len(compress(train))
  return 8 * more / len(validation)


def ngrams(data: Data, n: int) -> float:
  """The cross entropy by the last n - 1 bytes, in bits per byte.

  Counts of short contexts fill in for long ones (Witten, Bell 1991).
  """
  train, validation = data.train.tobytes(), data.validation.tobytes()
  counts: dict[bytes, Counter[int]] = defaultdict(Counter)
  for length in range(n):
    for i in range(length, len(train)):
      counts[train[i - length : i]][train[i]] += 1
  bits = 0.0
  for i, byte in enumerate(validation):
    probability = 1 / 256
    for length in range(min(n, i + 1)):
      seen = counts.get(validation[i - length : i])
      if seen:
        kinds = len(seen)
        probability = (seen[byte] + kinds * probability) / (
          seen.total() + kinds
        )
    bits -= math.log2(probability)
  return bits / len(validation)


def main() -> None:
  """Prints the bits per byte of each."""
  data = load_data()
  for n in range(1, 7):
    print(f'{n}-grams: {ngrams(data, n):.2f}')
  print(f'zlib: {compressed(data, lambda x: zlib.compress(x, 9)):.2f}')
  print(f'lzma: {compressed(data, lambda x: lzma.compress(x, preset=9)):.2f}')
  print(f'bz2: {compressed(data, bz2.compress):.2f}')


if __name__ == '__main__':
  main()

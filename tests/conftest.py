"""Settings for all tests."""

import os

import hypothesis

# A compilation may fall into any example, so examples have no deadline. Runs
# repeat each other; HYPOTHESIS_PROFILE=search looks for new examples.
hypothesis.settings.register_profile(
  'repeat', deadline=None, derandomize=True, print_blob=True
)
hypothesis.settings.register_profile(
  'search', deadline=None, max_examples=2000, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'repeat'))

"""What pytest does not look for examples in."""

import importlib.util

# the face for those who have torch, which this package does not need
collect_ignore = [] if importlib.util.find_spec("torch") else ["src/fujimi_data/tensors.py"]

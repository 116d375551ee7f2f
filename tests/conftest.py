"""Makes the shared fixtures of tests/infrastructure.py known to every test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

pytest_plugins = ["tests.infrastructure"]

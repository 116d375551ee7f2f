"""Makes the shared fixtures of tests/infrastructure.py known to every test."""

pytest_plugins = ["tests.infrastructure"]

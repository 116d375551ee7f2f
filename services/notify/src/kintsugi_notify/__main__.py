"""Runs the notify service alone: ``python -m kintsugi_notify``."""

from kintsugi.runtime import main

main("notify")

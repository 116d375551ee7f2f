"""Runs the intake service alone: ``python -m kintsugi_intake``."""

from kintsugi.runtime import main

main("intake")

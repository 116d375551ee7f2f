"""Runs services: ``main("intake")`` for one process each, ``python -m kintsugi.runtime intake notify`` for several."""

from kintsugi.runtime.start import main

__all__ = ["main"]

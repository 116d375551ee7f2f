"""Runs the share service alone: ``python -m kintsugi_share``."""

from kintsugi.runtime import main

main("share")

"""Runs the assessment service alone: ``python -m kintsugi_assessment``."""

from kintsugi.runtime import main

main("assessment")

"""Runs the service alone: ``python -m @@package``."""

from kintsugi.runtime import main

main("@@service")

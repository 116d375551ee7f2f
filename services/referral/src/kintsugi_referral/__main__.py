"""Runs the referral service alone: ``python -m kintsugi_referral``."""

from kintsugi.runtime import main

main("referral")

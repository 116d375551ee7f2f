"""What referral decides: one function per input; each returns the events that follow, and nothing else."""

from kintsugi_referral.handlers import answers, endings, proposals, requests
from kintsugi_referral.handlers.core import service

__all__ = ["answers", "endings", "proposals", "requests", "service"]

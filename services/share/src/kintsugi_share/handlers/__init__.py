"""What share decides: one function per input; each returns the events that follow, and nothing else."""

from kintsugi_share.handlers import purges, records, streams
from kintsugi_share.handlers.core import service

__all__ = ["purges", "records", "service", "streams"]

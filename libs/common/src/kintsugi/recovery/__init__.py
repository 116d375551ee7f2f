"""Recovery is one procedure: for a restored database, a replaced service, a rebuild and a changed fold."""

from kintsugi.recovery.comparing import Difference
from kintsugi.recovery.fold import CannotFold
from kintsugi.recovery.log import LogIncomplete
from kintsugi.recovery.procedure import RecoveryRefused, Report, recover

__all__ = ["CannotFold", "Difference", "LogIncomplete", "RecoveryRefused", "Report", "recover"]

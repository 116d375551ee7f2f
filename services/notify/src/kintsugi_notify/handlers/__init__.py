"""What notify decides: tasks after events, messages at their moment, and what follows from how they ended."""

from kintsugi_notify.handlers import events, outcomes, sends, tasks
from kintsugi_notify.handlers.core import service

__all__ = ["events", "outcomes", "sends", "service", "tasks"]

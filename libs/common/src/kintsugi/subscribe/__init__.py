"""Typed events for programs of the office's own staff: ``from kintsugi.subscribe import Subscriber``."""

from kintsugi.subscribe.joining import SubscribeError
from kintsugi.subscribe.operating import CannotDo
from kintsugi.subscribe.record import Held, Outcome, Received, Retry, State
from kintsugi.subscribe.store import StoreError
from kintsugi.subscribe.subscriber import Subscriber

__all__ = [
    "CannotDo",
    "Held",
    "Outcome",
    "Received",
    "Retry",
    "State",
    "StoreError",
    "SubscribeError",
    "Subscriber",
]

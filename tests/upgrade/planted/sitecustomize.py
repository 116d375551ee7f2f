"""A defect of the earlier release: on this path its assessment fails on every case of the hills office."""

import functools
import sys
from collections.abc import Callable
from typing import Any

if "kintsugi_assessment" in sys.orig_argv:
    from kintsugi.service import Service

    _on = Service.on

    def on(self: Service[Any], event: Any, **options: Any) -> Callable[[Any], Any]:
        register = _on(self, event, **options)

        def planted(decide: Any) -> Any:
            @functools.wraps(decide)
            def failing(happened: Any, *more: Any) -> Any:
                if getattr(happened, "office", None) == "hills":
                    raise LookupError("hills")
                return decide(happened, *more)

            return register(failing)

        return planted

    Service.on = on  # type: ignore[method-assign]

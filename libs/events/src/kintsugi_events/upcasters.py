"""How facts of an older major version are read as newer ones; one function per step, each listed in `UPCASTERS`.

    def ended_at(event: CaseClosed) -> CaseClosedV2:
        return CaseClosedV2(ended_at=event.closed_at, ...)

    UPCASTERS = (Upcaster(CaseClosed, CaseClosedV2, ended_at),)

They stand here and nowhere else, so that every service and `kintsugi contracts check` lift the same way. No event has a
second major version so far.
"""

from kintsugi_contracts.catalog import Upcaster

UPCASTERS: tuple[Upcaster, ...] = ()

"""How facts of an older major version are read as newer ones; one function per step, each declared with `upcast`.

    @upcast("kintsugi.case.closed.v1", to="kintsugi.case.closed.v2")
    def ended_at(event: CaseClosed) -> CaseClosedV2:
        return CaseClosedV2(ended_at=event.closed_at, ...)

They stand here and nowhere else, so that every service and `kintsugi contracts check` lift the same way. No event has a
second major version so far.
"""

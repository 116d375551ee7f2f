"""An independent judge of a run: what was promised against what is there.

It shares no code with the kit or a service: it reads the client's ledger, the topics from offset 0 with a header
parser of its own, each service's database with plain SQL and the mails with the standard library, and it states the
rules of the flow in its own words. ``lost`` is an expected effect that is absent, ``doubled`` one found twice.
"""

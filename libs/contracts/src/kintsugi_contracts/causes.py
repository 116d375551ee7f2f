"""Why a record, a deadline or an outcome could not be applied: the closed list of codes operators meet."""

from __future__ import annotations

from kintsugi_contracts.base import OpenEnum


class Cause(OpenEnum):
    """A reason code. Dead letters carry one of the first group, held subjects one of the second."""

    id_unreadable = "id_unreadable"
    subject_unreadable = "subject_unreadable"
    sequence_unreadable = "sequence_unreadable"
    source_mismatch = "source_mismatch"
    key_mismatch = "key_mismatch"
    sequence_reused = "sequence_reused"

    header_unreadable = "header_unreadable"
    content_type = "content_type"
    oversize = "oversize"
    unreadable_body = "unreadable_body"
    contract_violation = "contract_violation"
    unknown_major = "unknown_major"
    unknown_schema = "unknown_schema"
    handler_raised = "handler_raised"
    agenda_stuck = "agenda_stuck"
    depth_exceeded = "depth_exceeded"
    database_refused = "database_refused"
    gap = "gap"
    cause_missing = "cause_missing"
    lost_state = "lost_state"
    blocked = "blocked"
    unknown = "unknown"

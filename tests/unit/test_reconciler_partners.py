"""What the reconciler says of partners' streams: silent where all is well, and precise about each breach."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.reconciler_run import KNOWN_AS, MINISTRY, PARTNER, REF, ROW, Run, said

WITHDRAWN_MS = 20_000


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Somebody consents to a partner, is shared once, withdraws, and is forgotten."""
    run = Run(tmp_path)
    run.answer("intake", "import", {"taken": 1, "report": [{"row": ROW, "result": "taken", "case_ref": REF}]})
    opened = run.event("intake", "case.opened", "row-1", case_ref=REF)
    run.event("intake", "contact_profile.changed", "row-1")
    run.event(
        "assessment", "assessment.scheduled", opened, "intake:1", assessment_id="a1", due_at="2026-11-30T08:00:00Z"
    )
    run.answer("intake", "consent", case_ref=REF, purpose="sharing", decision="granted", agency=MINISTRY)
    consent: dict[str, Any] = {"consent_id": "c1", "purpose": "sharing", "agency": MINISTRY}
    given = run.event("intake", "consent.recorded", "r2", **consent, decision="granted")
    run.event("share", "disclosure.due", given, "intake:3", recipient_ref=KNOWN_AS, revision=1, **_stream())
    run.streamed(_record(1), at_ms=2_000)
    run.event("share", "disclosure.made", "send-1", "intake:3", revision=1, **_made())
    run.answer("intake", "consent", case_ref=REF, purpose="sharing", decision="withdrawn", agency=MINISTRY)
    run.answers[-1] |= {"asked_ms": WITHDRAWN_MS - 100, "answered_ms": WITHDRAWN_MS}
    taken = run.event("intake", "consent.withdrawn", "r3", **consent)
    run.event("share", "partner_purge.requested", taken, "intake:4", purge_id="p1", **_stream())
    run.streamed(None, at_ms=WITHDRAWN_MS + 300, purgeid="p1", purgedue="2026-12-01T08:00:00Z")
    run.event("share", "partner_purge.sent", "send-2", "intake:4", purge_id="p1", **_stream())
    run.answer("share", "partner_purge_ack", integrator=PARTNER, purge_id="p1")
    run.event("share", "partner_purge.acknowledged", "r4", "intake:4", purge_id="p1", **_stream())
    return run


def _stream() -> dict[str, Any]:
    return {"integrator": PARTNER, "purpose": "wage-claims", "version": 1, "agency": MINISTRY}


def _made(certainty: str = "confirmed") -> dict[str, Any]:
    return {**_stream(), "way": "stream", "certainty": certainty}


def _record(revision: int, **more: Any) -> dict[str, Any]:
    return {"case": KNOWN_AS, "revision": revision, "status": "open", "area": "XA-02", **more}


def test_a_partner_that_was_told_and_then_forgot_is_no_finding(run: Run) -> None:
    verdict = run.judged()
    assert verdict.findings == []
    assert verdict.looked_at["withdrawals followed on a partner's stream"] == 1
    assert verdict.looked_at[f"records of {PARTNER}"] == 2


@pytest.mark.parametrize("after_ms", [3_001, 4_000, 60_000])
def test_a_record_after_a_withdrawal_is_unsafe(run: Run, after_ms: int) -> None:
    run.event("share", "disclosure.made", "send-3", "intake:3", revision=2, **_made())
    run.streamed(_record(2), at_ms=WITHDRAWN_MS + after_ms)
    assert "came to registry too late" in said(run.judged(), "unsafe")


def test_a_record_that_was_under_way_is_followed_by_its_tombstone_or_the_tombstone_is_lost(run: Run) -> None:
    run.event("share", "disclosure.made", "send-3", "intake:3", revision=2, **_made())
    run.streamed(_record(2), at_ms=WITHDRAWN_MS + 400)
    assert "the tombstone that ends record" in said(run.judged(), "lost")


def test_a_purge_without_its_tombstone_is_lost(run: Run) -> None:
    run.records = [each for each in run.records if each["value"]]
    assert "tombstone for a partner" in said(run.judged(), "lost")


def test_a_tombstone_that_no_purge_asked_for_is_unexplained(run: Run) -> None:
    run.streamed(None, at_ms=WITHDRAWN_MS + 500, purgeid="p2")
    assert "no purge asked for it" in said(run.judged(), "unexplained")


def test_a_disclosure_in_the_books_without_its_record_is_lost(run: Run) -> None:
    run.event("share", "disclosure.made", "send-3", "intake:3", revision=2, **_made())
    assert "disclosure 2 of XA-00000001 to registry is in the books" in said(run.judged(), "lost")


def test_a_record_that_may_have_left_and_did_not_is_no_finding(run: Run) -> None:
    run.event("share", "disclosure.made", "send-3", "intake:3", revision=2, **_made("possible"))
    assert run.judged().holds


def test_a_record_that_stands_twice_under_one_id_counts_once(run: Run) -> None:
    run.streamed(_record(1), at_ms=2_100)
    run.records[-1]["headers"]["ce_id"] = "record-0"
    run.records.sort(key=lambda each: each["at_ms"])
    for number, record in enumerate(each for each in run.records if "share.registry" in each["topic"]):
        record["offset"] = number
    assert run.judged().findings == []


def test_a_record_without_a_disclosure_is_unexplained(run: Run) -> None:
    run.streamed(_record(9), at_ms=2_500)
    assert "record for a partner" in said(run.judged(), "unexplained")


def test_a_consent_that_leads_to_no_record_is_lost(run: Run) -> None:
    run.records = [
        each for each in run.records if not each["value"].startswith(f'{{"case": "{KNOWN_AS}"') and each["value"]
    ]
    assert "first record for a partner" in said(run.judged(), "lost")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"age_band": "minor"}, "says age_band"),
        ({"needs": [{"need": "trauma_therapy", "band": "high"}]}, "speaks of trauma_therapy"),
        ({"sealed": {"contact": "a.b.c.d.e"}}, "seals contact"),
        ({"area": REF}, "names the case as the office does"),
    ],
)
def test_what_a_partner_must_not_learn_is_leaked(run: Run, more: dict[str, Any], words: str) -> None:
    run.event("share", "disclosure.made", "send-3", "intake:3", revision=2, **_made())
    run.streamed(_record(2, **more), at_ms=2_500)
    assert words in said(run.judged(), "leaked")


def test_a_header_that_joins_partners_is_leaked(run: Run) -> None:
    run.event("share", "disclosure.made", "send-3", "intake:3", revision=2, **_made())
    run.streamed(_record(2), at_ms=2_500, correlationid="flow-1")
    assert "has the header ce_correlationid" in said(run.judged(), "leaked")

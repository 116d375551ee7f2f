"""Runs every check over the evidence of a folder."""

from pathlib import Path

from kintsugi_sandbox.reconciler import books, canaries, flow, messages, order, partners, promises, referrals
from kintsugi_sandbox.reconciler.evidence import Evidence
from kintsugi_sandbox.reconciler.findings import Verdict

CHECKS = (
    *(promises.check, flow.check, referrals.check, partners.check),
    *(messages.check, order.check, books.check, canaries.check),
)


def judge(folder: Path) -> Verdict:
    """The verdict on the run in this folder. Raises EvidenceMissing when there is none."""
    evidence = Evidence(folder)
    verdict = Verdict()
    for check in CHECKS:
        check(evidence, verdict)
    return verdict

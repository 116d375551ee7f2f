"""The checks a run must hold, each with a name, so that a failure says which one and what to do."""

from dataclasses import asdict, dataclass
from typing import Any

from kintsugi_sandbox.demo.days import Happened
from kintsugi_sandbox.demo.figures import Figures
from kintsugi_sandbox.reconciler.findings import Verdict


@dataclass(frozen=True, slots=True)
class Check:
    """Whether something holds. ``detail`` says what was seen, one line each."""

    name: str
    holds: bool
    detail: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For ``demo.json``."""
        return asdict(self)


def of_evidence(verdict: Verdict) -> list[Check]:
    """The reconciler's word."""
    return [Check("every promise was kept, once", verdict.holds, tuple(verdict.summary()))]


def of_partners(verdict: Verdict, told: Figures) -> list[Check]:
    """What partners received, by the reconciler's word and by their own."""
    watched = verdict.looked_at["withdrawals followed on a partner's stream"]
    return [
        Check(
            "nothing came to a partner after a withdrawal but the tombstone",
            watched > 0 and not verdict.count("unsafe"),
            (f"{watched} withdrawals were followed on the stream itself",),
        ),
        Check(
            "a partner was told of people, forgot those who withdrew, and said so",
            any(
                got["received_records"] >= got["records"] > 0
                and got["received_opened"] == got["received_records"]
                and got["received_tombstones"] >= got["purges_asked"] == got["purges_confirmed"] > 0
                for got in told["partners"].values()
            ),
        ),
    ]


def of_days(error: BaseException | None) -> Check:
    """That the script came to its end; else what stopped it."""
    detail = tuple(f"{type(leaf).__name__}: {leaf}" for leaf in leaves(error)[:5]) if error is not None else ()
    return Check("all days were played to their end", error is None, detail)


def leaves(error: BaseException) -> list[BaseException]:
    """The errors inside a group of errors, one after the other."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def of_figures(told: Figures, happened: Happened) -> list[Check]:
    """That the run was worth something: each thing it is meant to show did happen."""
    people, assessments, referrals = told["people"], told["assessments"], told["referrals"]
    shown = {
        "rows were taken and dirty ones refused": (told["rows"]["taken"] or 0) >= 60 and told["rows"]["refused"] >= 6,
        "the same file again took nothing": told["rows"]["taken_at_second_import"] == 0,
        "every person in danger had staff alerted": people["in_danger"] == people["staff_alerted"] > 0,
        "overdue answers and assessments happened": referrals["overdue"] > 0 and assessments["overdue"] > 0,
        "withdrawals cancelled, and deletions were confirmed": (
            referrals["cancelled_by_withdrawal"] > 0
            and referrals["deletions_confirmed"] == referrals["deletions_asked"] > 0
        ),
        "referral was killed and came back": 0 < happened.killed_at_ms < happened.back_at_ms,
        "events that were sent twice had one effect": happened.sent_again > 0,
        "no case stands still": not happened.held,
    }
    return [Check(name, bool(holds)) for name, holds in shown.items()]

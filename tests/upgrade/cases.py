"""What fictional people do over HTTP: a case is opened, a survivor answers and chooses."""

from __future__ import annotations

from typing import Any

from tests.upgrade.office import Office, until

PARTNER, MINISTRY = "labour-registry", "labour-ministry"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALWAYS = [{"weekday": day, "start": "00:00", "end": "24:00"} for day in _DAYS]


def granted(purpose: str, agency: str | None = None) -> dict[str, Any]:
    """A survivor's yes."""
    said = {"purpose": purpose, "decision": "granted", "text_version": "1.0", "language": "en"}
    return {**said, "obtained_from": "individual"} | ({"agency": agency} if agency else {})


def open_case(
    office: Office, name: str, *, at: str = "harbour", danger: str = "no", windows: list[dict[str, str]] = ALWAYS
) -> str:
    """A survivor is met who may be written to inside the windows; returns the case's reference."""
    body = {
        "office": at,
        "channel": "hotline",
        "immediate_danger": danger,
        "languages": ["en"],
        "area": "XA-HB",
        "identity": {"preferred_name": name, "real_name": f"{name} Korhan", "birthdate": "1990-05-04"},
        "consents": [granted("casework"), granted("contact"), granted("sharing", MINISTRY)],
        "contact_profile": {
            "contact_by": "organisation",
            "language": "en",
            "windows": windows,
            "channels": [{"kind": "email", "verified": True, "safe": True}],
            "email": address(name),
        },
    }
    answer = office.ask("POST", "intake", "/cases", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["case_ref"])


def address(name: str) -> str:
    """Where a survivor is written to."""
    return f"{name.lower()}@survivor.example"


def assess(office: Office, ref: str) -> None:
    """The survivor needs shelter, and nothing else; waits until the assessment is there to be answered."""
    found: list[dict[str, Any]] = []

    def scheduled() -> bool:
        found[:] = office.ask("GET", "assessment", f"/assessments?case_ref={ref}").json()["assessments"]
        return bool(found)

    until(scheduled, what=f"the assessment of {ref}")
    path = f"/assessments/{found[0]['assessment_id']}"
    questions = office.ask("GET", "assessment", path).json()
    items = {item["item"]: 4 for section in questions["domains"] for item in section["items"]}
    answers = items | {"safety.home": 1, "safety.contact": 1}
    said = {"answers": answers, "context": "current_living", "finish": True}
    answer = office.ask("POST", "assessment", f"{path}/answers", said)
    assert answer.status_code == 200, answer.text


def proposal(office: Office, ref: str) -> dict[str, Any]:
    """What referral proposes for the one need of a case."""
    found: list[dict[str, Any]] = []

    def proposed() -> bool:
        found[:] = office.ask("GET", "referral", f"/referrals?case_ref={ref}").json()["referrals"]
        return bool(found)

    until(proposed, what=f"the proposal for {ref}")
    return found[0]


def choose(office: Office, ref: str) -> str:
    """The survivor consents to the first option and chooses it; returns the agency, which is now being asked."""
    referral = proposal(office, ref)
    option = referral["options"][0]
    consent = office.ask("POST", "intake", f"/cases/{ref}/consents", granted("sharing", option["agency"]))
    assert consent.status_code == 200, consent.text
    seen = {"Kintsugi-Seen": consent.headers["Kintsugi-Seen"]} if "Kintsugi-Seen" in consent.headers else {}
    body = {"choice": "option", "option_id": option["option_id"]}
    answer = office.ask("POST", "referral", f"/referrals/{referral['referral_id']}/choice", body, **seen)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "requested", answer.text
    return str(option["agency"])


def notices(office: Office, ref: str) -> dict[str, str]:
    """Of what notify sent or owes about a case: its status, by audience."""
    found = office.ask("GET", "notify", f"/notifications?case={ref}").json()["notifications"]
    return {each["audience"]: each["status"] for each in found}

"""An integrator's file is a promise to survivors: every mistake in it is named with its line and the way to mend it."""

import json
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest
from joserfc.jwk import ECKey
from kintsugi_contracts.topic_file import schema_path
from kintsugi_country import check, load
from kintsugi_country.integrators import CLEAR, SEALED

ROOT = Path(__file__).parents[3]
XA = ROOT / "countries" / "xa"
FILE = "integrators/labour-registry.yaml"
P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(XA, tmp_path / "xa"))


MISTAKES = [
    ("name: labour-registry", "name: labor-registry", "the file is labour-registry.yaml", "same name", "name:"),
    (
        "agency: labour-ministry",
        "agency: 11111111-1111-4111-8111-111111111111",
        "has no agency",
        "organizations.json",
        "agency:",
    ),
    ("agency: labour-ministry", "agency: labour ministry", "agency", "correct", "agency:"),
    ("contact: data-protection@labour.example\n", "", "contact is missing", "add 'contact'", "#"),
    ("  y: 9mbOp", "  y: 8mbOp", "no point of P-256", "partner itself", "public_key:"),
    ("  crv: P-256", "  crv: P-521", "'P-521' is not known", "P-256", "crv:"),
    (
        "  kty: EC\n",
        "  kty: EC\n  d: Q13wvRRANlrjM45_IFakawuZJV_UO9E4H1feBXpnFHw\n",
        "private key",
        "make a new pair",
        "d:",
    ),
    ("[opened_month,", "[opened_mont,", "opened_mont is no field", "'opened_month'", "fields:"),
    ("[opened_month,", "[exploitation_types,", "no field that can be shared", "known", "fields:"),
    ("[opened_month,", "[real_name,", "never travels in clear", "sealed", "fields:"),
    ("[opened_month, casework", "[area, casework", "area stands twice", "one of the two", "fields:"),
    ("[preferred_name, real_name]", "[preferred_name, phone]", "phone is no field of identity", "known", "identity:"),
    ("[preferred_name, real_name]", "[]", "identity seals nothing", "remove it", "identity:"),
    ("needs: [legal_aid,", "needs: [legal_aid, legal_aid,", "legal_aid stands twice", "one of the two", "needs:"),
    ("x: xZ2zfdyiRyNYVKXTOczQYJiC2B2Oaiph25S1Tq7Iy5k", f"x: {43 * '_'}", "no point of P-256", "itself", "public_key:"),
    ("x: xZ2zfdyiRyNYVKXTOczQYJiC2B2Oaiph25S1Tq7Iy5k", f"x: {43 * 'A'}", "no point of P-256", "itself", "public_key:"),
    ("25S1Tq7Iy5k", "25S1Tq7Iy5l", "no point of P-256", "itself", "public_key:"),
    ("title: Wage claims", 'title: "Wage\\nreaders: []"', "on one line", "correct", "title:"),
    ("title: Wage claims", 'title: "Wage \\u202eclaims"', "direction characters", "correct", "title:"),
    ("title: Wage claims", 'title: ""', "at least 3 characters", "correct", "title:"),
    ("identity: [preferred", "contact: [preferred", "'contact' is not known", "identity", "contact:"),
    ("needs: [legal_aid,", "needs: [legal_ade,", "no instrument finds the need legal_ade", "'legal_aid'", "needs:"),
    (
        "    needs: [legal_aid, identity_documents, employment, financial_support]\n",
        "",
        "every need",
        "add needs",
        "fields:",
    ),
    ("needs, requests]", "languages2]", "languages2 is no field", "'languages'", "fields:"),
    ("calendar: office }", "calendar: court }", "no calendar 'court'", "office", "purge_acknowledgement:"),
    ("    version: 1\n", "", "version is missing", "add 'version'", "wage-claims:"),
    ("    why: The", "    reason: The", "why is missing", "add 'why'", "wage-claims:"),
]


@pytest.mark.parametrize(("old", "new", "message", "mend", "line"), MISTAKES, ids=[f"{m[2]}, {m[3]}" for m in MISTAKES])
def test_a_mistake_is_named_with_its_line_and_its_mend(
    folder: Path, old: str, new: str, message: str, mend: str, line: str
) -> None:
    text = (folder / FILE).read_text(encoding="utf-8")
    assert old in text
    (folder / FILE).write_text(text.replace(old, new, 1), encoding="utf-8")
    findings = [f for f in check(folder) if message in f.message and mend in f.mend and f.file == FILE]
    assert findings, check(folder)
    lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    assert lines[findings[0].line - 1].lstrip().startswith(line)


def test_two_integrators_are_never_taken_for_one(folder: Path) -> None:
    text = (folder / FILE).read_text(encoding="utf-8")
    (folder / "integrators/courts.yaml").write_text(text.replace("name: labour-registry", "name: courts"))
    said = {f.message for f in check(folder) if f.file.startswith("integrators/")}
    assert said == {
        "agency labour-ministry belongs to integrator courts already",
        "the public key is that of integrator courts",
    }


def test_nor_by_a_key_that_the_same_private_key_opens(folder: Path) -> None:
    """ECDH looks at x alone: whoever opens what is sealed to a point opens what is sealed to its mirror image."""
    text = (folder / FILE).read_text(encoding="utf-8")
    y = load(XA).integrators[0].public_key.y
    mirrored = P256 - int.from_bytes(urlsafe_b64decode(y + "="))
    text = text.replace(y, urlsafe_b64encode(mirrored.to_bytes(32)).decode().rstrip("="))
    text = text.replace("name: labour-registry", "name: courts").replace("agency: labour-ministry", "agency: courts")
    (folder / "integrators/courts.yaml").write_text(text)
    said = {f.message for f in check(folder) if f.file.startswith("integrators/")}
    assert said == {"the public key is that of integrator courts"}


def test_the_sample_key_fits_the_sample_partner() -> None:
    private = ECKey.import_key(json.loads((XA / "samples/integrators/labour-registry.private.jwk.json").read_text()))
    public = load(XA).integrators[0].public_key
    assert ECKey.import_key(public.model_dump()).thumbprint() == private.thumbprint()
    assert load(XA).integrators[0].sample


def test_what_may_stand_in_clear_is_public_or_internal_in_the_events_and_what_is_sealed_is_not() -> None:
    for origin in CLEAR.values():
        assert _sensitivity(origin.event, None, origin.property) in ("public", "internal")
    for purpose, fields in SEALED.items():
        for origin in fields.values():
            assert _sensitivity(origin.event, purpose, origin.property) == "personal"


def _sensitivity(event: str, purpose: str | None, name: str) -> str:
    schema = json.loads(schema_path(ROOT / "contracts", f"kintsugi.{event}.v1", purpose).read_text())
    return str(schema["properties"][name]["x-sensitivity"])


def test_a_consent_may_name_an_integrator_s_agency() -> None:
    pack = load(XA)
    assert "labour-ministry" in pack.recipients
    assert {agency.id for agency in pack.directory.agencies} < pack.recipients

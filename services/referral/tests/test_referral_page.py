"""The agency's page: every text in every language, nothing that could leak or run."""

from datetime import timedelta
from html.parser import HTMLParser

import pytest
from kintsugi_events import AgeBand, ReferralSubStatus
from kintsugi_events import ReferralStatus as Known
from kintsugi_referral.domain import ANSWER_REASONS, MAY_BE_UNATTENDED, WITH_PROVIDER, Status, answers
from kintsugi_referral.page import Page, wordings
from kintsugi_referral.shown import Facts, Reply, Shown

from services.referral.tests.referral_examples import COUNTRY, NOW

LANGUAGES = ["ar", "en", "fr"]


def shown(status: Status, **changes: object) -> Shown:
    facts = Facts(need="legal_aid", area="XA-HB", age_band="from_25_to_39", languages=["en"])
    return Shown(
        kind="answer",
        status=status.value,
        sub_status=None,
        facts=facts if status in WITH_PROVIDER else None,
        answers=[Reply(status=to.value, reasons=list(ANSWER_REASONS.get(to, ()))) for to in answers(status)],
        may_be_unattended=status in MAY_BE_UNATTENDED,
        answer_due=NOW,
        purge_due=NOW,
        purged=False,
        link_expires_at=NOW + timedelta(days=1),
        step=3,
    ).model_copy(update=changes)


class Reader(HTMLParser):
    """The tags that stay open, and every tag that was met."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.met.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_can_be_written_in_every_language_of_the_fictional_country() -> None:
    assert sorted(wordings()) == LANGUAGES == sorted(COUNTRY.languages)


def test_every_language_has_the_same_texts() -> None:
    names = {language: set(bundle._messages) for language, bundle in wordings().items()}
    assert names["ar"] == names["en"] == names["fr"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_that_can_be_shown_has_a_text(language: str) -> None:
    bundle = wordings()[language]
    wanted = [f"state-{status}" for status in set(Known) - {Known.unknown, "draft", "proposed", "chosen", "consented"}]
    wanted += [f"age-{band}" for band in AgeBand]
    wanted += [f"sub-{each}" for each in ReferralSubStatus if each != "unknown"]
    wanted += [f"reason-{reason}" for reasons in ANSWER_REASONS.values() for reason in reasons]
    wanted += [f"do-{to}" for status in Status for to in answers(status)]
    assert [name for name in wanted if not bundle.has_message(name)] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("status", sorted(WITH_PROVIDER | {Status.completed, Status.cancelled}))
def test_a_page_is_well_formed_and_runs_nothing(language: str, status: Status) -> None:
    page = Page(COUNTRY, language)
    for html in (
        page.request(shown(status), "token", done=True),
        page.request(shown(status, facts=None, sub_status="unattended"), "token", done=False),
        page.request(shown(status, kind="purge"), "token", done=False),
        page.problem("link_expired"),
        page.problem("anything else"),
    ):
        reader = Reader()
        reader.feed(html)
        assert reader.open == []
        assert reader.met.isdisjoint({"script", "img", "link", "iframe", "object", "input"})


def test_what_is_shown_is_escaped() -> None:
    facts = Facts(need="<b>need</b>", area="<i>", age_band="adult", languages=["<u>"])
    html = Page(COUNTRY, "en").request(shown(Status.requested, facts=facts), "token", done=False)
    assert not {"<b>", "<i>", "<u>"} & {html[at : at + 3] for at in range(len(html))}


def test_a_language_without_a_page_is_never_replaced_silently() -> None:
    page = Page.of(COUNTRY, ["ti"])
    assert page.language == COUNTRY.languages[0]
    html = page.request(shown(Status.requested), "token", done=False)
    assert 'href="token?lang=ar"' in html
    assert 'href="token?lang=fr"' in html


def test_the_agency_s_own_language_comes_first_and_a_region_is_no_other_language() -> None:
    assert Page.of(COUNTRY, ["ar-LB", "en"]).language == "ar"


def test_before_it_was_accepted_there_is_one_way_to_say_no() -> None:
    html = Page(COUNTRY, "en").request(shown(Status.requested), "token", done=False)
    assert "status=rejected" in html
    assert "status=cancelled" not in html
    assert "status=cancelled" in Page(COUNTRY, "en").request(shown(Status.accepted), "token", done=False)

"""The pages made of the AsyncAPI documents: complete, whole, and good without network or scripts."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

from kintsugi_contracts.asyncapi.pages import pages
from kintsugi_contracts.folder import load

from tests.contract.streams import add_stream

CONTRACTS = Path(__file__).parents[2] / "contracts"


class _Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name == "href" and value]
        self.fetched += [tag] if tag in {"script", "link", "img", "iframe"} else []
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_needs_no_network_and_no_script_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(CONTRACTS, tmp_path / "contracts"))
    add_stream(copy, country="xb", integrator="harbour-court", purpose="hearings")
    made = pages(load(copy))
    assert {"index.html", "intake.html", "notify.html", "xb.harbour-court.html", "asyncapi.yaml"} <= made.keys()
    for name, text in made.items():
        if not name.endswith(".html"):
            continue
        outline = _Outline()
        outline.feed(text)
        assert outline.open == [], name
        assert outline.fetched == [], name
        assert len(outline.ids) == len(set(outline.ids)), name
        assert not re.search(r"url\(|@import|<style[^>]+src", text), name
        for link in outline.links:
            assert link in made or (link.startswith("#") and link[1:] in outline.ids), (name, link)


def test_the_page_shows_every_field_with_its_sensitivity_sealed_ones_included() -> None:
    folder = load(CONTRACTS)
    text = pages(folder)["index.html"]
    for version in folder.versions():
        for _, schema in version.schemas():
            for name in schema.data["properties"]:
                assert re.search(rf"(<code>|</span>){re.escape(name)}</code>", text), (version.type, name)
    assert '<span class="level special">special</span>' in text

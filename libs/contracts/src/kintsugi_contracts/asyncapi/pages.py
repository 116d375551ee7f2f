"""Every document as a page: ``python -m kintsugi_contracts.asyncapi.pages`` writes build/docs/asyncapi."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kintsugi_contracts.asyncapi.bundle import bundle
from kintsugi_contracts.asyncapi.document import of_party, parties, platform
from kintsugi_contracts.asyncapi.files import as_yaml
from kintsugi_contracts.asyncapi.page import page
from kintsugi_contracts.asyncapi.parser import Refused, check
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Folder, load
from kintsugi_contracts.node import NodeUnavailable


def pages(folder: Folder) -> dict[str, str]:
    """Every page, and every document without references to files, by file."""
    documents = {"index": platform(folder), **{p.file: of_party(folder, p) for p in parties(folder)}}
    titles = {f"{name}.html": document["info"]["title"] for name, document in documents.items()}
    found = {}
    for name, document in documents.items():
        whole = bundle(document, folder)
        source = f"{name if name != 'index' else 'asyncapi'}.yaml"
        found[source] = as_yaml(whole)
        found[f"{name}.html"] = page(whole, titles, source=source)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit code 1: the official parser refuses a document; 2: something is missing."""
    parser = argparse.ArgumentParser(prog="python -m kintsugi_contracts.asyncapi.pages", description=__doc__)
    parser.add_argument("--contracts", type=Path, default=Path("contracts"), help="the contracts folder")
    parser.add_argument("--node", type=Path, default=Path("infra/node"), help="the folder of the official parser")
    parser.add_argument("--out", type=Path, default=Path("build/docs/asyncapi"))
    given = parser.parse_args(arguments)
    try:
        made = pages(load(given.contracts))
        given.out.mkdir(parents=True, exist_ok=True)
        for standing in given.out.iterdir():
            standing.unlink()
        for name, text in made.items():
            (given.out / name).write_text(text, encoding="utf-8")
        check(given.node, sorted(given.out.glob("*.yaml")))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    except (ContractError, NodeUnavailable) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{sum(name.endswith('.html') for name in made)} pages: {given.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

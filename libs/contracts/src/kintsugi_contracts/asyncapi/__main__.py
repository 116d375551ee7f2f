"""``python -m kintsugi_contracts.asyncapi``: writes the documents, or says which of them are stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kintsugi_contracts.asyncapi import files
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import load
from kintsugi_contracts.merging import installed
from kintsugi_contracts.rules import beside


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit code 1: a document is stale; 2: the contracts cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m kintsugi_contracts.asyncapi", description=__doc__)
    parser.add_argument("--contracts", type=Path, default=Path("contracts"), help="the contracts folder")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a document is stale")
    parser.add_argument("--out", type=Path, help="write the documents of everything that is installed into this folder")
    given = parser.parse_args(arguments)
    if given.out:
        return write_installed(given.out)
    return bring(given.contracts, check=given.check)


def bring(contracts: Path, *, check: bool) -> int:
    """Writes a folder's documents, or only says which are stale; returns the exit code."""
    try:
        folder = load(contracts, beside(contracts, Catalog.installed))
        wanted = files.texts(folder)
    except ContractError as error:
        print(error, file=sys.stderr)
        return 2
    if check:
        found = files.stale(contracts, wanted)
        for name in found:
            print(f"{contracts / name} is stale: run `python -m kintsugi_contracts.asyncapi`", file=sys.stderr)
        return 1 if found else 0
    print(f"{len(files.write(contracts, wanted))} of {len(wanted)} documents written")
    return 0


def write_installed(out: Path) -> int:
    """Writes the documents of every installed package, merged, into a folder of their own; returns the exit code."""
    try:
        wanted = files.whole_texts(installed(Catalog.installed()))
    except ContractError as error:
        print(error, file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    print(f"{len(files.write(out, wanted))} of {len(wanted)} documents written to {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

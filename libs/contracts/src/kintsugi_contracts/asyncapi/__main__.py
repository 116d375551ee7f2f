"""``python -m kintsugi_contracts.asyncapi``: writes the documents, or says which of them are stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kintsugi_contracts.asyncapi import files
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import load


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit code 1: a document is stale; 2: the contracts cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m kintsugi_contracts.asyncapi", description=__doc__)
    parser.add_argument("--contracts", type=Path, default=Path("contracts"), help="the contracts folder")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a document is stale")
    given = parser.parse_args(arguments)
    return bring(given.contracts, check=given.check)


def bring(contracts: Path, *, check: bool) -> int:
    """Writes a folder's documents, or only says which are stale; returns the exit code."""
    try:
        folder = load(contracts)
        wanted = files.texts(folder)
    except ContractError as error:
        print(error, file=sys.stderr)
        return 2
    if check:
        found = files.stale(folder, wanted)
        for name in found:
            print(f"{contracts / name} is stale: run `python -m kintsugi_contracts.asyncapi`", file=sys.stderr)
        return 1 if found else 0
    print(f"{len(files.write(folder, wanted))} of {len(wanted)} documents written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

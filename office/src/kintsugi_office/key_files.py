"""The key-encryption keys of an office: made once, taken over from earlier releases, and handed to who holds them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kintsugi.secrets import KeyFileError, make_key_file
from kintsugi_contracts.base import PURPOSE

from kintsugi_office.project import Layout

Held = Mapping[str, Sequence[str]]
"""Service to the sealed purposes whose keys its topic file lets it hold."""

_FORMER = re.compile(r"kek-(.+)\.key")


def first_start(layout: Layout) -> bool:
    """Whether no key was made here yet."""
    return not layout.keys.exists() and not _former(layout)


def new(layout: Layout, held: Held) -> list[tuple[str, str]]:
    """Each service and purpose that :func:`hand_out` would give a key for the first time."""
    former = _former(layout)
    return [
        (service, purpose)
        for service, purposes in held.items()
        for purpose in purposes
        if not _link(layout, service, purpose).is_symlink()
        # Of an office of an earlier release: it told each service its keys one by one, and kept no list of that.
        and not (purpose in former and layout.kafka_password(service).exists())
    ]


def hand_out(layout: Layout, held: Held) -> None:
    """Make the keys that are missing, and give each of these services a folder of exactly its own.

    Keys of earlier releases (``secrets/kek-<purpose>.key``) become ``secrets/keys/<purpose>.key`` first, with the same
    bytes. Raises KeyFileError where both are there and differ.
    """
    layout.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for purpose in _former(layout):
        _take_over(layout, purpose)
    for service, purposes in held.items():
        folder = layout.keys_of(service)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for purpose in purposes:
            make_key_file(layout.key(purpose))
            link = _link(layout, service, purpose)
            if not link.is_symlink():
                link.symlink_to(f"../../{layout.keys.name}/{purpose}.key")
        for link in folder.iterdir():
            if link.stem not in purposes:
                link.unlink()


def _link(layout: Layout, service: str, purpose: str) -> Path:
    return layout.keys_of(service) / f"{purpose}.key"


def _former(layout: Layout) -> list[str]:
    """The purposes whose key stands where earlier releases kept it."""
    names = (_FORMER.fullmatch(file.name) for file in sorted(layout.secrets.glob("kek-*.key")))
    return [name[1] for name in names if name and re.fullmatch(PURPOSE, name[1])]


def _take_over(layout: Layout, purpose: str) -> None:
    old, key = layout.secrets / f"kek-{purpose}.key", layout.key(purpose)
    if not key.exists():
        key.hardlink_to(old)  # it never replaces a key; a crash before the next line leaves one key under two names
    elif key.read_bytes() != old.read_bytes():
        raise KeyFileError(
            f"{old} and {key} differ: an earlier release was started on a folder of this one and made the first. What "
            f"is sealed opens with {key}: move {old} elsewhere and start again"
        )
    old.unlink()

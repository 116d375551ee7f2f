"""Values that must not show: passwords and keys, and what belongs to a person.

None of these types shows its value in `repr`, `str`, a format, a log, a traceback of pydantic, or a JSON dump.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, SecretStr, SerializationInfo
from pydantic_core import CoreSchema, core_schema

KEY_BYTES: Final = 32
_HIDDEN: Final = "<hidden>"


class KeyFileError(Exception):
    """A key file cannot be used. The text names the file and the mend, never the content."""


class Secret(SecretStr):
    """A password, key or URL with a password. `reveal()` is the one way to the value, easy to search for."""

    def reveal(self) -> str:
        """The value itself: hand it on at once, keep no copy."""
        return self.get_secret_value()

    def _display(self) -> str:
        return _HIDDEN if self._secret_value else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_HIDDEN})"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled or copied out of its process")


class Personal(Secret):
    """Text that belongs to a person: a name, a phone number, a story.

    It is hidden in a JSON dump too, except in `model_dump_json(context={"reveal": True})`, which only sealing uses.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        hidden = core_schema.plain_serializer_function_ser_schema(_shown, info_arg=True)
        secret = super().__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_after_validator_function(_unchanged, secret, serialization=hidden)


class PersonalModel(BaseModel):
    """A model of a person's values: its text form is its name, and its validation errors leave out the input."""

    model_config = ConfigDict(hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield None, _Hidden()

    def __str__(self) -> str:
        return repr(self)

    def __rich_repr__(self) -> Iterator[Any]:
        yield _Hidden()


class _Hidden:
    def __repr__(self) -> str:
        return _HIDDEN


def make_key_file(path: Path) -> None:
    """Write 32 random bytes, base64, readable by the owner only. A file that is there already is kept."""
    make_secret_file(path, b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")


def make_secret_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read. One that is there already is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    # Under its name it is whole or not at all: for one who makes it at the same time, and after a full disk.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def read_key_file(path: Path) -> bytes:
    """The 32 bytes of a key file. Raises KeyFileError when it is absent, open to others, or no such key."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} can be read by others than its owner: run chmod 600 {path}")
        key = b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be read ({type(error).__name__}): make it, or give this user access"
        ) from None
    except ValueError:
        raise KeyFileError(f"{path} is not base64: put this office's key file in its place") from None
    if len(key) != KEY_BYTES:
        raise KeyFileError(
            f"{path} holds {len(key)} bytes, not {KEY_BYTES}: put a key file of this office in its place"
        )
    return key


def _unchanged(value: Any) -> Any:
    return value


def _shown(value: Any, info: SerializationInfo) -> Any:
    if isinstance(value, Personal) and isinstance(info.context, dict) and info.context.get("reveal") is True:
        return value.reveal()
    return _HIDDEN if info.mode == "json" else value

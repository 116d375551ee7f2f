"""Where embedded servers find their binaries and keep their data, and who may reach them.

PostgreSQL refuses to run as root, so as root both servers run as ``nobody``. What root's home hides from that
user is hard-linked (or copied) into the cache, and data folders get a home under ``/var/lib/kintsugi``.
"""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

_ROOTS_CACHE = Path("/var/cache/kintsugi")
_ROOTS_DATA = Path("/var/lib/kintsugi")


@dataclass(frozen=True)
class Account:
    """The unprivileged account that servers run as when the office is started by root."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """The account to give servers, or None when the office is not root and servers run as its own user."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise RuntimeError(
            "PostgreSQL refuses to run as root and this machine has no account 'nobody'. "
            "Start the office as an ordinary user."
        ) from error
    return Account(nobody.pw_uid, nobody.pw_gid)


def cache_folder() -> Path:
    """The folder of what was fetched once: ``$KINTSUGI_CACHE``, else the user's cache (root: /var/cache/kintsugi)."""
    chosen = os.environ.get("KINTSUGI_CACHE")
    if chosen:
        folder = Path(chosen).expanduser().absolute()
    elif os.geteuid() == 0:
        folder = _ROOTS_CACHE
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kintsugi"
    _make_open(folder)
    return folder


def data_folder(folder: Path) -> Path:
    """Make ``folder`` for a server and return the path to give it; owned by the server's account.

    As root, a folder below something other users cannot enter is replaced by a symbolic link to one they can.
    """
    folder = folder.absolute()
    account = server_account()
    if account is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    _make_open(folder.parent)
    if not folder.exists() and not _open_to_all(folder.parent):
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        home = _ROOTS_DATA / digest
        _make_open(home)
        folder.unlink(missing_ok=True)
        folder.symlink_to(home / folder.name)
    real = folder.resolve()
    real.mkdir(mode=0o700, parents=True, exist_ok=True)
    if real.stat().st_uid != account.uid:
        os.chown(real, account.uid, account.gid)
    return real


def remove_data(folder: Path) -> None:
    """Remove a data folder made by :func:`data_folder`, whether it is a link or not."""
    if folder.is_symlink():
        home = folder.resolve()
        shutil.rmtree(home, ignore_errors=True)
        folder.unlink()
        if home.parent.parent == _ROOTS_DATA:
            home.parent.rmdir()
    elif folder.exists():
        shutil.rmtree(folder)


def reachable_binaries(label: str, parts: list[Path], anchor: Path) -> Path:
    """The folder to use instead of ``anchor`` so that the server's account can run what is in ``parts``.

    ``parts`` are folders below ``anchor``. Without an account to switch to, or when the account can reach them,
    that is ``anchor`` itself; else a mirror of the parts below ``<cache>/<label>``.
    """
    if server_account() is None or all(_open_to_all(part) for part in parts):
        return anchor
    mirror = cache_folder() / label
    done = mirror / ".complete"
    if done.exists():
        return mirror
    draft = mirror.with_name(f"{mirror.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    for part in parts:
        shutil.copytree(
            part, draft / part.relative_to(anchor), copy_function=_link_or_copy, dirs_exist_ok=True, symlinks=True
        )
    for inside in [draft, *(p for p in draft.rglob("*") if p.is_dir() and not p.is_symlink())]:
        inside.chmod(0o755)
    (draft / ".complete").touch()
    shutil.rmtree(mirror, ignore_errors=True)
    try:
        draft.rename(mirror)
    except OSError:  # another process finished the same mirror first
        shutil.rmtree(draft, ignore_errors=True)
    return mirror


def _link_or_copy(source: str, target: str) -> str:
    if not os.stat(source).st_mode & stat.S_IROTH:
        shutil.copy2(source, target)
        os.chmod(target, os.stat(target).st_mode | 0o444 | (0o111 if os.access(source, os.X_OK) else 0))
        return target
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


def _open_to_all(path: Path) -> bool:
    resolved = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [resolved, *resolved.parents])


def _make_open(folder: Path) -> None:
    """Make a folder that every user may enter (its parents, when new, too)."""
    missing = [p for p in [folder, *folder.parents] if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        made.chmod(0o755)

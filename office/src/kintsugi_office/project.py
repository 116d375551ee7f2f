"""Where the project's shared files are, and where one office keeps its own."""

import os
from dataclasses import dataclass
from pathlib import Path

from kintsugi_contracts.catalog import Catalog


class ProjectNotFound(RuntimeError):
    """The folder ``countries/`` was not found."""


def project_folder() -> Path:
    """The folder that holds ``countries/``: the packs of an office, and the contracts where it keeps its own.

    ``$KINTSUGI_PROJECT``, else the current folder or one above it, else the checkout this package is installed from.
    Raises ProjectNotFound, which says where was looked.
    """
    chosen = os.environ.get("KINTSUGI_PROJECT")
    here = Path.cwd()
    candidates = [Path(chosen)] if chosen else [here, *here.parents, *Path(__file__).resolve().parents]
    for folder in candidates:
        if any((folder / "countries").glob("*/country.yaml")):
            return folder.absolute()
    raise ProjectNotFound(
        f"No folder with countries/<code>/country.yaml at {chosen or here} or above it. Run the command where your "
        "country's pack is, name that folder in KINTSUGI_PROJECT, or begin with a sample: kintsugi sample-pack"
    )


def contracts_folder(project: Path) -> Path:
    """The platform's contracts, with the streams of partners: the project's own folder, else those that are installed.

    Raises ContractError where no package of contracts is installed.
    """
    own = project / "contracts"
    if (own / "topics").is_dir():
        return own
    return next(iter(Catalog.installed().folders))


@dataclass(frozen=True)
class Layout:
    """The data folder of one office: what is in it, by name."""

    data: Path

    @classmethod
    def at(cls, data: Path | None) -> "Layout":
        """The given folder, else ``$KINTSUGI_DATA``, else ``.kintsugi`` in the current folder."""
        return cls((data or Path(os.environ.get("KINTSUGI_DATA") or ".kintsugi")).absolute())

    def make(self) -> None:
        """Make the folder. Others may pass through it (servers run under another account), not list it."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o711)
        for private in (self.secrets, self.logs, self.mail):
            private.mkdir(mode=0o700, exist_ok=True)

    @property
    def state(self) -> Path:
        """What runs now: pids, ports, addresses."""
        return self.data / "office.json"

    @property
    def ports(self) -> Path:
        """The ports chosen at the first start, taken again where they are free."""
        return self.data / "ports.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor while it runs."""
        return self.data / "office.lock"

    @property
    def secrets(self) -> Path:
        """Keys made at the first start."""
        return self.data / "secrets"

    @property
    def logs(self) -> Path:
        """One ``.log`` (its own) and one ``.out`` (what it printed) per process."""
        return self.data / "logs"

    @property
    def mail(self) -> Path:
        """The messages the capturing mail server took."""
        return self.data / "mail"

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL."""
        return self.data / "postgres"

    @property
    def kafka(self) -> Path:
        """The embedded Kafka."""
        return self.data / "kafka"

    @property
    def jwt_private_key(self) -> Path:
        """Signs staff tokens."""
        return self.secrets / "jwt-private.pem"

    @property
    def jwt_public_key(self) -> Path:
        """Checks staff tokens."""
        return self.secrets / "jwt-public.pem"

    @property
    def link_key(self) -> Path:
        """Seals the links of providers."""
        return self.secrets / "link.key"

    @property
    def share_key(self) -> Path:
        """Makes the case ids that partners know."""
        return self.secrets / "share.key"

    def kafka_password(self, user: str) -> Path:
        """The password of one user of Kafka: ``admin``, a service, ``office`` or ``integrator.<name>``."""
        return self.secrets / "kafka" / f"{user}.password"

    @property
    def keys(self) -> Path:
        """The key-encryption keys of all sealed purposes."""
        return self.secrets / "keys"

    def key(self, purpose: str) -> Path:
        """The key-encryption key of one sealed purpose."""
        return self.keys / f"{purpose}.key"

    def keys_of(self, service: str) -> Path:
        """The folder that one service is told of: links to the keys of the purposes it holds, and to no others."""
        return self.secrets / "keys-of" / service

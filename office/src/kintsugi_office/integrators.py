"""``kintsugi integrators``: the partners of the country pack, and what the office hands each of them."""

import shlex
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from kintsugi.kafka import Cluster
from kintsugi.secrets import make_secret_file

from kintsugi_office import access, state, tokens, topics
from kintsugi_office.options import Data, explained
from kintsugi_office.progress import say
from kintsugi_office.project import Layout, contracts_folder

if TYPE_CHECKING:
    from kintsugi_country.integrators import Integrator

app = typer.Typer(
    name="integrators", help="The partners that receive streams, and what the office hands them.", no_args_is_help=True
)


class NoSuchIntegrator(RuntimeError):
    """The country pack names no such partner, or the office does not share."""


_EXPECTED = (access.NoLogin, state.OfficeNotRunning, NoSuchIntegrator, tokens.NoSigningKey, topics.TopicRefused)


@app.command("list")
@explained(*_EXPECTED)
def list_all(data: Data = None) -> None:
    """List the partners of the running office's country, their streams and their logins."""
    current = state.running(Layout.at(data).state)
    found = _declared(current)
    if not found:
        say(f"The country {current.country} shares with nobody: countries/{current.country}/integrators has no file.")
    for name, each in found.items():
        typer.echo(f"{name}  {each.title}")
        typer.echo(f"  consents name  {each.agency}")
        typer.echo(f"  logs in as     {access.username(current.country, access.integrator(name))}")
        for plan in _streams(current, name):
            typer.echo(f"  reads          {plan.name}")


@app.command("hand-over")
@explained(*_EXPECTED)
def hand_over(
    name: Annotated[str, typer.Argument(help="The partner, as its file in the country pack names it.")],
    into: Annotated[Path, typer.Option(help="Where to put it; made if it is not there.")] = Path("partner"),
    days: Annotated[int, typer.Option(min=1, max=366, help="How long the token for acknowledgements is valid.")] = 90,
    data: Data = None,
) -> None:
    """Write what a partner needs into a folder: its login, its topic, a token, and its contract.

    One NAME.env per purpose. The folder holds secrets: give it to the partner by a way that only the partner can read.
    """
    layout = Layout.at(data)
    current = state.running(layout.state)
    declared = _declared(current)
    if name not in declared:
        known = ", ".join(declared) or "nobody"
        raise NoSuchIntegrator(f"{name!r} is no partner of {current.country}. There is: {known}.")
    if "share" not in current.services:
        raise NoSuchIntegrator("The service share does not run in this office, so nobody could acknowledge a purge.")
    login = access.cluster(layout, access.integrator(name))
    token = tokens.issue(layout, "integrator", subject=name, valid=timedelta(days=days), country=current.country)
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = into / "private.jwk.json"
    if declared[name].sample:
        published = _of_country(current) / "samples" / "integrators" / f"{name}.private.jwk.json"
        _write(key, published.read_text(encoding="utf-8"))
    for plan in _streams(current, name):
        purpose = plan.name.split(".")[3]
        contract = into / "contract" / purpose
        shutil.copytree(_published(current) / name / purpose, contract, dirs_exist_ok=True)
        told = environment(
            login,
            plan.name,
            contract=contract.absolute(),
            key=key.absolute(),
            share_url=f"{current.services['share']}/integrators/{name}",
            share_token=token,
        )
        file = into / f"{purpose}.env"
        _write(file, as_shell(told))
        say(f"{plan.name}: {file}")
    say(
        f"{into} holds the login and a token of {days} days. Hand it over by a way that only {name} can read, "
        "then delete it here."
    )
    if declared[name].sample:
        say("This partner is a sample: its private key is in the folder, for trying only.")


def environment(
    kafka: Cluster, topic: str, *, contract: Path, key: Path, share_url: str, share_token: str
) -> dict[str, str]:
    """The variables that the subscribers in ``examples`` read. ``share_url`` ends with the partner's name."""
    if kafka.username is None or kafka.password is None:
        raise ValueError("A partner logs in: this cluster has no user.")
    return {
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "KAFKA_SECURITY": kafka.protocol.value,
        "KAFKA_USERNAME": kafka.username,
        "KAFKA_PASSWORD": kafka.password.reveal(),
        "KAFKA_GROUP": f"{kafka.username}.example",
        "TOPIC": topic,
        "CONTRACT": str(contract),
        "PARTNER_KEY": str(key),
        "SHARE_URL": share_url,
        "SHARE_TOKEN": share_token,
    }


def as_shell(variables: Mapping[str, str]) -> str:
    """The text of a file for a shell to read: ``set -a; . ./partner.env; set +a``."""
    return "".join(f"{name}={shlex.quote(text)}\n" for name, text in variables.items())


def _write(file: Path, text: str) -> None:
    """A new file that only its owner reads, also where an older one stood there that others could read."""
    file.unlink(missing_ok=True)
    make_secret_file(file, text.encode())


def _declared(current: state.OfficeState) -> dict[str, "Integrator"]:
    from kintsugi_contracts.catalog import Catalog
    from kintsugi_country import load

    pack = load(_of_country(current), Catalog.installed().declared)
    return {each.name: each for each in pack.integrators}


def _streams(current: state.OfficeState, name: str) -> list[topics.TopicPlan]:
    plans = topics.streams(contracts_folder(Path(current.project)), current.country)
    return [plan for plan in plans if access.integrator(name) in plan.readers]


def _published(current: state.OfficeState) -> Path:
    return contracts_folder(Path(current.project)) / "share" / current.country


def _of_country(current: state.OfficeState) -> Path:
    return Path(current.project) / "countries" / current.country

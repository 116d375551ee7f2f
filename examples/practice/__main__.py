"""An office to practise on: a broker with a share topic, and the door for acknowledgements, until Ctrl-C.

The folder gets what a real office hands a partner. Everything in it is fictional.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

from joserfc.jwk import ECKey
from kintsugi_office.integrators import as_shell, environment
from kintsugi_sandbox.embedded import EmbeddedKafka, places

from examples.practice.broker import CONTRACT, PARTNER, share_topic
from examples.practice.desk import Desk
from examples.practice.stream import PURGE, stream


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.practice", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("partner"), help="where to put it; ./partner unless told"
    )
    folder: Path = parser.parse_args().folder.absolute()
    data = Path(tempfile.mkdtemp(prefix="kintsugi-practice-"))
    data.chmod(0o755)  # the account the broker runs as must be able to pass
    try:
        key = _key(folder)
        asyncio.run(_serve(folder, data, key, ECKey.import_key(json.loads(key.read_text()))))
    finally:
        places.remove_data(data / "kafka" / "data")
        shutil.rmtree(data)


def _key(folder: Path) -> Path:
    """The partner's private key: the one in the folder, else a new one."""
    shutil.copytree(CONTRACT, folder / "contract", dirs_exist_ok=True)
    file = folder / "private.jwk.json"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(json.dumps(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True)))
    return file


async def _serve(folder: Path, data: Path, key: Path, partner: ECKey) -> None:
    print("Starting a broker to practise on; the first time it is fetched (45 MB).", flush=True)
    token = secrets.token_urlsafe(24)
    desk = Desk(PARTNER, token, [PURGE])
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with (
        EmbeddedKafka(data / "kafka") as kafka,
        share_topic(kafka.cluster, "xa", stream(partner)) as (topic, login),
    ):
        with desk.serving() as address:
            told = environment(
                login,
                topic,
                contract=folder / "contract",
                key=key,
                share_url=f"{address}/integrators/{PARTNER}",
                share_token=token,
            )
            file = folder / "partner.env"
            file.touch(mode=0o600)
            file.write_text(as_shell(told))
            print(f"{topic} is filled. In another terminal: set -a; . {file}; set +a\nCtrl-C ends it.", flush=True)
            await ended.wait()
    print(f"{len(desk.acknowledged)} acknowledgements came.")


if __name__ == "__main__":
    main()

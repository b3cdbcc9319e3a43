"""Brokers that do not let everybody in."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.outputs.parts import Mosquitto, free_port


@asynccontextmanager
async def with_users(directory: Path, program: Callable[[str], str]) -> AsyncIterator[Mosquitto]:
    """Give a mosquitto with the users `bridge`, who may everything, and `guest`, who may only read."""
    users, rules = directory / "users", directory / "rules"
    _make_users(program("mosquitto_passwd"), users)
    rules.write_text("user bridge\ntopic readwrite #\nuser guest\ntopic read #\n")
    broker = Mosquitto(
        program("mosquitto"), directory, f"password_file {users}", f"acl_file {rules}", allow_anonymous=False
    )
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def _make_users(mosquitto_passwd: str, users: Path) -> None:
    users.touch(mode=0o600)
    for user in ("bridge", "guest"):
        subprocess.run([mosquitto_passwd, "-b", str(users), user, "sesame"], check=True, capture_output=True)


class Secured(Mosquitto):
    """A mosquitto with a second, encrypted port."""

    secure_url = ""


class Certificates:
    """An authority, a broker's certificate for `localhost`, and a client's, all made for this test."""

    def __init__(self, openssl: str, directory: Path) -> None:
        self._openssl = openssl
        self._directory = directory
        self._run("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=authority")
        (directory / "names").write_text("subjectAltName=DNS:localhost")
        for name in ("localhost", "client"):
            self._run(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
            self._run(
                f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem"
                + (" -extfile names" if name == "localhost" else "")
            )
        self.settings = {
            "ca_file": str(directory / "ca.pem"),
            "client_certificate": str(directory / "client.pem"),
            "client_key": str(directory / "client.key"),
        }

    def _run(self, command: str) -> None:
        subprocess.run([self._openssl, *command.split()], cwd=self._directory, check=True, capture_output=True)

    @asynccontextmanager
    async def broker(self, program: Callable[[str], str], directory: Path) -> AsyncIterator[Secured]:
        port = free_port()
        broker = Secured(
            program("mosquitto"), directory, f"listener {port} 127.0.0.1", f"cafile {directory / 'ca.pem'}",
            f"certfile {directory / 'localhost.pem'}", f"keyfile {directory / 'localhost.key'}",
            "require_certificate true",
        )
        broker.secure_url = f"mqtts://localhost:{port}"
        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()

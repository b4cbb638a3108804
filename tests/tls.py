"""A certificate authority and its server certificate for localhost, made by the `openssl` program."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a client trusts, and what a server shows; good for `localhost` and for no other name."""

    ca: Path
    server: ssl.SSLContext


def certificates(folder: Path) -> Certificates:
    """Make them. Skips the test where there is no `openssl`, unless all tests are required."""
    if shutil.which("openssl") is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
        pytest.skip("openssl is not installed")
    _openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=test-ca "
        "-addext keyUsage=critical,keyCertSign,cRLSign",
    )
    _openssl(folder, "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost")
    (folder / "extensions").write_text("subjectAltName=DNS:localhost\n")
    _openssl(
        folder,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile extensions -out server.crt",
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return Certificates(folder / "ca.crt", context)


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's certificate that no authority signed, as managed Redis often has it."""
    if shutil.which("openssl") is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
        pytest.skip("openssl is not installed")
    _openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout self.key -out self.crt -subj /CN=redis.invalid",
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "self.crt", folder / "self.key")
    return context


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

"""Builds the image with buildah, on a base made with debootstrap, and runs it as a container runtime does.

Only root can. Where no container runtime works, `unshare` gives what the image is promised: a root file
system that is read-only, a `/tmp`, and a first process of its own; the network is that of the machine.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from local.processes import ROOT

TOOLS = ("buildah", "debootstrap", "unshare", "nsenter")
BASE, IMAGE = "localhost/versus-test-base", "localhost/versus-test"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

AS_A_RUNTIME = """
mount --bind {root} {root}
mount -o remount,bind,ro {root}
mount -t proc proc {root}/proc
mount -t tmpfs -o mode=1777 tmpfs {root}/tmp
cd {root}
exec env --ignore-environment {variables} chroot --userspec={user} {root} sh -c {command}
"""


class Buildah:
    """One store of images, kept in a folder so that the base need not be made twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *words: str | Path) -> str:
        places = ["--root", str(self._folder / "images"), "--runroot", str(self._folder / "run")]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            ["buildah", *places, "--storage-driver", "overlay", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, f"buildah {words}: {done.stdout[-5000:]}"
        return done.stdout.strip()

    def build(self) -> None:
        """Make the image that the Dockerfile describes."""
        if BASE not in self("images", "--noheading", "--format", "{{.Name}}").splitlines():
            self._make_base()
        self(
            "bud",
            "--isolation",
            "chroot",
            "--format",
            "docker",
            "--build-arg",
            f"BASE={BASE}",
            "-t",
            IMAGE,
            ".",
        )

    def _make_base(self) -> None:
        """A Debian with Python, which trusts whom this machine trusts."""
        system = self._folder / "debian"
        shutil.rmtree(system, ignore_errors=True)
        include = "--include=python3,python3-venv,ca-certificates"
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", include, "bookworm", str(system)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        assert made.returncode == 0, made.stdout[-5000:]
        shutil.copy(CERTIFICATES, system / str(CERTIFICATES).lstrip("/"))
        (system / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (system / "etc/pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\n")
        container = self("from", "scratch")
        self("add", "--quiet", container, system, "/")
        self("commit", "--quiet", "--rm", container, BASE)
        shutil.rmtree(system)

    def settings(self) -> dict[str, Any]:
        """What the image says of itself."""
        found: dict[str, Any] = json.loads(self("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        return found


@dataclass(frozen=True, slots=True)
class Image:
    """The image's files, mounted, and what it says of itself."""

    root: Path
    settings: Mapping[str, Any]

    def start(self, words: Sequence[str], environ: Mapping[str, str], output: IO[bytes]) -> Container:
        """Run it with this command, as `docker run` would, its root file system read-only."""
        command = shlex.join([*self.settings["Entrypoint"], *(words or self.settings["Cmd"])])
        script = AS_A_RUNTIME.format(
            root=self.root,
            user=self.settings["User"],
            variables=shlex.join(self._variables(environ)),
            command=shlex.quote(f"cd {self.settings['WorkingDir']} && exec {command}"),
        )
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script]
        return Container(
            self, subprocess.Popen(unshare, stdout=output, stderr=output, stdin=subprocess.DEVNULL), environ
        )

    def _variables(self, environ: Mapping[str, str]) -> list[str]:
        return [*self.settings["Env"], *(f"{name}={value}" for name, value in environ.items())]

    def enter(self, process: psutil.Process, words: Sequence[str], environ: Mapping[str, str]) -> list[str]:
        """The command that does this inside a container, as `docker exec` would."""
        user, group = self.settings["User"].split(":")
        inside = [
            f"--target={process.pid}",
            "--mount",
            "--pid",
            "--root",
            f"--setuid={user}",
            f"--setgid={group}",
        ]
        command = f"cd {self.settings['WorkingDir']} && exec {shlex.join(words)}"
        return ["nsenter", *inside, "env", "-i", *self._variables(environ), "sh", "-c", command]


@dataclass(frozen=True, slots=True)
class Container:
    """One that runs."""

    image: Image
    outside: subprocess.Popen[bytes]
    environ: Mapping[str, str]

    @property
    def first(self) -> psutil.Process:
        """Its process 1. Raises `IndexError` before there is one, and after."""
        return psutil.Process(self.outside.pid).children()[0]

    def run(self, *words: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """Do something inside."""
        command = self.image.enter(self.first, words, self.environ)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout)

    def is_healthy(self) -> bool:
        """What its HEALTHCHECK says within the time that it is given."""
        check = self.image.settings["Healthcheck"]
        kind, *words = check["Test"]
        assert kind == "CMD"
        try:
            return self.run(*words, timeout=check["Timeout"] / 1e9).returncode == 0
        except (IndexError, subprocess.TimeoutExpired):
            return False

    def stop(self) -> int:
        """Send SIGTERM to its process 1; its exit code, if it ends within the time that it is given."""
        self.first.terminate()
        return self.outside.wait(40)

    def kill(self) -> None:
        """End it at once."""
        self.outside.kill()
        self.outside.wait()

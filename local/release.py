"""`make release`: the wheel, the source archive and the changelog's section of this version, in dist/.

It publishes nothing: CONTRIBUTING.md has the whole list of what a release is.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import yaml

from app import __version__

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
CHART = "deploy/helm/versus-incident/Chart.yaml"
NUMBER = re.compile(r"\d+\.\d+\.\d+")
RELEASED = "v[0-9]*"
"""What the tags of releases look like, for git."""
UNRELEASED = "Unreleased"


def sections(changelog: str, version: str) -> list[tuple[str, str]]:
    """What the changelog says of this version: the date of each of its sections, and the text."""
    head = rf"^## \[{re.escape(version)}\](?: - (.*))?$"
    _, *found = re.split(head, changelog, flags=re.M)
    return [
        (on or "", re.split(r"^## ", text, flags=re.M)[0].strip())
        for on, text in zip(found[::2], found[1::2], strict=True)
    ]


def mistakes(version: str, changelog: str, chart: str, tags: list[str], changed: list[str]) -> list[str]:
    """What is wrong with releasing this tree under this version, a sentence each.

    `tags`: those that there are; `changed`: files that are not committed as they are.
    """
    numbers = yaml.safe_load(chart)
    ours, unreleased = sections(changelog, version), sections(changelog, UNRELEASED)
    found = {
        f"app/__init__.py has the version {version}, which is not three numbers.": NUMBER.fullmatch(version),
        f"The tag v{version} is there already.": f"v{version}" not in tags,
        f"{CHART} has another version or appVersion than app/__init__.py, {version}.": (
            {str(numbers["version"]), str(numbers["appVersion"])} == {version}
        ),
        f"CHANGELOG.md must have one section `## [{version}] - <date>`, with a date and a text.": (
            len(ours) == 1 and _is_date(ours[0][0]) and ours[0][1]
        ),
        f"CHANGELOG.md still has changes under {UNRELEASED}: move them into {version}.": (
            not any(text for _, text in unreleased)
        ),
        f"Not committed: {', '.join(changed)}.": not changed,
    }
    return [sentence for sentence, well in found.items() if not well]


def _is_date(words: str) -> bool:
    try:
        return bool(date.fromisoformat(words))
    except ValueError:
        return False


def git(*words: str) -> str:
    """What git says about this repository."""
    command = ["git", *words]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def source_archive(commit: str, name: str, folder: Path) -> Path:
    """All that is in a commit, tests too, in a folder of that name; returns the file."""
    archive = folder / f"{name}.tar.gz"
    git("archive", f"--prefix={name}/", f"--output={archive}", commit)
    return archive


def wheel(source: Path, folder: Path, *words: str) -> Path:
    """The wheel of the code in a folder; `words`: more for pip."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, *words, "--wheel-dir", folder, source], check=True)
    [made] = folder.glob("versus_incident-*.whl")
    return made


def main() -> int:
    """Check, then make everything from the commit and not from the working tree; 1 if something is wrong."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    wrong = mistakes(
        __version__,
        changelog,
        (ROOT / CHART).read_text(),
        git("tag").split(),
        [line.split(maxsplit=1)[1] for line in git("status", "--porcelain").splitlines()],
    )
    if wrong:
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    name = f"versus-incident-{__version__}"
    archive = source_archive("HEAD", name, DIST)
    shutil.unpack_archive(archive, DIST, filter="data")
    made = [archive, wheel(DIST / name, DIST), DIST / f"changes-{__version__}.md"]
    shutil.rmtree(DIST / name)
    [(_, text)] = sections(changelog, __version__)
    made[-1].write_text(f"{text}\n")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in made]
    (DIST / "SHA256SUMS").write_text("".join(sums))
    tag = f"git tag --annotate v{__version__} --cleanup=verbatim --file=dist/{made[-1].name}"
    sys.stdout.write(f"{''.join(sums)}Next: {tag}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

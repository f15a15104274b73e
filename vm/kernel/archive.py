"""The distribution's package archive, asked through apt with lists of its own.

The mirror, the keys and the proxy are those of the user's configuration; only the suites are ours, since the kernels of
the matrix come from releases older and newer than the host's.  Nothing of the host's own package state is changed.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass

from seatrial.vm import cache, programs
from seatrial.vm.errors import InfrastructureError

SUITES = ("bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports", "forky", "sid", "experimental")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"  # of all releases, past and future
FETCHED = "fetched"  # among the remembered answers: when the lists were
HINT = "see that it can be reached, or name another there"
RETRY = 3600.0  # seconds after which lists are fetched again that were not all to be had
MAX_AGE = 7 * 86400  # seconds after which the lists are fetched again


@dataclass(frozen=True, slots=True)
class Package:
    """A binary package as the lists describe it; `depends` are names only, `sha256` that of the .deb."""

    name: str
    version: str
    sha256: str
    size: int
    depends: tuple[str, ...]


class Archive:
    """Lists and downloads below one directory of the cache."""

    def __init__(self, directory: str | None = None) -> None:
        self.directory = directory or cache.place("apt", "debian")

    def refresh(self, max_age: float = MAX_AGE) -> None:
        """Fetch the lists when there are none, or older ones; InfrastructureError when not one suite can be had.

        Some suites' indexes are past their Valid-Until date on purpose (old releases), so that is not checked; their
        signatures are.
        """
        mark = os.path.join(self.directory, "refreshed")
        with cache.locked(self.directory):
            if os.path.exists(mark) and time.time() - os.path.getmtime(mark) < max_age:
                return
            for name in ("lists/partial", "archives/partial", "parts"):
                os.makedirs(os.path.join(self.directory, name), exist_ok=True)
            open(os.path.join(self.directory, "status"), "ab").close()
            site = self.mirror()
            keys = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
            with open(os.path.join(self.directory, "sources.list"), "w", encoding="ascii") as file:
                file.writelines(f"deb {keys}{site} {suite} main\n" for suite in SUITES)
            age = 0.0
            try:
                programs.run(["apt-get", *self._options(), "update"], f"cannot fetch package lists from {site}")
            except InfrastructureError as error:
                if not any(name.endswith("_Packages") for name in os.listdir(os.path.join(self.directory, "lists"))):
                    raise InfrastructureError(
                        f"{error}\nthe mirror is the one in the sources of apt: {HINT}"
                    ) from error
                age = max(0.0, max_age - RETRY)  # a mirror need not have every suite
            with open(mark, "w", encoding="ascii"):
                pass
            os.utime(mark, (time.time() - age, time.time() - age))

    def recall(self, question: str) -> str:
        """What was remembered since the lists were fetched; empty when nothing was.  To ask apt takes a second."""
        return self._memo().get(question, "")

    def remember(self, question: str, answer: str) -> None:
        """Keep an answer for as long as these lists are used."""
        if not (fetched := self._fetched()):
            return
        memo = {**self._memo(), question: answer, FETCHED: fetched}
        temporary = f"{self.directory}/answers.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(memo, file)
        os.replace(temporary, os.path.join(self.directory, "answers"))

    def _memo(self) -> dict[str, str]:
        try:
            with open(os.path.join(self.directory, "answers"), encoding="utf-8") as file:
                memo = dict(json.load(file))
        except (OSError, ValueError):
            return {}
        return memo if memo.get(FETCHED) == self._fetched() else {}

    def _fetched(self) -> str:
        try:
            return str(os.stat(os.path.join(self.directory, "refreshed")).st_mtime_ns)
        except FileNotFoundError:
            return ""

    def names(self, pattern: str) -> list[str]:
        """Names of packages that match a regular expression."""
        found = programs.run(["apt-cache", *self._options(), "pkgnames"], "cannot list packages").split()
        return sorted(name for name in found if re.fullmatch(pattern, name))

    def package(self, name: str, version: str | None = None) -> Package:
        """The newest version of a package, or the one asked for; InfrastructureError when there is none."""
        text = programs.run(["apt-cache", *self._options(), "show", "--", name], f"cannot find the package {name}")
        found = [_parse(stanza) for stanza in text.strip().split("\n\n")]
        fitting = [package for package in found if version is None or package.version == version]
        if not fitting:
            raise InfrastructureError(
                f"the mirror no longer has {name} {version} (it has {', '.join(one.version for one in found)}): "
                "remove its entry from the lock file to take the newest"
            )
        return fitting[0]  # apt-cache gives the newest first

    def download(self, package: Package) -> str:
        """The path of the .deb, fetched unless it is there; InfrastructureError when its digest is another one."""
        path = os.path.join(self.directory, "archives", f"{package.name}_{package.sha256[:16]}.deb")
        if not os.path.exists(path):
            work = os.path.join(self.directory, "archives", "partial")
            command = f'cd "$1" && shift && exec apt-get {" ".join(self._options())} download "$@"'
            wanted = f"{package.name}={package.version}"
            programs.run(["sh", "-c", command, "sh", work, wanted], f"cannot download {wanted}")
            for name in os.listdir(work):
                if name.startswith(package.name + "_") and name.endswith(".deb"):
                    os.rename(os.path.join(work, name), path)
        if cache.file_digest(path) != package.sha256:
            os.unlink(path)
            raise InfrastructureError(f"{package.name} {package.version}: the digest of the download is another one")
        return path

    def mirror(self) -> str:
        """The site that the user's own configuration takes Debian from, or its first one with a component main."""
        form = "$(SITE)|$(LABEL)|$(COMPONENT)"
        text = programs.run(
            ["apt-get", "indextargets", "--format", form, "Created-By: Packages"], "cannot read sources"
        )
        rows = [line.split("|") for line in text.splitlines() if line.count("|") == 2]
        sites = [site for site, label, component in rows if component == "main" and label in ("Debian", "")]
        if not sites:
            raise InfrastructureError("apt has no lists of Debian: name a mirror in its sources and run apt-get update")
        return sites[0]

    def _options(self) -> list[str]:
        d = self.directory
        settings = {
            "Dir::State::lists": f"{d}/lists",
            "Dir::State::status": f"{d}/status",
            "Dir::Cache::archives": f"{d}/archives",
            "Dir::Cache::pkgcache": f"{d}/pkgcache.bin",
            "Dir::Cache::srcpkgcache": f"{d}/srcpkgcache.bin",
            "Dir::Etc::sourcelist": f"{d}/sources.list",
            "Dir::Etc::sourceparts": f"{d}/parts",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": f"{d}/parts",
            "Acquire::Check-Valid-Until": "false",
            "Acquire::Languages": "none",
            "APT::Update::Error-Mode": "any",  # or lists that cannot be had are but a warning
            "APT::Sandbox::User": "root",
            "APT::Update::Post-Invoke-Success::": "",
        }
        return ["-q", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]


def _parse(stanza: str) -> Package:
    fields: dict[str, str] = {}
    for line in stanza.splitlines():
        name, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            fields[name] = value
    depends = tuple(re.findall(r"(?:^|,)\s*([\w.+-]+)", fields.get("Depends", "")))
    return Package(fields["Package"], fields["Version"], fields["SHA256"], int(fields["Size"]), depends)

"""Package lists and packages from a mirror in a directory, signed by a key of its own, and from none at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.conformance import cli
from seatrial.vm import programs
from seatrial.vm.errors import InfrastructureError
from seatrial.vm.kernel import archive
from seatrial.vm.kernel.archive import Archive

PACKAGE = "linux-image-6.1.0-1-cloud-amd64"
NEEDED = ("apt-get", "apt-cache", "dpkg-deb", "gpg", "gpgv")


class Mirror:
    """A distribution with one package in one suite."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "gnupg"
        self.home.mkdir(mode=0o700)
        self.keyring = str(directory / "keyring.gpg")
        tree = directory / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {PACKAGE}\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: d\n"
        (tree / "DEBIAN/control").write_text(control)
        self.deb = directory / "pool/kernel.deb"
        self.deb.parent.mkdir()
        run("dpkg-deb", "--root-owner-group", "-b", str(tree), str(self.deb))
        digest = hashlib.sha256(self.deb.read_bytes()).hexdigest()
        size = self.deb.stat().st_size
        self.lists = f"{control}Filename: pool/kernel.deb\nSize: {size}\nSHA256: {digest}\n"
        self.gpg("--quick-generate-key", "--passphrase", "", "seatrial test", "ed25519", "sign", "never")
        self.gpg("--output", self.keyring, "--export")

    def gpg(self, *words: str) -> None:
        run("gpg", "--homedir", str(self.home), "--batch", "--yes", "--quiet", *words)

    def publish(self, *, valid_until: str) -> None:
        """Write and sign the suite's index."""
        suite = self.directory / "dists/bookworm"
        packages = suite / "main/binary-amd64/Packages"
        packages.parent.mkdir(parents=True, exist_ok=True)
        packages.write_text(self.lists)
        data = packages.read_bytes()
        (suite / "Release").write_text(
            "Origin: test\nSuite: bookworm\nCodename: bookworm\nArchitectures: amd64\nComponents: main\n"
            f"Date: Thu, 01 Jan 2015 00:00:00 UTC\nValid-Until: {valid_until}\n"
            f"SHA256:\n {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/Packages\n"
        )
        self.gpg("--output", str(suite / "InRelease"), "--clearsign", str(suite / "Release"))


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    for program in NEEDED:
        if shutil.which(program) is None:
            pytest.skip(f"program:{program}: not installed")
    made = Mirror(tmp_path)
    monkeypatch.setattr(archive, "SUITES", ("bookworm",))
    monkeypatch.setattr(archive, "KEYRING", made.keyring)
    monkeypatch.setattr(Archive, "mirror", lambda _: f"file://{tmp_path}")
    return made


@pytest.fixture
def ours(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "ours"))


def test_lists_past_their_date_are_taken(mirror: Mirror, ours: Archive) -> None:
    """Old releases have not been signed again for years."""
    mirror.publish(valid_until="Thu, 08 Jan 2015 00:00:00 UTC")
    ours.refresh()
    package = ours.package(PACKAGE)
    assert package.version == "1"
    assert Path(ours.download(package)).read_bytes() == mirror.deb.read_bytes()


def test_kernels_are_listed_by_name(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(mirror.directory / "cache"))
    mirror.publish(valid_until="Thu, 08 Jan 2099 00:00:00 UTC")
    assert cli.main(["vm", "kernels"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["debian:6.1-cloud", PACKAGE]]


def test_lists_of_a_foreign_key_are_not(mirror: Mirror, ours: Archive, tmp_path: Path) -> None:
    mirror.publish(valid_until="Thu, 08 Jan 2099 00:00:00 UTC")
    Path(mirror.keyring).write_bytes(b"")
    with pytest.raises(InfrastructureError, match=f"package lists from file://{tmp_path}"):
        ours.refresh()


def test_package_that_the_mirror_lists_and_lacks(mirror: Mirror, ours: Archive) -> None:
    mirror.publish(valid_until="Thu, 08 Jan 2099 00:00:00 UTC")
    ours.refresh()
    mirror.deb.unlink()
    with pytest.raises(InfrastructureError, match=f"cannot download {PACKAGE}=1"):
        ours.download(ours.package(PACKAGE))


def test_package_of_another_digest(mirror: Mirror, ours: Archive) -> None:
    mirror.publish(valid_until="Thu, 08 Jan 2099 00:00:00 UTC")
    ours.refresh()
    package = ours.package(PACKAGE)
    mirror.deb.write_bytes(b"x" * mirror.deb.stat().st_size)
    with pytest.raises(InfrastructureError, match=PACKAGE):
        ours.download(package)


def test_answers_are_remembered_until_the_lists_are_fetched_again(mirror: Mirror, ours: Archive) -> None:
    ours.remember("6.1", "before there were lists")
    mirror.publish(valid_until="Thu, 08 Jan 2099 00:00:00 UTC")
    ours.refresh()
    assert ours.recall("6.1") == ""
    ours.remember("6.1", "a place")
    assert ours.recall("6.1") == "a place"
    ours.refresh()
    assert ours.recall("6.1") == "a place"
    os.utime(os.path.join(ours.directory, "refreshed"), (1, 1))
    ours.refresh()
    assert ours.recall("6.1") == ""


@pytest.mark.parametrize("site", ["http://127.0.0.1:9/debian", "file:///no/such/mirror"])
def test_mirror_that_is_not_there(site: str, ours: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("program:apt-get: not installed")
    monkeypatch.setattr(archive, "SUITES", ("bookworm",))
    monkeypatch.setattr(Archive, "mirror", lambda _: site)
    with pytest.raises(InfrastructureError) as caught:
        ours.refresh()
    assert f"cannot fetch package lists from {site}" in str(caught.value)
    assert "sources of apt" in str(caught.value)
    with pytest.raises(InfrastructureError):
        ours.refresh()  # nothing is remembered of it


def test_host_without_lists_of_debian(monkeypatch: pytest.MonkeyPatch, ours: Archive) -> None:
    answers: Callable[..., str] = lambda *_, **__: "file:/elsewhere|Other|universe\n"  # noqa: E731
    monkeypatch.setattr(programs, "run", answers)
    with pytest.raises(InfrastructureError, match="apt-get update"):
        ours.mirror()

"""Tiny packages and the repositories they lie in, built here; no network is asked.

`okdemo` is a service: 1.0 runs, 2.0 is the bad update and ends as soon as it is started, unless it
finds its store (`STORE`), 3.0 is the repaired one. `okdemo-tools` of a version needs `okdemo` of
at least that version, so that going back with one of them would take the other away.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DAEMON = """\
#!/bin/sh
echo "okdemo {version} starts"
echo {version} >/run/okdemo.version
{life}
"""
_STAYS = "while :; do sleep 60; done"
STORE = "var/lib/okdemo/store"
"""Path, without the leading slash, of the file that okdemo 2.0 cannot do without."""
_ENDS = f"if [ ! -e /{STORE} ]; then echo 'cannot open its store' >&2; exit 70; fi"
_LIVES = {"2.0": f"{_ENDS}\n{_STAYS}"}
_UNIT = """\
[Unit]
Description=Service to practise on
[Service]
ExecStart=/usr/lib/okdemo/okdemod
Restart=on-failure
RestartSec=0.1
StartLimitBurst=3
[Install]
WantedBy=multi-user.target
"""
_SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: Package to practise on
License: MIT
BuildArch: noarch
AutoReqProv: no
{needs}
%description
Package to practise on.
%files
{files}
"""


@dataclass(frozen=True, slots=True)
class Package:
    """A package of one version."""

    name: str
    version: str

    @property
    def needs(self) -> str:
        """The version of `okdemo` it needs at least; empty for none."""
        return self.version if self.name == "okdemo-tools" else ""

    @property
    def files(self) -> Iterator[tuple[str, str, int]]:
        """Path without the leading slash, text, mode."""
        if self.name == "okdemo":
            life = _LIVES.get(self.version, _STAYS)
            yield "usr/lib/okdemo/okdemod", _DAEMON.format(version=self.version, life=life), 0o755
            yield "lib/systemd/system/okdemo.service", _UNIT, 0o644
        else:
            yield f"usr/lib/{self.name}/version", f"{self.version}\n", 0o644


PACKAGES = tuple(
    Package(name, version)
    for name in ("okdemo", "okdemo-tools")
    for version in ("1.0", "2.0", "3.0")
)


def build_debs(folder: Path) -> None:
    """Make `folder` a repository for apt (`deb [trusted=yes] file:FOLDER ./`)."""
    folder.mkdir()
    entries = []
    for package in PACKAGES:
        tree = folder / "tree" / f"{package.name}-{package.version}"
        _write(tree, package)
        control = (
            f"Package: {package.name}\nVersion: {package.version}\nArchitecture: all\n"
            "Maintainer: outagekit tests <tests@example.invalid>\n"
            + (f"Depends: okdemo (>= {package.needs})\n" if package.needs else "")
            + "Description: package to practise on\n"
        )
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN" / "control").write_text(control)
        deb = folder / f"{tree.name}.deb"
        _quietly("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(deb))
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        size = deb.stat().st_size
        entries.append(f"{control}Filename: ./{deb.name}\nSize: {size}\nSHA256: {digest}\n")
    (folder / "Packages").write_text("\n".join(entries))


def build_rpms(folder: Path) -> None:
    """Make `folder` a repository for dnf (`baseurl=file://FOLDER`)."""
    folder.mkdir()
    running = []
    for package in PACKAGES:
        tree = folder / "tree" / f"{package.name}-{package.version}"
        _write(tree, package)
        spec = tree.with_suffix(".spec")
        needs = f"Requires: okdemo >= {package.needs}" if package.needs else ""
        files = "\n".join(f"/{name}" for name, _, _ in package.files)
        text = _SPEC.format(name=package.name, version=package.version, needs=needs, files=files)
        spec.write_text(f"{text}%install\nmkdir -p %{{buildroot}}\ncp -a {tree}/. %{{buildroot}}\n")
        places = [f"--define=_topdir {tree}.top", f"--define=_rpmdir {folder}"]
        names = "--define=_rpmfilename %{name}-%{version}-%{release}.rpm"
        words = ["rpmbuild", "-bb", "--quiet", *places, names, str(spec)]
        running.append(subprocess.Popen(words, stdout=-3, stderr=-3, env=_environment(folder)))
    if sum(process.wait() for process in running):
        raise RuntimeError("rpmbuild failed")
    _quietly("createrepo_c", "--quiet", "--excludes=tree/*", str(folder))


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LC_ALL": "C.UTF-8"}


def _write(tree: Path, package: Package) -> None:
    for name, text, mode in package.files:
        path = tree / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(mode)


def _quietly(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stderr}")

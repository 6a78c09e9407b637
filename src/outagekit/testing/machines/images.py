"""What every machine is furnished with, once: accounts, sudo, sshd, stand-ins, packages.

An image is what a script leaves behind that ran in a machine; machines made from it share it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outagekit.testing.machines.machine import Fault
from outagekit.testing.machines.packages import build_debs, build_rpms

_STAND_INS: Final = Path(__file__).with_name("stand_ins")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ACCOUNTS: Final = ("ops", "tech", "guest")
"""`ops` may use sudo without a password, `tech` with his own, `guest` not at all."""

_SUDOERS: Final = f"""\
Defaults env_reset, secure_path="{_PATH}"
Defaults logfile=/var/log/sudo.log, !syslog, lecture=never
root ALL=(ALL:ALL) ALL
ops ALL=(ALL:ALL) NOPASSWD: ALL
tech ALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d
"""
_SSHD: Final = """\
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM yes
UseDNS no
LogLevel VERBOSE
MaxStartups 200
PidFile none
Subsystem sftp /usr/lib/openssh/sftp-server
"""
_COMMON: Final = """\
set -eu
rm -f /etc/systemd/system/*.wants/* /etc/sudoers.d/* /etc/ssh/ssh_host_*
sed -i 's/^\\([^:]*\\):[^:]*:/\\1:*:/' /etc/shadow
for name in ops tech guest; do
  userdel -f "$name" >/dev/null 2>&1 || :
  groupdel "$name" >/dev/null 2>&1 || :
  useradd -m -k /dev/null -d "/home/$name" -s /bin/bash "$name"
done
usermod -s /bin/bash -d /root root
chpasswd -c SHA512
mkdir -p /var/log/stand-in
: >/var/log/sudo.log
"""
_APT: Final = """\
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/preferences.d/*
echo 'deb [trusted=yes] file:/srv/debs ./' >/etc/apt/sources.list.d/okdemo.list
apt-get -qq update
apt-get -qq -y install okdemo=2.0
"""
_DNF: Final = """\
rm -rf /usr/bin/apt* /usr/bin/dpkg* /usr/local/bin/apt* /etc/yum.repos.d/* /var/lib/rpm
mkdir -p /var/lib/rpm /etc/yum.repos.d /etc/rpm /etc/dnf/vars /etc/dnf/plugins
echo 1 >/etc/dnf/vars/releasever
printf '[main]\ngpgcheck=0\n' >/etc/dnf/dnf.conf
printf '[main]\nenabled=0\n' >/etc/dnf/plugins/local.conf
echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros.machine
printf '%s\\n' '[okdemo]' 'name=okdemo' 'baseurl=file:///srv/rpms' 'gpgcheck=0' \\
  'skip_if_unavailable=0' >/etc/yum.repos.d/okdemo.repo
rpmdb --initdb
dnf -q -y install okdemo-2.0
"""
_ENABLE: Final = "systemctl -q enable okdemo\n"


@dataclass(frozen=True, slots=True)
class Image:
    """How one is made."""

    script: str
    folder: str
    """Where the repository is seen inside, without the leading slash."""
    build: Callable[[Path], None]
    """Makes the repository."""


IMAGES: Final[Mapping[str, Image]] = {
    "apt": Image(_APT, "srv/debs", build_debs),
    "dnf": Image(_DNF, "srv/rpms", build_rpms),
}


def _new_passwords() -> dict[str, str]:
    return {name: secrets.token_urlsafe(12) for name in ACCOUNTS}


@dataclass(frozen=True, slots=True)
class Furniture:
    """What the machines of one ground have in common."""

    login: str
    """Public key that lets in every account, and root."""
    passwords: Mapping[str, str] = field(default_factory=_new_passwords)

    @property
    def files(self) -> dict[str, tuple[str, int]]:
        """Files of an image: text and mode by path."""
        return {
            "etc/sudoers": (_SUDOERS, 0o440),
            "etc/environment": (f'PATH="{_PATH}"\n', 0o644),
            "etc/ssh/sshd_config": (_SSHD, 0o600),
            "etc/ssh/authorized_keys": (f"{self.login}\n", 0o644),
            "etc/resolv.conf": ("", 0o644),
            **{
                f"usr/local/bin/{name}": ((_STAND_INS / name).read_text(), 0o755)
                for name in ("systemctl", "journalctl")
            },
        }

    def script(self, image: Image) -> tuple[str, str]:
        """Return the script that makes an image, and what it reads."""
        accounts = "".join(f"{name}:{word}\n" for name, word in self.passwords.items())
        return _COMMON + image.script + _ENABLE, accounts


def fault_files(fault: Fault | None) -> dict[str, tuple[str, int]]:
    """Return what makes a machine have the fault, where files do."""
    match fault:
        case "sudo_swallows" | "sudo_pretends":
            text = (_STAND_INS / fault.replace("_", "-")).read_text()
            return {"usr/local/bin/sudo": (text, 0o755)}
        case "sudo_wants_tty":
            return {"etc/sudoers.d/tty": ("Defaults requiretty\n", 0o440)}
        case _:
            return {}

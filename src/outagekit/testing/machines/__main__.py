"""Machines to try the tool on by hand: `python -m outagekit.testing.machines`, as root."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from outagekit.testing.machines.ground import INNER, NETWORK, Ground, missing
from outagekit.testing.machines.machine import Build, Machine
from outagekit.testing.machines.workspace import Entry, Workspace

_BASTION, _WEB_1, _WEB_2, _TILL = "bastion", "web-01", "web-02", "till-01"
_WORDS = """\
Three machines are up, and a jump host. In another terminal, as root:

  cd {folder}
  ./here outagekit ping --limit all
  ./here outagekit exec --sh 'id; hostname' --limit all
  ./here outagekit plan bad-update-rollback {params}
  ./here outagekit run bad-update-rollback {params}
  ./here ssh -i {key} -o UserKnownHostsFile=trust/acme/known_hosts root@{web}

web-01    {web}    account ops, sudo without a password
web-02    {web_2}    account tech, sudo with a password (in the workspace)
till-01   {till}   account ops, only through the jump host {jump}

Each has okdemo 2.0 installed, whose service cannot run; 1.0 and 3.0 are in its repository.
systemctl in them is a stand-in. All of it is in memory and in {folder}.
Ctrl-C ends the machines and removes the folder.
"""
_BUILDS = (
    Build(_BASTION, f"{NETWORK}1"),
    Build(_WEB_1, f"{NETWORK}11"),
    Build(_WEB_2, f"{NETWORK}12"),
    Build(_TILL, f"{INNER}11", behind=_BASTION),
)
_PARAMS = "-p package=okdemo -p bad_version=2.0 -p good_version=1.0 -p service=okdemo"
_HERE = """\
#!/bin/sh
# Runs a command where the machines can be reached; files and accounts are the same as outside.
PATH={path}:$PATH
export PATH
exec {inside} "$@"
"""


def _workspace(ground: Ground, machines: list[Machine]) -> Workspace:
    bastion, web_1, web_2, till = machines
    workspace = Workspace(ground.folder / "msp", ground)
    workspace.trust(machines)
    workspace.write(
        [
            Entry(_WEB_1, web_1.address, tags=("web", "canary")),
            Entry(_WEB_2, web_2.address, credential="tech", tags=("web",)),
            Entry(_TILL, till.address, site="inner", tags=("till",)),
        ],
        jump=bastion,
    )
    here = workspace.folder / "here"
    path = shlex.quote(str(Path(sys.executable).parent))
    here.write_text(_HERE.format(path=path, inside=shlex.join(ground.inside)))
    here.chmod(0o700)
    return workspace


def _tell(ground: Ground, machines: list[Machine], workspace: Workspace) -> None:
    bastion, web_1, web_2, till = (machine.address for machine in machines)
    text = _WORDS.format(
        folder=workspace.folder,
        params=_PARAMS,
        key=ground.login.private,
        web=web_1,
        web_2=web_2,
        till=till,
        jump=bastion,
    )
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    """Start the machines, say what can be tried, and wait for Ctrl-C."""
    reason = missing()
    if reason:
        sys.stderr.write(f"no machines can be started here: {reason}\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    folder = Path(tempfile.gettempdir(), f"ok-machines-{secrets.token_hex(4)}")
    with contextlib.suppress(KeyboardInterrupt), Ground(folder) as ground:
        machines = ground.start(_BUILDS)
        _tell(ground, machines, _workspace(ground, machines))
        signal.pause()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Asks Ansible itself what inventories hold, many in one process, and our reader as well.

Run as a program it is the asking side: a Python that has ansible-core reads paths as JSON from its
standard input and prints what each of them holds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NEVER = "..."
"""Stands for a list or mapping: of such a variable it only matters that it is one."""


def require_ansible():
    """Skip without ansible-core, or fail where the environment says that it must be there."""
    if importlib.util.find_spec("ansible") is None:
        if os.environ.get("OUTAGEKIT_REQUIRE_E2E") == "1":
            pytest.fail("ansible-core is missing, and OUTAGEKIT_REQUIRE_E2E says it must be there")
        pytest.skip("ansible-core is not installed")


def ask_ansible(paths, home):
    """Return for each path what Ansible makes of it; None where Ansible cannot read it."""
    nothing = Path(home) / "ansible.cfg"
    nothing.touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANSIBLE_CONFIG": str(nothing),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "LC_ALL": "C.UTF-8",
        "PYTHONWARNINGS": "ignore",
    }
    asked = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        env=environment,
        cwd=home,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr[-2000:]
    return json.loads(asked.stdout.splitlines()[-1])


def ask_ours(path, honoured=None):
    """Return the same of our reader; None where it finds a fault."""
    from outagekit.inventory.foreign.ansible import facts, sources
    from outagekit.inventory.foreign.ansible.estate import Estate, EstateError
    from outagekit.inventory.foreign.ansible.variables import VariableFiles
    from outagekit.inventory.foreign.findings import Findings

    names = honoured or facts.HONOURED
    path = Path(path)
    findings, estate = Findings(), Estate()
    beside = path if path.is_dir() else path.absolute().parent
    files = VariableFiles(beside, findings, skip_encrypted=False)
    reader = sources._Sources(estate, findings, lambda _path, _digest: None)
    if path.is_dir():
        reader.folder(path, 0)
    else:
        reader.file(path)
    try:
        estate.close()
    except EstateError:
        return None
    hosts = {
        host.name: {
            name: {"encrypted": True} if each.encrypted else _plain(each.value)
            for name, each in settings.items()
            if name in names
        }
        for host, _, settings in estate.effective(files.of)
    }
    if findings.faults:
        return None
    members = {
        name: {"hosts": sorted(group.hosts), "children": sorted(group.children)}
        for name, group in estate.groups.items()
    }
    return {"groups": _without_all(members), "hosts": hosts}


def _plain(value):
    if value is ...:
        return NEVER
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _without_all(groups):
    """Leave out what is listed below `all` directly: there it is the same as in `ungrouped`."""
    return {
        name: {**group, "hosts": [] if name == "all" else group["hosts"]}
        for name, group in groups.items()
    }


def _main():
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.utils.display import Display
    from ansible.vars.manager import VariableManager

    for name in ("warning", "deprecated", "error_as_warning", "error"):
        setattr(Display, name, lambda *_args, **_more: None)
    answers = []
    for path in json.load(sys.stdin):
        try:
            loader = DataLoader()
            inventory = InventoryManager(loader=loader, sources=[path])
            manager = VariableManager(loader=loader, inventory=inventory)
            answers.append(_answer(inventory, manager))
        except Exception:  # noqa: BLE001  (whatever Ansible raises: it cannot read this one)
            answers.append(None)
    print(json.dumps(answers))


def _answer(inventory, manager):
    from ansible.parsing.vault import EncryptedString

    def plain(value):
        if isinstance(value, EncryptedString):
            return {"encrypted": True}
        if isinstance(value, str):
            return {"encrypted": True} if value.startswith("$ANSIBLE_VAULT") else str(value)
        if isinstance(value, bool | int | float) or value is None:
            return json.loads(json.dumps(value))
        if isinstance(value, dict) and set(value) == {"__ansible_vault"}:
            return {"encrypted": True}
        return NEVER if isinstance(value, dict | list | tuple | set) else str(value)

    hosts = {}
    for host in inventory.get_hosts("all"):
        found = manager.get_vars(host=host, include_hostvars=False, stage="all")
        hosts[host.name] = {
            str(name): plain(value)
            for name, value in found.items()
            if str(name).startswith("ansible_")
        }
    groups = {
        name: {
            "hosts": sorted(host.name for host in group.hosts),
            "children": sorted(child.name for child in group.child_groups),
        }
        for name, group in inventory.groups.items()
    }
    return {"groups": _without_all(groups), "hosts": hosts}


if __name__ == "__main__":
    _main()

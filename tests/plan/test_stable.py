"""The same plan on every machine: real processes in surroundings that differ in everything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

PLAYBOOK = {
    "outagekit": "1",
    "title": "Mend the thing",
    "kind": "other",
    "targets": "os:linux",
    "params": (
        "{zeta: {type: list, default: [b, a]},"
        " alpha: {type: datetime, default: '2024-07-19T05:27:00+02:00'}}"
    ),
    "rollout": (
        "{first: tag:canary, apart: tag:dc, waves: [1, 5, 50%, 100%], pause: first, bake: 5m,"
        " waiting_room: 4h, pounce: mend, gate: {max_failed: 10%, max_unknown: 1}}"
    ),
    "steps": (
        "\n  - {id: look, phase: assess, sh: 'true', risk: read, result: {sick: bool, age: int}}"
        "\n  - id: mend\n    phase: fix\n    script: [mend.sh, mend.ps1]\n    when: look.sick"
        ""
        "\n    with: {z: look.age, a: look.sick, m: [ä, ö]}"
        "\n    check: {script: [mend.sh, mend.ps1]}"
    ),
}
CLIENTS = ("acme", "beta", "zeta")


@dataclass(frozen=True)
class Surroundings:
    """Everything about a machine that must not matter."""

    name: str
    hash_seed: str = "0"
    locale: str = "C"
    zone: str = "UTC"
    umask: int = 0o022
    backwards: bool = False
    """Files are created, and keys written, in the opposite order."""
    inside: bool = False
    """Called inside the workspace, not from elsewhere with -i and a path."""
    extra: dict[str, str] = field(default_factory=dict)


MACHINES = [
    Surroundings("one"),
    Surroundings("two words", "1", "C.UTF-8", "Asia/Tokyo", 0o077, backwards=True),
    Surroundings("drei-ä", "4242", "de_DE.UTF-8", "America/St_Johns", inside=True),
    Surroundings(
        "four",
        "random",
        "tr_TR.UTF-8",
        "Pacific/Chatham",
        0o077,
        backwards=True,
        inside=True,
        extra={"COLUMNS": "40", "NO_COLOR": "1", "PYTHONUTF8": "1", "USER": "somebody"},
    ),
]


def in_order(items, *, backwards):
    listed = list(items)
    return reversed(listed) if backwards else listed


def inventory_of(client, *, backwards):
    endpoints = {
        f"pos-{number}": (
            f"{{address: 192.0.2.{number}, os: linux, credential: ops, site: s{number % 3},"
            f" tags: [{'dc' if number % 4 == 0 else 'web'}{', canary' if number == 7 else ''}]}}"
        )
        for number in range(1, 12)
    }
    lines = in_order((f"  {name}: {text}" for name, text in endpoints.items()), backwards=backwards)
    parts = {
        "outagekit": " 1",
        "client": f" {client}",
        "timezone": " Europe/Berlin",
        "agreement": " {id: M-1, allows: [diagnose, remediate], approvers: [Jo Weber]}",
        "credentials": (
            "\n  ops: {user: ops, key: ~/.ssh/key, passphrase: 'env:WORD'}"
            "\n  other: {user: x, agent: true}"
        ),
        "sites": "\n" + "\n".join(f"  s{i}: {{concurrency: {i + 2}}}" for i in range(3)),
        "endpoints": "\n" + "\n".join(lines),
    }
    keys = in_order(parts, backwards=backwards)
    return "\n".join(f"{key}:{parts[key]}" for key in keys) + "\n"


def workspace(root, machine):
    """Write the same workspace as this machine would; return its folder."""
    folder = root / machine.name / "shop"
    files = {"outagekit.yaml": "outagekit: 1\n"}
    for client in CLIENTS:
        files[f"inventory/{client}.yaml"] = inventory_of(client, backwards=machine.backwards)
    keys = in_order(PLAYBOOK, backwards=machine.backwards)
    text = "".join(f"{key}: {PLAYBOOK[key]}\n" for key in keys)
    files["playbooks/mend/playbook.yaml"] = ("# written here\n\n" if machine.inside else "") + text
    files["playbooks/mend/mend.sh"] = "mend --really\n"
    files["playbooks/mend/mend.ps1"] = "Mend-Thing\n"
    for name in in_order(files, backwards=machine.backwards):
        path = folder / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
        path.chmod(0o644)
    return folder


def environment(machine, home):
    kept = ("PATH", "SYSTEMROOT", "PYTHONPATH", "COVERAGE_PROCESS_START")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(home),
        "PYTHONHASHSEED": machine.hash_seed,
        "LC_ALL": machine.locale,
        "TZ": machine.zone,
        **machine.extra,
    }


def planned(root, machine, *flags):
    """What `plan --json` writes in these surroundings, byte for byte."""
    folder = workspace(root, machine)
    home = root / machine.name / "home"
    home.mkdir(exist_ok=True)
    playbook, inventory = str(folder / "playbooks" / "mend" / "playbook.yaml"), ()
    cwd = folder / "playbooks"
    if not machine.inside:
        cwd = home
        clients = in_order(CLIENTS, backwards=machine.backwards)
        inventory = tuple(
            word for name in clients for word in ("-i", str(folder / "inventory" / f"{name}.yaml"))
        )
    words = ("plan", playbook, *inventory, "--all-clients", "--json", *flags)
    umask = {"umask": machine.umask} if os.name == "posix" else {}
    called = subprocess.run(
        [sys.executable, "-m", "outagekit", *words],
        cwd=cwd,
        env=environment(machine, home),
        capture_output=True,
        check=False,
        timeout=60,
        **umask,
    )
    assert called.returncode == 0, called.stderr.decode()
    return called.stdout


def test_the_same_inputs_are_the_same_bytes_on_every_machine(tmp_path):
    told = {machine.name: planned(tmp_path, machine) for machine in MACHINES}
    (document,) = set(told.values())
    plan = json.loads(document)
    assert len(plan["endpoints"]) == 11 * len(CLIENTS)
    assert len(plan["digest"]) == 64
    assert plan["params"] == {"alpha": "2024-07-19T03:27:00Z", "zeta": ["b", "a"]}


def test_the_document_says_how_the_change_spreads(tmp_path):
    plan = json.loads(planned(tmp_path, MACHINES[0]))
    (stage,) = plan["waves"]
    assert stage["first"] == [plan["first"]] == ["acme/pos-7"]
    assert sum(wave["endpoints"] for wave in stage["waves"]) == len(plan["endpoints"])
    assert [line["what"] for line in stage["waves"][0]["gate"]] == [
        "answered",
        "failed",
        "unreachable",
        "unknown",
    ]
    assert plan["leading"] == [f"{client}/pos-7" for client in sorted(CLIENTS)]
    assert len(plan["apart"]) == 2 * len(CLIENTS)
    assert (plan["survey"], plan["pounce"]) == (["look"], ["look", "mend"])
    assert plan["rollout"]["bake_s"] == 300
    assert (plan["dry_run"], plan["undo_on_failure"]) == (False, False)


def test_the_digest_differs_where_the_playbook_or_a_flag_does(tmp_path):
    as_is = json.loads(planned(tmp_path, MACHINES[0]))["digest"]
    dry = json.loads(planned(tmp_path, MACHINES[0], "--dry-run"))
    assert dry["dry_run"]
    assert dry["waves"] == []
    other = json.loads(planned(tmp_path, MACHINES[0], "-p", "zeta=a,b"))["digest"]
    assert len({as_is, dry["digest"], other}) == 3

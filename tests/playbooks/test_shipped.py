"""What holds for every shipped playbook: sound, without a warning, and perfect in rehearsal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from outagekit.cli.drilled import lab_access
from outagekit.events import EndState, RunClosed, StepFinished
from outagekit.lab.drill import Tempo, drill_plan, rehearsed, score_of
from outagekit.lab.fleet import Fleet
from outagekit.lab.machine import Pace
from outagekit.lab.rehearsal import rehearse
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.plan.build import Mode, build_plan
from outagekit.playbook.load import inspect, load_playbook
from outagekit.playbook.model import Code, Reboot, RunScript
from outagekit.run.conduct import Setting, conduct, conduct_on
from outagekit.run.executing import reboot
from outagekit.transports.open import transport_for
from outagekit.transports.posix.render import render

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
NAMES = sorted(path.parent.name for path in PLAYBOOKS.glob("*/playbook.yaml"))
SCRIPTS = sorted(PLAYBOOKS.glob("*/*.sh"))
PARAMS = {
    "bad-update-rollback": {"service": "nginx"},
    "disk-full": {"package_cache": True},
    "windows-update-rollback": {"bad_build": "26100.7623"},
}
TEMPO = Tempo(timeout_s=0.6, speed=3600.0)
HASTE = Pace(speed=3600.0, slow_s=0.02, swing=0.25)
FAULTS = {"unreachable": 0.1, "reset": 0.15, "auth": 0.1}
HANGS = {"hang": 0.1, "slow": 0.1}  # costs a time-out, so not every seed has it


def book(name):
    return load_playbook(PLAYBOOKS / name / "playbook.yaml")


def scripts_of(step):
    parts = (step.check, step.verify, step.undo)
    action = step.action.script if isinstance(step.action, RunScript) else None
    return [code for part in (action, *parts) if part for code in part.variants]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_playbook_has_no_problem_and_no_warning(name):
    playbook, problems = inspect(PLAYBOOKS / name / "playbook.yaml")
    assert problems == ()
    assert playbook is not None
    assert playbook.summary
    assert playbook.refs
    assert playbook.targets
    assert all(param.help for param in playbook.params.values())
    assert bool(playbook.rollout) is any(step.changes for step in playbook.steps)


@pytest.mark.parametrize("name", NAMES)
def test_every_script_beside_a_playbook_belongs_to_it(name):
    used = {code.file for step in book(name).steps for code in scripts_of(step)}
    folder = PLAYBOOKS / name
    assert used - {""} == {path.name for path in folder.iterdir()} - {"playbook.yaml"}


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_is_proven_by_more_than_that_the_machine_is_back(name):
    steps = book(name).steps
    if any(step.changes and not isinstance(step.action, Reboot) for step in steps):
        assert all(step.verify for step in steps if isinstance(step.action, Reboot))


@pytest.mark.parametrize("name", [name for name in NAMES if "windows" in book(name).targets])
def test_nobody_who_holds_others_up_goes_first(name):
    assert "not (tag:domain-controller or tag:hypervisor)" in book(name).rollout.first


@pytest.mark.parametrize("name", [name for name in NAMES if "linux" in book(name).targets])
def test_what_may_only_be_done_as_root_says_so(name):
    for step in book(name).steps:
        if step.changes and step.id != "remove":  # a file may belong to the account that logs in
            assert step.account == "root", step.id


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_is_read_without_complaint_by_every_shell(path, shell, tmp_path):
    program = {"busybox": ("busybox", "sh")}.get(shell, (shell,))
    done = subprocess.run([*program, "-n", str(path)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert path.read_text().isascii()


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_values_are_data_in_every_script(path, shell, tmp_path):
    trap = tmp_path / "trap"
    text = path.read_text()
    evil = f"/x; touch {trap}; $(touch {trap}) `touch {trap}` ' \" -rf"
    names = sorted(set(re.findall(r"\bOK_([A-Z0-9_]+)", text)) - {"STEP", "PART"})
    values = {"client": "a", "endpoint": "b", "run": "r", **dict.fromkeys(names, evil)}
    values = {name.lower(): value for name, value in values.items()}
    command = render(Code("sh", text), values, step="a", part="script")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("awk", "cat", "cksum", "cut", "date", "grep", "head", "sed", "sort", "tr", "wc"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    program = str(shutil.which(shell))
    line = [program, "sh", "-s"] if shell == "busybox" else [program, "-s"]
    if shell == "busybox":  # it would run its own df and rm, whatever the PATH says
        values["run"] = "r"
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "LC_ALL": "C"}
    subprocess.run(
        line,
        input=command.stdin,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert not trap.exists()


class Over:
    """A rehearsal that is over, or a run over the fleet of one."""

    def __init__(self, fleet, state_dir, *, dry_run=False):
        access = lab_access(fleet)  # it resolves no secret but the drill's own
        setting = Setting(lambda target: transport_for(target, access))
        self.plan = _dry_plan(fleet) if dry_run else drill_plan(fleet)
        self.ran = rehearse(
            self.plan,
            lambda beginning: conduct(self.plan, state_dir, setting, beginning),
            lambda folder, how: conduct_on(folder, setting, how),
            trust_folder=fleet.trust_folder,
        )
        self.score = score_of(fleet, self.plan, self.ran.ending.state)
        self.events = [record.event for record in read_records(self.ran.folder)]


def _dry_plan(fleet):
    return build_plan(
        fleet.playbook,
        params=fleet.params,
        endpoints=fleet.inventory.endpoints(),
        clients=fleet.inventory.clients,
        selection="all",
        mode=Mode(dry_run=True),
    )


@pytest.fixture
def over(tmp_path, monkeypatch):
    monkeypatch.setattr(reboot, "_RETRY_S", 0.1)
    monkeypatch.setattr(reboot, "_SETTLE_S", 0.1)

    def made(name, faults, *, seed, endpoints=8, dry_run=False):
        playbook = rehearsed(book(name), TEMPO)
        with Fleet.start(
            playbook,
            endpoints=endpoints,
            seed=seed,
            folder=tmp_path / f"lab{seed}",
            faults=faults,
            pace=HASTE,
            params=PARAMS.get(name, {}),
        ) as fleet:
            return Over(fleet, tmp_path / "state", dry_run=dry_run)

    return made


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_rehearsal_is_judged_without_a_mistake(over, name, seed):
    lies = any(step.changes and step.verify for step in book(name).steps)
    faults = {**FAULTS, **(HANGS if seed == 1 else {}), **({"lie": 0.15} if lies else {})}
    done = over(name, faults, seed=seed)
    assert done.score.passed, done.score
    assert any(isinstance(event, RunClosed) for event in done.events)
    assert verify(done.ran.folder).ok


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_says_what_would_be_done_and_does_nothing(over, name):
    done = over(name, {}, seed=1, dry_run=True)
    changing = {step.id for step in book(name).steps if step.changes}
    finished = [event for event in done.events if isinstance(event, StepFinished)]
    assert {EndState.CHANGED} & {event.state for event in finished} == set()
    said = {event.detail.partition(":")[0] for event in finished if event.step in changing}
    assert not changing or said & {"would change", "a dry run cannot check it"}

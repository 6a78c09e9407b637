"""outagekit on real machines: sudo, a jump host, packages that go back, and what the log says.

What is true is asked of the machines themselves, past sshd, sudo and outagekit.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from outagekit.log.folder import list_runs
from outagekit.testing.ended import Ended
from outagekit.testing.machines.ground import INNER, NETWORK, Ground, missing
from outagekit.testing.machines.machine import Build
from outagekit.testing.machines.packages import STORE
from outagekit.testing.machines.workspace import Entry, Workspace

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))
REASON = missing("dpkg-deb", "apt-get")
NO_DNF = missing("dnf", "rpmbuild", "createrepo_c")
SHIPPED = Path(__file__).parents[2] / "playbooks"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(REASON) and not REQUIRED, reason=REASON or "all is here"),
]

CHANGED = ("changed", None)
BAD = {"version": "2.0", "held": False}
GOOD = {"version": "1.0", "held": True}


def until(found, what, timeout_s=30.0):
    until_s = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < until_s, f"no {what}"
        time.sleep(0.02)
    return value


class Office:
    """A technician: machines, a workspace that knows them, and the command line."""

    def __init__(self, folder, ground):
        self.ground, self.workspace = ground, Workspace(folder, ground)
        self.folder = folder
        self.machines, self._made, self._entries, self._begun = {}, [], [], []
        self._jump = None

    def start(self, *builds, **facts):
        """Start machines; all but `bastion` are endpoints with these facts."""
        made = self.ground.start(builds)
        self._made += made
        for machine in made:
            if machine.name == "bastion":
                self._jump = machine
                continue
            site = "inner" if machine.build.behind else None
            self._add(machine.name, machine.address, site=site, **facts)
            self.machines[machine.name] = machine
        self.workspace.trust(self._made)
        return made

    def dead(self, name, address, **facts):
        """Add an endpoint where there is no machine."""
        self._add(name, address, **facts)

    def _add(self, name, address, **facts):
        self._entries.append(Entry(name, address, **facts))
        self.workspace.write(self._entries, jump=self._jump)

    def playbook(self, steps, rollout="{waves: [100%]}"):
        head = f"outagekit: 1\ntitle: Mend\ntargets: os:linux\nrollout: {rollout}\nsteps:\n"
        (self.folder / "playbooks" / "mend.yaml").write_text(head + steps)

    def shipped(self, name, **rollout):
        """Take a shipped playbook as it is, but for lines of its rollout that take their time."""
        copy = self.folder / "playbooks" / name
        shutil.copytree(SHIPPED / name, copy)
        text = (copy / "playbook.yaml").read_text()
        for key, value in rollout.items():
            text, found = re.subn(rf"(?m)^  {key}: .*$", f"  {key}: {value}", text)
            assert found == 1, key
        (copy / "playbook.yaml").write_text(text)

    @property
    def _environment(self):
        no_keyring = "keyring.backends.fail.Keyring"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "PYTHON_KEYRING_BACKEND": no_keyring,
        }

    def begin(self, *words):
        process = subprocess.Popen(
            self.workspace.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self._environment,
        )
        self._begun.append(process)
        return process

    def end(self, process):
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return Ended(process.returncode, out, err)

    def call(self, *words):
        return self.end(self.begin(*words))

    def run(self, *words):
        return self.call("run", "--yes", "--json", *words)

    def events(self, name):
        """Return the events of one kind in the newest log, as far as it is written."""
        state = self.folder / "state"
        runs = list_runs(state) if state.exists() else []
        log = runs[0] / "log.jsonl" if runs else None
        if log is None or not log.exists():
            return []
        whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [record for record in map(json.loads, whole) if record["event"] == name]

    def said(self, step, part="script", stream="stdout"):
        """Endpoint -> what a step printed there, if anything."""
        return {
            event["endpoint"].removeprefix("acme/"): event[stream]["text"]
            for event in self.events("step.part")
            if (event["step"], event["part"]) == (step, part) and event.get(stream, {}).get("text")
        }

    def close(self):
        for process in self._begun:
            if process.poll() is None:
                process.kill()
                # Whoever waits for it in a thread may read its last words first.
                with contextlib.suppress(OSError, ValueError):
                    process.communicate()
        self.ground.stop(self._made)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with Ground(tmp_path_factory.mktemp("machines") / "ground") as made:
        yield made


@pytest.fixture
def office(ground, tmp_path):
    made = Office(tmp_path / "msp", ground)
    yield made
    made.close()


MEANWHILE = {}


def meanwhile(scenario):
    """Have what mostly waits begin with the first test of this file; its own test awaits its end.

    Each has machines of its own.
    """
    MEANWHILE[scenario.__name__] = scenario

    def test(under_way):
        under_way[scenario.__name__].result()

    test.__name__ = scenario.__name__
    return test


@pytest.fixture(scope="module", autouse=True)
def under_way(request, tmp_path_factory):
    chosen = {item.name for item in request.session.items if item.module is request.module}
    begun = {name: scenario for name, scenario in MEANWHILE.items() if name in chosen}

    def go(scenario, folder):
        ground = Ground(folder / "ground")
        stack.callback(ground.close)
        office = Office(folder / "msp", ground)
        stack.callback(office.close)
        scenario(office)
        office.close()

    # Closed from inside out: an end before its time takes the machines from the threads.
    with ThreadPoolExecutor(len(MEANWHILE)) as pool, contextlib.ExitStack() as stack:
        folders = {name: tmp_path_factory.mktemp("meanwhile") for name in begun}
        yield {name: pool.submit(go, begun[name], folders[name]) for name in begun}


def packages(machine):
    """What apt knows of it, asked of the machine itself."""
    version = machine.ask("dpkg-query", "-W", "-f", "${Version}", "okdemo")
    return {"version": version, "held": "okdemo" in machine.ask("apt-mark", "showhold").split()}


def serves(machine):
    """Which version of the service runs."""
    active = machine.call("systemctl", "is-active", "--quiet", "okdemo").returncode == 0
    return machine.ask("cat", "/run/okdemo.version").strip() if active else None


def wrong_tries(machine):
    """How many wrong passwords reached sudo there."""
    log = machine.ask("cat", "/var/log/sudo.log").replace("\n    ", " ")
    return sum(int(n) for n in re.findall(r"(\d+) incorrect password attempt", log))


WHO = """\
  - {id: who, sh: id -un, risk: read}
"""


def test_root_is_reached_with_and_without_a_password_for_sudo(office):
    office.start(Build("free", f"{NETWORK}1"))
    office.start(Build("asked", f"{NETWORK}2"), credential="tech")
    office.start(Build("root", f"{NETWORK}3"), credential="root", become=False)
    office.start(Build("plain", f"{NETWORK}4"), credential="guest", become=False)
    office.playbook("  - {id: who, sh: 'id -un; echo $HOME', risk: read}\n")
    ended = office.run("mend")
    assert ended.code == 0, ended
    root = "root\n/root\n"
    expected = {"free": root, "asked": root, "root": root, "plain": "guest\n/home/guest\n"}
    assert office.said("who") == expected
    secret = office.ground.passwords["tech"]
    for file in (office.folder / "state").rglob("*"):
        assert file.is_dir() or secret.encode() not in file.read_bytes(), file


def test_a_step_as_login_stays_with_the_account_that_logs_in(office):
    office.start(Build("asked", f"{NETWORK}2"), credential="tech")
    office.playbook(
        "  - {id: mine, sh: id -un, risk: read, as: login}\n"
        "  - {id: root, sh: id -un, risk: read, as: root}\n"
    )
    assert office.run("mend").code == 0
    assert office.said("mine") == {"asked": "tech\n"}
    assert office.said("root") == {"asked": "root\n"}


def test_a_wrong_sudo_password_reaches_two_machines_at_most(office):
    office.start(*(Build(f"pc-{n}", f"{NETWORK}{n}") for n in range(1, 5)), credential="tech")
    office.workspace.secret("tech", "not-the-password")
    office.playbook(WHO)
    ended = office.run("mend")
    assert ended.code == 3, ended
    kinds = sorted(kind for _, kind in ended.ends.values())
    assert kinds == ["become", "become", "credential_stopped", "credential_stopped"], ended
    assert sum(map(wrong_tries, office.machines.values())) == 2
    assert office.said("who") == {}


@pytest.mark.parametrize("fault", ["sudo_swallows", "sudo_pretends", "sudo_wants_tty"])
def test_a_sudo_that_does_not_make_root_is_a_failure_and_nothing_runs(office, fault):
    office.start(Build("odd", f"{NETWORK}1", fault=fault), Build("fine", f"{NETWORK}2"))
    office.playbook("  - {id: mark, sh: touch /home/mark, check: test -e /home/mark}\n")
    ended = office.run("mend")
    # The wave's gate allows no failure; the other machine is done all the same.
    assert ended.code in {3, 5}, ended
    assert ended.ends == {"odd": ("failed", "become"), "fine": CHANGED}, ended
    assert office.machines["odd"].call("test", "-e", "/home/mark").returncode == 1
    assert office.machines["fine"].call("test", "-e", "/home/mark").returncode == 0
    if fault == "sudo_wants_tty":
        assert "tty" in ended.out, ended


def test_who_may_not_use_sudo_is_told_so(office):
    office.start(Build("odd", f"{NETWORK}1"), credential="guest")
    office.playbook(WHO)
    ended = office.run("mend")
    assert ended.ends == {"odd": ("failed", "become")}, ended
    assert office.said("who") == {}


def test_another_machine_at_the_address_is_not_touched(office):
    first = office.start(Build("till", f"{NETWORK}1"))[0]
    office.playbook(WHO)
    assert office.run("mend").code == 0
    office.ground.stop([first])
    made = office.ground.start([Build("other", f"{NETWORK}1")], host_key=first.host_key)
    office._made += made
    ended = office.run("mend")
    assert ended.ends == {"till": ("failed", "wrong_machine")}, ended
    assert office.said("who") == {}


def test_another_host_key_at_the_address_is_not_trusted(office):
    first = office.start(Build("till", f"{NETWORK}1"))[0]
    office.ground.stop([first])
    office._made += office.ground.start([Build("other", f"{NETWORK}1")])
    office.playbook(WHO)
    ended = office.run("mend")
    assert ended.ends == {"till": ("failed", "host_key")}, ended


def test_files_of_root_are_fetched_and_pushed_through_sudo(office):
    machine = office.start(Build("web", f"{NETWORK}1"), credential="tech")[0]
    machine.ask("sh", "-c", "umask 077; echo secret-of-root >/root/kept")
    (office.folder / "playbooks" / "motd.txt").write_text("from the MSP\n")
    office.playbook(
        "  - {id: get, fetch: /root/kept}\n"
        "  - {id: give, push: {file: motd.txt, to: /etc/motd-msp}}\n"
    )
    ended = office.run("mend")
    assert ended.code == 0, ended
    kept = (office.folder / "state").rglob("evidence/acme/**/*")
    assert "secret-of-root\n" in [file.read_text() for file in kept if file.is_file()]
    assert machine.ask("stat", "-c", "%U", "/etc/motd-msp") == "root\n"
    assert machine.ask("cat", "/etc/motd-msp") == "from the MSP\n"


ROLL_BACK = ("bad-update-rollback", "-p", "package=okdemo")
VERSIONS = ("-p", "bad_version=2.0", "-p", "good_version=1.0")
QUICK = {"waves": "[1, 100%]", "bake": "1s"}
SOUND = ("free", "asked", "inner")


def fleet(office):
    """Eight endpoints: three sound ones, one lying, one hanging, two dead, one long mended."""
    office.start(
        Build("bastion", f"{NETWORK}100"),
        Build("free", f"{NETWORK}1", files={STORE: ""}),
        Build("inner", f"{INNER}1", behind="bastion"),
        Build("lying", f"{NETWORK}2", fault="sudo_pretends"),
        Build("hanging", f"{NETWORK}3", fault="hangs"),
        Build("mended", f"{NETWORK}4"),
    )
    office.start(Build("asked", f"{NETWORK}5"), credential="tech")
    office.dead("dead-1", f"{NETWORK}8")
    office.dead("dead-2", f"{INNER}9", site="inner")
    office.machines["mended"].ask("apt-get", "-qq", "-y", "install", "okdemo=3.0")
    office.shipped("bad-update-rollback", **QUICK)


def agrees(office, ended):
    """What the run says of each machine that answered is what is so there."""
    detected = {
        event["endpoint"].removeprefix("acme/"): event["result"]
        for event in office.events("step.finished")
        if event["step"] == "detect" and event.get("result")
    }
    for name, machine in office.machines.items():
        state, _ = ended.ends[name]
        so = packages(machine)
        assert so == (GOOD if state == "changed" else {**BAD, "version": so["version"]}), name
        if name in detected and state != "changed":
            assert detected[name]["installed"] == so["version"], name
    assert office.call("log", "verify").code == 0


EXPECTED = {
    **dict.fromkeys(SOUND, CHANGED),
    "lying": ("failed", "become"),
    "mended": ("ok", None),
    "hanging": ("unreachable", "handshake"),
    "dead-1": ("unreachable", "connect_timeout"),
    "dead-2": ("unreachable", "connect_timeout"),
}


@meanwhile
def test_a_bad_update_goes_back_and_comes_again_with_undo(office):
    fleet(office)
    assert serves(office.machines["free"]) == "2.0"
    assert serves(office.machines["asked"]) is None
    ended = office.run(*ROLL_BACK, *VERSIONS, "-p", "service=okdemo")
    assert (ended.code, ended.ends) == (3, EXPECTED), ended
    agrees(office, ended)
    assert {serves(office.machines[name]) for name in SOUND} == {"1.0"}
    undone = office.call("undo", "last", "--yes", "--json")
    assert undone.code == 0, undone
    assert undone.ends == dict.fromkeys(SOUND, CHANGED), undone
    assert [packages(office.machines[name]) for name in SOUND] == [BAD] * 3
    assert packages(office.machines["mended"]) == {"version": "3.0", "held": False}
    assert serves(office.machines["free"]) == "2.0"
    assert office.call("log", "verify").code == 0


@meanwhile
def test_a_rollback_killed_half_way_ends_as_an_undisturbed_one(office):
    fleet(office)
    begun = office.begin("run", "--yes", "--json", *ROLL_BACK, *VERSIONS)

    def half_way():
        assert begun.poll() is None, "it ended by itself"
        steps = [event["step"] for event in office.events("step.started")]
        return steps.count("roll_back") > 1

    until(half_way, "second rollback begun")
    begun.kill()
    begun.communicate()
    ended = office.call("resume", "--json")
    assert (ended.code, ended.ends) == (3, EXPECTED), ended
    agrees(office, ended)
    # Undisturbed or not: once.
    for name in SOUND:
        history = office.machines[name].path("/var/log/apt/history.log").read_text()
        assert history.count("Downgrade:") == 1, name


@pytest.mark.parametrize("trouble", ["held", "needed", "nowhere"])
def test_a_rollback_that_would_hurt_is_not_begun(office, trouble):
    machine = office.start(Build("web", f"{NETWORK}1"))[0]
    office.shipped("bad-update-rollback", **QUICK)
    good = "1.0"
    if trouble == "held":
        machine.ask("apt-mark", "hold", "okdemo")
    elif trouble == "needed":
        machine.ask("apt-get", "-qq", "-y", "install", "okdemo-tools=2.0")
    else:
        good = "0.9"
    before = packages(machine)
    ended = office.run(*ROLL_BACK, "-p", "bad_version=2.0", "-p", f"good_version={good}")
    assert ended.ends["web"][0] == "failed", ended
    assert packages(machine) == before
    words = {
        "held": "is held already",
        "needed": "would remove okdemo-tools",
        "nowhere": "in no rep",
    }
    assert words[trouble] in office.said("preflight", stream="stderr")["web"]


@meanwhile
def test_a_bad_update_goes_back_with_dnf_and_comes_again_with_undo(office):
    if NO_DNF and not REQUIRED:
        pytest.skip(NO_DNF)
    machine = office.start(Build("rocky", f"{NETWORK}1", image="dnf"))[0]
    office.shipped("bad-update-rollback", **QUICK)

    def so():
        locks = machine.ask("dnf", "-q", "versionlock", "list").split()
        return machine.ask("rpm", "-q", "--qf", "%{EVR}", "okdemo"), locks

    assert so() == ("2.0-1", [])
    ended = office.run(*ROLL_BACK, "-p", "bad_version=2.0-1", "-p", "good_version=1.0-1")
    assert (ended.code, ended.ends) == (0, {"rocky": CHANGED}), ended
    assert so() == ("1.0-1", ["okdemo-0:1.0-1.*"])
    undone = office.call("undo", "last", "--yes", "--json")
    assert (undone.code, undone.ends) == (0, {"rocky": CHANGED}), undone
    assert so() == ("2.0-1", [])


@meanwhile
def test_machines_that_ask_for_a_restart_get_one_and_their_services_run_again(office):
    _, *machines = office.start(
        Build("bastion", f"{NETWORK}100"),
        Build("near", f"{NETWORK}1"),
        Build("inner", f"{INNER}1", behind="bastion"),
        Build("content", f"{NETWORK}2"),
    )
    for machine in machines:
        machine.ask("apt-get", "-qq", "-y", "install", "okdemo=3.0")
        machine.ask("systemctl", "restart", "okdemo")
    near, inner, content = machines
    for machine in (near, inner):
        machine.ask("touch", "/run/reboot-required")
    boots = [machine.boot_id for machine in machines]
    office.shipped("reboot-in-waves", **QUICK)
    ended = office.run("reboot-in-waves")
    expected = {"near": CHANGED, "inner": CHANGED, "content": ("ok", None)}
    assert (ended.code, ended.ends) == (0, expected), ended
    assert near.boot_id != boots[0]
    assert inner.boot_id != boots[1]
    assert content.boot_id == boots[2]
    assert [serves(machine) for machine in machines] == ["3.0"] * 3


def test_a_service_is_started_anew_where_it_is_wanted(office):
    machine = office.start(Build("web", f"{NETWORK}1", files={STORE: ""}))[0]
    office.shipped("restart-service", **QUICK)
    show = ("systemctl", "show", "-p", "MainPID", "--value", "okdemo")
    before = machine.ask(*show)
    ended = office.run("restart-service", "-p", "service=okdemo", "-p", "stay=1")
    assert (ended.code, ended.ends) == (0, {"web": CHANGED}), ended
    assert machine.ask(*show) not in {before, "0\n"}

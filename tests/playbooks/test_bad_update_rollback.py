"""The scripts of the shipped playbook, really run by a shell, against stand-ins for apt and dnf."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from outagekit.events import EndpointId, EndState
from outagekit.lab.casting import sample_params
from outagekit.lab.machine import Machine
from outagekit.lab.truth import truth_of
from outagekit.playbook.load import inspect, load_playbook
from outagekit.playbook.model import Code
from outagekit.transports.shell import render

FOLDER = Path(__file__).parents[2] / "playbooks" / "bad-update-rollback"
TOOLS = ("awk", "cat", "grep", "head", "rm", "sed", "sh", "sort", "tail", "tr", "wc")
VALUES = {
    "package": "nginx",
    "bad_version": "2:1.24.0-2~deb12u1",
    "good_version": "2:1.22.1-9",
    "service": "nginx",
    "allow_database": False,
    "client": "acme",
    "endpoint": "web-01",
    "run": "r",
}
BAD, GOOD = VALUES["bad_version"], VALUES["good_version"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")

STANDINS = {
    "id": 'case $1 in -u) cat "$W/uid" ;; *) echo ops ;; esac',
    "sleep": ":",
    "df": 'echo "F 1K U A C M"; echo "/dev/x 9 9 $(cat "$W/free") 9% /"',
    "dpkg": 'echo "dpkg $*" >>"$W/calls"; [ ! -e "$W/audit" ] || { cat "$W/audit"; exit 1; }',
    "dpkg-query": """
        if [ "$*" = '-W dpkg' ]; then [ -e "$W/debian" ]; exit; fi
        [ "$2 $4" = "-f nginx" ] || exit 2
        cat "$W/dpkg" 2>/dev/null || exit 1""",
    "apt-mark": """
        echo "apt-mark $*" >>"$W/calls"
        case $1 in
          showhold) cat "$W/held" 2>/dev/null || : ;;
          hold) [ ! -e "$W/no-hold" ] || exit 100; echo "$2" >"$W/held" ;;
          unhold) rm -f "$W/held" ;;
        esac""",
    "apt-cache": '[ "$1" = madison ]; cat "$W/madison"',
    "apt-get": """
        echo "apt-get $*" >>"$W/calls"
        case " $* " in *" -s "*) cat "$W/outlook"; exit "$(cat "$W/outlook-exit")" ;; esac
        [ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9
        [ ! -e "$W/apt-broken" ] || exit 100
        for last in "$@"; do :; done
        echo "ii  ${last#*=}" >"$W/dpkg" """,
    "rpm": """
        cat "$W/rpm" 2>/dev/null || { echo "package $4 is not installed"; exit 1; }""",
    "dnf": """
        echo "dnf $*" >>"$W/calls"
        case " $* " in
          *" versionlock "*)
            [ -e "$W/versionlock" ] || { echo "No such command: versionlock" >&2; exit 1; }
            case $3 in
              list) cat "$W/versionlock" ;;
              add) echo "$4.*" >>"$W/versionlock" ;;
              delete) : >"$W/versionlock" ;;
            esac ;;
          *" list "*) cat "$W/listed" ;;
          *" --assumeno "*) cat "$W/outlook"; exit 1 ;;
          *" downgrade "* | *" install "*)
            for last in "$@"; do :; done
            echo "${last#nginx-}" >"$W/rpm" ;;
          *) exit 9 ;;
        esac""",
    "systemctl": """
        case $1 in
          is-active) [ -e "$W/active" ] ;;
          show)
            echo "MainPID=$(head -n 1 "$W/pids")"
            left=$(sed 1d "$W/pids")
            echo "$left" >"$W/pids" ;;
          status) echo "status of $4" ;;
        esac""",
}


class World:
    """A machine's facts as small files, and a PATH on which nothing else can be found."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in names:
            tool = self.bin / name
            tool.write_text(f"#!/bin/sh\nW='{folder}'\n{STANDINS[name]}\n")
            tool.chmod(0o755)
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name))
        self.set(uid="0", free="9999999", madison=self.madison(GOOD, BAD), outlook="")
        self.set(**{"outlook-exit": "0"})

    @staticmethod
    def madison(*versions: str) -> str:
        return "".join(f"     nginx | {v} | http://mirror/debian x/main\n" for v in versions)

    def set(self, **facts: str) -> World:
        for name, value in facts.items():
            (self.folder / name).write_text(value)
        return self

    def get(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def run(self, script: str, part: str = "script", **values: object):
        code = Code("sh", (FOLDER / script).read_text())
        command = render(code, {**VALUES, **values}, step="a", part=part)
        environment = {"PATH": str(self.bin), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            ["/bin/sh", "-s"],
            input=command.stdin.decode(),
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )


COMMON = ("id", "sleep", "df", "systemctl")
APT = (*COMMON, "dpkg", "dpkg-query", "apt-mark", "apt-cache", "apt-get")
DNF = (*COMMON, "rpm", "dnf")
LISTED = f"Installed Packages\nnginx.x86_64  {BAD}  @base\nAvailable\nnginx.x86_64  {GOOD}  base\n"


@pytest.fixture
def apt(tmp_path):
    return World(tmp_path / "apt", APT).set(debian="", dpkg=f"ii  {BAD}\n")


@pytest.fixture
def dnf(tmp_path):
    outlook = "Dependencies resolved.\nDowngrading:\n nginx x86_64\nOperation aborted.\n"
    world = World(tmp_path / "dnf", DNF)
    return world.set(rpm=f"{BAD}\n", versionlock="", listed=LISTED, outlook=outlook)


def test_the_playbook_has_no_problem_and_no_warning():
    playbook, problems = inspect(FOLDER / "playbook.yaml")
    assert problems == ()
    assert playbook is not None
    assert playbook.rollout is None
    assert {step.account for step in playbook.steps} == {None}


def test_its_rehearsal_calls_for_the_rollback_where_the_bad_version_is():
    playbook = load_playbook(FOLDER / "playbook.yaml")
    seen = set()
    for number in range(20):
        machine = Machine(EndpointId(f"acme/srv-{number}"), playbook)
        impacted = machine.state["impacted"]
        truth = truth_of(playbook, machine, sample_params(playbook, {}))
        assert truth.needs == ({"roll_back"} if impacted else set())
        seen.add(truth.state)
    assert seen == {EndState.CHANGED, EndState.OK}


@pytest.mark.parametrize("name", ["nginx-", "a/bookworm", "-o", "a b", "a=b", "", "a:i386", "a*"])
def test_a_package_name_that_apt_would_read_otherwise_is_no_value(name):
    pattern = load_playbook(FOLDER / "playbook.yaml").params["package"].pattern
    assert re.fullmatch(pattern, name) is None
    assert all(re.fullmatch(pattern, good) for good in ("g++", "python3.11", "libx-1.0", "x"))


@pytest.mark.parametrize("version", ["1.0-", "1.0+", "-1", "", "1 2", "1*", "1.0:"])
def test_a_version_that_apt_would_read_otherwise_is_no_value(version):
    params = load_playbook(FOLDER / "playbook.yaml").params
    for name in ("bad_version", "good_version"):
        assert re.fullmatch(params[name].pattern, version) is None
        assert re.fullmatch(params[name].pattern, "2:1.24.0-2~deb12u1+b1")


def result_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("facts", "installed", "impacted"),
    [
        (f"ii  {BAD}\n", BAD, True),
        (f"hi  {BAD}\n", BAD, True),
        (f"iF  {BAD}\n", BAD, True),
        (f"iHR {BAD}\n", BAD, True),
        (f"ii  {BAD}\nii  {BAD}\n", BAD, True),
        (f"ii  {GOOD}\n", GOOD, False),
        (f"rc  {BAD}\n", "", False),
        ("un  \n", "", False),
        (None, "", False),
    ],
)
def test_detect_reads_what_dpkg_knows(apt, facts, installed, impacted):
    if facts is None:
        (apt.folder / "dpkg").unlink()
    else:
        apt.set(dpkg=facts)
    expected = {"installed": installed, "impacted": impacted, "manager": "apt"}
    assert result_of(apt.run("detect.sh")) == expected


@pytest.mark.parametrize(
    ("facts", "installed", "impacted"),
    [(f"{BAD}\n", BAD, True), (f"{GOOD}\n", GOOD, False), (None, "", False)],
)
def test_detect_reads_what_rpm_knows(dnf, facts, installed, impacted):
    if facts is None:
        (dnf.folder / "rpm").unlink()
    else:
        dnf.set(rpm=facts)
    expected = {"installed": installed, "impacted": impacted, "manager": "dnf"}
    assert result_of(dnf.run("detect.sh")) == expected


def test_tools_of_the_other_family_do_not_mislead_detect(tmp_path):
    world = World(tmp_path / "both", tuple({*APT, *DNF})).set(rpm=f"{BAD}\n")
    assert result_of(world.run("detect.sh"))["manager"] == "dnf"


def test_detect_says_who_must_log_in(apt):
    done = apt.set(uid="1000").run("detect.sh")
    assert done.returncode == 3
    assert "log in as root: ops may not" in done.stderr


def test_detect_refuses_versions_that_are_the_same(apt):
    assert apt.run("detect.sh", good_version=BAD).returncode == 2


def test_detect_refuses_versions_side_by_side(dnf):
    done = dnf.set(rpm="5.14.0-1\n5.14.0-2\n").run("detect.sh")
    assert done.returncode == 5
    assert "5.14.0-2" in done.stderr


def test_detect_says_that_there_is_no_manager_it_knows(tmp_path):
    assert World(tmp_path / "none", COMMON).run("detect.sh").returncode == 4


OUTLOOK = f"Inst nginx [{BAD}] ({GOOD} x)\nConf nginx ({GOOD} x)\n"


def test_preflight_is_content_with_a_machine_that_is_ready(apt):
    done = apt.set(outlook=OUTLOOK).run("preflight.sh", manager="apt")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ready: nginx goes from {BAD} to {GOOD}" in done.stdout
    assert "Inst nginx" in done.stdout
    assert "apt-get -s" in apt.get("calls")
    assert "apt-get -y" not in apt.get("calls")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"held": "nginx\n"}, "held already"),
        ({"audit": "half configured: foo\n"}, "unfinished packages: half configured: foo"),
        ({"madison": World.madison(BAD)}, "in no repository"),
        ({"free": "1000"}, "too little space: / has 0 MiB left"),
        ({"outlook": OUTLOOK + "Remv nginx-extras [1]\n"}, "would remove nginx-extras"),
        ({"outlook": "E: Unmet\n", "outlook-exit": "100"}, "apt-get cannot do it: E: Unmet"),
    ],
)
def test_preflight_refuses_on_apt(apt, facts, said):
    done = apt.set(outlook=OUTLOOK).set(**facts).run("preflight.sh", manager="apt")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("not ready") == 1


def test_preflight_names_every_reason_at_once(apt):
    done = apt.set(free="1", held="nginx\n", madison="").run("preflight.sh", manager="apt")
    assert done.stderr.count("not ready") == 3


def test_another_package_that_is_held_is_no_reason(apt):
    done = apt.set(outlook=OUTLOOK, held="nginx-core\n").run("preflight.sh", manager="apt")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("package", "allow", "said"),
    [
        ("linux-image-amd64", False, "boot the older kernel"),
        ("glibc", False, "cannot be downgraded safely"),
        ("selinux-policy-targeted", True, "cannot be downgraded safely"),
        ("mariadb-server", False, "allow_database=true overrides this"),
    ],
)
def test_preflight_refuses_what_must_not_be_downgraded(apt, package, allow, said):
    done = apt.set(outlook=OUTLOOK).run(
        "preflight.sh", manager="apt", package=package, allow_database=allow
    )
    assert done.returncode == 1
    assert said in done.stderr


def test_a_database_is_rolled_back_when_a_person_says_so(apt):
    done = apt.set(outlook=OUTLOOK).run(
        "preflight.sh", manager="apt", package="mariadb-server", allow_database=True
    )
    assert done.returncode == 0


def test_preflight_is_content_with_dnf(dnf):
    done = dnf.run("preflight.sh", manager="dnf")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"--assumeno --setopt=install_weak_deps=False downgrade nginx-{GOOD}" in dnf.get("calls")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"versionlock": f"nginx-{BAD}.*\n"}, "locked already"),
        ({"versionlock": "Package name: nginx\nevr = 1\n"}, "locked already"),
        ({"listed": f"nginx.x86_64  {BAD}  base\n"}, "in no repository"),
        ({"outlook": "Error: conflicting requests\n"}, "dnf cannot do it: Error: conflicting"),
        ({"outlook": "Downgrading:\n nginx\nRemoving dependent packages:\n x\n"}, "would remove"),
        ({"outlook": "Downgrade  1 Package\nRemove     2 Packages\n"}, "would remove"),
    ],
)
def test_preflight_refuses_on_dnf(dnf, facts, said):
    done = dnf.set(**facts).run("preflight.sh", manager="dnf")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_lock_of_a_package_with_a_longer_name_is_no_reason(dnf):
    done = dnf.set(versionlock="nginx-core-1:1.2-3.*\n").run("preflight.sh", manager="dnf")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("dpkg", "held", "true"),
    [
        (f"ii  {GOOD}\n", "nginx\n", True),
        (f"hi  {GOOD}\n", "nginx\n", True),
        (f"hi  {GOOD}\nhi  {GOOD}\n", "nginx\n", True),
        (f"ii  {GOOD}\n", "", False),
        (f"ii  {GOOD}\n", "nginx-core\n", False),
        (f"ii  {BAD}\n", "nginx\n", False),
        (f"iF  {GOOD}\n", "nginx\n", False),
        (f"iiR {GOOD}\n", "nginx\n", False),
        (f"hi  {GOOD}\nhi  {BAD}\n", "nginx\n", False),
        ("", "nginx\n", False),
    ],
)
@pytest.mark.parametrize("part", ["check", "verify"])
def test_rolled_back_is_true_only_for_the_good_version_held(apt, dpkg, held, true, part):
    done = apt.set(dpkg=dpkg, held=held).run("rolled_back.sh", part, manager="apt")
    assert done.returncode == (0 if true else 1)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("rpm", "lock", "true"),
    [
        (GOOD, f"nginx-{GOOD}.*\n", True),
        (GOOD, "Package name: nginx\n", True),
        (GOOD, "", False),
        (GOOD, None, True),
        (BAD, f"nginx-{GOOD}.*\n", False),
    ],
)
def test_rolled_back_on_dnf(dnf, rpm, lock, true):
    dnf.set(rpm=f"{rpm}\n")
    if lock is None:
        (dnf.folder / "versionlock").unlink()
    else:
        dnf.set(versionlock=lock)
    done = dnf.run("rolled_back.sh", "check", manager="dnf")
    assert done.returncode == (0 if true else 1)


@pytest.mark.parametrize("name", ["apt", "dnf"])
def test_the_change_is_proven_and_can_be_taken_back(request, name):
    world = request.getfixturevalue(name)
    assert world.run("rolled_back.sh", "check", manager=name).returncode == 1
    done = world.run("roll_back.sh", manager=name)
    assert done.returncode == 0, done.stderr
    assert world.run("rolled_back.sh", "verify", manager=name).returncode == 0
    assert result_of(world.run("detect.sh"))["impacted"] is False
    assert "gets no updates" in world.run("remind.sh", manager=name).stdout
    done = world.run("bring_back.sh", "undo", manager=name)
    assert done.returncode == 0, done.stderr
    assert result_of(world.run("detect.sh"))["impacted"] is True


def test_apt_may_neither_remove_nor_ask(apt):
    apt.run("roll_back.sh", manager="apt")
    (call,) = (line for line in apt.get("calls").splitlines() if line.startswith("apt-get"))
    words = call.split()
    assert {"-y", "--allow-downgrades", "--no-remove", "--no-install-recommends"} <= set(words)
    assert "Dpkg::Options::=--force-confold" in words
    assert words[-2:] == ["install", f"nginx={GOOD}"]


@pytest.mark.parametrize("trouble", ["apt-broken", "no-hold"])
def test_a_failure_on_the_way_is_a_failure_that_can_be_tried_again(apt, trouble):
    apt.set(**{trouble: ""})
    assert apt.run("roll_back.sh", manager="apt").returncode == 100
    assert apt.run("rolled_back.sh", "check", manager="apt").returncode == 1
    (apt.folder / trouble).unlink()
    assert apt.run("roll_back.sh", manager="apt").returncode == 0
    assert apt.run("rolled_back.sh", "verify", manager="apt").returncode == 0


def test_dnf_does_not_downgrade_a_second_time(dnf):
    dnf.run("roll_back.sh", manager="dnf")
    dnf.run("roll_back.sh", manager="dnf")
    assert dnf.get("calls").count(" downgrade ") == 1


def test_without_versionlock_the_rollback_says_what_that_means(dnf):
    (dnf.folder / "versionlock").unlink()
    done = dnf.run("roll_back.sh", manager="dnf")
    assert done.returncode == 0
    assert "the next update brings the bad version back" in done.stderr
    assert "not locked" in dnf.run("remind.sh", manager="dnf").stdout


def test_a_service_that_runs_and_stays(apt):
    done = apt.set(active="", pids="7\n7\n").run("running.sh")
    assert (done.returncode, done.stdout) == (0, "nginx runs\n")


def test_a_service_that_is_restarted_again_and_again_does_not_run(apt):
    done = apt.set(active="", pids="7\n8\n").run("running.sh")
    assert done.returncode == 1
    assert "does not stay up" in done.stderr


def test_a_service_that_is_down_does_not_run(apt):
    done = apt.run("running.sh")
    assert done.returncode == 1
    assert "nginx does not run" in done.stderr


@pytest.mark.parametrize("script", ["rolled_back.sh", "roll_back.sh", "bring_back.sh", "remind.sh"])
def test_an_unknown_manager_is_an_error_and_no_verdict(apt, script):
    assert apt.run(script, manager="zypper").returncode == 2


def test_values_are_data(apt, tmp_path):
    trap = tmp_path / "trap"
    package = f"x; touch {trap}; $(touch {trap}) `touch {trap}` '"
    for script in sorted(FOLDER.glob("*.sh")):
        apt.run(script.name, package=package, manager="apt", service=package)
    assert not trap.exists()

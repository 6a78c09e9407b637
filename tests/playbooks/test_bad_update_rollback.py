"""The scripts of the package rollback, really run, against stand-ins for apt and dnf."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from outagekit.events import EndpointId, EndState
from outagekit.lab.casting import sample_params
from outagekit.lab.machine import Machine
from outagekit.lab.truth import truth_of
from outagekit.playbook.load import load_playbook

NAME = "bad-update-rollback"
FOLDER = Path(__file__).parents[2] / "playbooks" / NAME
BAD, GOOD = "2:1.24.0-2~deb12u1", "2:1.22.1-9"
VALUES = {
    "package": "nginx",
    "bad_version": BAD,
    "good_version": GOOD,
    "service": "",
    "allow_database": False,
    "target": f"nginx={GOOD}",
    "back": f"nginx={BAD}",
    "state": "",
    "instance": "",
}

COMMON = {
    "id": 'case $1 in -u) cat "$W/uid" ;; *) echo ops ;; esac',
    "df": 'echo "F 1K U A C M"; echo "/dev/x 9 9 $(cat "$W/free") 9% /"',
    "find": 'cat "$W/found" 2>/dev/null || :',
    "stat": 'cat "$W/inode" 2>/dev/null',
    "systemctl": """
        echo "systemctl $*" >>"$W/calls"
        case $1 in
          is-active)
            state=$(cat "$W/active")
            case $* in *--quiet*) ;; *) echo "$state" ;; esac
            [ "$state" = active ] ;;
          show)
            pid=$(head -n 1 "$W/pids")
            for word in "$@"; do
              case $word in
                LoadState) echo "LoadState=$(cat "$W/load")" ;;
                ActiveState) echo "ActiveState=$(cat "$W/active")" ;;
                UnitFileState) echo "UnitFileState=$(cat "$W/enabled")" ;;
                MainPID) echo "MainPID=$pid" ;;
                ActiveEnterTimestampMonotonic) echo "$word=${pid}00" ;;
              esac
            done
            left=$(sed 1d "$W/pids")
            [ -z "$left" ] || echo "$left" >"$W/pids" ;;
          restart)
            [ ! -e "$W/will-not-start" ] || { echo failed >"$W/active"; exit 1; }
            echo active >"$W/active"
            cat "$W/next-pids" >"$W/pids" ;;
          status) echo "status of $5" ;;
        esac""",
}
APT = {
    **COMMON,
    "dpkg-query": """
        if [ "$*" = '-W dpkg' ]; then [ -e "$W/debian" ]; exit; fi
        [ "$2" = -f ] || exit 2
        case "$*" in
          *' nginx')
            [ -e "$W/dpkg" ] || exit 1
            case $3 in *Status*) cat "$W/dpkg" ;; *) awk '{ print $NF }' "$W/dpkg" ;; esac ;;
          *source:Package*) cat "$W/family" 2>/dev/null || : ;;
          *) cat "$W/others" 2>/dev/null || : ;;
        esac""",
    "dpkg-deb": 'echo "nginx $(cat "$W/cached")"',
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
        case " $* " in *" -s "*)
          if [ -e "$W/needs-family" ]; then
            case "$*" in *" nginx-common="*) ;; *) echo "E: Unmet dependencies"; exit 100 ;; esac
          fi
          cat "$W/outlook"
          exit "$(cat "$W/outlook-exit")" ;;
        esac
        [ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9
        [ ! -e "$W/apt-broken" ] || exit 100
        for word in "$@"; do
          case $word in nginx=*) echo "ii  ${word#*=}" >"$W/dpkg" ;; esac
        done
        [ ! -e "$W/restarts" ] || cat "$W/next-pids" >"$W/pids" """,
}
DNF = {
    **COMMON,
    "rpm": """
        case "$*" in
          *INSTALLTIME*) cat "$W/rpm-time" ;;
          *) cat "$W/rpm" 2>/dev/null || { echo "package $4 is not installed"; exit 1; } ;;
        esac""",
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
            [ ! -e "$W/dnf-broken" ] || exit 1
            [ ! -s "$W/versionlock" ] || { echo "filtered out" >&2; exit 1; }
            for last in "$@"; do :; done
            echo "${last#nginx-}" >"$W/rpm" ;;
          *) exit 9 ;;
        esac""",
}
LISTED = f"Installed Packages\nnginx.x86_64  {BAD}  @base\nAvailable Packages\nnginx.x86_64  {GOOD}  base\nnginx.x86_64  {BAD}  base\n"  # noqa: E501
DNF_OUTLOOK = """Dependencies resolved.
================================================================================
 Package           Architecture      Version             Repository        Size
================================================================================
Downgrading:
 nginx             x86_64            2:1.22.1-9          base             6.0 k
 nginx-core        x86_64            2:1.22.1-9          base             6.0 k

Transaction Summary
================================================================================
Downgrade  2 Packages

Operation aborted.
"""
DNF5_OUTLOOK = """Package        Arch   Version    Repository      Size
Downgrading:
 nginx         x86_64 2:1.22.1-9 base         6.0 KiB
   replacing nginx x86_64 2:1.24.0-2 base     6.0 KiB

Transaction Summary:
 Replacing:          1 package
 Downgrading:        1 package

Operation aborted by the user.
"""
OUTLOOK = f"Inst nginx [{BAD}] ({GOOD} x)\nConf nginx ({GOOD} x)\n"


def madison(*versions: str) -> str:
    return "".join(f"     nginx | {v} | http://mirror/debian x/main\n" for v in versions)


def ready(world):
    world.set(uid="0", free="9999999", active="active", load="loaded", enabled="enabled")
    return world.set(**{"pids": "7\n", "next-pids": "8\n"})


def with_apt(machine):
    world = ready(machine(NAME, APT, manager="apt", **VALUES))
    world.set(debian="", dpkg=f"ii  {BAD}\n", madison=madison(GOOD, BAD), outlook=OUTLOOK)
    return world.set(**{"outlook-exit": "0"})


def with_dnf(machine):
    values = {**VALUES, "target": f"nginx-{GOOD}", "back": f"nginx-{BAD}"}
    world = ready(machine(NAME, DNF, manager="dnf", **values))
    world.set(rpm=f"{BAD}\n", versionlock="", listed=LISTED, outlook=DNF_OUTLOOK)
    return world.set(**{"rpm-time": "1800000000\n"})


@pytest.fixture
def apt(machine):
    return with_apt(machine)


@pytest.fixture
def dnf(machine):
    return with_dnf(machine)


@pytest.fixture(params=["apt", "dnf"])
def either(request, machine):
    return {"apt": with_apt, "dnf": with_dnf}[request.param](machine)


def test_it_goes_in_waves_with_a_gate_that_allows_a_small_wave_no_failure():
    rollout = load_playbook(FOLDER / "playbook.yaml").rollout
    assert rollout is not None
    assert (rollout.first, rollout.waves) == ("tag:canary", ("1", "5%", "25%", "100%"))
    assert (rollout.bake_s, rollout.gate.max_failed) == (900.0, "5%")
    assert rollout.apart is not None


def test_what_changes_packages_is_done_as_root_and_what_only_reads_them_is_not():
    account = {step.id: step.account for step in load_playbook(FOLDER / "playbook.yaml").steps}
    assert {name for name, who in account.items() if who == "root"} == {
        "preflight",
        "roll_back",
        "restart",
    }
    assert account["detect"] == "login"


def test_its_rehearsal_calls_for_the_rollback_where_the_bad_version_is():
    playbook = load_playbook(FOLDER / "playbook.yaml")
    seen = set()
    for number in range(20):
        one = Machine(EndpointId(f"acme/srv-{number}"), playbook)
        impacted = one.state["impacted"]
        truth = truth_of(playbook, one, sample_params(playbook, {"service": "nginx"}))
        assert truth.needs == ({"roll_back", "restart"} if impacted else set())
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
        apt.drop("dpkg")
    else:
        apt.set(dpkg=facts)
    found = apt.result("detect.sh")
    assert (found["installed"], found["impacted"], found["manager"]) == (installed, impacted, "apt")


@pytest.mark.parametrize(
    ("facts", "installed", "impacted"),
    [(f"{BAD}\n", BAD, True), (f"{GOOD}\n", GOOD, False), (None, "", False)],
)
def test_detect_reads_what_rpm_knows(dnf, facts, installed, impacted):
    if facts is None:
        dnf.drop("rpm")
    else:
        dnf.set(rpm=facts)
    found = dnf.result("detect.sh")
    assert (found["installed"], found["impacted"], found["manager"]) == (installed, impacted, "dnf")
    assert found["since"] == ("2027-01-15T08:00:00Z" if impacted else "")


def test_an_epoch_of_zero_that_only_rpm_writes_is_no_other_version(dnf):
    dnf.set(rpm="0:1.1-1\n")
    assert dnf.result("detect.sh", bad_version="1.1-1")["impacted"] is True
    assert dnf.result("detect.sh", bad_version="0:1.1-1")["impacted"] is True
    dnf.set(versionlock="nginx-0:1.1-1.*\n")
    for version in ("1.1-1", "0:1.1-1"):
        assert dnf.run("rolled_back.sh", "check", good_version=version).returncode == 0


HISTORY = f"""
Start-Date: 2026-11-01  06:10:00
Commandline: apt-get install nginx
Install: nginx:amd64 ({GOOD}), nginx-common:amd64 ({GOOD}, automatic)
End-Date: 2026-11-01  06:11:00

Start-Date: 2026-11-20  06:12:01
Commandline: /usr/bin/unattended-upgrade
Upgrade: nginx-core:amd64 (1.0, 2.0), nginx:amd64 ({GOOD}, {BAD}), tzdata:all (1, 2)
End-Date: 2026-11-20  06:13:00

Start-Date: 2026-11-21  06:12:01
Upgrade: nginx-extras:amd64 ({GOOD}, {BAD})
End-Date: 2026-11-21  06:13:00
"""


def test_detect_tells_when_apt_brought_the_bad_version_and_which_was_before(apt):
    log = apt.folder / "history.log"
    log.write_text(HISTORY)
    text = (FOLDER / "detect.sh").read_text().replace("/var/log/apt/history.log", str(log))
    apt.scripts = apt.folder
    apt.environment["TZ"] = "UTC-1"
    (apt.folder / "detect.sh").write_text(text)
    found = apt.result("detect.sh")
    assert (found["since"], found["previous"]) == ("2026-11-20T05:12:01Z", GOOD)
    apt.set(dpkg=f"ii  {GOOD}\n")
    assert apt.result("detect.sh")["since"] == ""


def test_tools_of_the_other_family_do_not_mislead_detect(machine):
    world = ready(machine(NAME, {**APT, **DNF}, **VALUES))
    world.set(rpm=f"{BAD}\n").set(**{"rpm-time": "1800000000\n"})
    assert world.result("detect.sh")["manager"] == "dnf"


def test_detect_needs_no_root(apt):
    assert apt.set(uid="1000").result("detect.sh")["impacted"] is True


def test_detect_refuses_versions_that_are_the_same(apt):
    assert apt.run("detect.sh", good_version=BAD).returncode == 2


def test_detect_refuses_versions_side_by_side(dnf):
    done = dnf.set(rpm="5.14.0-1\n5.14.0-2\n").run("detect.sh")
    assert done.returncode == 5
    assert "5.14.0-2" in done.stderr


def test_detect_says_that_there_is_no_manager_it_knows(machine):
    assert ready(machine(NAME, COMMON, **VALUES)).run("detect.sh").returncode == 4


def test_preflight_is_content_with_a_machine_that_is_ready(apt):
    done = apt.run("preflight.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ready: nginx goes from {BAD} to {GOOD}" in done.stdout
    assert "Inst nginx" in done.stdout
    assert "apt-get -s" in apt.get("calls")
    assert "apt-get -y" not in apt.get("calls")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "target": f"nginx={GOOD}",
        "back": f"nginx={BAD}",
        "also": "",
    }


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"uid": "1000"}, "ops may not change packages"),
        ({"held": "nginx\n"}, "held already"),
        ({"others": "ii  vim\niF  foo\niHR bar\n"}, "other packages are unfinished: foo bar"),
        ({"found": "/var/lib/dpkg/updates/0001\n"}, "dpkg --configure -a"),
        ({"madison": madison(BAD)}, "in no repository"),
        ({"free": "1000"}, "too little space: / has 0 MiB left"),
        ({"outlook": OUTLOOK + "Remv nginx-extras [1]\nRemv x [1]\n"}, "remove nginx-extras x"),
        ({"outlook": "E: Unmet\n", "outlook-exit": "100"}, "apt-get cannot do it: E: Unmet"),
    ],
)
def test_preflight_refuses_on_apt(apt, facts, said):
    done = apt.set(**facts).run("preflight.sh")
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("not ready") == 1


def test_the_package_itself_may_be_unfinished_as_a_bad_update_leaves_it(apt):
    assert apt.set(others="iF  nginx\nii  vim\n").run("preflight.sh").returncode == 0


def test_preflight_names_every_reason_at_once(apt):
    done = apt.set(free="1", held="nginx\n", madison="").run("preflight.sh")
    assert done.stderr.count("not ready") == 3


def test_another_package_that_is_held_is_no_reason(apt):
    assert apt.set(held="nginx-core\n").run("preflight.sh").returncode == 0


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs the kernel's list of locks")
def test_a_package_manager_at_work_is_waited_for_then_named(apt):
    fcntl = pytest.importorskip("fcntl")
    with (apt.folder / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        apt.set(inode=str((apt.folder / "lock").stat().st_ino))
        done = apt.run("preflight.sh")
    assert done.returncode == 1
    assert "another package manager is at work: process" in done.stderr
    assert "holds /var/lib/dpkg/lock-frontend" in done.stderr
    assert done.stderr.count("not ready") == 1
    assert apt.get("slept").split() == ["5"] * 12
    assert apt.run("preflight.sh").returncode == 0


def test_what_changes_with_the_package_is_shown(apt):
    apt.set(outlook=OUTLOOK + "Inst nginx-common [2] (1 x)\n")
    done = apt.run("preflight.sh")
    assert "these change with it: nginx-common" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["also"] == "nginx-common"


def test_packages_of_one_source_go_together_where_one_alone_cannot(apt):
    family = "".join(f"ii  {n} {BAD} nginx\n" for n in ("nginx", "nginx-common", "nginx-full"))
    apt.set(family=family + f"ii  other {BAD} other\nrc  nginx-old {BAD} nginx\n")
    found = apt.set(**{"needs-family": ""}).result("preflight.sh")
    assert found["target"] == f"nginx={GOOD} nginx-common={GOOD} nginx-full={GOOD}"
    assert found["back"] == f"nginx={BAD} nginx-common={BAD} nginx-full={BAD}"
    assert apt.run("roll_back.sh", target=found["target"]).returncode == 0
    assert apt.get("calls").splitlines()[-2].endswith(f"install {found['target']}")


def test_the_file_of_an_earlier_download_serves_where_no_repository_has_the_version(apt):
    cache = apt.folder / "archives"
    cache.mkdir()
    deb = cache / "nginx_2%3a1.22.1-9_amd64.deb"
    deb.touch()
    text = (FOLDER / "preflight.sh").read_text().replace("/var/cache/apt/archives/", f"{cache}/")
    apt.scripts = apt.folder
    (apt.folder / "preflight.sh").write_text(text)
    apt.set(madison=madison(BAD), cached=GOOD)
    assert apt.result("preflight.sh")["target"] == str(deb)
    apt.set(cached="2:1.22.1-8")
    assert "in no earlier download" in apt.run("preflight.sh").stderr


def test_a_bad_version_that_is_nowhere_is_said_beforehand(apt):
    done = apt.set(madison=madison(GOOD)).run("preflight.sh")
    assert done.returncode == 0
    assert "undo could not bring it back" in done.stderr


def test_a_service_with_a_wrong_name_is_found_before_anything_is_changed(apt):
    done = apt.set(load="not-found").run("preflight.sh", service="ngnix")
    assert done.returncode == 1
    assert "there is no service ngnix here" in done.stderr


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
    done = apt.run("preflight.sh", package=package, allow_database=allow)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_database_is_rolled_back_when_a_person_says_so(apt):
    done = apt.run("preflight.sh", package="mariadb-server", allow_database=True)
    assert done.returncode == 0


@pytest.mark.parametrize("outlook", [DNF_OUTLOOK, DNF5_OUTLOOK])
def test_preflight_is_content_with_dnf(dnf, outlook):
    done = dnf.set(outlook=outlook).run("preflight.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"install_weak_deps=False downgrade nginx-{GOOD}" in dnf.get("calls")
    also = "nginx-core" if outlook == DNF_OUTLOOK else ""
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "target": f"nginx-{GOOD}",
        "back": f"nginx-{BAD}",
        "also": also,
    }


REMOVING = DNF_OUTLOOK.replace(
    "Transaction Summary",
    "Removing dependent packages:\n mod-x  x86_64  1-1  @base  3 k\n\nTransaction Summary",
)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"versionlock": f"nginx-{BAD}.*\n"}, "locked already"),
        ({"versionlock": "nginx-*:1.24-*.*\n"}, "locked already"),
        ({"versionlock": f"!nginx-{BAD}.*\n"}, "locked already"),
        ({"versionlock": "nginx\n"}, "locked already"),
        ({"versionlock": "# Added\nPackage name: nginx\nevr = 1\n"}, "locked already"),
        ({"listed": f"Available Packages\nnginx.x86_64  {BAD}  base\n"}, "in no repository"),
        ({"outlook": "Checked\nError: conflicting requests\n"}, "cannot do it: Error: confl"),
        ({"outlook": REMOVING}, "would remove mod-x"),
    ],
)
def test_preflight_refuses_on_dnf(dnf, facts, said):
    done = dnf.set(**facts).run("preflight.sh")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_lock_of_a_package_with_a_longer_name_is_no_reason(dnf):
    done = dnf.set(versionlock="nginx-core-1:1.2-3.*\n").run("preflight.sh")
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
def test_rolled_back_is_true_only_for_the_good_version_held(apt, dpkg, held, true):
    done = apt.set(dpkg=dpkg, held=held).run("rolled_back.sh", "verify")
    assert done.returncode == (0 if true else 1)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("rpm", "lock", "true"),
    [
        (GOOD, f"nginx-{GOOD}.*\n", True),
        (GOOD, "Package name: nginx\n", True),
        (GOOD, "", False),
        (GOOD, f"nginx-core-{GOOD}.*\n", False),
        (GOOD, None, True),
        (BAD, f"nginx-{GOOD}.*\n", False),
    ],
)
def test_rolled_back_on_dnf(dnf, rpm, lock, true):
    dnf.set(rpm=f"{rpm}\n")
    if lock is None:
        dnf.drop("versionlock")
    else:
        dnf.set(versionlock=lock)
    assert dnf.run("rolled_back.sh", "check").returncode == (0 if true else 1)


def test_the_change_is_proven_and_can_be_taken_back(either):
    world = either
    assert world.run("rolled_back.sh", "check").returncode == 1
    done = world.run("roll_back.sh")
    assert done.returncode == 0, done.stderr
    assert world.run("rolled_back.sh", "verify").returncode == 0
    assert world.result("detect.sh")["impacted"] is False
    proven = {"installed": GOOD, "held": True, "running": ""}
    assert world.result("proven.sh") == proven
    reminded = world.result("remind.sh")
    assert reminded["held"] is True
    assert reminded["lift"].endswith("nginx")
    assert "gets no updates" in world.run("remind.sh").stdout
    done = world.run("bring_back.sh", "undo")
    assert done.returncode == 0, done.stderr
    assert world.run("rolled_back.sh", "check").returncode == 1
    assert world.result("detect.sh")["impacted"] is True


def test_an_undo_that_fails_leaves_the_hold(either):
    either.run("roll_back.sh")
    either.set(**{"apt-broken": "", "dnf-broken": ""})
    assert either.run("bring_back.sh", "undo").returncode != 0
    assert either.run("rolled_back.sh", "check").returncode == 0


def test_apt_may_neither_remove_nor_ask(apt):
    apt.run("roll_back.sh")
    (call,) = (line for line in apt.get("calls").splitlines() if line.startswith("apt-get"))
    words = call.split()
    assert {"-y", "--allow-downgrades", "--no-remove", "--no-install-recommends"} <= set(words)
    assert "Dpkg::Options::=--force-confold" in words
    assert words[-2:] == ["install", f"nginx={GOOD}"]


@pytest.mark.parametrize("word", ["-o", "nginx=1;x", "$(x)", "--allow-remove-essential"])
@pytest.mark.parametrize("script", ["roll_back.sh", "bring_back.sh"])
def test_no_word_of_an_endpoint_becomes_an_option(apt, script, word):
    done = apt.run(script, target=f"nginx={GOOD} {word}", back=f"nginx={BAD} {word}")
    assert done.returncode == 2
    assert "apt-get" not in apt.get("calls")


@pytest.mark.parametrize("trouble", ["apt-broken", "no-hold"])
def test_a_failure_on_the_way_is_a_failure_that_can_be_tried_again(apt, trouble):
    apt.set(**{trouble: ""})
    assert apt.run("roll_back.sh").returncode == 100
    assert apt.run("rolled_back.sh", "check").returncode == 1
    apt.drop(trouble)
    assert apt.run("roll_back.sh").returncode == 0
    assert apt.run("rolled_back.sh", "verify").returncode == 0


def test_dnf_does_not_downgrade_a_second_time(dnf):
    dnf.run("roll_back.sh")
    dnf.run("roll_back.sh")
    assert dnf.get("calls").count(" downgrade ") == 1


def test_without_versionlock_the_rollback_says_what_that_means(dnf):
    dnf.drop("versionlock")
    assert "nothing can hold the good version" in dnf.run("preflight.sh").stderr
    done = dnf.run("roll_back.sh")
    assert done.returncode == 0
    assert "the next update brings the bad version back" in done.stderr
    assert dnf.result("proven.sh")["held"] is False
    assert "not locked" in dnf.run("remind.sh").stdout
    assert dnf.result("remind.sh") == {"held": False, "lift": ""}


def test_a_lock_of_a_package_with_a_longer_name_holds_nothing(dnf):
    dnf.set(rpm=f"{GOOD}\n", versionlock=f"nginx-core-{GOOD}.*\n")
    assert dnf.result("proven.sh")["held"] is False
    assert dnf.result("remind.sh") == {"held": False, "lift": ""}


@pytest.mark.parametrize(
    ("facts", "pids", "state"),
    [
        ("loaded/active/enabled", "7\n", "up"),
        ("loaded/active/disabled", "7\n", "up"),
        ("loaded/active/enabled", "7\n8\n", "down"),
        ("loaded/activating/enabled", "0\n", "down"),
        ("loaded/failed/enabled", "0\n", "down"),
        ("loaded/inactive/enabled", "0\n", "down"),
        ("loaded/inactive/disabled", "0\n", "off"),
        ("masked/inactive/masked", "0\n", "off"),
        ("not-found/inactive/", "0\n", "absent"),
    ],
)
def test_the_baseline_tells_what_was_so_before(apt, facts, pids, state):
    load, active, enabled = facts.split("/")
    apt.set(load=load, active=active, enabled=enabled, pids=pids)
    found = apt.result("baseline.sh", service="nginx")
    assert found["service_state"] == state
    assert re.fullmatch(r"\d+/\d+", found["instance"])


def restarted(world, state="up", instance="7/700"):
    values = {"service": "nginx", "state": state, "instance": instance}
    return world.run("service_start.sh", **values), world.run("service_runs.sh", "verify", **values)


def test_a_service_that_the_package_did_not_restart_is_restarted(apt):
    started, runs = restarted(apt)
    assert (started.returncode, runs.returncode) == (0, 0), runs.stderr
    assert "systemctl restart nginx" in apt.get("calls")


def test_a_service_that_is_the_new_process_already_is_not_restarted_again(apt):
    apt.set(restarts="")
    assert apt.run("roll_back.sh").returncode == 0
    started, runs = restarted(apt)
    assert (started.returncode, runs.returncode) == (0, 0), runs.stderr
    assert "systemctl restart" not in apt.get("calls")


def test_a_service_that_does_not_start_any_more_is_a_failure(apt):
    started, runs = restarted(apt.set(**{"will-not-start": ""}))
    assert (started.returncode, runs.returncode) == (1, 1)
    assert "nginx does not run" in runs.stderr
    assert "status of" in runs.stderr


def test_a_service_that_is_started_again_and_again_does_not_stay_up(apt):
    _, runs = restarted(apt.set(**{"next-pids": "8\n9\n10\n11\n12\n13\n14\n"}))
    assert runs.returncode == 1
    assert "does not stay up" in runs.stderr


def test_a_service_that_was_down_before_is_no_fault_of_the_rollback(apt):
    apt.set(active="failed", pids="0\n").set(**{"will-not-start": ""})
    started, runs = restarted(apt, "down", "0/000")
    assert (started.returncode, runs.returncode) == (0, 0)
    assert "it was down before the rollback, too" in runs.stderr
    apt.set(dpkg=f"hi  {GOOD}\n", held="nginx\n")
    done = apt.run("proven.sh", service="nginx", state="down")
    assert done.returncode == 0
    assert "as it was before the rollback: see to it" in done.stderr


def test_a_service_that_was_up_and_is_down_at_the_end_is_a_failure(apt):
    apt.set(dpkg=f"hi  {GOOD}\n", held="nginx\n", active="failed")
    done = apt.run("proven.sh", service="nginx", state="up")
    assert done.returncode == 1
    assert "ran before the rollback and is failed now" in done.stderr


@pytest.mark.parametrize("state", ["off", "absent"])
def test_a_service_that_somebody_turned_off_stays_off(apt, state):
    started, runs = restarted(apt.set(active="inactive"), state)
    assert (started.returncode, runs.returncode) == (0, 0)
    assert "systemctl restart" not in apt.get("calls")


@pytest.mark.parametrize(("state", "active"), [("up", "active"), ("off", "inactive")])
def test_undo_restarts_the_service_only_if_it_ran(apt, state, active):
    apt.run("roll_back.sh")
    apt.set(active=active)
    assert apt.run("bring_back.sh", "undo", service="nginx", state=state).returncode == 0
    assert ("systemctl restart nginx" in apt.get("calls")) is (state == "up")


@pytest.mark.parametrize(
    "script", ["rolled_back.sh", "roll_back.sh", "bring_back.sh", "remind.sh", "proven.sh"]
)
def test_an_unknown_manager_is_an_error_and_no_verdict(apt, script):
    assert apt.run(script, manager="zypper").returncode == 2


@pytest.mark.parametrize(
    ("installed", "asked"),
    [("1:2.0-1", "2.0-1"), ("1:2.0-1", "2.0"), ("2.0-1", "2.0"), ("2.0-1.el9", "2.0")],
)
def test_a_version_without_its_epoch_or_release_is_not_taken_for_another_one(
    either, installed, asked
):
    either.set(dpkg=f"ii  {installed}\n", rpm=f"{installed}\n")
    done = either.run("detect.sh", bad_version=asked, good_version="1.0")
    assert done.returncode == 6
    assert f"installed as {installed}" in done.stderr
    assert either.result("detect.sh", bad_version=installed)["impacted"] is True
    found = either.result("detect.sh", bad_version=asked, good_version=installed)
    assert found["impacted"] is False


def test_a_unit_that_is_no_service_is_refused(either):
    done = either.run("preflight.sh", service="poweroff.target")
    assert done.returncode == 1
    assert "poweroff.target is no service" in done.stderr


def test_a_service_that_only_others_start_is_not_down(either):
    either.set(active="inactive", enabled="static")
    assert either.result("baseline.sh", service="nginx")["service_state"] == "off"


def test_room_is_looked_for_where_the_packages_are_written_down(either):
    either.standin("df", 'echo "$*" >>"$W/df"; echo "F 1K U A C M"; echo "/dev/x 9 9 9999999 9% /"')
    either.run("preflight.sh")
    assert {"/var/lib/dpkg", "/var/lib/rpm"} <= set(either.get("df").split())

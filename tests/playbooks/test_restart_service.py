"""The scripts of the service restart, really run, against stand-ins for service managers."""

from __future__ import annotations

import pytest

NAME = "restart-service"
SYSTEMCTL = """
    echo "systemctl $*" >>"$W/calls"
    case $1 in
      is-active) [ "$(cat "$W/active")" = active ] ;;
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
        [ ! -e "$W/broken" ] || { echo failed >"$W/active"; exit 1; }
        echo active >"$W/active"
        cat "$W/next" >"$W/pids" ;;
      status) echo "status" ;;
    esac"""
SERVICE = """
    [ "$1" = --exists ] && { [ "$2" = nginx ]; exit; }
    echo "$*" >>"$W/calls"
    case $2 in
      status) [ "$(cat "$W/active")" = active ] ;;
      restart) [ ! -e "$W/broken" ] || exit 1; echo active >"$W/active" ;;
    esac"""
VALUES = {"service": "nginx", "stay": 10, "start": False, "manager": "systemd", "instance": "7/700"}


@pytest.fixture
def systemd(machine):
    world = machine(NAME, {"systemctl": SYSTEMCTL, "journalctl": "echo it said why"}, **VALUES)
    text = (world.scripts / "before.sh").read_text().replace("/run/systemd/system", "/")
    for name in ("restart.sh", "stays_up.sh"):
        (world.folder / name).write_text((world.scripts / name).read_text())
    (world.folder / "before.sh").write_text(text)
    world.scripts = world.folder
    return world.set(load="loaded", active="active", enabled="enabled", pids="7\n", next="8\n")


@pytest.mark.parametrize(
    ("facts", "was", "known", "wanted"),
    [
        ({}, "up", True, True),
        ({"active": "failed"}, "down", True, True),
        ({"active": "inactive"}, "down", True, True),
        ({"active": "inactive", "enabled": "disabled"}, "off", True, False),
        ({"active": "inactive", "enabled": "static"}, "off", True, False),
        ({"enabled": "static"}, "up", True, True),
        ({"load": "masked"}, "off", True, False),
        ({"load": "not-found"}, "absent", False, False),
    ],
)
def test_what_is_off_or_not_there_is_left_alone(systemd, facts, was, known, wanted):
    found = systemd.set(**facts).result("before.sh")
    assert (found["was"], found["known"], found["wanted"]) == (was, known, wanted)
    assert found["manager"] == "systemd"


def test_a_disabled_service_is_started_when_a_person_says_so(systemd):
    systemd.set(active="inactive", enabled="disabled")
    assert systemd.result("before.sh", start=True)["wanted"] is True


@pytest.mark.parametrize("stay", [0, -1, 61, 3600])
def test_a_time_that_no_step_can_wait_is_refused(systemd, stay):
    assert systemd.run("before.sh", stay=stay).returncode == 2


def test_a_restart_is_proven_by_another_process_that_stays(systemd):
    assert systemd.run("stays_up.sh", "verify").returncode == 1
    assert systemd.run("restart.sh").returncode == 0
    done = systemd.run("stays_up.sh", "verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert systemd.get("slept").splitlines()[-1] == "10"


def test_a_service_that_crashes_again_and_again_does_not_stay_up(systemd):
    systemd.set(next="8\n9\n").run("restart.sh")
    done = systemd.run("stays_up.sh", "verify")
    assert done.returncode == 1
    assert "does not stay up" in done.stderr
    assert "it said why" in done.stderr


def test_a_service_that_does_not_start_says_why(systemd):
    done = systemd.set(broken="").run("restart.sh")
    assert done.returncode == 1
    assert "it said why" in done.stderr
    assert systemd.run("stays_up.sh", "verify").returncode == 1


def test_openrc_serves_where_systemd_is_not(machine):
    manager = "openrc"
    values = {**VALUES, "manager": manager, "instance": ""}
    world = machine(NAME, {"rc-service": SERVICE}, **values)
    world.set(active="active")
    assert world.result("before.sh")["manager"] == manager
    assert world.result("before.sh", service="other")["known"] is False
    assert world.run("restart.sh").returncode == 0
    assert world.run("stays_up.sh", "verify").returncode == 0
    world.set(active="crashed")
    assert world.run("stays_up.sh", "verify").returncode == 1


def test_a_machine_without_any_manager_says_so(machine):
    assert machine(NAME, {}, **VALUES).run("before.sh").returncode == 4


@pytest.mark.parametrize("script", ["restart.sh", "stays_up.sh"])
def test_an_unknown_manager_is_an_error_and_no_verdict(systemd, script):
    assert systemd.run(script, manager="upstart").returncode == 2


@pytest.mark.parametrize("service", ["poweroff.target", "home.mount", "user.slice"])
def test_what_is_no_service_is_not_restarted(systemd, service):
    assert systemd.run("before.sh", service=service, start=True).returncode == 2


@pytest.fixture
def sysv(machine):
    """An init script with a file that names its process, and a link that starts it at boot."""
    world = machine(NAME, {"service": SERVICE}, **{**VALUES, "manager": "sysv", "instance": ""})
    for name in ("before.sh", "restart.sh", "stays_up.sh"):
        text = (world.scripts / name).read_text().replace("/etc/", f"{world.folder}/etc/")
        (world.folder / name).write_text(text.replace('"/run/', f'"{world.folder}/run/'))
    world.scripts = world.folder
    for name in ("etc/init.d", "etc/rc3.d", "run"):
        (world.folder / name).mkdir(parents=True)
    script = world.folder / "etc" / "init.d" / "nginx"
    script.touch(mode=0o755)
    (world.folder / "etc" / "rc3.d" / "S20nginx").symlink_to(script)
    return world.set(active="active", **{"run/nginx.pid": "700\n"})


def test_an_init_script_serves_where_there_is_nothing_else(sysv):
    found = sysv.result("before.sh")
    assert (found["manager"], found["was"], found["instance"]) == ("sysv", "up", "700")
    assert sysv.result("before.sh", service="other")["known"] is False
    assert sysv.run("restart.sh").returncode == 0
    done = sysv.run("stays_up.sh", "verify", instance="700")
    assert (done.returncode, "was not restarted" in done.stderr) == (1, True)
    sysv.set(**{"run/nginx.pid": "701\n"})
    assert sysv.run("stays_up.sh", "verify", instance="700").returncode == 0


def test_a_stopped_init_script_that_nothing_starts_at_boot_is_left_alone(sysv):
    assert sysv.set(active="dead").result("before.sh")["was"] == "down"
    sysv.drop("etc/rc3.d/S20nginx")
    found = sysv.result("before.sh")
    assert (found["was"], found["wanted"]) == ("off", False)

"""The scripts around restarts, really run, against stand-ins for what a machine says."""

from __future__ import annotations

from pathlib import Path

import pytest

NAME = "reboot-in-waves"
SYSTEMCTL = """
    case $1 in
      list-unit-files) cat "$W/enabled" ;;
      list-units) cat "$W/running" ;;
      is-active) grep -Fxq -e "$4" "$W/running-now" ;;
      status) echo "status of $*" ;;
    esac"""


@pytest.fixture
def world(machine):
    here = machine(
        NAME,
        {
            "who": 'cat "$W/who" 2>/dev/null || :',
            "find": 'cat "$W/found" 2>/dev/null || :',
            "stat": 'cat "$W/inode" 2>/dev/null',
            "systemctl": SYSTEMCTL,
            "uname": "echo 6.1.0-9-amd64",
        },
        even_if_busy=False,
    )
    text = (here.scripts / "survey.sh").read_text().replace("/run/", f"{here.folder}/")
    for path in here.scripts.glob("*.sh"):
        (here.folder / path.name).write_text(text if path.name == "survey.sh" else path.read_text())
    here.scripts = here.folder
    return here


def test_a_machine_that_asks_for_nothing_needs_nothing(world):
    found = world.result("survey.sh")
    assert (found["needed"], found["why"], found["users"]) == (False, "", 0)


def test_the_file_of_debian_is_a_wish(world):
    world.set(**{"reboot-required": "", "reboot-required.pkgs": 'linux-image\nlibc6"\nlibc6"\n'})
    found = world.result("survey.sh")
    assert (found["needed"], found["why"]) == (True, "reboot-required libc6 linux-image")


@pytest.mark.parametrize(("code", "needed"), [(0, False), (1, True), (127, False)])
def test_needs_restarting_is_believed(world, code, needed):
    world.standin("needs-restarting", f"echo '  * glibc'; exit {code}")
    found = world.result("survey.sh")
    assert found["needed"] is needed
    assert found["why"] == ("needs-restarting glibc" if needed else "")


@pytest.mark.parametrize(("newest", "needed"), [("6.1.0-9-amd64", False), ("6.1.0-10", True)])
def test_a_newer_kernel_is_a_wish_where_nothing_else_tells(world, newest, needed):
    world.standin("rpm", f"echo '200 {newest}'; echo '100 5.0'; echo 'package x is not installed'")
    assert world.result("survey.sh")["needed"] is needed


def test_a_machine_that_is_not_in_use_may_be_restarted(world):
    assert world.run("free.sh").returncode == 0


def test_somebody_who_is_logged_in_keeps_it_up_unless_a_person_says_otherwise(world):
    world.set(who="jo tty1 2026-11-22 10:00\njo tty1 2026-11-22 10:01\n")
    done = world.run("free.sh")
    assert done.returncode == 1
    assert done.stderr == "not restarted: somebody is logged in: jo on tty1\n"
    assert world.run("free.sh", even_if_busy=True).returncode == 0


@pytest.mark.parametrize(
    ("line", "blocks"),
    [
        ("backup 0 root 812 backup shutdown:sleep writes block", True),
        ("NetworkManager 0 root 1 NetworkManager sleep NetworkManager delay", False),
        ("unattended 0 root 1 unattended shutdown stops delay", False),
    ],
)
def test_a_program_that_blocks_restarts_is_named(world, line, blocks):
    world.standin("systemd-inhibit", f"echo '{line}'")
    done = world.run("free.sh")
    assert done.returncode == (1 if blocks else 0)
    assert ("a program blocks restarts: backup" in done.stderr) is blocks


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs the kernel's list of locks")
def test_half_a_package_is_never_restarted(world):
    fcntl = pytest.importorskip("fcntl")
    with (world.folder / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        world.set(inode=str((world.folder / "lock").stat().st_ino), found="/x/0001\n")
        done = world.run("free.sh", even_if_busy=True)
    assert done.returncode == 1
    assert "packages are being installed" in done.stderr
    assert "interrupted" not in done.stderr
    done = world.run("free.sh", even_if_busy=True)
    assert "dpkg was interrupted" in done.stderr


def test_services_that_ran_and_start_by_themselves_must_run_again(world):
    world.set(enabled="cron.service enabled enabled\nssh.service enabled\ngetty@.service enabled\n")
    running = ["cron.service", "getty@tty1.service", "adhoc.service", "a\\x2db.service"]
    world.set(running="".join(f"{name} loaded active running X\n" for name in running))
    assert world.result("before.sh") == {"services": "cron.service getty@tty1.service"}


def test_a_service_that_does_not_come_back_is_named(world):
    services = "cron.service ssh.service"
    world.set(**{"running-now": "cron.service\nssh.service\n"})
    assert world.run("services_run.sh", "verify", services=services).returncode == 0
    world.set(**{"running-now": "cron.service\n"})
    done = world.run("services_run.sh", "verify", services=services)
    assert done.returncode == 1
    assert "does not run now: ssh.service" in done.stderr
    assert world.get("slept").split() == ["5"] * 24


def test_a_machine_of_which_no_service_is_known_is_back_when_it_answers(world):
    assert world.run("services_run.sh", "verify", services="").returncode == 0

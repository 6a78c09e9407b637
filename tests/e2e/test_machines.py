"""The machines that other tests stand on are what they say, and leave nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outagekit.testing.machines.ground import INNER, NETWORK, Ground, missing
from outagekit.testing.machines.machine import Build, NotUpError

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))
REASON = missing("dpkg-deb", "apt-get")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(REASON) and not REQUIRED, reason=REASON or "all is here"),
]

BUILDS = (
    Build("plain", f"{NETWORK}1"),
    Build("inner", f"{INNER}1", behind="plain"),
    Build("hanging", f"{NETWORK}2", fault="hangs"),
    Build("swallowing", f"{NETWORK}3", fault="sudo_swallows"),
    Build("pretending", f"{NETWORK}4", fault="sudo_pretends"),
    Build("wanting", f"{NETWORK}5", fault="sudo_wants_tty"),
)


def until(found, what, timeout_s=15.0):
    until_s = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < until_s, f"no {what}"
        time.sleep(0.02)
    return value


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with Ground(tmp_path_factory.mktemp("machines") / "ground") as made:
        made.start(BUILDS)
        yield made


@pytest.fixture
def fresh(ground):
    """A machine of this test's own."""
    made = ground.start([Build("fresh", f"{NETWORK}99")])
    yield made[0]
    ground.stop(made)


class Login:
    """OpenSSH's client, knowing the host keys of all machines."""

    def __init__(self, ground, folder):
        self.ground, self._config = ground, folder / "config"
        known = folder / "known_hosts"
        machines = ground.machines.values()
        known.write_text("".join(f"{m.address} {m.host_key.public}\n" for m in machines))
        self._config.write_text(
            f"BatchMode yes\nConnectTimeout 3\nIdentitiesOnly yes\nUserKnownHostsFile {known}\n"
            f"IdentityFile {ground.login.private}\n"
        )

    def __call__(self, name, account, line, *options, text=""):
        address = self.ground.machines[name].address
        words = ["ssh", "-F", str(self._config), *options, f"{account}@{address}", line]
        return subprocess.run(
            [*self.ground.inside, *words], input=text, capture_output=True, text=True, check=False
        )

    def through(self, name):
        """Options that lead through another machine."""
        address = self.ground.machines[name].address
        return ("-o", f"ProxyCommand=ssh -F {self._config} -W %h:%p ops@{address}")


@pytest.fixture
def login(ground, tmp_path):
    return Login(ground, tmp_path)


def spaces(*pids):
    return {Path(f"/proc/{pid}/ns/{kind}").readlink() for pid in pids for kind in ("net", "mnt")}


def lived_in(wanted):
    """Say which processes are in one of the namespaces."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if spaces(folder.name) & wanted:
                found.append((folder.name, (folder / "cmdline").read_text()))
        except OSError:
            continue
    return found


def system():
    """What machines could leave behind in the system they run on."""
    told = [["ip", "-br", "addr"], ["ip", "route"], ["ip", "netns", "list"]]
    return Path("/proc/self/mountinfo").read_text(), [
        subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in told
    ]


def test_a_machine_has_a_name_an_identity_and_processes_of_its_own(ground):
    machines = [ground.machines["plain"], ground.machines["inner"]]
    for tell in (
        lambda m: m.ask("hostname"),
        lambda m: m.ask("cat", "/etc/machine-id"),
        lambda m: m.boot_id,
        lambda m: m.host_key.public,
    ):
        assert len({tell(m) for m in machines}) == 2
    plain = machines[0]
    assert plain.ask("cat", "/etc/machine-id").strip() == plain.build.machine_id
    assert plain.ask("ps", "-o", "comm=", "1").strip() != "sshd"
    assert len(plain.ask("ps", "-e", "-o", "pid=").split()) < 20
    assert Path("/etc/machine-id").read_text().strip() != plain.build.machine_id
    assert plain.ask("ls", "-A", "/root", "/tmp", "/srv").split() == [
        *("/root:", "/srv:", "debs", "/tmp:")
    ]


@pytest.mark.parametrize(
    ("account", "line", "code", "out"),
    [
        ("ops", "sudo -n id -u", 0, "0\n"),
        ("tech", "sudo -n id -u", 1, ""),
        ("guest", "sudo -n id -u", 1, ""),
        ("root", "id -u", 0, "0\n"),
    ],
)
def test_each_account_may_what_it_is_for(login, account, line, code, out):
    done = login("plain", account, line)
    assert (done.returncode, done.stdout) == (code, out), done


def test_the_password_of_tech_opens_sudo_and_no_other_does(ground, login):
    line = "sudo -k -S -p '' id -u"
    done = login("plain", "tech", line, text=f"{ground.passwords['tech']}\n")
    assert (done.returncode, done.stdout) == (0, "0\n"), done
    assert login("plain", "tech", line, text="another\n").returncode == 1
    assert "incorrect password" in ground.machines["plain"].path("/var/log/sudo.log").read_text()


def test_lying_and_unwilling_sudos_are_as_they_are_called(login):
    done = login("swallowing", "ops", "sudo id -u")
    assert (done.returncode, done.stdout) == (0, ""), done
    done = login("pretending", "ops", "sudo -H -S -p ask -- id -un")
    assert (done.returncode, done.stdout) == (0, "ops\n"), done
    done = login("wanting", "ops", "sudo id -u")
    assert (done.returncode, done.stdout) == (1, ""), done
    done = login("wanting", "ops", "sudo id -u", "-tt")
    assert (done.returncode, done.stdout) == (0, "0\n"), done


def test_a_hanging_machine_accepts_and_says_nothing(ground):
    words = ["timeout", "1", "sh", "-c", f"exec 3<>/dev/tcp/{NETWORK}2/22; echo in; cat <&3"]
    words[2] = "bash"
    done = subprocess.run([*ground.inside, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (124, "in\n"), done


def test_the_inner_machine_is_reached_through_the_other_one_only(login):
    assert login("inner", "ops", "hostname").returncode == 255
    done = login("inner", "ops", "hostname", *login.through("plain"))
    assert done.stdout == "inner\n", done


def test_a_service_is_a_real_process_that_is_kept(fresh):
    until(lambda: fresh.call("systemctl", "is-failed", "okdemo").returncode == 0, "failure")
    assert fresh.call("systemctl", "is-active", "--quiet", "okdemo").returncode == 3
    fresh.ask("apt-get", "-qq", "-y", "install", "okdemo=3.0")
    fresh.ask("systemctl", "restart", "okdemo")
    assert fresh.ask("systemctl", "is-active", "okdemo") == "active\n"
    first = fresh.ask("systemctl", "show", "--property", "MainPID", "--value", "okdemo").strip()
    assert fresh.ask("cat", f"/proc/{first}/cmdline").split("\0")[1] == "/usr/lib/okdemo/okdemod"
    fresh.ask("kill", "-9", first)
    show = ("systemctl", "show", "-p", "MainPID", "--value", "okdemo")
    second = until(lambda: fresh.ask(*show).strip() not in {first, "0"}, "new process")
    assert second
    assert fresh.ask("systemctl", "show", "-p", "NRestarts", "okdemo") == "NRestarts=1\n"
    fresh.ask("systemctl", "stop", "okdemo")
    assert fresh.ask(*show) == "0\n"
    assert fresh.call("systemctl", "status", "okdemo").returncode == 3


@pytest.mark.parametrize(
    ("line", "code", "out"),
    [
        ("is-active nosuch", 3, "inactive\n"),
        ("show -p LoadState nosuch", 0, "LoadState=not-found\n"),
        ("show --property=LoadState,MainPID okdemo.service", 0, "LoadState=loaded\nMainPID=0\n"),
        ("is-enabled okdemo", 0, "enabled\n"),
        ("restart nosuch", 5, ""),
        ("cat nosuch", 1, ""),
        ("status nosuch", 4, ""),
        ("isolate rescue", 2, ""),
        ("--frobnicate start okdemo", 1, ""),
    ],
)
def test_the_stand_in_for_systemctl_answers_as_systemd_does_or_refuses(ground, line, code, out):
    done = ground.machines["inner"].call("systemctl", *line.split())
    assert (done.returncode, done.stdout) == (code, out), done


def test_services_may_be_touched_by_root_only(login):
    done = login("plain", "ops", "systemctl restart okdemo")
    assert done.returncode == 1
    assert "authentication required" in done.stderr


def test_a_restart_ends_all_processes_and_begins_another_boot(ground, fresh):
    before = fresh.boot_id
    fresh.ask("touch", "/run/passing", "/root/lasting")
    fresh.call("sh", "-c", "sleep 612 >/dev/null 2>&1 & systemctl reboot")
    until(
        lambda: fresh.call("sh", "-c", "test -d /run/sshd -a ! -e /run/passing").returncode == 0,
        "boot",
    )
    assert fresh.boot_id != before
    assert "sleep 612" not in fresh.ask("ps", "-e", "-o", "args=")
    assert fresh.ask("ls", "/root") == "lasting\n"
    assert fresh.build.machine_id == fresh.ask("cat", "/etc/machine-id").strip()
    assert ground.machines["plain"].ask("hostname") == "plain\n"


def test_going_back_would_take_the_tools_away(fresh):
    fresh.ask("apt-get", "-qq", "-y", "install", "okdemo-tools=2.0")
    outlook = fresh.ask("apt-get", "-s", "-q", "--allow-downgrades", "install", "okdemo=1.0")
    assert "Remv okdemo-tools" in outlook
    assert "okdemo-tools" not in (ask := fresh.ask("apt-cache", "madison", "okdemo")), ask
    assert not Path("/usr/lib/okdemo").exists()


@pytest.mark.parametrize(
    "line",
    [
        'date -s "@$(date +%s)"',
        "mount -t tmpfs none /srv",
        "umount /proc/sys",
        "read -r old </proc/sys/vm/swappiness; echo $old >/proc/sys/vm/swappiness",
        "mknod /root/disk b 254 0",
    ],
)
def test_what_is_not_the_machines_own_its_root_cannot_change(login, line):
    done = login("plain", "root", line)
    assert done.returncode, done
    assert re.search("not permitted|ermission denied|Read-only|superuser", done.stderr), done


def test_nothing_is_left_after_a_fault_in_the_middle(tmp_path):
    before, folder = system(), tmp_path / "ground"
    lived = set()

    def fail():
        with Ground(folder) as ground:
            ground.start([Build("one", f"{NETWORK}1")])
            lived.update(spaces(ground.machines["one"].pid, ground._keeper.pid))
            assert lived_in(lived)
            ground.start([Build("two", f"{NETWORK}2", files={"etc/ssh/sshd_config": "Nonsense"})])

    with pytest.raises(NotUpError, match="two did not say ready"):
        fail()
    assert not lived_in(lived)
    assert system() == before
    assert not folder.exists()


KILLED = """
import sys, time
from pathlib import Path
from outagekit.testing.machines.ground import NETWORK, Ground
from outagekit.testing.machines.machine import Build
ground = Ground(Path(sys.argv[1]))
made = ground.start([Build("one", f"{NETWORK}1"), Build("two", f"{NETWORK}2")])
print(*(m.pid for m in made), ground._keeper.pid, flush=True)
time.sleep(600)
"""


def test_nothing_is_left_of_machines_whose_maker_was_killed(tmp_path):
    before, folder = system(), tmp_path / "ground"
    words = [sys.executable, "-c", KILLED, str(folder)]
    maker = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    lived = spaces(*maker.stdout.readline().split())
    assert len(lived) == 6
    assert lived_in(lived)
    maker.kill()
    maker.communicate()
    until(lambda: not lived_in(lived), "end of all processes")
    until(lambda: not folder.exists(), "end of the folder")
    assert system() == before


def test_one_command_starts_machines_to_try_and_ctrl_c_ends_them(tmp_path):
    words = [sys.executable, "-m", "outagekit.testing.machines"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    try:
        lines = [process.stdout.readline() for _ in range(9)]
        folder = Path(next(line for line in lines if line.startswith("  cd ")).split()[1])
        login = next(line for line in lines if "ssh -i" in line).split()
        told = subprocess.check_output([*login, "hostname"], cwd=folder, text=True)
        assert told == "web-01\n"
        subprocess.run(["./here", "outagekit", "check"], cwd=folder, check=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()
    assert not folder.exists()
    assert not list(tmp_path.glob("ok-machines-*"))


def test_why_no_machines_can_be_made_is_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None if "sudo" in tool else tool)
    assert missing() == "not installed: sudo"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing() == "machines need root"

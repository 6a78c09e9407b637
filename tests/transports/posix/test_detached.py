"""The texts around a detached script, run by every shell there is here, and what they answer."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.transports import detached
from outagekit.transports.posix import detached as commands
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Captured, Outcome

pytestmark = pytest.mark.skipif(os.name != "posix", reason="runs POSIX shells")

SHELLS = {
    "dash": ("dash", ()),
    "bash": ("bash", ()),
    "busybox": ("busybox", ("sh",)),
    "zsh": ("zsh", ()),
    "mksh": ("mksh", ()),
    "ksh93": ("ksh93", ()),
}
TOOLS = (
    *("awk", "cat", "chmod", "date", "dd", "env", "kill", "ln", "ls", "mkdir", "mv", "nohup"),
    *("perl", "printf", "ps", "rm", "rmdir", "setsid", "sleep", "sync", "tail", "wc"),
)
ID = "20261122T081403Z-mend-x7q2:acme/web-01:mend"


class Machine:
    """An account with a home folder, whose `sh` is the shell to be tried."""

    def __init__(self, folder, shell="dash", *, without=()):
        self.folder = folder
        self.home = folder / "account"
        self.home.mkdir(mode=0o700)
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.environment = {"HOME": str(self.home), "PATH": str(self.bin), "LC_ALL": "C.UTF-8"}
        path = shutil.which(SHELLS[shell][0])
        if path is None:
            pytest.skip(f"{shell} is not installed")
        (self.bin / "sh").symlink_to(path)
        for tool in TOOLS:
            # Of busybox not only the shell: its tools know fewer options than others.
            found = path if shell == "busybox" else shutil.which(tool)
            if found and tool not in without:
                (self.bin / tool).symlink_to(found)
        if bash := shutil.which("bash"):
            (self.bin / "bash").symlink_to(bash)

    @property
    def mark(self):
        return self.folder / "mark"

    @property
    def counted(self):
        return len(self.mark.read_text()) if self.mark.exists() else 0

    @property
    def base(self):
        return self.home / ".outagekit"

    def spool(self, detach=ID):
        return self.base / detached.folder_name(detach)

    def begin(self, command):
        words = command.line.split()
        assert words[:2] == ["exec", "env"]
        process = subprocess.Popen(
            [str(self.bin / "env"), *words[2:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.home if self.home.is_dir() else self.folder,
        )
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(command.stdin)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdin = None
        return process

    def outcome(self, command):
        process = self.begin(command)
        out, err = process.communicate(timeout=30)
        return Outcome(process.returncode, captured(out), captured(err))

    def ask(self, command):
        outcome = self.outcome(command)
        answer = detached.parse_answer(outcome)
        assert answer is not None, outcome
        return answer

    def start(self, text, *, detach=ID, wait_s=10, language="sh", **values):
        return self.ask(
            self.starting(text, detach=detach, wait_s=wait_s, language=language, **values)
        )

    def starting(self, text, *, detach=ID, wait_s=10, language="sh", **values):
        code = Code(language, text)
        return commands.start(detach, code, values, step="mend", wait_s=wait_s)

    def look(self, *, detach=ID, wait_s=0):
        return self.ask(commands.collect(detach, step="mend", wait_s=wait_s))

    def stop(self):
        return self.ask(commands.stop(ID, step="mend"))

    def end(self):
        """Kill what still runs, at once; that the product ends it gently has tests of its own."""
        for begun in self.base.glob("*/begun"):
            with contextlib.suppress(ProcessLookupError, IndexError, ValueError, OverflowError):
                pid = int(words_of(begun)[1])
                # A test may have written any number here; a script leads a session of its own.
                if pid != os.getpid() and os.getsid(pid) == pid:
                    os.killpg(pid, signal.SIGKILL)

    def release(self, detach=ID):
        return self.ask(commands.release(detach, step="mend"))


def captured(data):
    return Captured(data.decode("utf-8", "backslashreplace"), len(data))


def is_alive(pid):
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    return True


def words_of(path):
    return path.read_text().split() if path.exists() else []


def await_true(condition, timeout_s=5.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "did not become true"
        time.sleep(0.02)


@pytest.fixture(params=SHELLS)
def machine(request, tmp_path):
    made = Machine(tmp_path, request.param)
    yield made
    made.end()


@pytest.fixture
def plain(tmp_path):
    made = Machine(tmp_path)
    yield made
    made.end()


def test_a_script_runs_once_however_often_it_is_started(machine):
    text = f"printf x >> {machine.mark}\necho out\necho err >&2\nexit 3"
    first, second = machine.start(text), machine.start("echo another")
    for answer in (first, second):
        assert (answer.state, answer.code) == ("ended", 3)
        assert (answer.stdout.text, answer.stderr.text) == ("out\n", "err\n")
        assert (answer.stdout.size_bytes, answer.stderr.size_bytes) == (4, 4)
    assert machine.counted == 1


def test_values_and_text_arrive_unchanged(machine):
    text = (
        "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x800), 0x1F600))) + "\\\\n\t\r%s\n\n'"
    )
    answer = machine.start("printf '%s' \"$OK_WORDS\"", words=text)
    assert answer.stdout.text == text


def test_the_script_finds_the_environment_of_every_script(machine):
    os.umask(old := os.umask(0o022))
    answer = machine.start('umask\npwd\ncat\necho "$OK_STEP $OK_PART $LC_ALL $0"')
    mask, folder, facts = answer.stdout.text.splitlines()
    assert int(mask, 8) == old
    assert machine.home.samefile(folder)
    assert facts == "mend script C.UTF-8 sh"


def test_a_script_for_bash_is_run_by_bash(plain):
    assert plain.start("echo ${BASH_VERSION:+yes}", language="bash").stdout.text == "yes\n"
    answer = plain.start("echo ${BASH_VERSION:+yes}", detach="other")
    assert answer.stdout.text == "\n"


def test_a_shell_that_is_not_there_is_exit_code_127(tmp_path):
    machine = Machine(tmp_path)
    (machine.bin / "bash").unlink(missing_ok=True)
    answer = machine.start("echo never", language="bash")
    assert (answer.state, answer.code) == ("ended", 127)
    assert "bash" in answer.stderr.text


def test_it_goes_on_when_its_start_is_killed_and_is_told_about_later(machine):
    process = machine.begin(
        machine.starting(f"printf x >> {machine.mark}\nsleep 0.7\necho done", wait_s=20)
    )
    await_true(lambda: machine.counted == 1)
    process.kill()
    process.communicate()
    assert machine.look().state == "running"
    answer = machine.look(wait_s=10)
    assert (answer.state, answer.code, answer.stdout.text) == ("ended", 0, "done\n")
    assert machine.counted == 1


def test_what_hangs_up_does_not_end_it(machine):
    process = machine.begin(machine.starting(f"printf x >> {machine.mark}\nsleep 0.5\necho done"))
    await_true(lambda: machine.counted == 1)
    pid = int((machine.spool() / "begun").read_text().split()[1])
    assert os.getsid(pid) == pid != os.getsid(process.pid)
    os.kill(pid, signal.SIGHUP)
    process.kill()
    process.communicate()
    assert machine.look(wait_s=10).stdout.text == "done\n"


def test_waiting_ends_with_the_script_and_without_it(machine):
    assert machine.start("sleep 2.3\necho done", wait_s=0).state == "running"
    began_s = time.monotonic()
    assert machine.look(wait_s=1).state == "running"
    answer = machine.look(wait_s=20)
    assert answer.state == "ended"
    assert answer.age_s in {1, 2, 3, 4}
    assert time.monotonic() - began_s < 10


def test_releasing_removes_the_folder_and_nothing_else(machine):
    machine.start("echo a")
    machine.start("echo b", detach="another")
    assert machine.release().state == "released"
    assert [p.name for p in machine.base.iterdir()] == [detached.folder_name("another")]
    assert machine.look().state == "absent"
    assert machine.release().state == "released"
    assert machine.release("another").state == "released"
    assert list(machine.home.iterdir()) == []
    assert machine.release("another").state == "released"


def test_what_runs_is_not_released(machine):
    machine.start("sleep 30", wait_s=0)
    assert machine.release().state == "running"
    assert machine.look().state == "running"


STUBBORN = """
(trap '' TERM HUP; echo $$ >> pids; while :; do sleep 0.1; done) &
echo $! >> pids
sh -c 'echo $$ >> pids; exec sleep 60' &
echo begun
sleep 60
"""


def test_ending_it_ends_the_whole_process_group(machine, monkeypatch):
    monkeypatch.setattr(commands, "TERM_S", 1)
    machine.start(STUBBORN, wait_s=0)
    await_true(lambda: len(words_of(machine.home / "pids")) == 3)
    answer = machine.stop()
    assert (answer.state, answer.code, answer.stdout.text) == ("stopped", None, "begun\n")
    pids = [int(word) for word in (machine.home / "pids").read_text().split()]
    await_true(lambda: not any(map(is_alive, pids)))
    assert machine.start("echo again").state == "stopped"
    assert machine.stop().state == "stopped"


def test_who_is_ended_may_tidy_up_first(plain):
    text = "trap 'echo tidied; exit 0' TERM\necho begun\nwhile :; do sleep 0.05; done"
    plain.start(text, wait_s=0)
    out = next(plain.spool().glob("s.*/out"))
    await_true(lambda: out.read_text() == "begun\n")
    answer = plain.stop()
    assert (answer.state, answer.stdout.text) == ("stopped", "begun\ntidied\n")


def test_one_that_has_ended_is_not_ended_again(machine):
    machine.start("exit 4")
    answer = machine.stop()
    assert (answer.state, answer.code) == ("ended", 4)
    assert machine.stop().code == 4


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_where_there_is_no_proc_others_tell_the_same(tmp_path, monkeypatch, shell):
    for text in ("RUNNER", "PLACE"):
        elsewhere = getattr(commands, text).replace("/proc/", "/nowhere/")
        monkeypatch.setattr(commands, text, elsewhere)
    machine = Machine(tmp_path, shell)
    machine.start("sleep 1.2\necho done", wait_s=0)
    begun = (machine.spool() / "begun").read_text().split()
    assert begun[2].startswith("_")
    assert machine.look().state == "running"
    answer = machine.look(wait_s=10)
    assert (answer.state, answer.stdout.text) == ("ended", "done\n")
    assert 0 <= answer.age_s < 10
    next(machine.spool().glob("s.*/ended.*")).unlink()
    assert machine.look().state == "gone"


def test_nobody_waits_longer_than_a_script_may_run(plain):
    plain.start("sleep 30", wait_s=0)
    began_s = time.monotonic()
    answer = plain.ask(commands.collect(ID, step="mend", wait_s=20, limit_s=1))
    assert answer.state == "running"
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("without", [("setsid",), ("setsid", "perl")])
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_without_setsid_it_is_started_and_ended_all_the_same(tmp_path, shell, without):
    machine = Machine(tmp_path, shell, without=without)
    text = "sh -c 'echo $$ > pid; exec sleep 60' &\nsleep 60"
    process = machine.begin(machine.starting(text, wait_s=20))
    await_true(lambda: words_of(machine.home / "pid"))
    process.send_signal(signal.SIGHUP)
    process.communicate()
    pid = int((machine.home / "pid").read_text())
    assert machine.look().state == "running"
    assert is_alive(pid)
    assert machine.stop().state == "stopped"
    await_true(lambda: not is_alive(pid))


def test_of_many_starts_at_the_same_time_one_runs(machine):
    text = f"printf x >> {machine.mark}\nsleep 0.3\necho done"
    starts = [machine.begin(machine.starting(text)) for _ in range(8)]
    told = [(s.communicate(timeout=30)[0], s.returncode) for s in starts]
    answers = [detached.parse_answer(Outcome(code, captured(out))) for out, code in told]
    assert [(a.state, a.stdout.text) for a in answers] == [("ended", "done\n")] * 8
    assert machine.counted == 1
    assert len(list(machine.spool().glob("s.*"))) == 1


def test_a_start_killed_at_any_moment_is_repeated_and_never_runs_twice(plain):
    text = f"printf x >> {plain.mark}"
    for turn in range(25):
        process = plain.begin(plain.starting(text, detach=f"turn {turn}"))
        time.sleep(0.001 * turn)
        process.kill()
        process.communicate()
        assert plain.start(text, detach=f"turn {turn}").state == "ended"
        assert plain.counted == turn + 1


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_a_cut_transfer_begins_nothing(tmp_path, shell):
    machine = Machine(tmp_path, shell)
    command = machine.starting(f"printf x >> {machine.mark}", wait_s=0)
    whole = command.stdin
    tail = range(len(whole) - 24, len(whole))
    for end in (*range(0, len(whole), len(whole) // 40), *tail):
        cut = commands.Command(command.line, whole[:end])
        assert detached.parse_answer(machine.outcome(cut)) is None
    assert list(machine.home.iterdir()) == []
    assert machine.ask(command).state in {"running", "ended"}


@pytest.mark.parametrize("left", ["nothing", "folder", "half a script", "whole script", "claim"])
def test_a_start_in_which_nothing_began_is_repeated(machine, left):
    spool = machine.spool()
    stage = spool / "s.0123456789abcdef"
    if left != "nothing":
        spool.mkdir(parents=True, mode=0o700)
    if left in {"half a script", "whole script", "claim"}:
        stage.mkdir(mode=0o700)
        (stage / "script").write_text("{ {\nprintf y >> " if left == "half a script" else "true")
    if left == "claim":
        (stage / "claim").write_text("0123456789abcdef 1 1 1 1\n")
    answer = machine.start(f"printf x >> {machine.mark}\necho done")
    assert (answer.state, answer.stdout.text, machine.counted) == ("ended", "done\n", 1)


@pytest.mark.parametrize("begun", ["", "x", "0123456789abcdef 999999999 5 - 1\n", "a b c d e f\n"])
def test_a_start_that_may_have_begun_is_never_repeated(machine, begun):
    machine.spool().mkdir(parents=True, mode=0o700)
    (machine.spool() / "begun").write_text(begun)
    answer = machine.start(f"printf x >> {machine.mark}")
    assert (answer.state, answer.code, machine.counted) == ("gone", None, 0)


def test_another_process_with_its_number_is_not_taken_for_it(plain):
    plain.start("sleep 30", wait_s=0)
    begun = plain.spool() / "begun"
    nonce, pid, born, boot, clock = begun.read_text().split()
    for words in (
        (nonce, str(os.getpid()), born, boot, clock),
        (nonce, pid, born, "another-boot", clock),
        (nonce, pid, "1", boot, clock),
        (nonce, pid, "-", boot, clock),
    ):
        begun.write_text(" ".join(words) + "\n")
        assert plain.look().state == "gone"
        assert plain.stop().state == "gone"
    assert is_alive(int(pid))
    begun.write_text(f"{nonce} {pid} {born} {boot} {clock}\n")
    assert plain.look().state == "running"


def test_one_that_was_killed_is_gone_with_what_it_said(machine):
    machine.start("echo begun\nsleep 60", wait_s=0)
    out = next(machine.spool().glob("s.*/out"))
    await_true(lambda: out.read_text() == "begun\n")
    pid = int((machine.spool() / "begun").read_text().split()[1])
    os.killpg(pid, signal.SIGKILL)
    await_true(lambda: not is_alive(pid))
    answer = machine.look()
    assert (answer.state, answer.code, answer.stdout.text) == ("gone", None, "begun\n")
    assert machine.start("echo again").state == "gone"


def test_the_folder_is_for_the_account_alone(machine):
    machine.start("echo a", secret="value")
    folders = [machine.base, machine.spool(), *machine.spool().glob("s.*")]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    files = [path for path in machine.spool().rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_the_script_shows_in_no_list_of_processes(machine):
    machine.start("sleep 30", wait_s=0, secret="not-for-the-neighbours")
    seen = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True)
    assert "not-for-the-neighbours" not in seen.stdout


def no_home(machine):
    del machine.environment["HOME"]


def relative_home(machine):
    machine.environment["HOME"] = "account"


def missing_home(machine):
    machine.home.rmdir()


def file_as_home(machine):
    machine.environment["HOME"] = str(machine.bin / "sh")


def read_only_home(machine):
    machine.environment["HOME"] = "/proc/self"


def home_of_everybody(machine):
    machine.home.chmod(0o1777)


def link_as_base(machine):
    (machine.folder / "elsewhere").mkdir()
    machine.base.symlink_to(machine.folder / "elsewhere")


def dead_link_as_base(machine):
    machine.base.symlink_to(machine.folder / "nowhere")


def file_as_base(machine):
    machine.base.write_text("")


def link_as_folder(machine):
    machine.base.mkdir(mode=0o700)
    (machine.folder / "elsewhere").mkdir()
    machine.spool().symlink_to(machine.folder / "elsewhere")


def file_as_folder(machine):
    machine.base.mkdir(mode=0o700)
    machine.spool().write_text("")


@pytest.mark.parametrize(
    "spoil",
    [
        no_home,
        relative_home,
        missing_home,
        file_as_home,
        read_only_home,
        home_of_everybody,
        link_as_base,
        dead_link_as_base,
        file_as_base,
        link_as_folder,
        file_as_folder,
    ],
)
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_without_a_folder_of_its_own_nothing_begins(tmp_path, spoil, shell):
    machine = Machine(tmp_path, shell)
    spoil(machine)
    answer = machine.start(f"printf x >> {machine.mark}")
    assert answer.state == "refused"
    assert len(answer.reason) > 10
    assert machine.counted == 0
    elsewhere = machine.folder / "elsewhere"
    assert not elsewhere.exists() or list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", [".outagekit", "folder"])
def test_the_folder_of_another_account_is_refused(tmp_path, name):
    machine = Machine(tmp_path)
    place = machine.base if name == ".outagekit" else machine.spool()
    place.mkdir(parents=True, mode=0o700)
    os.chown(place, 65534, 65534)
    assert machine.start("echo never").state == "refused"
    assert machine.release().state == "refused"


@pytest.mark.parametrize("spoil", [link_as_base, link_as_folder, file_as_folder])
def test_releasing_follows_no_link(tmp_path, spoil):
    machine = Machine(tmp_path)
    spoil(machine)
    elsewhere = machine.folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "keep").write_text("x")
    assert machine.release().state == "refused"
    assert (elsewhere / "keep").exists()


def test_a_link_the_script_left_is_removed_without_what_it_leads_to(plain):
    kept = plain.folder / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    plain.start(f"ln -s {kept} {plain.spool()}/link")
    assert plain.release().state == "released"
    assert (kept / "file").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a small disk of its own")
def test_a_full_disk_starts_nothing_and_hides_no_end(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root mounts one")
    machine = Machine(tmp_path)
    words = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(machine.home)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        answer = machine.start(f"printf x >> {machine.mark}\n#" + "y" * 80_000)
        assert (answer.state, machine.counted) == ("refused", 0)
        assert "written" in answer.reason
        answer = machine.start("while :; do printf 0123456789012345678901234567890123456789; done")
        assert (answer.state, answer.code) == ("ended", 1)
        assert machine.release().state == "released"
    finally:
        subprocess.run(["umount", "-l", str(machine.home)], check=True)


def test_of_much_output_beginning_and_end_are_sent(machine):
    size = 3 * detached.KEEP_BYTES
    line = "0123456789abcdef"
    script = f'awk \'BEGIN {{ for (i = 0; i < {size // 17}; i++) print "{line}"; print "last" }}\''
    first = machine.start(f"echo first\n{script}\necho small >&2")
    rest = machine.ask(commands.collect_rest(ID, step="mend"))
    half = detached.KEEP_BYTES // 2 + detached.MARGIN_BYTES
    assert len(first.stdout.text) == len(rest.stdout.text) == half
    assert (first.stderr.text, rest.stderr.text) == ("small\n", "")
    whole = detached.joined(first.stdout, rest.stdout)
    assert whole.truncated
    assert whole.size_bytes == size // 17 * 17 + len("first\nlast\n")
    assert whole.text.startswith("first\n")
    assert whole.text.endswith(f"{line}\nlast\n")
    assert f"[{whole.size_bytes - detached.KEEP_BYTES} bytes left out]" in whole.text
    assert detached.joined(first.stderr, rest.stderr).text == "small\n"


def test_nothing_near_a_cut_is_shown_that_could_be_half_a_secret():
    size = 10 * detached.KEEP_BYTES
    half = detached.KEEP_BYTES // 2 + detached.MARGIN_BYTES
    first = Captured("a" * (half - 5) + "secre", size)
    rest = Captured("ecret" + "b" * (half - 5), size)
    text = detached.joined(first, rest).text
    assert "sec" not in text
    assert "ecr" not in text
    # What was taken out before makes the pieces shorter, not the distance to the cut.
    short = detached.joined(Captured("ab" + "secre" * 9, size), Captured("ecret" * 9 + "z", size))
    assert "s" not in short.text.replace("bytes", "")


def test_text_that_grew_on_its_way_is_cut_too():
    grown = Captured("x" * (3 * detached.KEEP_BYTES), 100)
    text = detached.joined(grown).text
    assert len(text) < detached.KEEP_BYTES + 100


@given(st.text(), st.text())
def test_every_id_gives_a_safe_name_of_its_own(one, other):
    name = detached.folder_name(one)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert name[0] not in ".-"
    assert len(name) <= 57
    assert (name == detached.folder_name(other)) == (one == other)


@pytest.mark.parametrize(
    "detach", ["../../x", "/etc", "", "$(touch x)", "'\n;rm -rf /", "\ud800", "a" * 9999, "Ünïcödé"]
)
def test_a_hostile_id_stays_in_its_folder(plain, detach):
    assert plain.start("echo fine", detach=detach).stdout.text == "fine\n"
    assert [path.name for path in plain.base.iterdir()] == [detached.folder_name(detach)]
    assert plain.release(detach).state == "released"
    assert list(plain.home.iterdir()) == []


@pytest.mark.parametrize("step", ["", "-", "a b", "x;y", "X", "a\n"])
def test_only_a_step_names_a_command(step):
    with pytest.raises(OutagekitError):
        commands.collect(ID, step=step)


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "outagekit-detached\n",
        "outagekit-detached ended code= age=1 out=0 err=0\n",
        "outagekit-detached ended\n",
        "outagekit-detached nonsense code=1\n",
        "outagekit-detached ended code=0 age=-1\n",
        f"outagekit-detached ended code=0 age={'9' * 5000}\n",
        "x outagekit-detached running\n",
    ],
)
def test_what_is_no_answer_is_none(stdout):
    assert detached.parse_answer(Outcome(0, Captured(stdout))) is None


def test_an_answer_with_an_exit_code_is_none():
    told = Captured(detached.answer_started())
    assert detached.parse_answer(Outcome(0, told)) is not None
    assert detached.parse_answer(Outcome(2, told)) is None


def test_what_a_login_shell_says_before_is_left_out():
    told = Captured("Welcome!\n" + detached.answer_ended(0, "out\n", ""))
    answer = detached.parse_answer(Outcome(0, told))
    assert answer.stdout.text == "out\n"


@given(st.integers(0, 255), st.text(), st.text())
def test_what_a_simulated_machine_answers_is_understood(code, stdout, stderr):
    stdout, stderr = (text.encode("utf-8", "replace").decode() for text in (stdout, stderr))
    told = Captured(detached.answer_ended(code, stdout, stderr, age_s=7))
    answer = detached.parse_answer(Outcome(0, told, Captured(stderr)))
    assert (answer.state, answer.code, answer.age_s) == ("ended", code, 7)
    assert (answer.stdout.text, answer.stderr.text) == (stdout, stderr)
    assert answer.stdout.size_bytes == len(stdout.encode())
    started = detached.parse_answer(Outcome(0, Captured(detached.answer_started(3))))
    assert (started.state, started.age_s) == ("running", 3)
    released = detached.parse_answer(Outcome(0, Captured(detached.answer_released())))
    assert released.state == "released"


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_a_simulated_machine_finds_the_script_in_its_start(text):
    command = commands.start(ID, Code("sh", text), {}, step="mend")
    script = render(Code("sh", text), {}, step="mend", part="script").stdin
    assert commands.script_in(command.stdin) == script
    assert commands.script_in(b"{ {\n} </dev/null\n}") == b""


def test_attachers_and_a_release_at_the_same_time_run_it_no_second_time(plain):
    text = f"printf x >> {plain.mark}"
    plain.start(text)
    over = threading.Event()
    states = set()

    def look_on():
        while not over.is_set():
            states.add(plain.look().state)

    threads = [threading.Thread(target=look_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    plain.release()
    over.set()
    for thread in threads:
        thread.join()
    assert states <= {"ended", "gone", "absent", "refused"}
    assert plain.counted == 1

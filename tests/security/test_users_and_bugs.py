"""An unlucky person: no home, a poor terminal, a bug of ours. What is said stays a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOMELESS = """\
import os, sys
from pathlib import Path
Path.home = classmethod(lambda cls: (_ for _ in ()).throw(RuntimeError("no home")))
expanduser = os.path.expanduser
os.path.expanduser = lambda path: path
import pwd
pwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid))
sys.argv[0] = "outagekit"
from outagekit.cli.app import main
main()
"""


@pytest.mark.parametrize(
    "words",
    [
        ("log", "list"),
        ("ping", "--limit", "all"),
        ("ping", "--host", "ops@127.0.0.1:9", "--os", "linux"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("with_state", [True, False], ids=["state", "no state"])
def test_a_user_without_a_home_folder_is_told_what_to_do(hostile, words, with_state):
    msp = hostile(one=lambda visit: visit.done())
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        msp.environment[name] = ""
    if not with_state:
        msp.environment["OUTAGEKIT_STATE"] = ""
    ran = msp.call(*words, through=("-c", HOMELESS))
    ran.require_calm()
    assert not (msp.folder / "~").exists()
    assert ran.code in ({0, 3, 4, 8} if with_state else {0, 2}), ran.spoken()
    if ran.code == 2:
        assert "--state-dir" in ran.err


BROKEN = """\
import importlib, sys
place, name, kind = sys.argv[1:4]
sys.argv = ["outagekit", *sys.argv[4:]]
import outagekit.cli.app, outagekit.cli.end.summary, outagekit.cli.live.lines, outagekit.cli.running
import outagekit.log.verify, outagekit.transports.ssh
*above, last = name.split(".")
owner = importlib.import_module(place)
for part in above:
    owner = getattr(owner, part)
whole = getattr(owner, last)
def broken(*_, **__):
    raise getattr(__builtins__, kind)("a made-up word \\udcff \\x1b[31m")
owners = [owner]
if not above:
    ours = [m for n, m in list(sys.modules.items()) if n.startswith("outagekit")]
    owners = [module for module in ours if getattr(module, last, None) is whole]
for owner in owners:
    setattr(owner, last, broken)
outagekit.cli.app.main()
"""


@pytest.mark.parametrize(
    ("place", "code", "kind"),
    [
        ("outagekit.cli.render:Screen.__init__", 1, "ValueError"),
        ("outagekit.plan.build:build_plan", 1, "RecursionError"),
        ("outagekit.run.coordinator:decide", 1, "OSError"),
        ("outagekit.cli.end.summary:summary", 1, "ValueError"),
        ("outagekit.log.tail:encode_line", 11, "ValueError"),
        ("outagekit.cli.live.lines:Narrator.lines", 0, "ValueError"),
        ("outagekit.log.subscribers:Subscription._deliver", 0, "ValueError"),
        ("outagekit.transports.ssh.transport:SshTransport.open", 3, "OSError"),
    ],
    ids=lambda value: str(value).rpartition(":")[2],
)
def test_a_bug_at_any_depth_and_in_any_thread_leaves_no_traceback(hostile, place, code, kind):
    msp = hostile(one=lambda visit: visit.done())
    module, _, name = place.partition(":")
    words = ("exec", "--read", "--limit", "all", "--sh", "x")
    ran = msp.call(module, name, kind, *words, through=("-c", BROKEN))
    assert ran.code == code, ran.spoken()
    assert "Traceback" not in ran.spoken()
    assert all(c.isprintable() or c == "\n" for c in ran.spoken())
    if code == 1:
        assert f"internal error ({kind}); the details are in" in ran.err
        (report,) = Path(os.environ["XDG_STATE_HOME"]).rglob("bug-*.txt")
        assert name.rpartition(".")[2] in report.read_text()
        assert report.stat().st_mode & 0o077 == 0 or os.name == "nt"


@pytest.mark.parametrize(
    "surroundings",
    [
        {"TERM": "dumb", "COLUMNS": "0", "LINES": "5"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"TZ": "Nowhere/At-all", "PYTHONTZPATH": "/nonexistent", "COLUMNS": "-5"},
    ],
    ids=str,
)
def test_poor_surroundings_change_no_verdict(hostile, surroundings):
    def tell(visit):
        visit.say("größer 漢 \x1b[31m\n")
        visit.done()

    msp = hostile(secret="pässword-made-up", one=tell)
    msp.environment.update(surroundings)
    ran = msp.call("exec", "--read", "--limit", "all", "--sh", "x", "-vv")
    assert ran.code == 0, ran.spoken()
    ran.require_calm()

"""Values of people and of endpoints go through real shells of a real sshd without being run."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import sys

import pytest

from outagekit.testing.sshd import find_sshd, free_port, make_key, sshd

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))
ADDRESS = "127.45.1.1"
USER = getpass.getuser()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        find_sshd() is None and not REQUIRED, reason="OpenSSH's sshd is not installed"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is there on Linux only"),
]

VALUES = {
    "quote": "it's",
    "quotes": "'\"''\"\"'",
    "shut": "'; touch PWNED; '",
    "brace": "} </dev/null\n}\ntouch PWNED #",
    "document": "EOF\ntouch PWNED\nEOF",
    "command": "$(touch PWNED) `touch PWNED` ${HOME} $HOME $((1+1)) $'\\x41'",
    "jinja": "{{ 7 * 7 }} {% raw %} {# c #} {{ look.text }}",
    "slash": "\\ \\\\ \\n \\' trailing \\",
    "lines": "one\ntwo\r\nthree\n\n",
    "newline": "\n",
    "blank": "  both ends\t",
    "dash": "-rf",
    "dashes": "--",
    "glob": "* ? [a-z] ~ {a,b} !! !x",
    "operators": "; & | && || < > >> ( ) #",
    "unicode": "größer 漢字 \U0001f600 e\u0301 \u202eturned\u202c \u2028 \ufeff",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9b31m",
    "escape": "\x1b[31m\x1b]0;x\x07",
    "assign": "x=1 PATH=/nowhere",
    "percent": "%s %n %% %(x)s",
    "long": "x'" * 20_000,
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("values")
    login = make_key(folder / "login")
    port = free_port(ADDRESS)
    with sshd(folder / "sshd", [ADDRESS], port, login_keys=[login.public]) as host:
        yield port, login, host


@pytest.fixture
def desk(tmp_path, machine):
    """A workspace with one machine behind a real sshd, and a folder the machine writes to."""
    port, login, host = machine
    root = tmp_path / "desk"
    for name in ("inventory", "playbooks", "trust/acme", "there"):
        (root / name).mkdir(parents=True)
    (root / "outagekit.yaml").write_text("outagekit: 1\n")
    (root / "inventory" / "acme.yaml").write_text(
        "outagekit: 1\nclient: acme\nagreement: {id: M, allows: [diagnose, remediate]}\n"
        f"credentials: {{c: {{user: {USER}, key: {login.private}}}}}\n"
        f"endpoints: {{one: {{address: {ADDRESS}, port: {port}, os: linux, credential: c}}}}\n"
    )
    known = f"[{ADDRESS}]:{port} {host.public}\n"
    (root / "trust" / "acme" / "known_hosts").write_text(known)
    return root


def quoted(text):
    """Return a text as YAML writes it in double quotes."""
    safe = (c if c.isprintable() and c not in '\\"' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(safe)}"'


def leaving(shell):
    each = "".join(f"      printf '%s' \"$OK_{n.upper()}\" > {n}\n" for n in VALUES)
    return (
        f"  - id: leave\n    phase: assess\n    risk: read\n    {shell}: |\n"
        f'      cd "$OK_FOLDER"\n{each}'
    )


def require_as_they_were(folder):
    for name, value in VALUES.items():
        assert (folder / name).read_bytes() == value.encode(), name
    assert sorted(path.name for path in folder.iterdir()) == sorted(VALUES)


def require_calm(ran):
    for text in (ran.out, ran.err):
        assert all(c.isprintable() or c in "\n\t" for c in text)
        assert "internal error" not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_no_value_a_person_gives_is_run_or_altered(desk, call_in, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"this machine has no {shell}")
    there = desk / "there"
    names = "".join(f"  {name}: {{help: x}}\n" for name in ("folder", *VALUES))
    (desk / "playbooks" / "leave.yaml").write_text(
        f"outagekit: 1\ntitle: Leave\ntargets: all\nparams:\n{names}steps:\n{leaving(shell)}"
    )
    given = desk / "given.yaml"
    values = {**VALUES, "folder": str(there)}
    given.write_text("".join(f"{name}: {quoted(value)}\n" for name, value in values.items()))
    ran = call_in(desk, "run", "leave", "--params", str(given), "-vv")
    assert ran.code == 0, ran.spoken()
    require_calm(ran)
    require_as_they_were(there)


def test_no_text_an_endpoint_gives_is_run_altered_or_obeyed_in_a_later_step(desk, call_in):
    there = desk / "there"
    (desk / "told.json").write_text(json.dumps(VALUES))
    fields = "".join(f"      {name}: text\n" for name in VALUES)
    given = "".join(f"      {name}: look.{name}\n" for name in VALUES)
    (desk / "playbooks" / "tell.yaml").write_text(
        "outagekit: 1\ntitle: Tell\ntargets: all\nparams:\n  folder: {help: x}\nsteps:\n"
        f"  - id: look\n    phase: assess\n    risk: read\n    sh: cat {desk}/told.json\n"
        f"    result:\n{fields}"
        f"{leaving('sh')}    with:\n{given}"
        "    when: look.jinja != '49' and 'touch' in look.command and look.dash == '-rf'\n"
        "  - id: no\n    phase: assess\n    risk: read\n    sh: touch PWNED\n"
        "    when: look.jinja == look.slash\n"
    )
    for shown in (("-vv",), ("--json",), ("--events", "jsonl")):
        for path in there.iterdir():
            path.unlink()
        state = desk / f"state{len(shown)}{shown[0]}"
        ran = call_in(desk, "run", "tell", "-p", f"folder={there}", *shown, state=state)
        assert ran.code == 0, ran.spoken()
        require_calm(ran)
        require_as_they_were(there)
        (log,) = state.rglob("log.jsonl")
        assert len(log.read_text().splitlines()) == log.read_bytes().count(b"\n")

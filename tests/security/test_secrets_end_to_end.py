"""A secret that an endpoint gives back, however spelt, stands in no file and on no screen."""

from __future__ import annotations

import base64
import html
import json
import struct
import urllib.parse

import pytest

SECRET = "Zq9+/=\"$x<7&é'Kd8Lm"
"""Made up for this test: characters that every way of quoting changes."""
SHORTEST_TELLING = 8


def spellings(secret):
    data, wide = secret.encode(), secret.encode("utf-16-le")
    return {
        "plain": secret,
        "base64": base64.b64encode(data).decode(),
        "base64 inside": base64.b64encode(b"x" + data + b"z").decode(),
        "base64 further inside": base64.b64encode(b"xy" + data + b"z").decode(),
        "base64 for URLs": base64.urlsafe_b64encode(data).decode(),
        "base64 of UTF-16": base64.b64encode(wide).decode(),
        "hexadecimal": data.hex(),
        "HEXADECIMAL": data.hex().upper(),
        "URL": urllib.parse.quote(secret, safe=""),
        "JSON": json.dumps(secret)[1:-1],
        "JSON, all of it": "".join(f"\\u{ord(character):04x}" for character in secret),
        "XML": html.escape(secret),
        "shell": secret.replace("'", "'\\''"),
        "PowerShell": secret.replace("'", "''"),
        "Python": repr(secret)[1:-1],
        "UTF-16": wide.decode("utf-8", "backslashreplace").strip("\0"),
        "UTF-16, big end first": secret.encode("utf-16-be")
        .decode("utf-8", "backslashreplace")
        .strip("\0"),
    }


def texts(value):
    """Yield every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def require_nothing_leaked(ran, secret=SECRET):
    """Look for the secret, its spellings and its beginning, as bytes and in decoded JSON."""
    raw = ran.spoken() + ran.kept().decode("utf-8", "replace")
    log = [json.loads(line) for line in (ran.run / "log.jsonl").read_text().splitlines()]
    spoken = json.loads(ran.out) if ran.out.startswith("{\n") else None
    everything = "\n".join((raw, *texts([log, spoken])))
    assert "[secret " in everything
    for name, spelling in {**spellings(secret), "beginning": secret[:SHORTEST_TELLING]}.items():
        # At both ends a character of base64 also holds bits of its neighbours.
        told = spelling[4:-4] if name.startswith("base64") else spelling
        at = everything.find(told)
        assert at < 0, (name, everything[max(at - 60, 0) : at + 60])


def in_pieces(visit, data, size):
    for start in range(0, len(data), size):
        visit.say(data[start : start + size])
        visit.say(data[start : start + size], error=True)


@pytest.mark.parametrize("size", [1, 4096])
def test_no_spelling_printed_in_pieces_of_any_size_is_kept(hostile, size):
    def tell(visit):
        for name, spelling in spellings(SECRET).items():
            if name.startswith("UTF-16"):
                encoding = "utf-16-be" if "big" in name else "utf-16-le"
                in_pieces(visit, SECRET.encode(encoding), size)
            else:
                in_pieces(visit, f"<{spelling}>".encode(), size)
            visit.say(f"\n<- {name}\n")
        visit.done(3)

    msp = hostile(secret=SECRET, teller=tell)
    read = ("exec", "--read", "--limit", "all", "--sh", "x")
    for shown in (("--json",), ("--events", "jsonl"), ("--plain", "-vv")):
        ran = msp.call(*read, *shown)
        assert ran.code == 3
        require_nothing_leaked(ran)
        assert SECRET not in msp.again(ran.state, "log", "show", "-vv").spoken()


def test_no_message_made_of_a_servers_words_keeps_a_secret_or_its_beginning(hostile, manners):
    long = b"z" * 190

    def refuses(channel):
        size = struct.unpack(">I", channel.recv(4))[0]
        channel.recv(size)
        channel.sendall(struct.pack(">IBI", 5, 2, 3))
        while True:
            size = struct.unpack(">I", channel.recv(4))[0]
            number = channel.recv(size)[1:5]
            words = long + SECRET.encode()
            body = number + struct.pack(">II", 4, len(words)) + words + struct.pack(">I", 0)
            channel.sendall(struct.pack(">IB", len(body) + 1, 101) + body)

    def say(*, code, error):
        def act(visit):
            visit.say(long + SECRET.encode(), error=error)
            visit.done(code)

        return act

    msp = hostile(
        secret=SECRET,
        goodbye=manners(login=lambda host, word: host.hang_up(long + word.encode()) or 2),
        killed=lambda visit: visit.killed_by(long + SECRET.encode()),
        notsh=manners(identify=say(code=9, error=True)),
        motd=manners(identify=say(code=0, error=False)),
        failing=say(code=4, error=True),
        files=manners(sftp=refuses),
        machine=manners(
            identify=lambda v: (v.say(f"machine-id={SECRET}\nboot-id={SECRET}\n"), v.done())
        ),
    )
    msp.playbook(
        "both",
        "  - {id: look, phase: assess, risk: read, sh: x}\n"
        "  - {id: get, phase: assess, fetch: /x}\n",
    )
    for shown in (("--json",), ("--plain", "-vv")):
        ran = msp.call("run", "both", *shown)
        assert ran.code == 3
        ran.require_calm()
        require_nothing_leaked(ran)
    assert SECRET not in (msp.folder / "trust" / "acme" / "machines.json").read_text()


def half_escaped(secret):
    """Spell a text in JSON with every second character as an escape: no list holds them all."""
    plain = [json.dumps(character)[1:-1] for character in secret]
    return "".join(
        f"\\u{ord(character):04x}" if place % 2 else plain[place]
        for place, character in enumerate(secret)
    )


def test_a_result_does_not_carry_a_secret_that_its_json_hid(hostile):
    hidden = half_escaped(SECRET)
    assert json.loads(f'"{hidden}"') == SECRET

    def tell(text):
        def act(visit):
            visit.say(f"{text}\n")
            visit.done()

        return act

    msp = hostile(
        secret=SECRET,
        text=tell(f'{{"t": "{hidden}", "l": [1]}}'),
        items=tell(f'{{"t": "x", "l": [{{"{hidden}": ["{hidden}"]}}]}}'),
        kind=tell(f'{{"t": ["{hidden}"], "l": [1]}}'),
        cut=tell(f'{{"t": ["{"z" * 50}{hidden}"], "l": [1]}}'),
    )
    msp.playbook(
        "tell",
        "  - {id: tell, phase: assess, risk: read, sh: x, result: {t: text, l: list}}\n"
        "  - id: use\n    phase: assess\n    risk: read\n    sh: x\n"
        "    with: {t: tell.t, l: tell.l}\n",
    )
    ran = msp.call("run", "tell", "--json", "-vv")
    ran.require_calm()
    ends = {e["endpoint"]: e for e in json.loads(ran.out)["endpoints"]}
    assert ends["acme/text"]["steps"]["tell"]["result"]["t"] == "[secret text password]"
    require_nothing_leaked(ran)


INVENTORY = """\
outagekit: 1
client: acme
credentials:
  ops: {{user: {user}, {key}: {value}}}
sites: {{b: {{jump: '{jump}'}}}}
endpoints:
  a: {{address: '{address}', os: linux, credential: ops}}
"""
PROPER = {
    "user": "ops",
    "key": "password",
    "value": "'env:WORD'",
    "jump": "ops@bastion.example",
    "address": "10.0.0.1",
}
LITERAL = "Tr0ub4dor-and-3"


@pytest.mark.parametrize(
    "written",
    [
        {"value": LITERAL},
        {"value": f"'{LITERAL}'"},
        {"value": f"{{x: {LITERAL}}}"},
        {"value": f"'keyrng:{LITERAL}'"},
        {"value": f"'cmd:vault {LITERAL}'"},
        {"key": "pasword", "value": LITERAL},
        {"key": "pass", "value": LITERAL},
        {"key": "PW", "value": LITERAL},
        {"key": "Passwort", "value": LITERAL},
        {"address": f"ssh://ops:{LITERAL}@10.0.0.1"},
        {"address": f"ops:{LITERAL}@10.0.0.1"},
        {"jump": f"ops:{LITERAL}@bastion.example"},
    ],
    ids=str,
)
def test_a_password_written_into_an_inventory_is_not_repeated(hostile, written):
    msp = hostile(nobody=lambda visit: visit.done())
    path = msp.folder / "inventory" / "acme.yaml"
    path.write_text(INVENTORY.format(**{**PROPER, **written}))
    for words in (("check", "."), ("plan", "bad-update-rollback")):
        ran = msp.call(*words)
        assert ran.code == 8
        ran.require_calm()
        assert LITERAL not in ran.spoken()
        assert "acme.yaml:" in ran.spoken()


def test_a_password_in_a_host_is_not_repeated(hostile):
    msp = hostile(nobody=lambda visit: visit.done())
    ran = msp.call("ping", "--os", "linux", "--host", f"ops:{LITERAL}@10.0.0.1")
    assert ran.code == 2
    assert LITERAL not in ran.spoken()


def test_a_variable_that_is_no_text_is_refused_before_anything_is_opened(hostile):
    msp = hostile(one=lambda visit: visit.done())
    msp.environment["ENTRY_WORD"] = "half\udcff"
    ran = msp.call("ping", "--limit", "all")
    assert ran.code == 8
    ran.require_calm()
    assert "not UTF-8" in ran.err

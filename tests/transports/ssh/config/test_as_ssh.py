"""Every answer is the one `ssh -G` gives, for configs by hand and configs by chance."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Judge

pytestmark = pytest.mark.e2e
HOSTS = ("web-01", "WEB-01", "db.acme.example", "192.0.2.7")

NASTY = {
    "empty": "",
    "comments and space": "# a\n   # b\n\n\t\nPort 2200\n",
    "equals": "Port=2201\nUser = ops\n",
    "two equals": "Port==22\n",
    "equals then quote": 'Port="2202"\n',
    "spaced equals": "Port  =  2203\n",
    "quoted keyword": '"Port" 2204\n',
    "quoted keyword then equals": '"Port"=2204\n',
    "keyword with an open quote": '"Port 2204\nUser x\n',
    "leading equals": "=Port 2205\n",
    "case": "pOrT 2206\nhOsTnAmE Real.Example\n",
    "tabs": "\tPort\t2207\t\n",
    "carriage returns": "Port 2208\r\nUser ops\r\n",
    "form feed at the end": "Port 2209\f\n",
    "form feed alone": "\f\nPort 22\n",
    "no newline at the end": "Port 2210",
    "nul in a line": "Port 2210\0 99\nUser a\n",
    "trailing comment": "Port 2211 # the odd one\nUser ops#x\n",
    "comment only": "User # nobody\n",
    "no argument": "Port\n",
    "two arguments": "Port 22 23\n",
    "empty argument": 'User ""\n',
    "single quotes": "User 'a b'\n",
    "quotes in a word": "User o'p's\"x\"\n",
    "backslashes": "User ACME\\\\ops\nIdentityFile a\\ b\nIdentityFile a\\b\n",
    "backslash in quotes": 'User "a\\"b\\ c"\n',
    "open quote": "User 'ops\n",
    "open quote in another block": "Host never\n User 'ops\n",
    "first wins": "Port 1\nPort 2\nHost *\n Port 3\n",
    "files add up": "IdentityFile a\nIdentityFile b\nIdentityFile a\nCertificateFile c\n",
    "files of two blocks": "Host web*\n IdentityFile a\nHost *\n IdentityFile b\n",
    "file none": "IdentityFile none\nIdentityFile b\n",
    "bad port": "Host never\n Port 0x16\n",
    "port 0": "Port 0\n",
    "port 65536": "Port 65536\n",
    "port with a plus": 'Port "  +0022"\n',
    "port of a service": "Port https\n",
    "wildcards": "Host web-?? db.*\n Port 1\nHost *\n Port 2\n",
    "negated": "Host *.example !db.*\n Port 1\nHost * !web-01\n Port 2\n",
    "negated alone": "Host !web-01\n Port 1\n",
    "negated first": "Host !web-01 *\n Port 1\n",
    "comma in Host": "Host web-01,db.acme.example\n Port 1\n",
    "host with a comment": "Host web-01 # *\n Port 1\n",
    "host without patterns": "Host #\n Port 1\n",
    "host with an empty pattern": 'Host ""\n',
    "host is case sensitive": "Host WEB-01\n Port 1\nMatch host web-01\n Port 2\n",
    "many stars": "Host *w*e*b*-*0*1*\n Port 1\nHost **\n Port 2\n",
    "hostname token": "HostName %h.acme.example\n",
    "hostname percent": "HostName a%%h\n",
    "hostname bad token": "HostName %n.example\n",
    "hostname lone percent": "HostName a%\n",
    "hostname number": "HostName 127.1\n",
    "hostname long ip6": "HostName 2001:DB8:0:0:0:0:0:1\n",
    "hostname then match": "HostName real\nMatch host real\n Port 1\nMatch originalhost web-01\n"
    " User a\n",
    "match all": "Match all\n Port 1\n",
    "match all with a comment": "Match all # yes\n Port 1\n",
    "match not all": "Match !all\n Port 1\nMatch all\n Port 2\n",
    "match all too much": "Match all user x\n",
    "match canonical all": "Match canonical all\n Port 1\nMatch all\n Port 2\n",
    "match user then all": "Match user root all\n Port 1\n",
    "match user host all": "Match user root host x all\n Port 1\n",
    "match nothing": "Match # all\n",
    "match unknown": "Match colour blue\n",
    "match without argument": "Match host\n",
    "match list": "Match host web-*,!web-02\n Port 1\nMatch host !web-01\n Port 2\n",
    "match negated": "Match !host web-*\n Port 1\nMatch !user root,ops\n Port 2\n",
    "match user": "Match user ops\n Port 1\nUser ops\nMatch user ops\n Port 2\n",
    "match with equals": "Match host=web-01 user=root\n Port 1\n",
    "match quoted": 'Match host "web-01,db*" user "root"\n Port 1\n',
    "match open quote": 'Match host "web-01\n Port 1\n',
    "match upper case": "MATCH HOST WEB-01\n Port 1\n",
    "match localuser": "Match localuser root,*\n Port 1\n",
    "match final": "Match final\n Port 1\nHost web-01\n HostName real\nHost real\n User late\n",
    "match final host": "HostName real.example\nMatch final host real.example\n Port 1\n",
    "match not final": "Match !final\n Port 1\nMatch final\n User x\n",
    "match final out of reach": "Match host never final\n Port 1\nHost web-01\n HostName real\n"
    "Host real\n User late\n",
    "final adds no file twice": "IdentityFile a\nMatch final\n IdentityFile b\n IdentityFile a\n",
    "match exec true": "Match exec true\n Port 1\nMatch !exec true\n Port 2\n",
    "match exec false": "Match exec false\n Port 1\nMatch !exec false\n Port 2\n",
    "match exec tokens": 'Match exec "test %h = web-01 -a %p = 22 -a %n = web-01"\n Port 1\n',
    "match exec alias": 'HostKeyAlias al\nMatch exec "test %k = al -a %r = %u"\n Port 1\n',
    "match exec bad token": "Match exec %z\n Port 1\n",
    "match exec not reached": "Match host never exec %z\n Port 1\n",
    "proxy command": 'ProxyCommand nc -x "a b" %h %p # word\n',
    "proxy command equals": "ProxyCommand = nc %h\n",
    "proxy command open quote": "ProxyCommand nc '\n",
    "proxy command none": "ProxyCommand none\nProxyJump b\n",
    "proxy command NONE": "ProxyCommand NONE\n",
    "proxy jump": "ProxyJump ops@b.example:2222\n",
    "proxy jump chain": "ProxyJump a,ops@b,ssh://u%40x@c.example:2222\n",
    "proxy jump ip6": "ProxyJump ops@[2001:db8::1]:22\n",
    "proxy jump ip4": "ProxyJump 192.0.2.1\n",
    "proxy jump none": "ProxyJump none\nProxyCommand nc\n",
    "proxy jump then command": "ProxyJump b\nProxyCommand nc\n",
    "proxy command then jump": "ProxyCommand nc\nProxyJump b\n",
    "proxy jump none chain": "ProxyJump a,none\n",
    "proxy jump slash": "Host never\n ProxyJump a/b\n",
    "proxy jump empty hop": "ProxyJump a,,b\n",
    "proxy jump no user": "ProxyJump @b\n",
    "proxy jump bad port": "ProxyJump b:x!\n",
    "proxy jump port 0": "ProxyJump b:0\n",
    "proxy jump empty port": "ProxyJump b:\n",
    "proxy jump uri path": "ProxyJump ssh://b/x\n",
    "proxy jump uri slash": "ProxyJump ssh://b/\n",
    "proxy jump uri odd": "ProxyJump ssh://-b\n",
    "proxy jump uri dot": "ProxyJump ssh://b.:22\n",
    "proxy jump uri params": "ProxyJump ssh://u;x=y@b\n",
    "proxy jump with a comment": "ProxyJump b # near\n",
    "proxy jump bracket": "ProxyJump [b\n",
    "proxy jump spaces": "ProxyJump a, b\n",
    "proxy jump to itself": "ProxyJump web-01\n",
    "proxy jump to itself with user": "ProxyJump ops@web-01\nUser ops\n",
    "proxy jump almost itself": "ProxyJump web-01:2222\n",
    "time": "ConnectTimeout 1h2m3s\n",
    "time none": "ConnectTimeout none\n",
    "time none, then another": "ConnectTimeout none\nConnectTimeout 7\n",
    "time 0": "ConnectTimeout 0\n",
    "time bad": "Host never\n ConnectTimeout 5x\n",
    "time sign": "ConnectTimeout +5\n",
    "time minus": "ConnectTimeout -5\n",
    "time huge": "ConnectTimeout 9999999999\n",
    "time twice": "ConnectTimeout 5 6\n",
    "flag": "IdentitiesOnly TRUE\n",
    "flag bad": "Host never\n IdentitiesOnly maybe\n",
    "family": "AddressFamily INET6\n",
    "family of no address": "AddressFamily inet6\nHostName 127.1\n",
    "family bad": "AddressFamily ipv4\n",
    "alias": "HostKeyAlias FoO\n",
    "agent": "IdentityAgent ~/x-%h-%n-%p-%r-%u-%i-%L-%l-%d-%C-%k-%%\n",
    "agent none": "IdentityAgent none\n",
    "agent variable": "IdentityAgent $SOME_AGENT\n",
    "agent variable bad": "IdentityAgent $SOME-AGENT\n",
    "agent in braces": "IdentityAgent ${SOME_AGENT}/x\n",
    "agent missing variable": "Host never\n IdentityAgent ${NO_SUCH_VARIABLE}\n",
    "agent open brace": "IdentityAgent ${SOME_AGENT\n",
    "agent as ever": "IdentityAgent SSH_AUTH_SOCK\n",
    "agent bad token": "IdentityAgent %z\n",
    "unknown": "Colour blue\n",
    "unknown in another block": "Host never\n Colour blue\n",
    "unknown ignored": "IgnoreUnknown col*,x\nColour blue\nHost never\n Colour red\n",
    "unknown ignored too late": "Colour blue\nIgnoreUnknown Colour\n",
    "unknown ignored elsewhere": "Host never\n IgnoreUnknown Colour\n Colour blue\n",
    "unknown ignored but one": "IgnoreUnknown *,!colour\nColour blue\n",
    "deprecated": "Protocol 2\nCipher blowfish\nRSAAuthentication no\nUseRoaming no\nPort 1\n",
    "aliases": "IdentityFile2 a\nKeepAlive yes\nPort 1\n",
    "canonicalize": "CanonicalizeHostname always\nMatch canonical\n Port 1\nMatch all\n Port 2\n",
    "byte order mark": "\ufeffPort 1\n",
    "latin1": "User caf\udce9\n",
    "system defaults": "SendEnv LANG LC_*\nHashKnownHosts yes\nGSSAPIAuthentication yes\n",
}


@pytest.fixture(autouse=True)
def an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_AGENT", "/run/agent")


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_config_means_what_it_means_to_ssh(judge: Judge, name: str) -> None:
    judge.write(NASTY[name])
    judge.compare("web-01")
    judge.compare("db.acme.example", user="ops", port=2022)


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "::0001", "fe80::1%lo", "WEB", "a b", "-x", "a;b", "a$b", "[::1]"]
)
def test_odd_names_mean_what_they_mean_to_ssh(judge: Judge, host: str) -> None:
    judge.write("Match host web\n Port 1\nHost WEB\n User ops\n")
    judge.compare(host)


@pytest.mark.parametrize("user", ["a;b", "-x", "a b", "a -b", "ACME\\ops", "a\\", "$x", "a`b`"])
def test_odd_users_mean_what_they_mean_to_ssh(judge: Judge, user: str) -> None:
    judge.write("Port 1\n")
    judge.compare("web-01", user=user)


INCLUDING = {
    "a file": ("Include @one\nPort 2\n", {"one": "Port 1\n"}),
    "a glob in order": ("Include @b*\n", {"b2": "Port 2\n", "b1": "Port 1\n"}),
    "several": ("Include @one @two\n", {"one": "User a\n", "two": "User b\nPort 2\n"}),
    "nothing there": ("Include @missing\nPort 2\n", {}),
    "in a block": ("Host web-01\n Include @one\n User b\nHost *\n User c\n", {"one": "Port 1\n"}),
    "in a block that does not match": (
        "Host never\n Include @one\n User b\nHost *\n User c\n",
        {"one": "Port 1\nHost *\n Port 3\n"},
    ),
    "its blocks end with it": (
        "Host web-01\n Include @one\n User b\n",
        {"one": "Host never\n Port 1\n"},
    ),
    "a fault where nothing matches": ("Host never\n Include @one\n", {"one": "Colour blue\n"}),
    "an ignored fault": ("IgnoreUnknown c*\nHost never\n Include @one\n", {"one": "Colour b\n"}),
    "final in a block that does not match": (
        "Host never\n Include @one\nHost web-01\n HostName real\nHost real\n User late\n",
        {"one": "Match final\n Port 1\n"},
    ),
    "nested": ("Include @one\n", {"one": "Include @two\nPort 3\n", "two": "Port 4\n"}),
    "itself": ("Include @one\n", {"one": "Include @one\n"}),
    "empty": ('Include ""\n', {}),
    "a comment": ("Include @one # two\n", {"one": "Port 1\n"}),
    "quoted": ('Include "@one"\n', {"one": "Port 1\n"}),
    "a folder": ("Include @*\nPort 3\n", {}),
}


@pytest.mark.parametrize("name", INCLUDING)
def test_an_include_means_what_it_means_to_ssh(judge: Judge, name: str) -> None:
    text, others = INCLUDING[name]
    if name == "a folder":
        judge.file = judge.folder / "elsewhere" / "config"
        judge.file.parent.mkdir()
    judge.write(text.replace("@", f"{judge.folder}/"), **others)
    judge.compare("web-01")
    judge.compare("db.acme.example")


@pytest.mark.parametrize(("mode", "owner"), [(0o600, 0), (0o602, 0), (0o644, 0), (0o622, 0)])
def test_an_included_file_others_can_write_is_refused_as_by_ssh(
    judge: Judge, mode: int, owner: int
) -> None:
    judge.write(f"Include {judge.folder}/one\n", one="Port 1\n")
    (judge.folder / "one").chmod(mode)
    judge.compare("web-01")


class Maker:
    """Makes configs by chance, of pieces that meet each other often."""

    names = ("web-01", "web-02", "db", "db.acme.example", "jump", "real", "192.0.2.7")
    patterns = (*names, "*", "web-*", "web-0?", "*.example", "!db", "!web-02", "?b*", "*e*a*")
    users = ("ops", "root", "adm", "'a b'")

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def config(self) -> str:
        lines = [self.line() for _ in range(self.chance.randint(1, 22))]
        return "\n".join(lines) + "\n"

    def line(self) -> str:
        kind = self.chance.choices((self.block, self.value, self.noise), (4, 12, 1))[0]
        return self.chance.choice(("", " ", "\t", "    ")) + kind()

    def block(self) -> str:
        if self.chance.random() < 0.5:
            return "Host " + " ".join(self.some(self.patterns, 4))
        return "Match " + " ".join(self.criterion() for _ in range(self.chance.randint(1, 3)))

    def criterion(self) -> str:
        pick, no = self.chance.choice, self.chance.choice(("", "", "", "!"))
        name = pick(("host", "originalhost", "user", "localuser", "final", "canonical", "all", ""))
        if name in {"final", "canonical", "all"}:
            return no + name
        if not name:
            return f'{no}exec "{pick(("true", "false", "test %h = real", "test %r = ops"))}"'
        pool = self.patterns if "host" in name else (*self.users[:3], "*", "o?s", "!ops")
        return f"{no}{name} {','.join(self.some(pool, 3))}"

    def value(self) -> str:
        pick = self.chance.choice
        made = pick(
            (
                lambda: (
                    f"HostName {pick((*self.names, '%h.acme.example', '127.1', 'r%%x', 'Real'))}"
                ),
                lambda: f"Port {pick(('22', '2222', '0', 'ssh', '65536', '443'))}",
                lambda: f"Port {self.chance.randint(1, 70000)}",
                lambda: f"User {pick(self.users)}",
                lambda: f"IdentityFile {pick(('a', 'b', '~/.ssh/%h', 'none', 'c d'))}",
                lambda: f"CertificateFile {pick(('a', 'b', '%d/c'))}",
                lambda: f"IdentitiesOnly {pick(('yes', 'no', 'true', 'NO', 'nope'))}",
                lambda: f"IdentityAgent {pick(('none', '~/a-%h', '$SOME_AGENT', '/x/%n'))}",
                lambda: f"ProxyJump {','.join(self.hop() for _ in range(pick((1, 1, 2, 3))))}",
                lambda: f"ProxyJump {pick(('none', 'NONE', 'jump'))}",
                lambda: f"ProxyCommand {pick(('none', 'nc %h %p', 'x  # y', '= z'))}",
                lambda: f"ConnectTimeout {pick(('5', '1m', 'none', '1m5', '0', '5 m'))}",
                lambda: f"HostKeyAlias {pick(self.names)}",
                lambda: f"AddressFamily {pick(('any', 'inet', 'INET6', 'x'))}",
                lambda: f"IgnoreUnknown {pick(('colour', 'c*', '*', 'x,!colour'))}",
            )
        )()
        name, _, rest = made.partition(" ")
        if self.chance.random() < 0.1 and " " not in rest:
            made = f"{name}{pick(('=', ' = ', '  ', chr(9)))}{pick((rest, f'{rest} # c'))}"
            # To ssh 9.2, `ProxyJump none # c` is a host called none.
            made = made.replace(" # c", "") if "none" in rest.lower() else made
        if self.chance.random() < 0.1 and not name.startswith("Proxy"):
            made = f'{name.upper()} "{rest}"'
        return made

    def hop(self) -> str:
        pick = self.chance.choice
        user = pick(("", "", "ops@", "a%40b@"))
        host = pick((*self.names, "[2001:db8::1]", "a.b"))
        port = pick(("", "", ":2222", ":22", ":"))
        scheme = pick(("", "", "", "ssh://"))
        return f"{scheme}{user}{host}{port}"

    def noise(self) -> str:
        return self.chance.choice(
            (
                "# a comment",
                "",
                "Colour blue",
                "Compression yes",
                "StrictHostKeyChecking no",
                "Port",
                "User 'open",
                'HostName ""',
                "ServerAliveInterval 15",
                "LogLevel ERROR",
                "SetEnv A=b",
                "Host",
                "Match",
            )
        )

    def some(self, pool: tuple[str, ...], most: int) -> list[str]:
        return [self.chance.choice(pool) for _ in range(self.chance.randint(1, most))]


def play(judge: Judge, seed: int) -> None:
    maker = Maker(seed)
    judge.write(maker.config())
    judge.compare(
        maker.chance.choice((*maker.names, "WEB-01", "127.1")),
        user=maker.chance.choice((None, None, "ops", "root")),
        port=maker.chance.choice((None, None, 2022)),
    )


@pytest.mark.parametrize("seed", range(80))
def test_a_config_by_chance_means_what_it_means_to_ssh(judge: Judge, seed: int) -> None:
    play(judge, seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, int(os.environ.get("SSH_CONFIGS", "5000")), 100))
def test_thousands_of_configs_mean_what_they_mean_to_ssh(judge: Judge, start: int) -> None:
    for seed in range(1000 + start, 1100 + start):
        play(judge, seed)

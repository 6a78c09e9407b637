from __future__ import annotations

import json
from pathlib import Path

import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput, Problem
from outagekit.inventory import references
from outagekit.inventory.load import inspect, load
from outagekit.inventory.model import Agreement, Credential, Endpoint, Site, Winrm
from outagekit.inventory.windows import can_log_in

BAD = Path(__file__).parent / "bad"
HEAD = "outagekit: 1\nclient: acme\n"
EXAMPLE = r"""outagekit: 1
client: acme
name: Acme Dental
timezone: Europe/Berlin
agreement: {id: MSA-2026-014, allows: [diagnose, collect, remediate, reboot], approvers: [Jo Weber]}
credentials:
  admin: {user: 'ACME\ops', password: keyring:acme-admin}
  linux: {user: ops, key: ~/.ssh/acme, sudo: keyring:acme-sudo}
sites: {berlin: {jump: ops@bastion.acme.example, jump_credential: linux, concurrency: 8}}
defaults: {site: berlin}
endpoints:
  pos-01: {address: 10.1.4.11, os: windows, credential: admin, tags: [pos, falcon]}
  web-01: {address: web-01.acme.example, os: linux, credential: linux, become: sudo}
"""


def written(folder: Path, text: str, name: str = "acme.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def endpoints_of(folder: Path, text: str) -> dict[str, Endpoint]:
    return load([written(folder, HEAD + text)]).clients["acme"].endpoints


def told(problem: Problem) -> str:
    kind = "warning: " if problem.warning else ""
    hint = f" => {problem.hint}" if problem.hint else ""
    return f"{problem.line}:{problem.column}: {kind}{problem.message}{hint}"


def test_the_example_of_the_reference_becomes_exactly_these_values(tmp_path):
    client = load([written(tmp_path, EXAMPLE)]).clients["acme"]

    assert client.name == "Acme Dental"
    assert client.timezone == "Europe/Berlin"
    assert client.agreement == Agreement(
        id="MSA-2026-014",
        allows=("diagnose", "collect", "remediate", "reboot"),
        approvers=("Jo Weber",),
    )
    assert client.credentials == {
        "admin": Credential(
            name="admin", user="ACME\\ops", password=SecretRef("keyring", "acme-admin")
        ),
        "linux": Credential(
            name="linux", user="ops", key="~/.ssh/acme", sudo=SecretRef("keyring", "acme-sudo")
        ),
    }
    assert client.sites == {
        "berlin": Site(
            name="berlin", jump="ops@bastion.acme.example", jump_credential="linux", concurrency=8
        )
    }
    assert tuple(client.endpoints.values()) == (
        Endpoint(
            client="acme",
            name="pos-01",
            address="10.1.4.11",
            os="windows",
            credential="admin",
            site="berlin",
            tags=("pos", "falcon"),
        ),
        Endpoint(
            client="acme",
            name="web-01",
            address="web-01.acme.example",
            os="linux",
            credential="linux",
            site="berlin",
            become="sudo",
        ),
    )


def test_the_smallest_client_has_its_short_name_utc_and_no_agreement(tmp_path):
    client = load([written(tmp_path, HEAD)]).clients["acme"]
    assert (client.name, client.timezone, client.agreement) == ("acme", "UTC", None)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bad_inventory_gets_exactly_these_problems(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix("#! ") for line in lines if line.startswith("#! ")]
    found = inspect([path])

    assert [told(problem) for problem in found.problems] == expected
    assert expected
    for problem in found.problems:
        whole = lines[problem.line - 1]
        assert problem.source.removesuffix("…") in whole
        assert problem.column <= len(whole) + 1
    if found.faults:
        assert not found.inventory.clients
        with pytest.raises(InvalidInput) as caught:
            load([path])
        assert caught.value.problems == found.faults
        assert caught.value.exit_code == 8


def test_there_are_enough_bad_inventories():
    assert len(list(BAD.glob("*.yaml"))) >= 40


def test_an_endpoint_of_windows_has_the_scheme_of_the_defaults_unless_it_takes_it_back(tmp_path):
    text = (
        "defaults: {os: windows, scheme: http}\nendpoints:\n  a: {address: 192.0.2.1}\n"
        "  b: {address: 192.0.2.2, scheme: https}\n  c: {address: 192.0.2.3, scheme: }\n"
        "  d: {address: 192.0.2.4, os: linux}\n"
    )
    found = {name: each.scheme for name, each in endpoints_of(tmp_path, text).items()}
    assert found == {"a": "http", "b": "https", "c": None, "d": None}


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("ca.pem", "{folder}/ca.pem"),
        ("../tls/ca.pem", "{above}/tls/ca.pem"),
        ("~/acme/ca.pem", "~/acme/ca.pem"),
    ],
)
def test_authorities_are_looked_for_beside_the_inventory(tmp_path, monkeypatch, written, path):
    (tmp_path / "inventory").mkdir()
    file = tmp_path / "inventory" / "acme.yaml"
    file.write_text(f"{HEAD}winrm: {{ca: {written}, proxy: 'http://[2001:db8::1]:3128/'}}\n")
    monkeypatch.chdir(tmp_path)
    winrm = load([file.relative_to(tmp_path)]).clients["acme"].winrm
    expected = path.format(folder=tmp_path / "inventory", above=tmp_path)
    assert winrm == Winrm(ca=str(Path(expected)), proxy="http://[2001:db8::1]:3128")


def test_ways_to_log_in_to_windows_reach_the_credential(tmp_path):
    text = (
        "credentials:\n  a: {user: ops, password: prompt, auth: basic}\n"
        "  b: {user: ops@ACME.EXAMPLE, auth: kerberos}\n"
        "  c: {user: ops, key: ~/c.key, certificate: ~/c.pem, auth: certificate}\n"
        "  d: {user: ops, password: prompt}\n"
    )
    found = load([written(tmp_path, HEAD + text)]).clients["acme"].credentials
    assert [each.auth for each in found.values()] == ["basic", "kerberos", "certificate", None]
    assert [can_log_in(each) for each in found.values()] == [True] * 4


@pytest.mark.parametrize(
    "line",
    [
        "credentials: {a: {user: ops, password: prompt, auth: [basic]}}",
        "credentials: [a]",
        "winrm: {proxy: 7, ca: [x]}",
        "winrm: x",
        "defaults: {scheme: [http], os: [windows]}",
    ],
)
def test_values_of_wrong_types_are_problems_and_nothing_worse(tmp_path, line):
    text = f"{line}\nendpoints: {{a: {{address: 192.0.2.1, credential: a, os: windows}}}}\n"
    wild = "endpoints: {a: {address: 192.0.2.1, os: [linux], scheme: [x], port: [5985]}}\n"
    assert inspect([written(tmp_path, HEAD + text)]).faults
    assert inspect([written(tmp_path, HEAD + wild)]).faults


@pytest.mark.parametrize(
    "line",
    [
        "password: swordfish",
        "password: 'swordfish'",
        "password: {value: swordfish}",
        "sudo: swordfish: x",
        "passphrase: vault:swordfish",
        "paswd: 1\n    password: swordfish",
        "password: [swordfish",
    ],
)
def test_a_literal_secret_is_never_repeated(tmp_path, line):
    path = written(tmp_path, HEAD + f"credentials:\n  admin:\n    user: ops\n    {line}\n")
    with pytest.raises(InvalidInput) as caught:
        load([path])
    told_all = " ".join(map(repr, [caught.value, *caught.value.problems]))
    assert "swordfish" not in told_all.replace("[swordfish", "")


@pytest.mark.parametrize("word", ["swordfish", "sword/fish", "sw ord'fish", "sword@fish"])
@pytest.mark.parametrize("user", ["ops:", ""])
def test_a_password_for_a_proxy_is_refused_with_the_reason_and_not_repeated(tmp_path, user, word):
    proxy = f'winrm: {{ca: ca.pem, proxy: "http://{user}{word}@proxy.acme.example:3128"}}\n'
    (problem,) = inspect([written(tmp_path, HEAD + proxy)]).problems
    assert problem.message == (
        "a proxy has no user or password here: a secret must not stand in a file"
    )
    assert problem.source == 'winrm: {ca: ca.pem, proxy: …@proxy.acme.example:3128"}'


def test_a_secret_at_a_wrong_place_is_not_shown_either(tmp_path):
    text = "endpoints:\n  web-01: {address: 192.0.2.1, os: linux, password: swordfish}\n"
    (problem,) = inspect([written(tmp_path, HEAD + text)]).problems
    assert problem.message == "unknown key `password`"
    assert problem.source == "  web-01: {address: 192.0.2.1, os: linux, password: …"


def test_references_stay_visible_in_a_problems_line(tmp_path):
    text = "credentials:\n  admin: {user: 7, password: {cmd: [pass, acme]}, sudo: 'env:SUDO'}\n"
    (problem,) = inspect([written(tmp_path, HEAD + text)]).problems
    assert problem.source == text.splitlines()[1]


def test_every_kind_of_reference_is_read(tmp_path):
    text = (
        "credentials:\n"
        "  a: {user: ops, password: prompt, sudo: env:SUDO}\n"
        "  b: {user: ops, password: {cmd: [pass, show, acme]}}\n"
        "  c: {user: ops, key: ~/.ssh/id, passphrase: file:~/p, certificate: ~/.ssh/id-cert.pub}\n"
    )
    credentials = load([written(tmp_path, HEAD + text)]).clients["acme"].credentials
    assert credentials["a"].password == SecretRef("prompt")
    assert credentials["a"].sudo == SecretRef("env", "SUDO")
    assert credentials["b"].password == SecretRef("cmd", argv=("pass", "show", "acme"))
    assert credentials["c"].passphrase == SecretRef("file", "~/p")
    assert credentials["c"].certificate == "~/.ssh/id-cert.pub"


def test_defaults_hold_where_an_endpoint_says_nothing(tmp_path):
    text = (
        "credentials: {a: {user: ops, agent: true}, b: {user: ops, agent: true}}\n"
        "sites: {berlin: {}, leeds: {}}\n"
        "defaults: {site: berlin, credential: a, os: linux, become: sudo, port: 2222, tags: [x]}\n"
        "endpoints:\n"
        "  plain: {address: 192.0.2.1}\n"
        "  own: {address: 192.0.2.2, site: leeds, credential: b, os: macos, port: 22, tags: [z]}\n"
        "  none:\n"
        "    address: 192.0.2.3\n"
        "    site:\n"
        "    credential:\n"
        "    become:\n"
        "    port:\n"
        "  win: {address: 192.0.2.4, os: windows}\n"
    )
    found = endpoints_of(tmp_path, text)
    values = {
        name: (e.site, e.credential, e.os, e.become, e.port, e.tags) for name, e in found.items()
    }
    assert values == {
        "plain": ("berlin", "a", "linux", "sudo", 2222, ("x",)),
        "own": ("leeds", "b", "macos", "sudo", 22, ("x", "z")),
        "none": (None, None, "linux", None, None, ("x",)),
        "win": ("berlin", "a", "windows", None, 2222, ("x",)),
    }


def test_an_empty_os_takes_the_default_back_and_is_then_missing(tmp_path):
    text = "defaults: {os: linux}\nendpoints:\n  a:\n    address: 192.0.2.1\n    os:\n"
    (problem,) = inspect([written(tmp_path, HEAD + text)]).problems
    assert problem.message == "`os` of `a` is missing"


def test_a_port_forward_is_read_as_numbers(tmp_path):
    text = "endpoints:\n  a: {address: 192.0.2.1, os: linux, ports: {443: 8443}}\n"
    assert endpoints_of(tmp_path, text)["a"].ports == {443: 8443}


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "web-01", "a_b.example", "x.example."]
)
def test_an_address_of_every_kind_is_accepted(tmp_path, address):
    text = f"endpoints:\n  a: {{address: '{address}', os: linux}}\n"
    assert endpoints_of(tmp_path, text)["a"].address == address


def test_the_same_address_in_two_clients_is_no_warning(tmp_path):
    for client in ("acme", "globex"):
        text = (
            f"outagekit: 1\nclient: {client}\nendpoints: {{a: {{address: 10.1.4.11, os: linux}}}}\n"
        )
        written(tmp_path, text, f"{client}.yaml")
    found = inspect([tmp_path])
    assert found.problems == ()
    assert [e.id for e in found.inventory.endpoints()] == ["acme/a", "globex/a"]


def test_a_client_in_two_files_names_both(tmp_path):
    first = written(tmp_path, HEAD, "a.yaml")
    second = written(tmp_path, HEAD, "b.yaml")
    (problem,) = inspect([tmp_path]).problems
    assert problem.path == second
    assert (problem.line, problem.column) == (2, 9)
    assert str(first) in problem.message


def test_a_client_in_two_files_is_found_although_the_first_has_faults(tmp_path):
    written(tmp_path, HEAD + "nmae: x\n", "a.yaml")
    written(tmp_path, HEAD, "b.yaml")
    messages = [problem.message for problem in inspect([tmp_path]).problems]
    assert len(messages) == 2
    assert "has a file already" in messages[1]


def test_the_same_file_named_twice_is_read_once(tmp_path):
    path = written(tmp_path, HEAD)
    assert inspect([path, path]).problems == ()


def test_all_problems_of_all_files_come_at_once(tmp_path):
    written(tmp_path, HEAD + "nmae: x\n", "b.yaml")
    written(tmp_path, "outagekit: 1\nclient: globex\ntimezone: Nowhere\n", "a.yaml")
    missing = tmp_path / "gone.yaml"
    with pytest.raises(InvalidInput) as caught:
        load([tmp_path, missing])
    places = [(problem.path.name, problem.line) for problem in caught.value.problems]
    assert places == [("a.yaml", 3), ("b.yaml", 3), ("gone.yaml", 0)]
    assert caught.value.message == "the inventory has 3 problems"


def test_a_folder_means_its_yaml_files_by_name(tmp_path):
    for client in ("c", "a", "b"):
        written(tmp_path, f"outagekit: 1\nclient: {client}\n", f"{client}.yaml")
    written(tmp_path, "nonsense", "notes.txt")
    written(tmp_path, "nonsense", ".#a.yaml")
    assert list(load([tmp_path]).clients) == ["a", "b", "c"]


def test_a_yml_file_is_not_passed_over_in_silence(tmp_path):
    written(tmp_path, HEAD)
    written(tmp_path, HEAD, "globex.yml")
    (problem,) = inspect([tmp_path]).problems
    assert problem.warning
    assert problem.hint == "rename it to globex.yaml"


def test_a_folder_without_inventories_is_a_problem(tmp_path):
    (problem,) = inspect([tmp_path]).problems
    assert problem.message == "the folder holds no *.yaml file"


def test_a_problem_can_be_made_for_a_place_of_a_loaded_file(tmp_path):
    found = inspect([written(tmp_path, EXAMPLE)])
    problem = found.problem("acme", ("sites", "berlin", "jump"), "not yet")
    assert (problem.line, problem.column) == (9, 24)


@pytest.mark.parametrize("version", ["true", "'1'", "1.0", "2"])
def test_only_the_number_one_is_a_version(tmp_path, version):
    problems = inspect([written(tmp_path, f"outagekit: {version}\nclient: acme\n")]).problems
    assert [problem.line for problem in problems] == [1]


def test_a_machine_without_time_zones_gets_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "_is_zone", lambda name: False)
    monkeypatch.setattr(references, "_zones", tuple)
    found = inspect([written(tmp_path, HEAD + "timezone: Europe/Berlin\n")])
    assert [problem.warning for problem in found.problems] == [True]
    assert "acme" in found.inventory.clients


@pytest.mark.parametrize("name", ["../../etc/passwd", "Europe", "\x00", "x" * 300, "/etc/passwd"])
def test_a_hostile_time_zone_is_only_unknown(tmp_path, name):
    text = HEAD + f"timezone: {json.dumps(name)}\n"
    assert inspect([written(tmp_path, text)]).faults

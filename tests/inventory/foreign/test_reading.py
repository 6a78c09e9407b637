"""Which files are whose, programs and trust, and that what is written holds what was read."""

from __future__ import annotations

import json
import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput, Refused, UsageError
from outagekit.inventory.foreign.program import Program, digest_of
from outagekit.inventory.foreign.reading import Source, origin_of, read_foreign, source_of
from outagekit.inventory.foreign.writing import client_text, write_clients
from outagekit.inventory.load import inspect, load
from outagekit.inventory.model import Client, Credential, Endpoint, Site, Winrm
from outagekit.inventory.windows import user_fault

OURS = "outagekit: 1\nclient: acme\nendpoints: {a: {address: 192.0.2.1, os: linux}}\n"


def lay_out(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "text", "origin"),
    [
        ("a.yaml", OURS, "ours"),
        ("a.yml", OURS, "ours"),
        ("a.txt", OURS, "ours"),
        ("a.json", '{"outagekit": 1, "client": "acme"}', "ours"),
        ("a.yaml", "client: acme\nendpoints: {}\n", "ours"),
        ("a.yaml", "a: [", "ours"),
        ("a.yaml", "all:\n  hosts:\n    a:\n", "ansible"),
        ("a.yml", "web:\n  hosts:\n    a:\n", "ansible"),
        ("a.yaml", "plugin: aws_ec2\n", "ansible"),
        ("a.yaml", "[web]\na\n", "ansible"),
        ("hosts", "a\n", "ansible"),
        ("a.ini", "", "ansible"),
        ("a.json", "{}", "ansible"),
        ("a.CSV", "Name\n", "table"),
        ("a.tsv", "Name\n", "table"),
    ],
)
def test_a_file_shows_whose_it_is(tmp_path, name, text, origin):
    lay_out(tmp_path, **{name: text})
    assert origin_of(tmp_path / name) == origin


@pytest.mark.parametrize(
    ("files", "origin"),
    [
        ({"acme.yaml": OURS}, "ours"),
        ({"acme.yaml": OURS, "b.yaml": "all:\n  hosts: {a: }\n"}, "ours"),
        ({"prod.yml": "all:\n  hosts: {a: }\n"}, "ansible"),
        ({"hosts": "a\n"}, "ansible"),
        ({"prod.ini": "a\n"}, "ansible"),
        ({"group_vars/all.yml": "x: 1\n", "prod": "a\n"}, "ansible"),
        ({"README.md": ""}, "ours"),
    ],
)
def test_a_folder_shows_whose_it_is(tmp_path, files, origin):
    assert origin_of(lay_out(tmp_path / "x", **files)) == origin


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("acme.ini", "acme"),
        ("Acme Dental.csv", "acme-dental"),
        ("customer/hosts", "customer"),
        ("Büro/inventory/hosts.ini", "buro"),
        ("acme_prod.yml", "acme-prod"),
    ],
)
def test_a_client_is_named_after_its_file_or_folder(tmp_path, name, client):
    text = "Name,OS\na,linux\n" if name.endswith("csv") else "web: {hosts: {a: }}\n"
    lay_out(tmp_path, **{name: text if not name.endswith(("ini", "hosts")) else "a\n"})
    taken, problems = read_foreign(Source(tmp_path / name))
    assert problems == ()
    assert [each.client for each in taken.clients] == [client]


def test_a_client_can_be_said_before_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(lay_out(tmp_path, hosts="a\n"))
    assert source_of(Path("acme=hosts")) == Source(Path("hosts"), "acme")
    assert list(load([Path("acme=hosts")]).clients) == ["acme"]
    lay_out(tmp_path, **{"acme=hosts": "b\n"})
    assert source_of(Path("acme=hosts")) == Source(Path("acme=hosts"))
    with pytest.raises(UsageError):
        source_of(Path("adhoc=hosts"))


def test_a_file_of_ours_takes_no_other_client(tmp_path):
    lay_out(tmp_path, **{"a.yaml": OURS})
    with pytest.raises(InvalidInput) as caught:
        load([Path(f"other={tmp_path}/a.yaml")])
    assert "names its client itself" in caught.value.problems[0].message


def test_one_client_in_two_files_is_a_fault(tmp_path):
    lay_out(tmp_path, **{"acme.ini": "a\n", "acme.yaml": OURS})
    found = inspect([tmp_path / "acme.yaml", tmp_path / "acme.ini"])
    (problem,) = found.faults
    assert problem.message.startswith("the client `acme` has a file already")


def test_an_ansible_file_in_a_folder_of_ours_is_a_fault_that_says_so(tmp_path):
    lay_out(tmp_path, **{"acme.yaml": OURS, "b.yaml": "all:\n  hosts: {a: }\n"})
    (problem,) = inspect([tmp_path]).faults
    assert problem.message == "this is an inventory of Ansible in a folder of ours"
    assert "inventory import" in problem.hint


def test_what_became_of_a_file_is_told(tmp_path):
    lay_out(tmp_path, **{"acme.ini": "a\nb ansible_connection=local\n"})
    told = []
    load([tmp_path / "acme.ini"], tell=told.append)
    assert [len(each.left_out) for each in told] == [1]


posix = pytest.mark.skipif(os.name == "nt", reason="shell scripts are no programs there")


def program(folder, script):
    path = folder / "hosts.sh"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def allow(_path, _digest):
    """Let every program run."""


@posix
def test_a_program_is_run_with_list_only_if_it_is_permitted(tmp_path):
    ran = tmp_path / "ran"
    path = program(
        tmp_path, f'echo "$@" >> {ran}; echo \'{{"web": ["a"], "_meta": {{"hostvars": {{}}}}}}\''
    )
    with pytest.raises(Refused, match="never trusted") as caught:
        read_foreign(Source(path, "acme"))
    assert "outagekit inventory trust" in caught.value.hint
    assert not ran.exists()
    taken, problems = read_foreign(Source(path, "acme"), permit=allow)
    assert problems == ()
    assert list(taken.clients[0].endpoints) == ["a"]
    assert ran.read_text() == "--list\n"


@posix
def test_a_program_without_meta_is_asked_for_each_host(tmp_path):
    path = program(
        tmp_path,
        'case $1 in --list) echo \'{"web": ["a", "b"]}\';;'
        ' --host) test "$2" = b || echo \'{"ansible_user": "ops"}\';; esac',
    )
    taken, problems = read_foreign(Source(path, "acme"), permit=allow)
    assert problems == ()
    found = {name: each.credential for name, each in taken.clients[0].endpoints.items()}
    assert found == {"a": "ops", "b": None}


@posix
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo hunter2 >&2; exit 3", "ended with exit code 3"),
        ("echo '{'", "this is not JSON"),
        ("printf '\\377'", "printed something that is not UTF-8"),
        ('echo \'{"web": {"hosts": "a"}}\'', "`hosts` of the group `web` must be a list"),
    ],
)
def test_a_program_that_fails_is_a_fault(tmp_path, script, message):
    _, problems = read_foreign(Source(program(tmp_path, script), "acme"), permit=allow)
    assert any(message in p.message for p in problems), problems
    assert "hunter2" not in repr(problems)


@posix
def test_a_program_that_hangs_is_ended_with_its_children(tmp_path):
    path = program(tmp_path, "sleep 60 & sleep 60")
    with pytest.raises(InvalidInput, match=r"gave no inventory within 0\.3 s"):
        Program(path, allow, limit_s=0.3).output("--list")


@posix
def test_a_program_that_prints_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("outagekit.inventory.foreign.program.LIMIT_BYTES", 100_000)
    with pytest.raises(InvalidInput, match="printed more than"):
        Program(program(tmp_path, "yes"), allow, limit_s=20).output("--list")


@posix
def test_a_program_that_others_can_write_is_refused(tmp_path):
    path = program(tmp_path, "true")
    path.chmod(0o777)
    with pytest.raises(Refused, match="others than you can write"):
        Program(path, allow)


@posix
def test_a_program_whose_place_others_can_change_is_refused(tmp_path):
    folder = tmp_path / "open" / "mine"
    folder.mkdir(parents=True)
    path = program(folder, "true")
    link = tmp_path / "link"
    link.symlink_to(path)
    Program(link, allow)
    (tmp_path / "open").chmod(0o777)  # `mine` can be renamed, and another put in its place
    for each in (path, link):
        with pytest.raises(Refused, match="others than you can write"):
            Program(each, allow)
    (tmp_path / "open").chmod(0o1777)
    Program(path, allow)
    (tmp_path / "open").chmod(0o755)
    folder.chmod(0o777)
    with pytest.raises(Refused, match="others than you can write"):
        Program(link, allow)


@posix
def test_a_program_is_the_same_by_every_way_that_leads_to_it(tmp_path):
    path = program(tmp_path, "true")
    assert digest_of(tmp_path / ".." / tmp_path.name / path.name) == digest_of(path)


@posix
def test_the_command_that_trusts_a_program_can_be_pasted(tmp_path):
    path = program(tmp_path, "true").rename(tmp_path / "my $(hosts)")
    with pytest.raises(Refused) as caught:
        read_foreign(Source(path, "acme"))
    assert caught.value.hint.endswith(f"trust '{path}'")


@posix
def test_trust_in_a_program_ends_when_it_changes_or_moves(tmp_path):
    path = program(tmp_path, "true")
    before = digest_of(path)
    moved = tmp_path / "moved"
    path.rename(moved)
    assert digest_of(moved) != before
    moved.rename(path)
    assert digest_of(path) == before
    path.write_text("#!/bin/sh\nfalse\n")
    assert digest_of(path) != before


@posix
def test_a_text_that_may_be_run_but_is_no_program_is_read(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("[web]\na\n")
    path.chmod(0o755)
    taken, problems = read_foreign(Source(path, "acme"))
    assert problems == ()
    assert list(taken.clients[0].endpoints) == ["a"]


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() not in {"all", "and", "or", "not"}
)
texts = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" :#'\"{}[],&*!|>%@`\\"),
    min_size=1,
    max_size=20,
).filter(lambda text: text.isprintable() and bool(text.strip()))
secrets = st.one_of(
    st.none(),
    st.sampled_from([SecretRef("keyring", "acme-admin"), SecretRef("prompt")]),
    st.just(SecretRef("cmd", argv=("pass", "show", "a b", "'"))),
    st.just(SecretRef("file", "/x y/z: #")),
)
logins = st.builds(
    Credential,
    name=st.just(""),
    user=texts.filter(lambda user: user_fault(user) is None),
    password=secrets,
    key=st.none() | texts,
    agent=st.just(True),
    sudo=secrets,
)
ports = st.integers(1, 65535)
addresses = st.sampled_from(["192.0.2.1", "web.example", "2001:db8::1", "10", "a", "true.example"])


def unique(strategy, size=4):
    return st.lists(strategy, max_size=size, unique_by=str.casefold)


@st.composite
def clients(draw):
    credentials = {name: draw(logins) for name in draw(unique(names, 2))}
    sites = {
        name: Site(
            name=name,
            jump=draw(st.sampled_from([None, "ops@bastion:22", "bastion"])),
            jump_credential=draw(st.sampled_from([None, *credentials])),
        )
        for name in draw(unique(names, 2))
    }
    found = {}
    for name in draw(unique(names)):
        system = draw(st.sampled_from(["linux", "macos", "windows"]))
        found[name] = Endpoint(
            client="acme",
            name=name,
            address=draw(addresses.filter(lambda text: not text.isdecimal())),
            os=system,
            port=draw(st.none() | ports),
            credential=draw(st.sampled_from([None, *credentials])),
            site=draw(st.sampled_from([None, *sites])),
            tags=tuple(draw(unique(names, 3))),
            become=None if system == "windows" else draw(st.sampled_from([None, "sudo"])),
            scheme=draw(st.sampled_from([None, "http", "https"])) if system == "windows" else None,
        )
    return Client(
        client="acme",
        name=draw(texts),
        credentials={
            name: Credential(
                name=name,
                user=each.user,
                password=each.password,
                key=each.key,
                agent=each.agent,
                sudo=each.sudo,
                auth=draw(st.sampled_from([None, "ntlm"])) if each.password else None,
            )
            for name, each in credentials.items()
        },
        sites=sites,
        winrm=Winrm(
            ca=draw(st.sampled_from([None, "~/ca.pem", str(Path("/tls/my ca.pem").absolute())])),
            proxy=draw(st.sampled_from([None, "http://proxy.acme.example:3128"])),
        ),
        endpoints=found,
    )


@given(client=clients(), source=st.text(string.printable, max_size=20))
def test_what_is_written_loads_again_to_the_same(tmp_path_factory, client, source):
    path = tmp_path_factory.mktemp("written") / "acme.yaml"
    write_clients({path: client_text(client, source=source)}, [client], replace=False)
    assert load([path]).clients == {"acme": client}
    assert inspect([path]).faults == ()


def test_nothing_is_overwritten_unless_it_is_wanted(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text("mine")
    client = Client(client="acme", name="acme")
    other = tmp_path / "b.yaml"
    texts = {other: client_text(client, source="x"), path: client_text(client, source="x")}
    with pytest.raises(UsageError, match="is there already"):
        write_clients(texts, [client, client], replace=False)
    assert path.read_text() == "mine"
    assert not other.exists()
    write_clients(texts, [client, client], replace=True)
    assert "client: acme" in path.read_text()
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == [
        "acme.yaml",
        "b.yaml",
    ]


def test_a_folder_in_the_way_of_one_file_keeps_all_from_being_written(tmp_path):
    client = Client(client="acme", name="acme")
    (tmp_path / "b.yaml").mkdir()
    texts = {tmp_path / f"{name}.yaml": client_text(client, source="x") for name in "ab"}
    with pytest.raises(UsageError, match=r"b\.yaml is a folder"):
        write_clients(texts, [client, client], replace=True)
    assert [each.name for each in tmp_path.glob("*.yaml")] == ["b.yaml"]


@posix
def test_an_agreement_is_not_lost_when_its_client_is_imported_again(tmp_path):
    path = tmp_path / "acme.yaml"
    before = "outagekit: 1\nclient: acme\nagreement: {id: MSA, allows: [diagnose]}\n"
    path.write_text(before)
    with pytest.raises(UsageError, match="holds an agreement"):
        write_clients(
            {path: "outagekit: 1\nclient: acme\n"},
            [Client(client="acme", name="acme")],
            replace=True,
        )
    assert path.read_text() == before


def test_a_file_that_is_replaced_is_not_opened_to_more_people(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text("old")
    path.chmod(0o600)
    client = Client(client="acme", name="acme")
    write_clients({path: client_text(client, source="x")}, [client], replace=True)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)
    write_clients({path: client_text(client, source="x")}, [client], replace=True)
    assert path.stat().st_mode & 0o022 == 0


def test_a_link_to_nowhere_is_not_overwritten(tmp_path):
    path = tmp_path / "acme.yaml"
    path.symlink_to(tmp_path / "nowhere")
    client = Client(client="acme", name="acme")
    with pytest.raises(UsageError, match="is there already"):
        write_clients({path: client_text(client, source="x")}, [client], replace=False)
    assert path.is_symlink()


def test_more_than_a_file_of_ours_can_hold_is_not_written(tmp_path):
    endpoints = {
        f"e{n}": Endpoint(client="acme", name=f"e{n}", address=f"e{n}.example", os="linux")
        for n in range(20_000)
    }
    client = Client(client="acme", name="acme", endpoints=endpoints)
    path = tmp_path / "acme.yaml"
    with pytest.raises(InvalidInput, match="holds more than"):
        write_clients({path: client_text(client, source="x")}, [client], replace=False)
    assert [each for each in tmp_path.iterdir() if each.is_file()] == []


def test_output_of_ansible_inventory_can_be_read(tmp_path):
    listed = {
        "_meta": {"hostvars": {"a": {"ansible_host": "192.0.2.1"}}, "profile": "inventory_legacy"},
        "all": {"children": ["ungrouped", "web"]},
        "web": {"hosts": ["a"]},
    }
    (tmp_path / "acme.json").write_text(json.dumps(listed, indent=4))
    endpoint = load([tmp_path / "acme.json"]).clients["acme"].endpoints["a"]
    assert (endpoint.address, endpoint.tags) == ("192.0.2.1", ("web",))


@given(st.binary(max_size=200), st.sampled_from(["hosts", "a.yml", "a.json", "a.csv", "a.ini"]))
def test_no_file_breaks_the_reader(tmp_path_factory, data, name):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(data)
    inspect([path])


@given(
    st.text(st.sampled_from("ab[]:=,\"'#{}&*!<-?| \n\t1.\\"), max_size=80),
    st.sampled_from(["hosts", "a.yml", "a.json", "a.csv", "a.ini"]),
)
def test_no_text_breaks_the_reader(tmp_path_factory, text, name):
    path = tmp_path_factory.mktemp("any") / name
    path.write_text(text)
    inspect([path])


@posix
@pytest.mark.parametrize("name", ["hosts", "a.yaml", "a.csv", "a.ini"])
def test_a_pipe_in_place_of_a_file_does_not_hold_anybody_up(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert inspect([tmp_path / name]).faults


def test_a_path_that_cannot_be_is_a_fault():
    assert inspect([Path("\0"), Path("x" * 5000)]).faults

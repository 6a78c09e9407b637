"""`inventory list`, `import` and `trust`, and `-i` with files of other tools."""

from __future__ import annotations

import json
import os

import pytest

RMM = (
    "Device Name;Organization;Location;OS Name;IP Address;Group\n"
    "pc-1;Acme Dental;Berlin;Windows 11;192.0.2.1;Desks\n"
    "web 1;Acme Dental;;Ubuntu 24.04;192.0.2.2;\n"
    "press;Other;;Printer;192.0.2.3;\n"
    "mac;Other;;macOS 15;192.0.2.4;\n"
)


@pytest.fixture
def folder(empty):
    (empty / "rmm.csv").write_text(RMM)
    (empty / "hosts.ini").write_text("[web]\nweb-1 ansible_host=192.0.2.1 ansible_port=2222\n")
    return empty


def test_a_foreign_file_is_listed_and_what_was_taken_is_told(call, folder):
    found = call("inventory", "list", "-i", "acme=hosts.ini")
    assert found.code == 0
    assert found.out.split()[-6:] == ["acme/web-1", "linux", "192.0.2.1:2222", "-", "-", "web"]
    assert "hosts.ini (Ansible, INI): 1 endpoint of acme" in found.err
    assert "taken as linux for 1 endpoint" in found.err


def test_a_selector_chooses_and_json_holds_everything(call, folder):
    found = call("inventory", "list", "-i", "rmm.csv", "os:windows", "--json")
    assert json.loads(found.out) == [
        {
            "endpoint": "acme-dental/pc-1",
            "client": "acme-dental",
            "name": "pc-1",
            "os": "windows",
            "address": "192.0.2.1",
            "port": None,
            "scheme": "https",
            "site": "Berlin",
            "credential": None,
            "auth": None,
            "become": None,
            "tags": ["Desks"],
        }
    ]


def test_a_selector_that_matches_nothing_is_exit_7(call, folder):
    assert call("inventory", "list", "-i", "rmm.csv", "tag:nope").code == 7


def test_an_import_writes_one_file_for_each_client_and_says_how(call, folder):
    found = call("inventory", "import", "rmm.csv", "-o", "out/")
    assert found.code == 0
    assert found.out.splitlines() == ["out/acme-dental.yaml", "out/other.yaml"]
    for told in (
        "2 endpoints of acme-dental and 1 endpoint of other",
        "renamed: endpoint web 1 is web-1",
        "left out: press: its system is `Printer`",
        "agreement: none",
        "next: outagekit check out/acme-dental.yaml out/other.yaml",
    ):
        assert told in found.err
    assert call("check", "out/acme-dental.yaml", "out/other.yaml").code == 0
    text = (folder / "out" / "acme-dental.yaml").read_text()
    assert "There is no agreement in it, so only reading steps run" in text
    listed = call("inventory", "list", "-i", "out", "--all-clients")
    assert "acme-dental/web-1" in listed.out


def test_an_import_goes_to_the_workspace_and_overwrites_nothing(call, folder):
    assert call("init").code == 0
    assert call("inventory", "import", "new=hosts.ini").code == 0
    again = call("inventory", "import", "new=hosts.ini")
    assert again.code == 2
    assert "is there already; nothing was written" in again.err
    assert call("inventory", "import", "new=hosts.ini", "--replace").code == 0
    assert "new/web-1" in call("inventory", "list", "-c", "new").out


def test_an_import_to_stdout_is_the_file_alone(call, folder):
    found = call("inventory", "import", "acme=hosts.ini", "-o", "-")
    assert found.out.startswith("# Taken over from hosts.ini")
    assert found.out.endswith("tags: [web]}\n")


def test_an_import_as_json_is_one_document(call, folder):
    found = call("inventory", "import", "rmm.csv", "-o", "out/", "--json")
    (document,) = json.loads(found.out)
    assert document["clients"] == {"acme-dental": 2, "other": 1}
    assert document["written"] == ["out/acme-dental.yaml", "out/other.yaml"]
    assert document["left_out"] == [
        {"name": "press", "line": 4, "reason": "its system is `Printer`"}
    ]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere.csv"], 2, "there is no nowhere.csv"),
        (["acme=hosts.ini"], 2, "there is no workspace here"),
        (["rmm.csv", "-o", "one.yaml"], 2, "would have to hold several clients"),
        (["acme=hosts.ini", "-o", "one.txt"], 2, "does not end in .yaml"),
        (["acme=hosts.ini", "-o", "x.yaml", "--map", "name=x"], 2, "--map is for tables"),
        (["rmm.csv", "-o", "out/", "--map", "nmae=x"], 2, "did you mean name?"),
        (["rmm.csv", "-o", "out/", "--os", "Foo=beos"], 2, "names no system"),
        (["rmm.csv", "-o", "out/", "--password", "hunter2"], 2, "never what it is"),
        (["rmm.csv", "a=hosts.ini", "-o", "-"], 2, "stdout takes one client"),
        (["rmm.csv", "other=hosts.ini", "-o", "out/"], 2, "two files hold endpoints of other"),
    ],
)
def test_what_cannot_be_done_is_said(call, folder, words, code, told):
    found = call("inventory", "import", *words)
    assert (found.code, told in found.err) == (code, True), found.err
    assert "hunter2" not in found.err
    assert not (folder / "out").exists()


def test_every_fault_is_told_with_its_place_and_no_secret(call, folder):
    (folder / "hosts.ini").write_text("a ansible_password=hunter2\nb ansible_port=x\n")
    for words in (["import", "acme=hosts.ini", "-o", "x.yaml"], ["list", "-i", "acme=hosts.ini"]):
        found = call("inventory", *words)
        assert found.code == 8
        assert "hosts.ini:1:3: `ansible_password` holds a secret" in found.err
        assert "hosts.ini:2:3: `x` is no port" in found.err
        assert "hunter2" not in found.out + found.err
    assert not (folder / "x.yaml").exists()


def test_where_a_password_is_can_be_said(call, folder):
    (folder / "hosts.ini").write_text("a ansible_user=ops ansible_password=hunter2\n")
    words = ["--password", "ops=keyring:acme", "--sudo-password", "env:SUDO", "-o", "-"]
    found = call("inventory", "import", "acme=hosts.ini", *words)
    assert "ops: {user: ops, password: keyring:acme, sudo: env:SUDO}" in found.out


@pytest.mark.skipif(os.name == "nt", reason="a shell script is no program there")
def test_a_program_runs_once_it_is_trusted_and_not_after_a_change(call, folder):
    program = folder / "hosts.sh"
    program.write_text('#!/bin/sh\necho \'{"web": ["a"], "_meta": {"hostvars": {}}}\'\n')
    program.chmod(0o700)
    folder.chmod(0o700)
    refused = call("inventory", "list", "-i", "acme=hosts.sh")
    assert refused.code == 10
    assert "outagekit inventory trust hosts.sh" in refused.err
    assert call("inventory", "trust", "hosts.sh").code == 2  # there is nobody to ask
    assert call("inventory", "trust", "hosts.sh", "--yes").code == 0
    assert "acme/a" in call("inventory", "list", "-i", "acme=hosts.sh").out
    program.write_text("#!/bin/sh\necho '{}'\n")
    assert call("inventory", "list", "-i", "acme=hosts.sh").code == 10
    assert call("inventory", "trust", "hosts.ini", "--yes").code == 2


def test_what_was_taken_over_may_be_read_and_not_changed(call, folder):
    found = call("plan", "disk-full", "-i", "acme=hosts.ini", "--limit", "all")
    assert found.code == 0
    assert "hosts.ini (Ansible, INI): 1 endpoint of acme" in found.err
    assert "REFUSED by the agreement of acme: remediate" in found.out + found.err


def test_a_check_reads_files_of_other_tools_as_what_they_are(call, folder):
    (folder / "all.yaml").write_text("all:\n  hosts:\n    web-9: {ansible_host: 192.0.2.9}\n")
    assert call("check", "acme=hosts.ini").code == 0
    assert call("check", "rmm.csv", "hosts.ini", "globex=all.yaml").code == 0
    (folder / "hosts.ini").write_text("[web]\nweb-1 ansible_host={{ where }}\n")
    found = call("check", "acme=hosts.ini")
    assert found.code == 8
    assert "hosts.ini:2" in found.err
    assert call("check", "acme=nowhere.ini").code == 7


def test_a_check_names_inventories_with_i_and_tells_what_they_hold(call, folder):
    found = call("check", "-i", "acme=hosts.ini", "-i", "rmm.csv")
    assert found.code == 0
    assert "hosts.ini (Ansible, INI): 1 endpoint of acme" in found.err
    assert "left out: press" in found.err
    (folder / "hosts.ini").write_text("a ansible_host=x/y\nb ansible_port=x\n")
    (folder / "rmm.csv").write_text("Name,IP,OS\na,x y,linux\n")
    found = call("check", "-i", "acme=hosts.ini", "-i", "rmm.csv", "--json")
    assert found.code == 8
    assert [(each["path"], each["line"]) for each in found.document] == [
        ("hosts.ini", 1),
        ("hosts.ini", 2),
        ("rmm.csv", 2),
    ]


@pytest.mark.skipif(os.name == "nt", reason="shell scripts are no programs there")
def test_a_check_runs_a_program_only_once_it_is_trusted(call, folder):
    program = folder / "cmdb"
    program.write_text('#!/bin/sh\necho \'{"web": ["a"], "_meta": {"hostvars": {}}}\'\n')
    program.chmod(0o755)
    assert call("check", "cmdb").code == 10
    assert call("inventory", "trust", "cmdb", "--yes").code == 0
    found = call("check", "cmdb")
    assert found.code == 0
    assert "1 endpoint of cmdb" in found.err


def test_a_client_that_is_none_is_said_with_the_nearest_one(call, folder):
    found = call("inventory", "list", "-i", "ACME Dental=hosts.ini")
    assert found.code == 2
    assert "write acme-dental=FILE" in found.err


def test_a_file_of_a_password_may_have_any_name(call, folder):
    words = ("--user", "ops", "--password", "file:/secret/a=b", "-o", "-")
    found = call("inventory", "import", "acme=hosts.ini", *words)
    assert found.code == 0, found.err
    assert "file:/secret/a=b" in found.out


def test_how_windows_is_spoken_and_logged_in_to_is_listed(call, empty):
    (empty / "acme.yaml").write_text(
        "outagekit: 1\nclient: acme\ncredentials:\n"
        "  admin: {user: ops, password: prompt, auth: basic}\n"
        "  other: {user: ops, password: prompt}\n"
        "endpoints:\n  a: {address: 192.0.2.1, os: windows, credential: admin}\n"
        "  b: {address: '2001:db8::1', os: windows, port: 5985, credential: other}\n"
    )
    lines = call("inventory", "list", "-i", "acme.yaml").out.splitlines()
    assert lines[-2].split() == ["acme/a", "windows", "192.0.2.1", "-", "admin", "(basic)", "-"]
    assert lines[-1].split()[2:6] == ["[2001:db8::1]:5985", "(http)", "-", "other"]
    listed = json.loads(call("inventory", "list", "-i", "acme.yaml", "--json").out)
    assert [(each["scheme"], each["auth"]) for each in listed] == [
        ("https", "basic"),
        ("http", "ntlm"),
    ]

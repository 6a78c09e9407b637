"""What a host's variables make of it: an endpoint, a reason to leave it out, or a fault."""

from __future__ import annotations

import getpass

import pytest

from outagekit.credentials import SecretRef
from outagekit.inventory.foreign.proposal import Wishes
from outagekit.inventory.foreign.reading import Source, read_foreign
from outagekit.inventory.model import Credential, Endpoint, Site


def read(folder, text, *, name="hosts.ini", **wishes):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_foreign(Source(path, "acme"), Wishes(**wishes))


def client_of(folder, text, **more):
    taken, problems = read(folder, text, **more)
    assert [problem for problem in problems if not problem.warning] == []
    (client,) = taken.clients
    return client


def faults_of(folder, text, **more):
    _, problems = read(folder, text, **more)
    return [(p.line, p.column, p.message) for p in problems if not p.warning]


def test_everything_that_is_known_of_a_host_arrives(tmp_path):
    client = client_of(
        tmp_path,
        "[web]\nweb-1 ansible_host=192.0.2.1 ansible_port=2222 ansible_user=ops"
        " ansible_ssh_private_key_file=~/.ssh/acme ansible_become=yes"
        " ansible_ssh_common_args='-o StrictHostKeyChecking=no -J jo@bastion:2200'\n"
        "[prod:children]\nweb\n",
    )
    assert client.endpoints == {
        "web-1": Endpoint(
            client="acme",
            name="web-1",
            address="192.0.2.1",
            os="linux",
            port=2222,
            credential="ops",
            site="bastion-2200",
            tags=("prod", "web"),
            become="sudo",
        )
    }
    assert client.credentials == {"ops": Credential(name="ops", user="ops", key="~/.ssh/acme")}
    assert client.sites == {"bastion-2200": Site(name="bastion-2200", jump="jo@bastion:2200")}
    assert client.agreement is None


def test_equal_logins_are_one_credential_and_others_get_a_number(tmp_path):
    client = client_of(
        tmp_path,
        "a ansible_user=ops\nb ansible_user=ops\n"
        "c ansible_user=ops ansible_ssh_private_key_file=/k\nd ansible_user=Ops\n",
    )
    found = {name: each.credential for name, each in client.endpoints.items()}
    assert found == {"a": "ops", "b": "ops", "c": "ops-2", "d": "Ops-3"}
    assert client.credentials["ops"].agent
    assert not client.credentials["ops-2"].agent


def test_the_system_is_windows_by_connection_or_shell_else_said_or_linux(tmp_path):
    text = "a ansible_connection=winrm\nb ansible_connection=psrp\n"
    text += "c ansible_shell_type=powershell\nd\n"
    systems = [each.os for each in client_of(tmp_path, text).endpoints.values()]
    assert systems == ["windows", "windows", "windows", "linux"]
    assert client_of(tmp_path, text, os="macos").endpoints["d"].os == "macos"
    taken, _ = read(tmp_path, text)
    assert any("taken as linux for 1 endpoint" in note for note in taken.notes)


@pytest.mark.parametrize(
    ("connection", "reason"),
    [("local", "without a connection"), ("docker", "`docker`"), ("network_cli", "`network_cli`")],
)
def test_what_is_reached_otherwise_is_left_out_and_told(tmp_path, connection, reason):
    taken, problems = read(tmp_path, f"a ansible_connection={connection}\nb\n")
    assert problems == ()
    (left,) = taken.left_out
    assert left.name == "a"
    assert reason in left.reason
    assert list(taken.clients[0].endpoints) == ["b"]


def test_become_of_another_kind_or_user_is_left_out_and_told(tmp_path):
    text = (
        "a ansible_become=true ansible_become_method=su\n"
        "b ansible_become=true ansible_become_user=postgres\n"
        "c ansible_become=no\nd ansible_become=1 ansible_become_user=root\n"
    )
    taken, _ = read(tmp_path, text)
    found = [each.become for each in taken.clients[0].endpoints.values()]
    assert found == [None, None, None, "sudo"]
    assert any("`su` is not sudo" in note for note in taken.notes)
    assert any("`postgres` is not root" in note for note in taken.notes)


SECRETS = [
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_winrm_password",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_ssh_private_key",
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_refused_with_its_place_and_never_shown(tmp_path, name):
    text = f"a ansible_user=ops {name}='hunter2 x' ansible_port=high\n"
    _, problems = read(tmp_path, text)
    assert (1, text.index(name) + 1) in {(p.line, p.column) for p in problems}
    assert "hunter2" not in repr(problems)


@pytest.mark.parametrize(
    "text",
    [
        "all:\n  vars:\n    ansible_password: hunter2\n  hosts: {a: , 1: }\n",
        "all:\n  vars:\n    ansible_password: |\n      hunter2\n     hunter2 [\n  hosts: {a: }\n",
        "all:\n  hosts:\n    a: {ansible_password: hunter2, ansible_port: high}\n",
        "all:\n  hosts:\n    a: {ansible_password: [hunter2]}\n",
        "a:\n  hosts: {a: }\n  vars: {ansible_ssh_args: '-o ProxyCommand=\"x -p hunter2\"'}\n",
        "all:\n  hosts:\n    a: {ansible_user: ['hunter2']}\n  hunter2\n",
    ],
)
def test_no_fault_of_a_yaml_file_shows_a_secret(tmp_path, text):
    _, problems = read(tmp_path, text, name="hosts.yml")
    assert problems
    assert "hunter2" not in repr(problems)


@pytest.mark.parametrize(
    "line",
    [
        "ansible_password=hunter2",
        "a ansible_password = hunter2",
        "a ansible_password='hunter2",
        "a:\nansible_password:hunter2 x",
        "[all:vars]\nansible_password hunter2",
        "[all:vars]\nhunter2",
        "[a b\nansible_password=hunter2",
    ],
)
def test_no_fault_of_an_ini_file_shows_a_secret(tmp_path, line):
    _, problems = read(tmp_path, f"{line}\n")
    assert problems
    told = repr([(p.message, p.hint, p.source) for p in problems])
    assert "hunter2" not in told.replace("`ansible_password:hunter2`", "")


def test_a_reference_in_place_of_a_secret_is_taken(tmp_path):
    client = client_of(
        tmp_path,
        "a ansible_user=ops ansible_password=keyring:acme ansible_become_pass=env:SUDO\n",
    )
    assert client.credentials["ops"] == Credential(
        name="ops",
        user="ops",
        password=SecretRef("keyring", "acme"),
        sudo=SecretRef("env", "SUDO"),
    )


def test_where_a_secret_is_can_be_said_beside_the_file(tmp_path):
    text = "a ansible_user=ops ansible_password=hunter2\nb ansible_user=jo ansible_password=x\n"
    ops, others = SecretRef("keyring", "ops"), SecretRef("keyring", "all")
    client = client_of(tmp_path, text, passwords={"ops": ops, "": others})
    assert client.credentials["ops"].password == ops
    assert client.credentials["jo"].password == others


def test_windows_without_a_password_has_no_credential_and_that_is_told(tmp_path):
    taken, _ = read(tmp_path, "a ansible_connection=winrm ansible_user=admin\n")
    assert taken.clients[0].endpoints["a"].credential is None
    assert any("--password USER=keyring:NAME" in note for note in taken.notes)


def test_a_key_without_user_is_for_the_persons_own_name(tmp_path):
    text = "a ansible_ssh_private_key_file=/k\n"
    assert client_of(tmp_path, text).credentials[getpass.getuser()].key == "/k"
    assert client_of(tmp_path, text, user="ops").credentials["ops"].key == "/k"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "a ansible_host='{{ x }}'",
            "`ansible_host` is a template, and templates are not rendered",
        ),
        ("a ansible_host=$ANSIBLE_VAULT;1.1", "`ansible_host` is encrypted by Ansible's vault"),
        ("a ansible_port=70000", "`70000` is no port"),
        ("a ansible_port=x", "`x` is no port"),
        ("a ansible_host=ops@192.0.2.1", "`ops@192.0.2.1` holds a user name"),
        ("a ansible_host=192.0.2.300", "`192.0.2.300` is no IPv4 address"),
        ("a ansible_host=''", "`` is no address"),
        ("a ansible_user=a ansible_ssh_user=b", "`ansible_user` and `ansible_ssh_user` say"),
        ("a ansible_user=[1]", "`ansible_user` must be one line of text"),
        ("büro", "`büro` is no DNS name"),
        ("all ansible_host=192.0.2.1", "endpoint `all` is a word of the selector language"),
        ("[x]\nweb\nWEB", "endpoints `web` and `WEB` would both be WEB"),
        ("[x.y]\na\n[x-y]\nb\n[x+y]\nc", "tags `x-y` and `x+y` would both be x-y"),
        ("a ansible_ssh_args='-F x'", "`ansible_ssh_args`: the option -F of ssh changes"),
    ],
)
def test_what_cannot_be_used_is_a_fault_at_its_line(tmp_path, line, message):
    found = faults_of(tmp_path, f"{line}\n")
    assert any(told.startswith(message) for _, _, told in found), found
    assert all(number for number, _, _ in found)


def test_all_faults_are_told_at_once(tmp_path):
    text = "a ansible_port=x\nb ansible_host='{{ y }}'\n[c d]\ne f\n"
    assert [line for line, _, _ in faults_of(tmp_path, text)] == [1, 2, 3, 4]


def test_faulty_hosts_can_be_left_out_instead(tmp_path):
    taken, problems = read(tmp_path, "a ansible_port=x\nb\n", leave_out=True)
    assert problems == ()
    assert list(taken.clients[0].endpoints) == ["b"]
    assert [(each.name, each.reason) for each in taken.left_out] == [("a", "`x` is no port")]


def test_templates_that_nobody_needs_are_counted_and_ignored(tmp_path):
    taken, problems = read(tmp_path, "a x='{{ y }}' z=1\nb x=2\n")
    assert problems == ()
    assert taken.unused == {"x": 2, "z": 1}


def test_an_encrypted_variable_file_is_refused_or_left_out_on_demand(tmp_path):
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    ((line, _, message),) = faults_of(tmp_path, "a\n")
    assert (line, message) == (1, "this file is encrypted, so nobody can say what it sets")
    taken, problems = read(tmp_path, "a\n", skip_encrypted=True)
    assert problems == ()
    assert any("encrypted files are left out" in note for note in taken.notes)


def test_a_name_never_leads_out_of_the_folder_of_variables(tmp_path):
    (tmp_path / "x.yml").write_text("ansible_user: outside\n")
    (tmp_path / "host_vars").mkdir()
    found = faults_of(tmp_path, "../x ansible_host=192.0.2.1\n")
    assert [message for _, _, message in found] == ["the name `../x` leads out of a folder"]


@pytest.mark.parametrize(
    ("arguments", "jump"),
    [
        ("-J bastion", "bastion"),
        ("-Jops@bastion:22", "ops@bastion:22"),
        ("-o ProxyJump=ops@bastion", "ops@bastion"),
        ("-oProxyJump=bastion -C", "bastion"),
        ("-o 'ProxyJump bastion'", "bastion"),
        ("-o ProxyJump=none", None),
        ("-o ControlMaster=auto -o ControlPersist=60s", None),
        ("-o ProxyCommand='ssh -W %h:%p -q ops@bastion'", "ops@bastion"),
        ("-o ProxyCommand='ssh -q ops@bastion -W %h:%p'", "ops@bastion"),
        ("-o 'ProxyCommand=ssh -p 2200 -l ops -W %h:%p bastion'", "ops@bastion:2200"),
        ("-o ProxyCommand='ssh -o StrictHostKeyChecking=no -W %h:%p bastion'", "bastion"),
    ],
)
def test_a_jump_host_is_understood(tmp_path, arguments, jump):
    quoted = arguments.replace('"', "'")
    text = f'a ansible_ssh_common_args="{quoted}"\n'
    client = client_of(tmp_path, text)
    assert [site.jump for site in client.sites.values()] == ([jump] if jump else [])


@pytest.mark.parametrize(
    "arguments",
    [
        "-J one,two",
        "-J one -J two",
        "-o ProxyCommand='nc -X connect %h %p'",
        "-o ProxyCommand='ssh bastion nc %h %p'",
        "-o ProxyCommand='ssh -F x -W %h:%p bastion'",
        "-o HostName=elsewhere",
        "-p 22",
        "-i key",
        "word",
        "-J 'a b'",
        "-o 'ProxyCommand",
    ],
)
def test_a_way_that_is_not_understood_is_refused(tmp_path, arguments):
    text = f"all:\n  hosts:\n    a:\n      ansible_ssh_common_args: >-\n        {arguments}\n"
    (found,) = faults_of(tmp_path, text, name="hosts.yml")
    assert found[0] == 4
    assert found[2].startswith("`ansible_ssh_common_args`: ")


def test_a_key_for_the_jump_host_is_its_credential(tmp_path):
    text = "a ansible_ssh_common_args=\"-o ProxyCommand='ssh -i /k -W %h:%p ops@bastion'\"\n"
    client = client_of(tmp_path, text)
    assert client.sites["bastion"].jump_credential == "ops"
    assert client.credentials["ops"].key == "/k"


def test_two_jump_hosts_in_different_variables_are_refused(tmp_path):
    text = "a ansible_ssh_common_args='-J one' ansible_ssh_extra_args='-J two'\n"
    assert len(faults_of(tmp_path, text)) == 1


def test_a_network_device_is_left_out_and_told(tmp_path):
    text = "a ansible_network_os=cisco.ios.ios ansible_password=x\nb\n"
    taken, problems = read(tmp_path, text)
    assert problems == ()
    assert list(taken.clients[0].endpoints) == ["b"]
    assert "network device" in taken.left_out[0].reason

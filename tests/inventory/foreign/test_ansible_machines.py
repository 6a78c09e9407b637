"""What a host's variables make of it: an endpoint, a reason to leave it out, or a fault."""

from __future__ import annotations

import getpass
from pathlib import Path

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


WINRM = "a ansible_connection=winrm ansible_user=ops ansible_password=keyring:acme "


@pytest.mark.parametrize(
    ("said", "scheme", "port", "auth"),
    [
        ("", None, None, None),
        ("ansible_port=5985", None, 5985, None),
        ("ansible_winrm_scheme=http ansible_winrm_transport=ntlm", "http", None, "ntlm"),
        ("ansible_winrm_scheme=HTTPS ansible_winrm_transport=basic", "https", None, "basic"),
        ("ansible_winrm_transport=ssl ansible_port=5986", None, 5986, "basic"),
        ("ansible_winrm_transport=ntlm,basic", None, None, "ntlm"),
        ("ansible_psrp_protocol=http ansible_psrp_auth=negotiate", "http", None, "ntlm"),
    ],
)
def test_what_is_said_of_winrm_is_taken_over(tmp_path, said, scheme, port, auth):
    client = client_of(tmp_path, WINRM + said)
    found = client.endpoints["a"]
    assert (found.os, found.scheme, found.port) == ("windows", scheme, port)
    assert client.credentials[found.credential].auth == auth
    assert client.credentials[found.credential].password == SecretRef("keyring", "acme")


def test_a_login_by_certificate_needs_both_files_and_no_user(tmp_path):
    files = "ansible_winrm_cert_pem=/c.pem ansible_winrm_cert_key_pem=/c.key"
    text = f"a ansible_connection=winrm ansible_winrm_transport=certificate {files}\n"
    client = client_of(tmp_path, text)
    (login,) = client.credentials.values()
    assert (login.auth, login.key, login.certificate) == ("certificate", "/c.key", "/c.pem")
    assert not login.agent
    _, problems = read(tmp_path, text.replace("ansible_winrm_cert_key_pem", "x"))
    assert "needs a TLS client certificate and its key" in problems[0].message


def test_a_user_with_a_doubled_backslash_is_told_with_its_place(tmp_path):
    _, problems = read(tmp_path, "a ansible_connection=winrm ansible_user=ACME\\\\\\\\ops\n")
    assert problems[0].message == "`ACME\\\\ops` is no user"
    assert problems[0].line == 1


def test_a_login_by_kerberos_needs_a_realm_and_no_password(tmp_path):
    text = "a ansible_connection=winrm ansible_winrm_transport=kerberos ansible_user={}\n"
    client = client_of(tmp_path, text.format("ops@ACME.EXAMPLE"))
    (login,) = client.credentials.values()
    assert (login.auth, login.user, login.password) == ("kerberos", "ops@ACME.EXAMPLE", None)
    _, problems = read(tmp_path, text.format("ops"))
    assert problems[0].message == "`kerberos` needs the realm of the user"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ansible_winrm_transport=credssp", "`credssp` hands the password itself"),
        ("ansible_winrm_transport=magic", "`magic` is no way to log in to windows"),
        ("ansible_winrm_scheme=ftp", "`ftp` is neither http nor https"),
        ("ansible_winrm_transport=basic ansible_port=5985", "would cross the network in clear"),
        ("ansible_winrm_transport=plaintext ansible_winrm_scheme=http", "in clear"),
    ],
)
def test_a_way_that_is_none_here_is_refused_at_its_place(tmp_path, said, message):
    taken, problems = read(tmp_path, f"b\n{WINRM}{said}\n")
    assert [(each.line, message in each.message) for each in problems] == [(2, True)]
    assert "a" not in taken.clients[0].endpoints
    taken, problems = read(tmp_path, f"b\n{WINRM}{said}\n", leave_out=True)
    assert problems == ()
    assert [each.name for each in taken.left_out] == ["a"]


def test_what_windows_is_told_and_not_taken_over(tmp_path):
    taken, _ = read(
        tmp_path,
        f"{WINRM}ansible_winrm_server_cert_validation=ignore ansible_ssh_private_key_file=/k\n",
    )
    notes = "\n".join(taken.notes)
    assert "cannot be turned off, as for 1 endpoint Ansible does; `outagekit trust add`" in notes
    assert "key: left out for 1 endpoint with windows" in notes
    assert "auth: taken as ntlm for 1 endpoint with windows" in notes
    assert taken.clients[0].credentials["ops"].key is None


def test_windows_by_ssh_is_reached_by_winrm_and_not_on_the_port_of_ssh(tmp_path):
    text = "a ansible_connection=ssh ansible_shell_type=powershell ansible_port=22\n"
    taken, problems = read(tmp_path, text)
    assert problems == ()
    found = taken.clients[0].endpoints["a"]
    assert (found.os, found.port) == ("windows", None)
    assert "windows: by WinRM, not by SSH as Ansible does, for 1 endpoint" in taken.notes


def test_a_client_has_one_file_of_authorities(tmp_path):
    ca = "ansible_winrm_ca_trust_path"
    text = f"{WINRM}{ca}=tls/ca.pem\n" + WINRM.replace("a ", "b ", 1) + f"{ca}=/other.pem\n"
    taken, problems = read(tmp_path, text)
    assert Path(taken.clients[0].winrm.ca).is_absolute()
    assert Path(taken.clients[0].winrm.ca).parts[-2:] == ("tls", "ca.pem")
    (warning,) = problems
    assert warning.warning
    assert "`/other.pem` are left out" in warning.message
    taken, _ = read(tmp_path, text.replace("/other.pem", "~/ca"), leave_out=True)
    assert list(taken.clients[0].endpoints) == ["a", "b"]


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

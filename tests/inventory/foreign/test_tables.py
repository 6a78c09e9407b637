"""Tables of monitoring tools: encodings, columns, rows."""

from __future__ import annotations

import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import UsageError
from outagekit.inventory.foreign.columns import parse_columns
from outagekit.inventory.foreign.proposal import Wishes
from outagekit.inventory.foreign.reading import Source, read_foreign
from outagekit.inventory.foreign.systems import is_other, system_of

HEAD = "Name,IP,OS\n"


def read(folder, data, *, client="acme", name="rmm.csv", columns=(), **wishes):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    wanted = Wishes(columns=parse_columns(columns), **wishes)
    return read_foreign(Source(path, client), wanted)


def endpoints_of(folder, data, **more):
    taken, problems = read(folder, data, **more)
    assert [p for p in problems if not p.warning] == []
    return {each.name: each for client in taken.clients for each in client.endpoints.values()}


def faults_of(folder, data, **more):
    _, problems = read(folder, data, **more)
    return [(p.line, p.message) for p in problems if not p.warning]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_encoding_and_separator_holds_the_same(tmp_path, encoding, delimiter):
    rows = [
        ["Device Name", "IP Address", "OS", "Location"],
        ["büro-1", "192.0.2.1", "linux", "Köln"],
    ]
    data = "\r\n".join(delimiter.join(row) for row in rows).encode(encoding)
    (found,) = endpoints_of(tmp_path, data).values()
    assert (found.name, found.address, found.os, found.site) == (
        "buro-1",
        "192.0.2.1",
        "linux",
        "Koln",
    )


def test_quotes_empty_lines_and_a_line_that_names_the_separator(tmp_path):
    data = (
        'sep=;\n\n"Name";"IP";"OS";"Note"\n\n'
        '"a";"192.0.2.1";"linux";"two\nlines; ""x"""\n;;;\nb;192.0.2.2;linux;\n'
    )
    assert list(endpoints_of(tmp_path, data)) == ["a", "b"]


def test_a_row_with_a_fault_is_named_by_its_first_line_in_the_file(tmp_path):
    data = 'Name,IP,OS,Note\na,192.0.2.1,linux,"1\n2\n3"\nb,nowhere!,linux,x\n'
    assert faults_of(tmp_path, data) == [(5, "`nowhere!` is no DNS name (column 2)")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Computer Name,Client,Location,Operating System,Local IP,Router IP",
         "a,c,s,Windows 11,192.0.2.1,9"),
        ("Display Name,System Name,Organization,Location,OS Name,IP Addresses,Public IP",
         "x,a,c,s,Windows 11,192.0.2.1,198.51.100.1"),
        ("Device Hostname,Site Name,Operating System,Int IP Address,Ext IP Addr",
         "a,s,Windows 11,192.0.2.1,9"),
        ("Device name,OS,Customer,Site,IP address", "a,Windows 11,c,s,192.0.2.1"),
        ("hostname,internal_ip,external_ip,os,location", "a,192.0.2.1,198.51.100.1,Windows 11,s"),
    ],
)  # fmt: skip
def test_headers_of_known_tools_are_understood(tmp_path, header, row):
    (found,) = endpoints_of(tmp_path, f"{header}\n{row}\n", client=None).values()
    assert (found.os, found.address, found.site) == ("windows", "192.0.2.1", "s")
    assert found.name in {"a", "x"}


def test_the_address_as_the_internet_sees_it_is_never_taken(tmp_path):
    data = "Name,Public IP,WAN IP,OS\na.example,198.51.100.1,198.51.100.2,linux\n"
    assert endpoints_of(tmp_path, data)["a.example"].address == "a.example"


def test_columns_can_be_said(tmp_path):
    columns = ["address=Where", "name=Who", "os=What", "tags=T1", "tags=T2", "user=Login"]
    data = 'T1,Who,Where,What,T2,Login\n"a;b",pc,192.0.2.1,linux,c d,ops\n'
    taken, _ = read(tmp_path, data, columns=columns)
    (client,) = taken.clients
    assert client.endpoints["pc"].tags == ("a", "b", "c-d")
    assert client.credentials["ops"].agent


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("name", "is not like FIELD=HEADER"),
        ("nmae=x", "knows no field `nmae`"),
        ("password=x", "knows no field `password`"),
    ],
)
def test_a_column_map_that_is_none_is_refused(word, message):
    with pytest.raises(UsageError, match=message):
        parse_columns([word])


def test_a_column_that_is_not_there_is_a_fault_with_a_guess(tmp_path):
    _, problems = read(tmp_path, HEAD + "a,192.0.2.1,linux\n", columns=["name=Nmae"])
    assert [(p.message, p.hint) for p in problems] == [
        ("no column is called `Nmae`", "did you mean `Name`?")
    ]


def test_a_table_without_names_says_which_columns_there_are(tmp_path):
    assert faults_of(tmp_path, "Foo,Bar\n1,2\n") == [
        (1, "no column is known to hold names; there are `Foo` and `Bar`")
    ]


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("Windows Server 2019", "windows"),
        ("Microsoft Windows 11 Pro", "windows"),
        ("Win10", "windows"),
        ("Ubuntu 22.04", "linux"),
        ("Red Hat Enterprise Linux 9", "linux"),
        ("macOS 14", "macos"),
        ("Mac OS X 10.15", "macos"),
        ("Darwin", "macos"),
        ("Windows Subsystem for Linux", None),
        ("VMware ESXi 8", None),
        ("Cisco IOS", None),
        ("PowerOS", None),
    ],
)
def test_a_system_is_made_out_or_not_guessed(text, system):
    assert system_of(text) == system
    assert is_other(text) == (text in {"VMware ESXi 8", "Cisco IOS"})


def test_machines_that_are_no_endpoints_are_left_out_and_unknown_ones_are_faults(tmp_path):
    data = HEAD + "a,192.0.2.1,VMware ESXi\nb,192.0.2.2,PowerOS\nc,192.0.2.3,\n"
    taken, problems = read(tmp_path, data)
    assert [each.name for each in taken.left_out] == ["a"]
    assert [(p.line, p.message) for p in problems] == [
        (3, "`PowerOS` is no system that is known (column 3)"),
        (4, "the system of `c` is missing (column 3)"),
    ]
    found = endpoints_of(tmp_path, data, os="linux", os_values={"poweros": "macos"})
    assert {name: each.os for name, each in found.items()} == {"b": "macos", "c": "linux"}


def test_each_customer_is_a_client_of_its_own(tmp_path):
    data = "Name,IP,OS,Customer\na,192.0.2.1,linux,Acme Dental\nb,192.0.2.1,linux,Böse & Co\n"
    taken, problems = read(tmp_path, data, client=None)
    assert problems == ()
    found = [(each.client, each.name, list(each.endpoints)) for each in taken.clients]
    assert found == [("acme-dental", "Acme Dental", ["a"]), ("bose-co", "Böse & Co", ["b"])]


def test_customers_are_never_mixed_into_one_client(tmp_path):
    data = "Name,IP,OS,Customer\na,192.0.2.1,linux,A\nb,192.0.2.2,linux,B\n"
    assert faults_of(tmp_path, data) == [(0, "the table names several clients: `A` and `B`")]
    twins = data.replace(",B\n", ",a\n")
    assert faults_of(tmp_path, twins, client=None) == [
        (3, "the client `a` has the short name of `A`")
    ]
    nobody = data.replace(",B\n", ",\n")
    assert faults_of(tmp_path, nobody, client=None) == [
        (3, "the client of `b` is missing (column 4)")
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (",192.0.2.1,linux", "the name is missing (column 1)"),
        ("a,,linux", "the address of `a` is missing (column 2)"),
        ("a,10.0.0.0/8,linux", "`10.0.0.0/8` is no address (column 2)"),
        ("a,192.0.2.1,linux,x", "this row has 4 cells, the header has 3"),
        ("!!!,192.0.2.1,linux", "endpoint `!!!` cannot be made a name"),
        ('"a\n",192.0.2.1,"li\x07nux"', "the os must be one line of at most 200 signs (column 3)"),
        ('"a,192.0.2.1,linux', "the quotes of this row do not match, or a cell is too long"),
    ],
)
def test_a_bad_row_is_told_with_its_reason(tmp_path, row, message):
    assert (2, message) in faults_of(tmp_path, f"{HEAD}{row}\n")


def test_a_name_that_stands_twice_is_a_fault(tmp_path):
    data = HEAD + "a,192.0.2.1,linux\na,192.0.2.2,linux\na b,192.0.2.3,linux\nA-B,192.0.2.4,linux\n"
    assert faults_of(tmp_path, data) == [
        (3, "the endpoint `a` stands twice"),
        (5, "endpoints `a b` and `A-B` would both be A-B"),
    ]


def test_no_cell_of_an_unknown_column_is_ever_shown(tmp_path):
    data = "Name,Password,OS,IP\na,hunter2,PowerOS,x y z\nb,hunter2,linux,1,2,hunter2\n"
    taken, problems = read(tmp_path, data)
    assert len(problems) == 3
    assert "hunter2" not in repr(problems) + repr(taken)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"\xff\xfe\x00", b"\x00\x00\x00\x00a", b"Name\x00,IP\n"]
)
def test_what_is_no_table_is_refused(tmp_path, data):
    assert faults_of(tmp_path, data)


def test_too_many_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("outagekit.inventory.foreign.table.LIMIT_ENDPOINTS", 2)
    data = HEAD + "".join(f"a{n},192.0.2.{n},linux\n" for n in range(3))
    assert faults_of(tmp_path, data) == [(4, "there are more than 2 rows")]


def test_bad_rows_can_be_left_out_instead(tmp_path):
    taken, problems = read(tmp_path, HEAD + "a,x y z!,linux\nb,192.0.2.1,linux\n", leave_out=True)
    assert problems == ()
    assert [each.name for each in taken.left_out] == ["a"]
    assert list(taken.clients[0].endpoints) == ["b"]


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("fe80::1, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1 169.254.7.7 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1; 192.0.2.2", "192.0.2.1"),
        ("eth0: 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1 fe80::1", "127.0.0.1"),
    ],
)
def test_the_first_of_several_addresses_that_leads_to_another_machine(tmp_path, cell, address):
    assert endpoints_of(tmp_path, HEAD + f'a,"{cell}",linux\n')["a"].address == address


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "169.254.1.1", "localhost", "::1"])
def test_an_address_of_this_very_machine_is_warned_of(tmp_path, address):
    _, problems = read(tmp_path, HEAD + f"a,{address},linux\n")
    assert [problem.warning for problem in problems] == [True]
    assert "no address another machine is reached by" in problems[0].message


@pytest.mark.parametrize(
    "top",
    ["All devices\n", "Report of today,,,\n,,,\nMade by hand,,,\n", "\n\nA title; a date,,\n"],
)
def test_titles_above_the_header_are_passed_over_and_told(tmp_path, top):
    taken, problems = read(
        tmp_path, top + HEAD + "a,192.0.2.1,linux\nb,x y,linux\n", leave_out=True
    )
    assert problems == ()
    assert list(taken.clients[0].endpoints) == ["a"]
    assert taken.notes[0].startswith(f"header: line {top.count(chr(10)) + 1}; ")


def test_titles_do_not_hide_what_separates_the_cells(tmp_path):
    data = "Alle Geräte\r\nName;IP;OS\r\na;192.0.2.1;linux\r\n"
    assert list(endpoints_of(tmp_path, data.encode("cp1252"))) == ["a"]


@pytest.mark.parametrize("first", ['"sep=;"\r\n', "sep=;\r", "SEP=;\n", "sep=;;;;\r\n"])
def test_a_line_that_names_the_separator_is_known_however_it_was_saved(tmp_path, first):
    end = first[-1]
    assert list(endpoints_of(tmp_path, f"{first}Name;IP;OS{end}a;192.0.2.1;linux{end}")) == ["a"]


def test_two_columns_of_one_name_are_not_chosen_between(tmp_path):
    data = "Name,IP,ip,OS\na,198.51.100.7,192.0.2.1,linux\n"
    assert faults_of(tmp_path, data) == [(1, "more than one column is called `IP`")]
    assert endpoints_of(tmp_path, "Name,IP,ip,OS\na,192.0.2.1,192.0.2.1,linux\n")


def test_a_workbook_is_called_one(tmp_path):
    for name in ("a.csv", "a.xlsx"):
        (told,) = faults_of(tmp_path, b"PK\x03\x04\0\xff" * 50, name=name)
        assert "workbook" in told[1]


def test_what_many_rows_have_in_common_is_told_once(tmp_path):
    rows = "".join(f"a{n},192.0.2.{n},BeOS\n" for n in range(1, 200))
    ((line, message),) = faults_of(tmp_path, HEAD + rows)
    assert line == 2
    assert message.endswith("and in lines 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 188 more")


def test_a_cell_that_cannot_be_shown_is_one_fault(tmp_path):
    data = HEAD + "a\x1b[31m,192.0.2.1,linux\n"
    (fault,) = faults_of(tmp_path, data)
    assert "must be one line" in fault[1]


def test_more_problems_than_are_told_are_counted(tmp_path):
    _, problems = read(tmp_path, HEAD + "".join(f"a{n},,linux\n" for n in range(500)))
    assert problems[0].message == "there are 500 problems; the first 100 are told"
    assert len(problems) == 101


def test_names_that_cannot_be_used_can_be_left_out_as_well(tmp_path):
    rows = (
        "my pc,192.0.2.1,linux\nmy-pc,192.0.2.2,linux\n日本,192.0.2.3,linux\nall,192.0.2.4,linux\n"
    )
    assert len(faults_of(tmp_path, HEAD + rows)) == 3
    taken, problems = read(tmp_path, HEAD + rows, leave_out=True)
    assert problems == ()
    assert list(taken.clients[0].endpoints) == ["my-pc"]
    assert [each.name for each in taken.left_out] == ["my-pc", "日本", "all"]


def test_windows_has_its_scheme_and_way_to_log_in_from_columns(tmp_path):
    data = (
        "Name,IP,OS,User,WinRM Scheme,WinRM Auth,Port\n"
        "a,192.0.2.1,Windows 11,ops,http,ntlm,\nb,192.0.2.2,Windows 11,ops,https,basic,5986\n"
        "c,192.0.2.3,Ubuntu,ops,https,magic,\nd,192.0.2.4,Windows 11,ops,,,5985\n"
        "e,192.0.2.5,Windows 11,ops@ACME.EXAMPLE,,kerberos,\n"
    )
    passwords = {"ops": SecretRef("keyring", "acme")}
    taken, problems = read(tmp_path, data, passwords=passwords)
    assert problems == ()
    (client,) = taken.clients
    found = {
        name: (each.scheme, each.port, client.credentials[each.credential].auth)
        for name, each in client.endpoints.items()
    }
    assert found == {
        "a": ("http", None, "ntlm"),
        "b": ("https", 5986, "basic"),
        "c": (None, None, None),
        "d": (None, 5985, None),
        "e": (None, None, "kerberos"),
    }


def test_windows_in_a_table_without_a_password_has_no_credential_and_that_is_told(tmp_path):
    data = "Name,IP,OS,User,Key\na,192.0.2.1,Windows 11,ops,/k\n"
    taken, problems = read(tmp_path, data)
    assert problems == ()
    assert taken.clients[0].endpoints["a"].credential is None
    notes = "\n".join(taken.notes)
    assert "--password USER=keyring:NAME" in notes
    assert "key: left out for 1 endpoint with windows" in notes


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("http,basic,", "would cross the network in clear (column 5)"),
        (",basic,5985", "would cross the network in clear (column 5)"),
        (",credssp,", "`credssp` hands the password itself to the endpoint, and is not used here"),
        (",certificate,", "a table cannot name the files of a certificate (column 5)"),
        (",kerberos,", "`kerberos` needs the realm of the user"),
        ("gopher,,", "`gopher` is neither http nor https"),
    ],
)
def test_a_way_to_windows_that_is_none_is_a_fault_of_its_row(tmp_path, cells, message):
    data = f"Name,IP,OS,Scheme,WinRM Auth,Port\na,192.0.2.1,Windows 11,{cells}\n"
    ((line, said),) = faults_of(tmp_path, data, user="ops")
    assert line == 2
    assert message in said

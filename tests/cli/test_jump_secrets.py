"""What a jump host needs is asked for and looked for before the live screen."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from outagekit.cli.prepare import Desk, _require_key_files, credentials_of
from outagekit.errors import InvalidInput
from outagekit.inventory.load import load

FILE = """outagekit: 1
client: acme
credentials:
  linux: {user: ops, password: env:LINUX, sudo: env:SUDO}
  door: {user: ops, key: KEY, passphrase: env:DOOR, sudo: env:NEVER}
  spare: {user: ops, password: env:SPARE}
sites:
  berlin: {jump: ops@192.0.2.1, jump_credential: door}
  leeds: {concurrency: 2}
defaults: {os: linux, credential: linux}
endpoints:
  a: {address: 192.0.2.10, site: leeds}
  b: {address: 192.0.2.11, site: berlin}
  c: {address: 192.0.2.12, site: berlin}
"""


@pytest.fixture
def desk(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(FILE.replace("KEY", str(tmp_path / "key")))
    return Desk(SimpleNamespace(), SimpleNamespace(), load([path]))


def chosen(desk, *names):
    return [desk.inventory.clients["acme"].endpoints[name] for name in names]


def test_the_secrets_of_a_jump_host_are_needed_by_who_stands_behind_it(desk):
    needed = credentials_of(desk, chosen(desk, "a", "b", "c"))
    assert [(each.label, each.endpoint) for each in needed] == [
        ("linux password", "acme/a"),
        ("door passphrase", "acme/b"),
    ]
    assert [each.label for each in credentials_of(desk, chosen(desk, "a"))] == ["linux password"]


def test_the_key_of_a_jump_host_has_to_be_there(desk, tmp_path):
    _require_key_files(desk, chosen(desk, "a"))
    with pytest.raises(InvalidInput, match="credential door of acme: there is no file"):
        _require_key_files(desk, chosen(desk, "a", "b"))
    (tmp_path / "key").touch()
    _require_key_files(desk, chosen(desk, "a", "b"))

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.lab.script import Named, is_whole, named_in, values_in
from outagekit.playbook.model import Code
from outagekit.transports import detached
from outagekit.transports.posix import detached as commands
from outagekit.transports.posix.render import render


def rendered(text: str, values: dict[str, object]) -> bytes:
    return render(Code("sh", text), values, step="fix", part="script").stdin


def test_a_script_is_whole_only_with_its_last_byte():
    script = rendered("echo hello\nif true; then echo x; fi", {"a": "1"})
    assert is_whole(script)
    assert not any(is_whole(script[:cut]) for cut in range(len(script)))


def test_a_script_in_one_pair_of_braces_is_whole_too():
    assert is_whole(b"{ set -eu\ntrue\n} </dev/null\n")
    assert not is_whole(b"{ set -eu\ntrue\n")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        max_size=4,
    ),
    st.sampled_from(["true", "echo 'it''s'", "cat <<E\nit's open\nE", 'x="']),
)
def test_values_are_read_as_the_transport_quotes_them(values, text):
    assert values_in(rendered(text, dict(values))) == values


@given(st.binary())
def test_any_bytes_are_read_without_an_exception(script):
    is_whole(script)
    assert isinstance(values_in(script), dict)


@pytest.mark.parametrize("part", ["check", "script", "verify", "undo", "probe"])
def test_the_transports_own_command_line_is_understood(part):
    line = render(Code("bash", "true"), {}, step="roll_back", part=part).line
    assert named_in(line) == Named("roll_back", part)


def test_the_folder_of_a_detached_script_is_understood():
    line = commands.start("run/step", Code("sh", "true"), {}, step="fix", wait_s=1).line
    assert named_in(line) == Named("fix", "script", detached.folder_name("run/step"))


@pytest.mark.parametrize(
    "line",
    [
        "uname -a",
        "",
        "exec env OK_STEP=a sh -s",
        "exec env OK_PART=check sh -s",
        "exec env OK_STEP=a OK_PART=check",
        "exec env OK_STEP=a OK_PART=check sh -c id",
        "exec env OK_STEP='a OK_PART=check sh -s",
    ],
)
def test_any_other_command_is_not(line):
    assert named_in(line) is None

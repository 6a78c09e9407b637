"""Bytes of a stranger end in an answer or in a `BadAnswerError`, never in anything else."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from outagekit.transports.winrm.answers import (
    BadAnswerError,
    check_relates,
    received_of,
    reported_of,
    shell_of,
    tree_of,
)

WHOLE = b"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><s:Header>
 <a:RelatesTo>uuid:1</a:RelatesTo></s:Header><s:Body><rsp:ReceiveResponse>
 <rsp:Stream Name="stdout" CommandId="C">aGVsbG8=</rsp:Stream><rsp:CommandState CommandId="C"
 State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done">
 <rsp:ExitCode>0</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse></s:Body></s:Envelope>"""


def read(body: bytes) -> None:
    with contextlib.suppress(BadAnswerError):
        root = tree_of(body)
        reported_of(root)
        for step in (
            lambda: check_relates(root, "1"),
            lambda: shell_of(root),
            lambda: received_of(root, "C"),
        ):
            with contextlib.suppress(BadAnswerError):
                step()


@given(st.binary(max_size=400))
def test_any_bytes(body):
    read(body)


@given(st.integers(0, len(WHOLE)), st.binary(max_size=12), st.integers(0, 30))
def test_a_whole_answer_with_a_piece_exchanged(at, piece, gone):
    read(WHOLE[:at] + piece + WHOLE[at + gone :])


@given(st.integers(1, len(WHOLE) - 1))
def test_a_cut_answer_is_none(at):
    with contextlib.suppress(BadAnswerError):
        tree_of(WHOLE[:at])
        raise AssertionError


def test_the_whole_answer_is_read():
    received = received_of(tree_of(WHOLE), "c")
    assert (received.stdout, received.done, received.exit_code) == (b"hello", True, 0)

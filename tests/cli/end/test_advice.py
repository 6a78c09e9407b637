"""What to try, by the kind of failure and the system that failed."""

from __future__ import annotations

import pytest

from outagekit.cli.end.advice import ADVICE, advice_for
from outagekit.events import FailureKind


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (FailureKind.REFUSED, ("5985", "scheme: http", "winrm quickconfig")),
        (FailureKind.CONNECT_TIMEOUT, ("Public",)),
        (FailureKind.HANDSHAKE, ("scheme: http",)),
        (FailureKind.TLS, ("winrm: {ca: FILE}",)),
        (FailureKind.AUTH, ("DOMAIN\\user", "TrustedHosts")),
        (FailureKind.QUOTA, ("MaxShellsPerUser",)),
        (FailureKind.BECOME, ("SYSTEM",)),
    ],
)
def test_windows_has_words_of_its_own(kind: FailureKind, words: tuple[str, ...]) -> None:
    said = advice_for(kind, windows=True)
    assert all(word in said for word in words)
    assert "SSH" not in said
    assert "\n" not in said
    assert said != advice_for(kind)


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_has_advice_on_every_system_and_none_says_ssh_of_windows(
    kind: FailureKind,
) -> None:
    assert advice_for(kind) == ADVICE[kind]
    assert "SSH" not in advice_for(kind, windows=True)


def test_a_jump_host_is_no_matter_of_windows() -> None:
    for kind in FailureKind:
        assert advice_for(kind, jump="x", windows=True) == advice_for(kind, jump="x")

"""Who a Windows machine is, asked by cmd.exe and by PowerShell."""

from __future__ import annotations

import time

import pytest

from outagekit.events import FailureKind
from outagekit.transports.identity import Identity, parse_identity
from outagekit.transports.protocol import Captured, Failure, Outcome
from outagekit.transports.windows.identity import (
    CHEAP_IDENTITY,
    IDENTITY,
    boot_text,
    parse_registry,
)
from outagekit.transports.windows.render import sent_in

GUID = "1B2C3D4E-0000-4a5b-8c6d-7e8f90a1b2c3"
MACHINE = f"""
HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Cryptography
    MachineGuid    REG_SZ    {GUID}

"""
BOOT = """
HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management\\PrefetchParameters
    BootId    REG_DWORD    0x5f

"""  # noqa: E501


def said(stdout: str, code: int = 0, stderr: str = "") -> Outcome:
    return Outcome(code, Captured(stdout), Captured(stderr))


def test_the_cheap_way_needs_no_powershell_and_no_input() -> None:
    assert CHEAP_IDENTITY.line.startswith('set "OK_STEP=-"&set "OK_PART=identity"&reg query "HKLM')
    assert "powershell" not in CHEAP_IDENTITY.line
    assert CHEAP_IDENTITY.line.count("reg query") == 2
    assert CHEAP_IDENTITY.stdin == b""
    assert not CHEAP_IDENTITY.framed


def test_the_other_way_is_framed() -> None:
    assert IDENTITY.framed
    found = sent_in(IDENTITY.stdin)
    assert found is not None
    for line in ("'machine-id='", "'boot-id='", "'uptime-s='"):
        assert line in found.text


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_registry_tells_machine_and_boot(ends: str) -> None:
    text = (MACHINE + BOOT).replace("\n", ends)
    assert parse_registry(said(text)) == Identity(GUID.lower(), "00000095")


def test_both_ways_tell_the_same_boot() -> None:
    lines = f"machine-id={GUID.lower()}\r\nboot-id={boot_text(0x5F)}\r\nuptime-s=12.500\r\n"
    told = parse_identity(said(lines))
    cheap = parse_registry(said(MACHINE + BOOT))
    assert isinstance(told, Identity)
    assert isinstance(cheap, Identity)
    assert (told.machine_id, told.boot_id) == (cheap.machine_id, cheap.boot_id)
    assert told.uptime_s == 12.5


def test_a_machine_without_a_boot_number_has_told_who_it_is() -> None:
    error = "FEHLER: Der angegebene Registrierungsschlüssel wurde nicht gefunden."
    assert parse_registry(said(MACHINE, 1, error)) == Identity(GUID.lower(), "")


def test_a_machine_without_an_id_is_one_all_the_same() -> None:
    assert parse_registry(said(BOOT)) == Identity("", "00000095")


def test_what_a_login_prints_before_does_no_harm() -> None:
    text = (
        "Welcome! MachineGuid of the day\r\n" + MACHINE + "    BootId    REG_SZ    0x7\r\n" + BOOT
    )
    assert parse_registry(said(text)) == Identity(GUID.lower(), "00000095")


def test_the_largest_number_of_boots_is_read() -> None:
    told = parse_registry(said(MACHINE + "  BootId  REG_DWORD  0xffffffff"))
    assert told == Identity(GUID.lower(), "4294967295")


@pytest.mark.parametrize("stdout", ["", "sh: reg: not found\n", "MachineGuid REG_SZ ../../etc\n"])
def test_what_is_no_answer_is_a_failure(stdout: str) -> None:
    told = parse_registry(said(stdout, 127, "reg: \x1b[2J not found"))
    assert isinstance(told, Failure)
    assert told.kind is FailureKind.PROTOCOL
    assert not told.sent
    assert "\x1b" not in told.detail


def test_a_failure_stays_one_and_nothing_was_sent() -> None:
    lost = Failure(FailureKind.LOST, "gone", sent=True)
    assert parse_registry(Outcome(None, failure=lost)) == Failure(FailureKind.LOST, "gone")


@pytest.mark.parametrize("blank", ["\n", "\r\n", " ", "\t\n"])
def test_an_endpoint_that_answers_with_blanks_does_not_stop_us(blank: str) -> None:
    begin = time.perf_counter()
    assert parse_registry(said(blank * 200_000)) == Identity("", "")
    assert time.perf_counter() - begin < 5

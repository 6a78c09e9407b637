"""How many messages a step takes on a kept shell, counted at the service."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[4] / "benchmarks" / "winrm_messages.py"


@pytest.fixture(scope="module")
def benchmark() -> dict[str, object]:
    return runpy.run_path(str(BENCHMARK), run_name="winrm_messages")


@pytest.fixture(scope="module")
def found(benchmark: dict[str, object]) -> dict[str, dict[str, tuple[int, int]]]:
    return benchmark["measured"]()


@pytest.mark.parametrize(
    ("step", "messages"),
    [
        ("opening", 3),
        ("a PowerShell command", 3),
        ("a line for cmd", 2),
        ("check, script and verify", 9),
        ("closing", 1),
    ],
)
def test_a_step_takes_no_more_messages_than_it_must(
    found: dict[str, dict[str, tuple[int, int]]], step: str, messages: int
) -> None:
    assert {way: counts[0] for way, counts in found[step].items()} == {
        "sealed http": messages,
        "https": messages,
    }


@pytest.mark.parametrize("step", ["a PowerShell command", "a line for cmd"])
def test_no_step_on_a_kept_shell_logs_in_again(
    found: dict[str, dict[str, tuple[int, int]]], step: str
) -> None:
    assert all(requests == messages for messages, requests in found[step].values())


def test_a_megabyte_takes_a_message_for_each_96_kib_and_few_more(
    found: dict[str, dict[str, tuple[int, int]]],
) -> None:
    # As base64 a megabyte is 1366 KiB: in messages of 96 KiB there, of 150 KiB as text back.
    for step, most in (("put 1 MiB", 20), ("fetch 1 MiB", 32)):
        assert all(12 < messages <= most for messages, _ in found[step].values()), found[step]


def test_one_message_too_many_is_told(benchmark: dict[str, object]) -> None:
    told = benchmark["excess"]({"a PowerShell command": {"https": (4, 4), "http": (3, 3)}})
    assert told == ["a PowerShell command over https: 4 messages, not 3"]

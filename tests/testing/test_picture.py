"""The pictures of the README: of a real drill, safe to publish, and readable without the web."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from rich.text import Text

from outagekit.testing.picture import (
    COLUMNS,
    ROWS,
    Recording,
    end_lines,
    live_lines,
    main,
    record,
    svg_of,
)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(endpoints=12, speed=2000.0, takes_s=0.05)


def test_the_live_picture_shows_a_wave_and_its_gate_on_one_screen(recording):
    lines = [line.plain for line in live_lines(recording)]
    assert len(lines) < ROWS
    assert all(len(line) < COLUMNS for line in lines)
    assert lines[0].startswith("DRILL  ")
    assert any(re.match(r"wave \d of \d .*\d+/\d+", line) for line in lines)
    assert any(line.startswith("gate") for line in lines)


def test_the_end_is_folded_and_says_how_many_are_as_wanted(recording):
    lines = end_lines(recording)
    assert re.search(r"12 endpoints", lines[0].plain)
    assert all(line.cell_len <= COLUMNS for line in lines)
    assert lines[-1].plain.startswith("next: outagekit ")


def test_a_picture_tells_nothing_of_this_machine_and_fetches_nothing(recording):
    for lines in (live_lines(recording), end_lines(recording)):
        picture = svg_of(lines, title="outagekit drill")
        ET.fromstring(picture)
        assert re.findall(r"https?://[^\"' ]+", picture) == ["http://www.w3.org/2000/svg"]
        assert not re.search(r"url\((?!#)|@font-face|/tmp|/home|/root", picture)


def test_the_same_lines_make_the_same_picture():
    lines = [Text("one", "bold red"), Text("two")]
    assert svg_of(lines, title="x") == svg_of(lines, title="x")


def test_without_two_paths_nothing_is_run(capsys):
    assert main([]) == 2
    assert "LIVE.svg END.svg" in capsys.readouterr().err

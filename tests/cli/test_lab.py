"""`lab`: what it says to type works as long as it is up."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_commands_a_lab_offers_can_be_pasted(call, empty, monkeypatch):
    words = [sys.executable, "-m", "outagekit", "lab", "fleet of mine"]
    words += ["--playbook", "disk-full", "-n", "3", "--json"]  # it has no bake to wait for
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as lab:
        said = []
        while not (said and "Ctrl-C" in said[-1]):
            said.append(lab.stderr.readline())
            assert said[-1], said
        offered = [shlex.split(line.partition("next: ")[2]) for line in said if "next:" in line]
        for cd, folder, _and, _program, *rest in offered:
            assert cd == "cd"
            monkeypatch.chdir(folder)
            assert call(*rest, "--yes" if rest[0] == "run" else "--plain").code == 0
        assert len(offered) == 2
        lab.send_signal(signal.SIGINT)
        document = json.loads(lab.stdout.read())
        assert lab.wait(20) == 0
    assert document["folder"] == str(empty / "fleet of mine")
    assert len(document["endpoints"]) == 3


def test_a_lab_is_not_written_into_a_folder_that_holds_something(call, empty):
    (empty / "outagekit.yaml").write_text("outagekit: 1\n")
    refused = call("lab", ".")
    assert refused.code == 2
    assert [path.name for path in empty.iterdir()] == ["outagekit.yaml"]

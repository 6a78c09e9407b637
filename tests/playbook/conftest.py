"""Playbooks on disk for the tests of this room."""

from __future__ import annotations

import textwrap

import pytest


@pytest.fixture
def write(tmp_path):
    """Write a playbook of this text, and files beside it; return its path."""

    def written(text, name="written/playbook.yaml", **files):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        for file, content in files.items():
            (path.parent / file).parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, bytes) else content.encode()
            (path.parent / file).write_bytes(data)
        return path

    return written


@pytest.fixture
def steps(write):
    """Write a playbook of these steps (YAML below `steps:`) and what else stands above them."""

    def written(text, above="", **files):
        body = textwrap.indent(textwrap.dedent(text).strip("\n"), "  ")
        return write(f"outagekit: 1\ntitle: T\n{above}steps:\n{body}\n", **files)

    return written

"""What `pipx install .` installs: the wheel holds everything the tool needs at run time."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_playbooks_templates_and_types(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {
        f"outagekit/shipped/{path.relative_to(ROOT / 'playbooks').as_posix()}"
        for path in (ROOT / "playbooks").rglob("*")
        if path.is_file()
    }
    templates = ROOT / "src" / "outagekit" / "inventory" / "templates"
    written = {
        f"outagekit/inventory/templates/{path.relative_to(templates).as_posix()}"
        for path in templates.rglob("*")
        if path.is_file()
    }
    assert shipped
    assert written
    assert shipped | written | {"outagekit/py.typed", "outagekit/cli/app.py"} <= names

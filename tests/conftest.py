"""What every test starts from: an environment that knows nothing of the person at the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

LONG = ("simulation", "crash", "e2e", "playbooks", "posix", "ssh", "winrm", "cli")
"""Folders whose files take long."""

settings.register_profile("outagekit", deadline=None, database=None, print_blob=True)
settings.load_profile("outagekit")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where files are spread over processes, begin with the long ones: none is left for the end.

    Within that the order stays as random as it was.
    """
    if config.getoption("numprocesses", None) is None and not hasattr(config, "workerinput"):
        return
    items.sort(key=lambda item: next((n for n, f in enumerate(LONG) if f in item.path.parts), 99))


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("OUTAGEKIT_", "OK_")):
            monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "SSH_AUTH_SOCK", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    folders = {
        "HOME": "home",
        "USERPROFILE": "home",
        "XDG_STATE_HOME": "home/state",
        "XDG_CONFIG_HOME": "home/config",
        "XDG_CACHE_HOME": "home/cache",
        "LOCALAPPDATA": "home/local",
    }
    for name, folder in folders.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(tmp_path / folder))
    # No test may look into, or write to, the keyring of the person who runs it.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")

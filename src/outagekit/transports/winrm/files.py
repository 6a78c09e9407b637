"""Files over a shell: put whole or not at all, fetched piece by piece into a new file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outagekit.transports.protocol import Failure, Limits, Moved


def put_file(run: Any, content: bytes, path: str, *, limits: Limits) -> Moved | Failure:
    raise NotImplementedError


def fetch_file(
    run: Any, path: str, into: Path, *, max_bytes: int, limits: Limits
) -> Moved | Failure:
    raise NotImplementedError

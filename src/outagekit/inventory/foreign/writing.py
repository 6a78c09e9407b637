"""Clients written as files of ours: short, with a word on what is missing, and read back alike."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from outagekit.errors import InvalidInput, UsageError
from outagekit.inventory.load import load
from outagekit.source import parse_document
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from outagekit.credentials import SecretRef
    from outagekit.inventory.model import Client, Credential, Endpoint, Site

_PLAIN = re.compile(
    r"[A-Za-z~/][A-Za-z0-9_./~@+-]*(?::[A-Za-z0-9_./@+-]+)*|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"
)
_WORDS: Final = frozenset(["true", "false", "null", "yes", "no", "on", "off", "~"])
_COMMENT: Final = """\
# Taken over from {source}.
# There is no agreement in it, so only reading steps run. What the client allows is written so:
# agreement: {{id: CONTRACT, allows: [diagnose, collect, remediate, reboot]}}
"""


def client_text(client: Client, *, source: str) -> str:
    """Return a client as the YAML of our own format; `source` says where it was taken from."""
    defaults = _defaults(client.endpoints.values())
    lines = [
        _COMMENT.format(source=visible_line(source)),
        "outagekit: 1",
        f"client: {_scalar(client.client)}",
        f"name: {_scalar(client.name)}",
    ]
    credentials = {name: _credential(each) for name, each in client.credentials.items()}
    sites = {name: _site(each) for name, each in client.sites.items()}
    endpoints = {name: _endpoint(each, defaults) for name, each in client.endpoints.items()}
    if client.timezone != "UTC":
        lines.append(f"timezone: {_scalar(client.timezone)}")
    lines += _table("credentials", credentials)
    lines += _table("sites", sites)
    winrm = _present(ca=client.winrm.ca, proxy=client.winrm.proxy)
    lines += [f"winrm: {_flow(winrm)}"] if winrm else []
    lines += [f"defaults: {_flow(defaults)}"] if defaults else []
    lines += _table("endpoints", endpoints)
    return "\n".join(lines) + "\n"


def _defaults(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the system most endpoints have, and what all of them share."""
    known = list(endpoints)
    if not known:
        return {}
    found: dict[str, Any] = {"os": Counter(each.os for each in known).most_common(1)[0][0]}
    for field in ("credential", "site"):
        values = {getattr(each, field) for each in known}
        if len(values) == 1 and None not in values:
            found[field] = values.pop()
    return found


def _credential(credential: Credential) -> dict[str, Any]:
    return _present(
        user=credential.user,
        password=_reference(credential.password),
        key=credential.key,
        passphrase=_reference(credential.passphrase),
        certificate=credential.certificate,
        agent=credential.agent or None,
        sudo=_reference(credential.sudo),
        auth=credential.auth,
    )


def _reference(reference: SecretRef | None) -> Any:
    if reference is None:
        return None
    return {"cmd": list(reference.argv)} if reference.kind == "cmd" else reference.describe()


def _site(site: Site) -> dict[str, Any]:
    return _present(
        jump=site.jump, jump_credential=site.jump_credential, concurrency=site.concurrency
    )


def _endpoint(endpoint: Endpoint, defaults: Mapping[str, Any]) -> dict[str, Any]:
    own = _present(
        address=endpoint.address,
        os=endpoint.os,
        port=endpoint.port,
        scheme=endpoint.scheme,
        credential=endpoint.credential,
        site=endpoint.site,
        tags=list(endpoint.tags) or None,
        become=endpoint.become,
        ports={str(port): reached for port, reached in endpoint.ports.items()} or None,
    )
    return {key: value for key, value in own.items() if defaults.get(key) != value}


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _table(name: str, entries: Mapping[str, Any]) -> list[str]:
    if not entries:
        return []
    return [f"{name}:", *(f"  {_scalar(key)}: {_flow(value)}" for key, value in entries.items())]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _scalar(value)


def _scalar(text: str) -> str:
    """Return a text as YAML: plain where it can only be this text, else in double quotes."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def write_clients(texts: Mapping[Path, str], expected: Sequence[Client], *, replace: bool) -> None:
    """Write files of ours, all or none, after each was read back to what it must be.

    Without `replace` nothing that is there is overwritten, and with it no agreement. Raises
    `UsageError` for a file that is there or cannot be written, `InvalidInput` for a client that a
    file of ours cannot hold.
    """
    for path in texts:
        _refuse_target(path, replace=replace)
    made: list[tuple[Path, Path]] = []
    try:
        for path, text in texts.items():
            new = path.with_name(f".{path.stem}.new.yaml")
            new.unlink(missing_ok=True)
            made.append((new, path))
            _write(new, text, mode=_mode_of(path))
        _check(texts, [new for new, _ in made], expected)
        for new, path in made:
            new.replace(path)
    except OSError as error:
        name = visible_line(str(path))
        raise UsageError(f"{name} cannot be written: {error.strerror}") from error
    finally:
        for new, _ in made:
            new.unlink(missing_ok=True)


def _refuse_target(path: Path, *, replace: bool) -> None:
    name = visible_line(str(path))
    if path.suffix != ".yaml":
        raise UsageError(f"{name} does not end in .yaml, as files of ours do")
    if path.is_dir():
        raise UsageError(f"{name} is a folder; nothing was written")
    if os.path.lexists(path) and not replace:
        message = f"{name} is there already; nothing was written"
        raise UsageError(message, hint="look at it; --replace writes over it")
    if replace and _has_agreement(path):
        message = f"{name} holds an agreement, which an import cannot bring; nothing was written"
        hint = "move the file aside, import, and copy the agreement over"
        raise UsageError(message, hint=hint)


def _has_agreement(path: Path) -> bool:
    """Return whether a file that is there says what a client allows; one that is no YAML does not.

    People negotiated it: it must not vanish because machines were counted anew.
    """
    try:
        found = parse_document(path).root.value
    except InvalidInput:
        return False
    return isinstance(found, dict) and found.get("agreement") is not None


def _mode_of(path: Path) -> int:
    """Return who may read a file, so that replacing it opens it to nobody; never who may write."""
    try:
        return 0o600 | (path.stat().st_mode & 0o044)
    except OSError:
        return 0o644


def _write(path: Path, text: str, *, mode: int) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(descriptor)


def _check(texts: Mapping[Path, str], written: Sequence[Path], expected: Sequence[Client]) -> None:
    for (path, _), new, client in zip(texts.items(), written, expected, strict=True):
        try:
            found = load([new]).clients.get(client.client)
        except InvalidInput as error:
            first = error.problems[0].message if error.problems else error.message
            message = f"{visible_line(str(path))} would not be a sound file: {first}"
            hint = "with -i the foreign file itself is used, however large"
            raise InvalidInput(message, hint=hint) from error
        if found != client:
            message = f"{visible_line(str(path))} would not hold the same as its source"
            raise InvalidInput(message)

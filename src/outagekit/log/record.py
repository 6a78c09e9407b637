"""One record of the log as one line of bytes: encoded, and read back.

This module knows a line and its hash, not the chain (`chain`) and no file. The field order is
fixed, so that a hash needs no canonical JSON: it covers the raw bytes before `,"sha":"`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec

from outagekit.errors import LogDamaged
from outagekit.events import AnyEvent, EventUnencodable, Record, RunId
from outagekit.text import printable_json, visible_line

FORMAT: Final = 1
MAX_LINE_BYTES: Final = 64 * 1024
RESERVED: Final = frozenset({"v", "seq", "at", "mono", "life", "run", "dur", "prev", "sha"})
"""Fields of the record itself: no event may use these names."""

_MAX_BODY_BYTES = MAX_LINE_BYTES - 1024
_SHORTENED = (_MAX_BODY_BYTES, 4096, 1024)
_MAX_REPR = 1024
_SHA_MARK = b',"sha":"'
_SUFFIX_BYTES = len(_SHA_MARK) + 64 + len(b'"}')
_NEWER = "the log may have been written by a newer version of outagekit: read it with that one"

# What the encoder or the typed decoder may raise; UnicodeError and MsgspecError are ValueErrors.
_REFUSED = (ValueError, TypeError, OverflowError, RecursionError)

_ENCODER = msgspec.json.Encoder()
_EVENTS: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
KNOWN_EVENTS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(AnyEvent))


class Header(msgspec.Struct, frozen=True):
    """The fields around an event, as they stand in the line."""

    v: int
    seq: int
    at: str
    mono: int
    life: str
    run: RunId
    event: str
    """The event's name; it may be one this version does not know."""
    dur: int
    """Highest `seq` known to be on disk when the line was encoded; -1 for none."""
    prev: str
    sha: str


_HEADERS = msgspec.json.Decoder(Header)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event in the form it has in a line."""

    event: AnyEvent
    """The event as a reader of `body` will see it: what lives and what is replayed are equal."""
    body: bytes
    """Its fields as JSON, without the braces around them."""


def seed(run: RunId) -> str:
    """Return the `prev` of a run's first record, which keeps records of two runs apart."""
    return hashlib.sha256(b"outagekit-log-v1\n" + run.encode()).hexdigest()


def encode_event(event: AnyEvent) -> Encoded:
    r"""Return the event as JSON that is certain to be read back; never raises.

    Lone surrogates become `\udc80`-like text. An event too long for a line has its longest texts
    cut. One that still cannot be written (not a number, an object JSON knows nothing of, a value
    of the wrong type) becomes `event.unencodable` with the beginning of its `repr`.
    """
    try:
        data = _ENCODER.encode(event)
        if b"null" not in data:  # a number that is none would have become null
            return _checked(data)
    except _REFUSED:
        pass
    return _mended(event)


def _checked(data: bytes) -> Encoded:
    data = _harmless(data)
    if len(data) > _MAX_BODY_BYTES:
        raise ValueError("longer than a line may be")
    return Encoded(_EVENTS.decode(data), data[1:-1])


def _harmless(data: bytes) -> bytes:
    """Return JSON in which nothing is left that a terminal obeys or a reader takes for a line end.

    JSON itself lets DEL, C1 controls, U+2028 and bidirectional overrides stand as they are.
    """
    if data.isascii() and b"\x7f" not in data:
        return data
    return printable_json(data.decode()).encode()


def _mended(event: AnyEvent) -> Encoded:
    for longest in _SHORTENED:
        try:
            return _checked(_ENCODER.encode(_safe(msgspec.to_builtins(event), longest)))
        except _REFUSED:
            continue
    config = getattr(event, "__struct_config__", None)
    kind = str(config.tag) if config is not None else type(event).__name__
    lost = EventUnencodable(kind=_safe_text(kind, _MAX_REPR), text=_safe_text(_repr(event), 1024))
    return _checked(_ENCODER.encode(lost))


def _safe(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return _safe_text(value, longest)
    if isinstance(value, dict):
        return {_safe(key, longest): _safe(item, longest) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item, longest) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a number that JSON can hold")
    return value


def _safe_text(text: str, longest: int) -> str:
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= longest else f"{clean[:longest]}… [cut]"


def _repr(value: object) -> str:
    try:
        return repr(value)[:_MAX_REPR]
    except Exception:  # noqa: BLE001  (a foreign __repr__ may raise anything; the fact is kept)
        return f"a {type(value).__name__} that cannot be shown"


def encode_line(record: Record, body: bytes, *, dur: int, prev: str) -> tuple[bytes, str]:
    """Return the line of `record`, whose event is `body`, and its hash.

    `prev` is the hash of the line before it, or `seed(run)`; `record.sha` is not looked at.
    """
    text = msgspec.json.encode
    head = b'{"v":%d,"seq":%d,"at":%s,"mono":%d,"life":%s,"run":%s,%s,"dur":%d,"prev":"%s"' % (
        FORMAT,
        record.seq,
        text(record.at),
        record.mono,
        text(record.life),
        text(record.run),
        body,
        dur,
        prev.encode(),
    )
    sha = hashlib.sha256(head).hexdigest()
    return b'%s,"sha":"%s"}\n' % (head, sha.encode()), sha


def _sealed(line: bytes) -> bytes:
    """Return a line without its newline if its bytes match its hash; raises `LogDamaged`."""
    if len(line) > MAX_LINE_BYTES:
        raise LogDamaged(f"it is longer than {MAX_LINE_BYTES} bytes")
    text = line.removesuffix(b"\n")
    head, tail = text[:-_SUFFIX_BYTES], text[-_SUFFIX_BYTES:]
    if not (tail.startswith(_SHA_MARK) and tail.endswith(b'"}')) or b"\n" in text:
        raise LogDamaged("it is not a whole record")
    if hashlib.sha256(head).hexdigest().encode() != tail[len(_SHA_MARK) : -2]:
        raise LogDamaged("its bytes do not match its hash")
    return text


def is_sealed(line: bytes) -> bool:
    """Return whether a line was written to its end, whatever it says: it matches its hash."""
    try:
        return bool(_sealed(line))
    except LogDamaged:
        return False


def read_header(line: bytes) -> Header:
    """Return the fields around the event of a line that is consistent in itself.

    The event may be unknown to this version. Raises `LogDamaged`, whose message is the reason as
    a sentence about "it", the record.
    """
    text = _sealed(line)
    try:
        header = _HEADERS.decode(text)
    except (ValueError, RecursionError) as error:
        raise LogDamaged("its fields are not those of a record", hint=_NEWER) from error
    if header.v != FORMAT:
        raise LogDamaged(f"its format is {header.v}, not {FORMAT}", hint=_NEWER)
    return header


def decode_event(line: bytes, header: Header) -> Record:
    """Return the record of a line whose header was read. Raises `LogDamaged` as `read_header`."""
    if header.event not in KNOWN_EVENTS:
        name = visible_line(header.event[:60])
        raise LogDamaged(f"its event {name!r} is unknown to this version", hint=_NEWER)
    try:
        event = _EVENTS.decode(line)
    except (ValueError, RecursionError) as error:
        reason = f"its payload is not that of {header.event}"
        raise LogDamaged(reason, hint=_NEWER) from error
    return Record(
        seq=header.seq,
        at=header.at,
        mono=header.mono,
        life=header.life,
        run=header.run,
        event=event,
        sha=header.sha,
    )


def decode_line(line: bytes) -> Record:
    """Return the record of one line, checked against its own hash but not against the chain.

    Raises `LogDamaged`, whose message is the reason as a sentence about "it", the record; the
    hint speaks up where a newer version may have written the line.
    """
    return decode_event(line, read_header(line))

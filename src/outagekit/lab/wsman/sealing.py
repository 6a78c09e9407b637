"""How sealed messages travel over HTTP: the envelope that MS-WSMV 2.2.9.1 asks for. Pure.

Two parts in a row: what was sealed and how long it was, then four bytes with the length of the
signature (little-endian), the signature, and the data. No line break stands before the end.
"""

from __future__ import annotations

import re
import struct
from typing import Final

SEALED: Final = "multipart/encrypted"
PROTOCOL: Final = "application/HTTP-SPNEGO-session-encrypted"
CONTENT_TYPE: Final = f'{SEALED};protocol="{PROTOCOL}";boundary="Encrypted Boundary"'
SOAP_TYPE: Final = "application/soap+xml;charset=UTF-8"

_BOUNDARY: Final = b"--Encrypted Boundary"
_DATA: Final = b"\tContent-Type: application/octet-stream\r\n"
_ORIGINAL: Final = re.compile(rb"OriginalContent: type=([^\r\n]*?);Length=([0-9]{1,9})\r\n")


def pack_sealed(signature: bytes, data: bytes, original_bytes: int) -> bytes:
    """Return a body around sealed data that were `original_bytes` long before."""
    about = f"\tOriginalContent: type={SOAP_TYPE};Length={original_bytes}\r\n"
    head = f"\tContent-Type: {PROTOCOL}\r\n{about}".encode()
    begin = _BOUNDARY + b"\r\n"
    size = struct.pack("<i", len(signature))
    return begin + head + begin + _DATA + size + signature + data + _BOUNDARY + b"--\r\n"


def unpack_sealed(body: bytes) -> tuple[bytes, bytes, int]:
    """Return signature, sealed data and the length before. Raises `ValueError` if it is not so."""
    begin = _BOUNDARY + b"\r\n"
    end = _BOUNDARY + b"--\r\n"
    if not body.startswith(begin) or not body.endswith(end):
        message = "no sealed body"
        raise ValueError(message)
    # The sealed data may hold any bytes: they reach to the end, whatever they look like.
    head, middle, rest = body[len(begin) : -len(end)].partition(begin + _DATA)
    found = _ORIGINAL.search(head)
    if not middle or found is None or PROTOCOL.encode() not in head:
        message = "no sealed part"
        raise ValueError(message)
    size = struct.unpack_from("<i", rest)[0] if len(rest) >= struct.calcsize("<i") else -1
    if not 0 <= size <= len(rest) - struct.calcsize("<i"):
        message = "a signature longer than the body"
        raise ValueError(message)
    data_at = struct.calcsize("<i") + size
    return rest[struct.calcsize("<i") : data_at], rest[data_at:], int(found[2])

"""From bytes of a Windows stream to text, whichever of two encodings it is in. Pure.

A shell with code page 65001 speaks UTF-8, but some programs write UTF-16 whatever they are told.
"""

from __future__ import annotations

import codecs
from typing import Final

from outagekit.text import StreamDecoder

_UTF8_BOM: Final = codecs.BOM_UTF8
_UTF16_BOM: Final = codecs.BOM_UTF16_LE
_JUDGED_BYTES: Final = 64
"""So much of the beginning tells how a stream is encoded."""
_FEWEST_BYTES: Final = 3
"""Fewer tell nothing: a mark may still become whole."""


class TextDecoder:
    r"""Decodes a stream piece by piece; a mark at its beginning is left out. Never raises.

    UTF-8, unless it begins with the mark of UTF-16 (little endian) or with NULs in every second
    place. Bytes that are no UTF-8 become `\xff`.
    """

    def __init__(self) -> None:
        self._start: bytes | None = b""
        """What has arrived while nothing is decided; None afterwards."""
        self._utf8 = StreamDecoder()
        self._utf16: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> str:
        """Return the text that is complete with `data`."""
        if self._start is not None:
            data = self._start + data
            if len(data) < _FEWEST_BYTES:
                self._start = data
                return ""
            data = self._decided(data)
        return self._decoded(data, final=False)

    def finish(self) -> str:
        """Return what was held back."""
        rest = b"" if self._start is None else self._decided(self._start)
        return self._decoded(rest, final=True)

    def _decided(self, data: bytes) -> bytes:
        self._start = None
        if data.startswith(_UTF8_BOM):
            return data[len(_UTF8_BOM) :]
        if data.startswith(_UTF16_BOM) or _has_nuls(data[:_JUDGED_BYTES]):
            self._utf16 = codecs.getincrementaldecoder("utf-16-le")("replace")
            return data.removeprefix(_UTF16_BOM)
        return data

    def _decoded(self, data: bytes, *, final: bool) -> str:
        if self._utf16 is not None:
            return self._utf16.decode(data, final)
        return self._utf8.feed(data) + (self._utf8.finish() if final else "")


def _has_nuls(data: bytes) -> bool:
    """Return whether most of the second places are NUL, and hardly any of the first ones."""
    firsts, seconds = data[::2], data[1::2]
    most = max(1, len(seconds) * 2 // 3)
    return seconds.count(0) >= most and firsts.count(0) * 4 <= len(firsts)

"""How a secret may be spelt where it comes back: encoded, quoted, escaped, split into lines."""

from __future__ import annotations

import json
import re
import unicodedata
from base64 import b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from outagekit.text import decode_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_HIDDEN: Final = 6
"""Anything shorter is too common to be replaced inside of words."""

_URL_SAFE = str.maketrans("+/", "-_")
_FRAME = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]+-----")
_BASH: Final = {
    **{chr(code): f"\\{code:03o}" for code in (*range(32), 127)},
    **dict(zip("\a\b\t\n\v\f\r\x1b'\\", (f"\\{sign}" for sign in "abtnvfrE'\\"), strict=True)),
}
"""What stands between `$'` and `'` for a character."""
_OLD_CODE_PAGES: Final = ("cp1252", "cp437", "cp850")


def spellings_of(secret: str) -> frozenset[str]:
    """Return the spellings of a secret, each at least `MIN_HIDDEN` characters long.

    Of a secret with several lines, such as a private key, each line counts as a secret too; the
    lines that only say what it is do not.
    """
    found = set(words_of(secret))
    for form in _forms(secret):
        for data in _as_bytes(form):
            found.update(_inside_base64(data))
    for line in map(str.strip, secret.splitlines()):
        if line != secret and not _FRAME.fullmatch(line):
            found.update((line, *_quoted(line)))
    return frozenset(part for part in found if len(part) >= MIN_HIDDEN)


def words_of(secret: str) -> frozenset[str]:
    """Return the secret, and its spellings that stand alone and are long enough to be telling."""
    found: set[str] = set()
    for form in _forms(secret):
        found.update(_quoted(form))
        found.update(_in_old_code_pages(form))
        found.update(_in_utf16(form))
        for data in _as_bytes(form):
            found.update((data.hex(), data.hex().upper()))
            encoded = b64encode(data).decode("ascii")
            for alphabet in (encoded, encoded.translate(_URL_SAFE)):
                found.update((alphabet, alphabet.rstrip("=")))
    return frozenset({secret, *(part for part in found if len(part) >= MIN_HIDDEN)})


def _forms(secret: str) -> set[str]:
    return {secret, unicodedata.normalize("NFC", secret), unicodedata.normalize("NFD", secret)}


def _as_bytes(text: str) -> tuple[bytes, bytes]:
    # UTF-16 is what PowerShell's -EncodedCommand carries.
    return text.encode("utf-8", "surrogatepass"), text.encode("utf-16-le", "surrogatepass")


def _inside_base64(data: bytes) -> Iterator[str]:
    """Yield what base64 makes of `data` in the middle of something longer, at each alignment.

    The characters at both edges also hold bits of the neighbours and are left out.
    """
    for before, mixed in ((0, 0), (1, 2), (2, 3)):
        encoded = b64encode(bytes(before) + data).decode("ascii")
        core = encoded[mixed : (before + len(data)) * 8 // 6]
        yield core
        yield core.translate(_URL_SAFE)


def _in_old_code_pages(text: str) -> Iterator[str]:
    """Yield what `text.decode_remote` makes of the secret when a console sends no UTF-8."""
    if text.isascii():
        return
    for code_page in _OLD_CODE_PAGES:
        yield text.encode(code_page, "replace").decode("utf-8", "backslashreplace")


def _in_utf16(text: str) -> Iterator[str]:
    """Yield what `text.decode_remote` makes of the secret when a program prints UTF-16."""
    for encoding in ("utf-16-le", "utf-16-be"):
        yield decode_remote(text.encode(encoding, "surrogatepass")).strip("\0")


def _quoted(text: str) -> Iterator[str]:
    yield text
    yield from _in_urls(text)
    yield from _in_json(text)
    yield from _in_xml(text)
    yield from _in_shells(text)
    yield repr(text)[1:-1]
    yield repr(text.encode("utf-8", "surrogatepass"))[2:-1]


def _in_urls(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    for encoded in (quote(data), quote(data, safe=""), quote_plus(data)):
        yield encoded
        yield re.sub("%..", lambda found: found[0].lower(), encoded)


def _in_json(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        encoded = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield encoded
        yield encoded.replace("/", "\\/")
        yield re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda found: found[0].upper(), encoded)
        # Windows PowerShell writes these four as escapes too.
        yield re.sub("['<>&]", lambda found: f"\\u{ord(found[0]):04x}", encoded)
    units = text.encode("utf-16-be", "surrogatepass").hex()
    for digits in (units, units.upper()):
        yield re.sub("....", r"\\u\g<0>", digits)


def _in_xml(text: str) -> Iterator[str]:
    encoded = escape(text)
    yield encoded
    for apostrophe in ("'", "&apos;", "&#39;", "&#x27;"):
        yield encoded.replace('"', "&quot;").replace("'", apostrophe)


def _in_shells(text: str) -> Iterator[str]:
    for apostrophe in ("''", "'\\''", "'\"'\"'"):
        yield text.replace("'", apostrophe)
    yield re.sub(r'([$`"\\])', r"\\\1", text)
    yield re.sub(r'([$`"])', r"`\1", text)
    yield text.replace('"', '""')
    yield from _in_bash(text)


def _in_bash(text: str) -> Iterator[str]:
    """Yield what `printf %q`, `${x@Q}` and a trace (`set -x`) of bash make of a text."""
    yield re.sub(r"^[~#]|[]!\"$&'()*,;<>?[\\^`{|} ]", r"\\\g<0>", text)
    escaped = "".join(_BASH.get(sign) or sign for sign in text)
    yield escaped
    yield re.sub("[^ -~]", _in_octal, escaped)


def _in_octal(found: re.Match[str]) -> str:
    return "".join(f"\\{byte:03o}" for byte in found[0].encode("utf-8", "surrogatepass"))

"""MD4 (RFC 1320), for the NT hash of a password: OpenSSL 3 no longer has it. Pure."""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 0xFFFFFFFF
_BLOCK_BYTES: Final = 64
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
# Of each round: what is added, how far is turned, in which order the words are used.
_ROUNDS: Final = (
    (0, (3, 7, 11, 19), tuple(range(16))),
    (0x5A827999, (3, 5, 9, 13), tuple(4 * (n % 4) + n // 4 for n in range(16))),
    (0x6ED9EBA1, (3, 9, 11, 15), (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)),
)


def md4(data: bytes) -> bytes:
    """Return the 16 bytes of the digest. It protects nothing any more."""
    state = _START
    padding = b"\x80" + bytes((55 - len(data)) % _BLOCK_BYTES)
    padded = data + padding + struct.pack("<Q", len(data) * 8)
    for at in range(0, len(padded), _BLOCK_BYTES):
        state = _after(state, struct.unpack_from("<16I", padded, at))
    return struct.pack("<4I", *state)


def _after(state: tuple[int, int, int, int], words: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for number, (constant, turns, order) in enumerate(_ROUNDS):
        for step, word in enumerate(order):
            total = (a + _mixed(number, b, c, d) + words[word] + constant) & _MASK
            turn = turns[step % 4]
            a, b, c, d = d, (total << turn | total >> (32 - turn)) & _MASK, b, c
    return (
        (state[0] + a) & _MASK,
        (state[1] + b) & _MASK,
        (state[2] + c) & _MASK,
        (state[3] + d) & _MASK,
    )


def _mixed(number: int, x: int, y: int, z: int) -> int:
    if number == 0:
        return (x & y) | (~x & z)
    return (x & y) | (x & z) | (y & z) if number == 1 else x ^ y ^ z

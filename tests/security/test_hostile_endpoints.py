"""What endpoints send: no screen obeys it, no memory holds it, no end state believes it."""

from __future__ import annotations

import json
import struct
import sys

import pytest

from outagekit.log.verify import verify

from .conftest import CONTROLS, Manners, Msp, Visit

READ = ("exec", "--read", "--sh", "anything", "--timeout", "8")


def says(*texts: str | bytes, code: int = 0):
    def act(visit: Visit) -> None:
        for text in texts:
            visit.say(text)
            visit.say(text, error=True)
        visit.done(code)

    return act

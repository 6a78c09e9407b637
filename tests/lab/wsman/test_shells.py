"""Shells and commands of the WS-Man server, by messages written by hand."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from conftest import FRAMED, NONCE

from outagekit.lab.wsman.rules import Rules

COMMAND = "11111111-2222-3333-4444-555555555555"

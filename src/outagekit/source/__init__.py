"""YAML files with limits and positions: what both loaders read their files through.

A file becomes plain Python values, each with the line and column it stands at, or it becomes
problems; nothing else ever leaves this room. It knows nothing of playbooks or inventories.
"""

from outagekit.source.document import Document, Location, Node, invalid, shown
from outagekit.source.files import decode, read_bytes
from outagekit.source.reader import BLOCK_HINT, parse_document, read_document
from outagekit.source.validation import fault, place_of, problems_of

__all__ = [
    "BLOCK_HINT",
    "Document",
    "Location",
    "Node",
    "decode",
    "fault",
    "invalid",
    "parse_document",
    "place_of",
    "problems_of",
    "read_bytes",
    "read_document",
    "shown",
]

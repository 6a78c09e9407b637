"""Secrets as references, and the vault that resolves them on the technician's machine.

Files, plans, orders and logs hold a `SecretRef` only. A resolved secret lives in the memory of
the process that needs it; it stands in no exception, no `repr` and no command line of ours.
"""

from outagekit.credentials.reference import BadReference, SecretRef
from outagekit.credentials.sources import KEYRING_SERVICE, Keyring, SystemKeyring, store_secret
from outagekit.credentials.vault import KnownDigests, Prompt, Vault, terminal_prompt

__all__ = [
    "KEYRING_SERVICE",
    "BadReference",
    "Keyring",
    "KnownDigests",
    "Prompt",
    "SecretRef",
    "SystemKeyring",
    "Vault",
    "store_secret",
    "terminal_prompt",
]

"""Makes the modules beside the tests importable: the corpus, and how Ansible is asked about it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""Compares a document with the file that holds what it should be.

After a change that is meant, write the files anew and read the difference before it is committed:

    UPDATE_GOLDEN=1 python -m pytest tests/documents
    git diff tests/golden
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def assert_golden(name: str, document: Any) -> None:
    """Compare `document` with the file `name`, or write it where UPDATE_GOLDEN is set."""
    path = _HERE / name
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept == json.loads(text), f"{path} differs; see tests/golden/golden.py"

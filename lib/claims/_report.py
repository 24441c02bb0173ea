"""Reports of checks on disk (book: the page of evidence): what was found once is shown in the book
and asserted by the tests.

A report holds the digest of the code that made it, and counts for no other.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from lib.experiments import versions

_LIB = Path(__file__).resolve().parent.parent


def _digest_of_files():
    """SHA-256 of all modules of the library, names and contents, and of the versions beneath."""
    found = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    for path in sorted(_LIB.rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(_LIB)}:{len(content)}:".encode() + content)
    return found.hexdigest()


_CODE = _digest_of_files()  # when it was imported: files that are changed later are not what runs


def code_digest() -> str:
    """SHA-256 of all modules of the library, names and contents, and of the versions beneath, as
    they were when this process imported them.
    """
    return _CODE


def read_report(path: str | Path) -> dict[str, Any] | None:
    """A report of ``python -m lib verify --json`` or ``mutate --json``, or None if there is none of
    this code.
    """
    try:
        report = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return None
    same = isinstance(report, dict) and report.get("code") == code_digest()
    return report if same else None

"""Certificates and searches on disk: JSON and numpy arrays in one file, never pickle, with a
digest of what is in it.
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from lib.certify._digest import FORMAT, digest_of_arrays
from lib.errors import InputError


def broken(path, what):
    """The error for a file that is not ours."""
    return InputError(f"path = {str(path)!r}: must be a file written by a certificate; {what}")


def write(path, facts, arrays):
    """Write a dict that JSON can hold and named arrays, beside their place, and rename."""
    path, text = Path(path), json.dumps({"format": FORMAT, **facts}, sort_keys=True)
    if path.is_dir():
        raise broken(path, "it is a folder")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".certificate-")
    except (OSError, ValueError) as error:
        raise InputError(
            f"path = {str(path)!r}: must be in a folder that exists and can be written to ({error})"
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(
                file, facts=np.array(text), seal=np.array(digest_of_arrays(text, arrays)), **arrays
            )
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path):
    """What `write` wrote.

    Returns
    -------
    facts : dict
    arrays : dict of arrays

    Raises
    ------
    InputError
        If the file is missing, not ours, of another version, cut short or altered.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            text = str(file["facts"])
            facts = json.loads(text)
            known = facts.pop("format", None) if isinstance(facts, dict) else None
            if known != FORMAT:
                shown = str(known)[:60]
                raise broken(path, f"its format is {shown!r}, not {FORMAT!r}: certify again")
            seal = str(file["seal"])
            arrays = {k: file[k] for k in file.files if k not in ("facts", "seal")}
    except InputError:
        raise
    except Exception as error:  # zip, zlib, json, numpy: each has errors of its own
        raise broken(path, f"{type(error).__name__}: {error}") from None
    if seal != digest_of_arrays(text, arrays):
        raise broken(path, "it was altered")
    return facts, arrays

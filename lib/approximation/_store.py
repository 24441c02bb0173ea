"""Folders that hold an approximation: tensors (safetensors) and a description (JSON), never pickle
(book: "Running the code").

What is in them is `lib.approximation._approximation`'s business; here they are written whole or not
at all, and read only as they were written.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lib.errors import InputError, refuse, require

FORMAT = "convresnet-approximation 5"
READABLE = (
    "convresnet-approximation 2",  # the first edition: no rigorous bounds
    "convresnet-approximation 3",  # the bound as six numbers
    "convresnet-approximation 4",  # gates instead of a partition of unity
    FORMAT,
)
# what reading a damaged folder, or making something of it, can raise
DAMAGE = (
    OSError,
    UnicodeDecodeError,
    json.JSONDecodeError,
    SafetensorError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    RuntimeError,
)


def broken(path, what):
    """The refusal of a folder."""
    return InputError(
        f"path = {str(path)!r}: must be a folder written by Approximation.save; {what}"
    )


def write_folder(path, tensors, description):
    """Write beside the place of a folder, then rename.

    Parameters
    ----------
    path : str or Path
        New, or a folder with a saved network, which is replaced.
    tensors : dict of str to tensor
    description : dict
        Ready for JSON.

    Raises
    ------
    InputError
        If ``path`` exists and is something else, or its parent folder does not exist.
    """
    require(
        isinstance(path, (str, Path)) and "\0" not in str(path), "path", path, "a str or a Path"
    )
    path = Path(path)
    require(path.parent.is_dir(), "path", str(path), "in a folder that exists")
    require(
        not path.exists() or (path / "network.json").is_file(),
        "path",
        str(path),
        "new, or a folder with a saved network",
    )
    try:
        beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=".saving-"))
    except OSError as error:
        refuse("path", str(path), f"in a folder that can be written to ({error})")
    try:
        save_file(tensors, beside / "network.safetensors")
        digest = hashlib.sha256((beside / "network.safetensors").read_bytes()).hexdigest()
        description = {"format": FORMAT, "sha256": digest, **description}
        description["seal"] = _seal(description)
        (beside / "network.json").write_text(json.dumps(description, indent=1))
        beside.chmod(0o755)  # mkdtemp makes private folders
        old = beside.with_name(beside.name + "-old")
        if path.exists():
            os.replace(path, old)
        os.replace(beside, path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read_folder(path):
    """The tensors and the description of a folder, if it is whole and of a format that can be read.

    Raises
    ------
    InputError
        For another format, or one that was altered or cut short; others of `DAMAGE` as they come.
    """
    path = Path(path)
    description = json.loads((path / "network.json").read_text())
    known = description.get("format") if isinstance(description, dict) else None
    if known not in READABLE:
        raise broken(path, f"its format is {str(known)[:60]!r}, not one of {', '.join(READABLE)}")
    if description.pop("seal", None) != _seal(description):
        raise broken(path, "network.json was altered")
    raw = (path / "network.safetensors").read_bytes()
    if hashlib.sha256(raw).hexdigest() != description["sha256"]:
        raise broken(path, "network.safetensors was cut short or altered")
    return load_file(path / "network.safetensors"), description


def _seal(description):
    """Digest of a description: finds damage, not malice."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()

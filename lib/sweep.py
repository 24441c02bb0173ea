"""Now in `lib.experiments`; the names from before work for one release."""

from lib._moved import moved

_NAMES = ("RECORDS", "check_file", "file_name", "measured", "read", "run", "versions", "write_json")
__getattr__ = moved(__name__, {name: name for name in _NAMES})

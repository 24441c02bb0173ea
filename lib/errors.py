"""One way to refuse bad input: name the argument, its value and what is allowed."""

from typing import Any, NoReturn

import numpy as np


class InputError(ValueError):
    """An argument outside what the theory or the code allows.

    The message reads ``argument = value: must be allowed``; the command line prints it as one
    line and exits with code 2.
    """


def require(condition: object, argument: str, value: object, allowed: str) -> None:
    """Raise `InputError` unless ``condition`` holds.

    Parameters
    ----------
    condition : bool
    argument : str
        Name of the offending argument as the caller knows it.
    value : object
        What was given; shown shortened.
    allowed : str
        What would have been accepted, completing the sentence "must be ...".
    """
    if not condition:
        refuse(argument, value, allowed)


def refuse(argument: str, value: object, allowed: str) -> NoReturn:
    """Raise `InputError`, of whose parameters see `require`.

    A type checker knows that nothing comes after it, so ``if bound is None: refuse(..)`` says more
    than `require` does.
    """
    shown = " ".join(repr(value).split())  # arrays print over several lines
    if len(shown) > 80:
        shown = shown[:60] + "..." + shown[-15:]
    raise InputError(f"{argument} = {shown}: must be {allowed}")


def positive(name: str, value: Any) -> float:
    """The value as a float; raises `InputError` unless it is a positive number."""
    ok = (
        isinstance(value, (int, float, np.floating, np.integer))
        and not isinstance(value, bool)
        and 0 < value < np.inf
    )
    require(ok, name, value, "a positive number")
    return float(value)


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """The value as an int; raises `InputError` unless it is an integer, numpy's included, in the
    given range.
    """
    ok = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    allowed = (
        f"an integer, at least {least}" if most is None else f"an integer from {least} to {most}"
    )
    require(ok and least <= value and (most is None or value <= most), name, value, allowed)
    return int(value)

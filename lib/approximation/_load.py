"""`load`: an approximation from its folder (book: chapter 05)."""

from pathlib import Path

from lib.approximation._approximation import Approximation
from lib.approximation._describe import bound_of, construction_of, network_of
from lib.approximation._store import DAMAGE, broken, read_folder
from lib.domains import Cube
from lib.errors import InputError
from lib.targets import Target


def load(path: str | Path) -> Approximation:
    """Read an approximation written by `Approximation.save`.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Approximation
        With a target if that was a formula (parsed again by the whitelist).

    Raises
    ------
    InputError
        If the folder is missing, not ours, of a format that is not known here, cut short or
        altered.
    """
    try:
        tensors, description = read_folder(path)
        if any(chart.get("gate") for chart in description["charts"]):
            raise broken(path, "this one has gates, as networks on manifolds had before format 5")
        return _restored(tensors, description)
    except InputError:
        raise
    except DAMAGE as error:
        raise broken(path, f"{type(error).__name__}: {error}") from None


def _restored(tensors, description):
    dim = description["dim"]
    formula = description["formula"]
    result = Approximation(
        construction=construction_of(tensors, description),
        bound=bound_of(description),
        target=None if formula is None else Target.from_sympy(formula, dim),
        domain=Cube(dim) if description["domain"] == "cube" else None,
        cells=description["sizes"]["cells"],
        alpha=description["sizes"]["alpha"],
        derivative_bounds={tuple(k): v for k, v in description["derivative_bounds"]},
    )
    result.__dict__["network"] = network_of(tensors, description)
    return result

"""What may enter: pictures within a declared range of pixel values, labels of classes, radii,
finite scores (chapter 09).

Whatever moves pictures keeps them in the declared range, so a picture outside of it would be moved
into it, by more than any radius; one that is not finite makes a mean, and after a step of training
all weights, not a number.  Both are refused.
"""

import numpy as np
import torch

from lib.errors import positive, refuse, require

UNIT = (0.0, 1.0)  # the declared range of pixel values where no other is given
NORMS = ("linf", "l2")


def declared(limits, dtype):
    """The declared range as two floats, rounded to the dtype of the pictures; `InputError`
    unless the first is less.
    """
    ok = (
        isinstance(limits, (tuple, list))
        and len(limits) == 2
        and all(
            isinstance(end, (int, float, np.integer, np.floating)) and not isinstance(end, bool)
            for end in limits
        )
    )
    low, high = (
        torch.tensor([float(end) for end in limits], dtype=dtype).tolist() if ok else (0.0, 0.0)
    )
    require(
        ok and -np.inf < low < high < np.inf,
        "limits",
        limits,
        "two finite numbers, the lower one first",
    )
    return low, high


def finite(name, values, index=None):
    """Refuse values (P, ..) of which one is not finite, and say which: ``name[picture, ..]``.

    ``index`` (P,) holds the numbers of the pictures where they are not 0, 1, ..
    """
    if not bool(torch.isfinite(values).all()):
        place = torch.nonzero(~torch.isfinite(values))[0]
        value = values[tuple(place)].item()
        row = int(place[0])
        rest = place[1:].tolist()
        where = ", ".join(map(str, [row if index is None else int(index[row]), *rest]))
        refuse(f"{name}[{where}]", value, "a finite number, for every picture (the first index)")


def pictures(name, x, limits):
    """The declared range as two floats of the dtype of ``x``, after a look at all pictures.

    Parameters
    ----------
    name : str
        Of the argument.
    x : float tensor (P, ..)
    limits : pair of numbers
        The declared range; it is compared after rounding to the dtype of ``x``.

    Raises
    ------
    InputError
        For no tensor of floats, no picture, a pixel that is not finite (named by its index), values
        out of the range.
    """
    require(
        torch.is_tensor(x) and x.is_floating_point(),
        name,
        getattr(x, "dtype", type(x)),
        "a tensor of floats",
    )
    require(
        x.ndim >= 2 and x.numel() > 0,
        f"{name}.shape",
        tuple(x.shape),
        "(P, ..) with a picture at least",
    )
    finite(name, x)
    low, high = declared(limits, x.dtype)
    seen = tuple(end.item() for end in x.detach().aminmax())
    require(
        low <= seen[0] and seen[1] <= high,
        f"range of {name}",
        seen,
        f"within the declared range of pixel values, limits={tuple(limits)}",
    )
    return low, high


def labels(name, y, count, classes=None, index=None):
    """Refuse labels that are no int64 tensor of shape (count,) with values from 0 to ``classes``
    - 1; ``index`` as above.
    """
    require(
        torch.is_tensor(y) and y.dtype == torch.int64,
        name,
        getattr(y, "dtype", type(y)),
        "an int64 tensor",
    )
    require(
        y.shape == (count,),
        f"{name}.shape",
        tuple(y.shape),
        f"({count},), a label for each picture",
    )
    bad = torch.nonzero((y < 0) | (y >= (torch.inf if classes is None else classes)))[
        :1, 0
    ].tolist()
    for row in bad:
        refuse(
            f"{name}[{row if index is None else int(index[row])}]",
            int(y[row]),
            "an integer, 0 or more"
            if classes is None
            else f"an integer from 0 to {classes - 1}, one of the classes",
        )


def radius_of(radius, x, norm, limits):
    """The radius as a float, or as a tensor that can be multiplied with pictures.

    A number may not be larger than the range in this norm: there nothing is left of the picture,
    and 8 was meant as 8 / 255. A tensor with one for each picture may: certified radii and their
    multiples are what they are.
    """
    require(norm in NORMS, "norm", norm, f"one of {NORMS}")
    if torch.is_tensor(radius):
        fits = (
            radius.is_floating_point()
            and radius.ndim >= 1
            and len(radius) == len(x) == radius.numel()
        )
        require(fits, "radius.shape", tuple(radius.shape), f"({len(x)},), a float for each row")
        radius = radius.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
        require(
            bool(((radius > 0) & (radius < torch.inf)).all()),
            "radius",
            radius.flatten(),
            "positive and finite",
        )
        return radius
    radius = positive("radius", radius)
    size = (limits[1] - limits[0]) * (1 if norm == "linf" else x[0].numel() ** 0.5)
    require(
        radius <= size,
        "radius",
        radius,
        f"at most {size}, the size of the range of pixel values in this norm",
    )
    return radius


def finite_scores(scores, count, index=None):
    """Refuse scores that are not (P, classes), two classes or more, or not finite; ``index`` as
    above.
    """
    require(
        scores.ndim == 2 and len(scores) == count and scores.shape[1] >= 2,
        "scores.shape",
        tuple(scores.shape),
        f"({count}, classes), two classes or more",
    )
    finite("scores", scores, index)

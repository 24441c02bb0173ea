"""Values of formulas at many points, enclosed."""

import numpy as np

from lib.intervals._balls import UNIT, Balls
from lib.intervals._taylor import Taylor, expand
from lib.formulas import variables


def values_near(expression, points):
    """A formula at points whose coordinates are known up to one rounding, 0 and 1 exactly.

    Parameters
    ----------
    expression : sympy.Expr
    points : float64 array, shape (P, D)

    Returns
    -------
    mid, rad : float64 arrays, shapes (P,)
        The values at all points within a relative ``2^-53`` of each coordinate are within ``rad`` of ``mid``; infinite
        where nothing is known.
    """
    dim = points.shape[1]
    rad = UNIT * np.abs(points) * (points != 1)
    coordinates = {v: Taylor(Balls(x[None], r[None]), dim, 0) for v, x, r in zip(variables(dim), points.T, rad.T)}
    found = expand(expression, coordinates).coefficients
    return found.mid[0], found.rad[0]

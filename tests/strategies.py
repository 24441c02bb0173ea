"""Things to test with, drawn by hypothesis: they shrink to the smallest that fails."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

few = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def formulas(dim, shapes, constants, most=10):
    """Formulas in ``x1 .. xD`` as text, with up to so many leaves.

    Parameters
    ----------
    dim : int
        ``D``.
    shapes : list of str
        With places ``{a}`` and, where there are two, ``{b}``.
    constants : strategy of str
    """
    leaves = st.sampled_from([f"x{i + 1}" for i in range(dim)]) | constants

    def larger(part):
        return st.builds(
            lambda shape, a, b: shape.format(a=a, b=b), st.sampled_from(shapes), part, part
        )

    return st.recursive(leaves, larger, max_leaves=most)


def seeds():
    """Seeds of numpy's generators, for points."""
    return st.integers(0, 999)

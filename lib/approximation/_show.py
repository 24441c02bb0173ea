"""How an approximation shows itself: a line, and a card in notebooks (book: chapter 05)."""

from html import escape


def _facts(a):
    """Names and values, as text."""
    sizes = a.promised
    terms = sum(len(c.coefficients) for c in a.charts)
    target = (
        "unknown"
        if a.target is None
        else a.target.formula or getattr(a.target.function, "__name__", "a function")
    )
    bound = "none"
    if a.bound is not None:
        kind = "proved" if a.bound.rigorous else "an estimate"
        bound = f"value {a.bound.value:.3g}, slope {a.bound.slope:.3g} ({kind})"
    return {
        "target": target,
        "domain": "unknown" if a.domain is None else getattr(a.domain, "name", repr(a.domain)),
        "spline": (
            f"order {a.order}, {a.cells} cells, {terms} terms"
            + f", {len(a.charts)} charts" * (len(a.charts) > 1)
        ),
        "network": f"M={sizes.M} L={sizes.L} J={sizes.J} K={sizes.K}",
        "bound": bound,
    }


def line(a):
    """One line for `repr`."""
    facts = _facts(a)
    what = f"{facts['target'][:60]} on {facts['domain']}"
    return f"Approximation({what}: {facts['spline']}; {facts['network']}; bound {facts['bound']})"


def card(a):
    """A table for notebooks, HTML."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{name}</th><td"
        f" style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in _facts(a).items()
    )
    return f"<table>{rows}</table>"

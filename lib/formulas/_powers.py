"""Powers of moduli and what their derivatives are, as functions of sympy (book: chapter 05)."""

import sympy


class AbsPower(sympy.Function):
    """``|u|^p`` with a constant ``p >= 0``; its derivative is ``p SignPower(u, p-1)``."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        u, p = self.args
        return p * SignPower(u, p - 1) if p != 0 else sympy.Integer(0)


class SignPower(sympy.Function):
    """``sign(u) |u|^p``; its derivative is ``p AbsPower(u, p-1)``, and for ``p = 0`` a jump."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        u, p = self.args
        return p * AbsPower(u, p - 1) if p != 0 else Jump(u)


class Jump(sympy.Function):
    """Zero where ``u`` is not 0; unbounded where it may be: the derivative of a sign."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return Jump(self.args[0])


_MADE = (AbsPower, SignPower, Jump)


def gathered(expression: sympy.Expr) -> sympy.Expr:
    """A formula in which products of powers of one ``u``, of ``|u|`` and of ``sign(u)`` are single
    powers: ``u |u|^(-1/2)`` is ``sign(u) |u|^(1/2)``, which is seen to be bounded.

    Values stay, but where ``u = 0`` in a negative power, which has none.
    """
    return expression.replace(lambda e: e.is_Mul and e.has(*_MADE), _gathered)


def _gathered(product):
    """`gathered` for one product; a positive power of ``u`` times a jump at 0 is nothing."""
    alike: dict = {}
    for factor in product.args:
        alike.setdefault(_as_power(factor)[0], []).append(factor)
    found = []
    for u, group in alike.items():
        if len(group) > 1 and any(e.func in _MADE for e in group):
            _, constants, exponents, signs = zip(*map(_as_power, group))
            if sum(exponents) > 0 and any(e.func is Jump for e in group):
                return sympy.Integer(0)
            if not any(e.func is Jump for e in group):
                group = [*constants, _signed_power(u, sum(exponents), sum(signs) % 2)]
        found += group
    return sympy.Mul(*found)


def _as_power(e):
    """``e = constant sign(u)^signs |u|^p``: ``u``, the constant, ``p`` and the number of signs;
    ``u`` is ``e`` itself where nothing is known.
    """
    if e.func in _MADE:
        u, p = (*e.args, sympy.Integer(0))[:2]
        signs = int(e.func is SignPower)
    else:
        u, p = e.as_base_exp()
        signs = p
        if not (p.is_Integer and p > 0):
            return e, sympy.Integer(1), sympy.Integer(1), 1
    content, u = u.as_content_primitive()
    if u.could_extract_minus_sign():
        content, u = -content, -u
    return u, sympy.sign(content) ** signs * abs(content) ** p, p, signs


def _signed_power(u, p, odd):
    """``sign(u)^odd |u|^p``."""
    if p.is_Integer and p % 2 == odd:
        return u**p
    return (SignPower if odd else AbsPower)(u, p)

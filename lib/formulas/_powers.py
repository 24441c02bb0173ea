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

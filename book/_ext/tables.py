"""Sphinx extension: tables that the code computes.

Reads the report of ``python -m lib verify --json`` through ``evidence`` and the record of ``python
-m lib bench --json`` in ``lib/experiments/records`` (see ``make bench``).
"""

import json
from collections import Counter
from datetime import datetime
from functools import partial
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import executed
from evidence import CLAIMS, MUTANTS, VERSIONS, number

RECORD = "lib/experiments/records/bench.json"


class _Table(SphinxDirective):
    """A Markdown table, parsed in place."""

    has_content = False

    def rows(self):
        raise AssertionError("a table says its rows")

    def run(self):
        header, *rows = self.rows()
        lines = [
            "| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)
        ]
        node = nodes.container(classes=["wide-table"])
        self.state.nested_parse(
            StringList(lines, self.get_source_info()[0]), self.content_offset, node
        )
        return [node]


class ClaimsTable(_Table):
    """Every claim: statement, evidence, parameter sets, bound and measured at the worst of them
    for each norm, time, source.
    """

    def rows(self):
        from lib.claims import worst

        yield [
            "statement",
            "evidence",
            "rests on",
            "sets",
            "norm",
            "bound",
            "measured",
            "ratio",
            "seconds",
            "check",
        ]
        for row in CLAIMS.values():
            module, function = row["source"].split(".py:")
            first = [
                f"{{prf:ref}}`{row['id']}`",
                row["evidence"],
                row["rests_on"],
                str(len(row["points"])),
            ]
            last = [
                f"{row['seconds']:.1f}",
                f'<a href="../_modules/{module}.html#{function}">{function}</a>',
            ]
            for norm, p in worst(row["points"]).items():
                ratio = f"{p['measured'] / p['bound']:.3f}" if p["bound"] > 0 else "–"
                found = [norm or "", number(p["bound"]), number(p["measured"]), ratio]
                yield [*first, *found, *last]
                first, last = [""] * len(first), [""] * len(last)  # once


class SampledTable(_Table):
    """What is only sampled, and why."""

    def rows(self):
        yield ["statement", "why it is sampled"]
        for row in CLAIMS.values():
            if row["evidence"] == "sampled":
                yield [f"{{prf:ref}}`{row['id']}`", row["reason"]]


class MutantsTable(_Table):
    """The mutation run: kinds and outcomes."""

    def rows(self):
        found = json.loads((Path(self.env.app.confdir) / MUTANTS).read_text())
        yield ["change", "mutants", "caught", "harmless, proved", "survived", "caught by"]
        for kind in dict.fromkeys(m["kind"] for m in found["mutants"]):
            mine = [m for m in found["mutants"] if m["kind"] == kind]
            by = Counter(m["by"] for m in mine if m["outcome"] == "caught")
            outcomes = Counter(m["outcome"] for m in mine)
            yield [
                kind,
                str(len(mine)),
                *(str(outcomes[o]) for o in ("caught", "harmless", "survived")),
                ", ".join(f"{name} ({count})" for name, count in by.most_common()),
            ]
        total = Counter(m["outcome"] for m in found["mutants"])
        yield [
            f"**all, seed {found['seed']}**",
            str(found["count"]),
            *(str(total[o]) for o in ("caught", "harmless", "survived")),
            f"**score {100 * found['score']:.1f} %**",
        ]


class HarmlessTable(_Table):
    """The harmless mutants and the proofs."""

    def rows(self):
        found = json.loads((Path(self.env.app.confdir) / MUTANTS).read_text())
        yield ["number", "network", "change", "block, layer, row", "proof"]
        for m in found["mutants"]:
            if m["outcome"] == "harmless":
                yield [
                    str(m["number"]),
                    m["network"],
                    m["kind"],
                    f"{m['block']}, {m['layer']}, {m['row']}",
                    m["by"],
                ]


def _constants(m):
    """For all cells, and for interior ones: the words, the norms and the map to Peano constants."""
    from lib import splines

    N = 2 * m
    yield (
        "all",
        (splines.weight_sum(m), splines.operator_norm(m, N), splines.slope_norm(m, N)),
        partial(splines.peano_constant, m, N),
    )
    yield (
        "interior",
        (
            splines.weight_sum(m, interior=True),
            splines.interior_operator_norm(m),
            splines.interior_slope_norm(m),
        ),
        partial(splines.interior_peano_constant, m),
    )


class ConstantsTable(_Table):
    """The constants of chapter 02 for orders up to 5, computed while the book is built."""

    orders = range(2, 6)

    def titles(self):
        return [f"$k_{{{a},{s}}}$" for a, s in self.pairs(5)]

    def pairs(self, m):
        """Which ``(alpha, s)`` the columns show for order ``m``."""
        return [(a, s) for s in (0, 1) for a in range(1 + s, 6)]

    def rows(self):
        yield ["$m$", "cells", r"$\Lambda_m$", "$q$", "$q_1$", *self.titles()]
        for m in self.orders:
            for words, norms, peano in _constants(m):
                yield [
                    str(m) if words == "all" else "",
                    words,
                    *(number(float(v)) for v in norms),
                    *(number(peano(a, s)) if a <= m else "" for a, s in self.pairs(m)),
                ]


class HighConstantsTable(ConstantsTable):
    """Those of orders 6 to 8, for smoothness ``m``."""

    orders = range(6, 9)

    def titles(self):
        return ["$k_{m-1,0}$", "$k_{m,0}$", "$k_{m,1}$"]

    def pairs(self, m):
        return [(m - 1, 0), (m, 0), (m, 1)]


class FunctionalsTable(_Table):
    """Interior and left boundary functionals, exact up to order 5."""

    def rows(self):
        from lib import splines

        yield ["$m$", "$j$", "nodes (unit mesh)", "weights"]
        for m in splines.ORDERS:
            for j in range(1 - m, 1):
                nodes_, weights = splines.functional(m, 2 * m, j)
                yield [
                    str(m),
                    str(j) if j < 0 else "0 (interior)",
                    ", ".join(map(str, nodes_)),
                    ", ".join(str(w) if m <= 5 else f"{float(w):.4g}" for w in weights),
                ]


class VersionsTable(_Table):
    """Versions behind the report."""

    def rows(self):
        yield ["package", "version"]
        yield from ([k, str(v)] for k, v in VERSIONS.items())


class ExecutionTable(_Table):
    """Seconds of each notebook, added up over its cells, and when it was executed, from the
    notebooks that are shown.
    """

    def rows(self):
        yield ["notebook", "code cells", "seconds", "executed (UTC)"]
        total = 0.0
        root = Path(self.env.app.confdir)
        for path in (
            executed.notebook(root, p.stem) for p in sorted((root / "notebooks").glob("*.ipynb"))
        ):
            self.env.note_dependency(str(path))
            cells = [
                c["metadata"]["execution"]
                for c in json.loads(path.read_text())["cells"]
                if c["cell_type"] == "code"
            ]
            begin, end = (
                [datetime.fromisoformat(c[key]) for c in cells]
                for key in ("iopub.execute_input", "shell.execute_reply")
            )
            seconds = sum((b - a).total_seconds() for a, b in zip(begin, end))
            total += seconds
            yield [
                f"[](/notebooks/{path.name})",
                str(len(cells)),
                f"{seconds:.0f}",
                end[-1].strftime("%Y-%m-%d %H:%M"),
            ]
        yield ["**all**", "", f"{total:.0f}", ""]


class BenchTable(_Table):
    """Rows of the record of ``python -m lib bench``: ``{bench-table} ROW ..``."""

    required_arguments, final_argument_whitespace = 1, True

    def rows(self):
        record = bench(self.env)
        yield ["case", "ours", "other", "ratio"]
        for label in self.arguments[0].split():
            found = [r for r in record["rows"] if r["id"] == label]
            if not found:
                raise self.error(f"no row {label} in {RECORD}: run `make bench`")
            units = {r["unit"] for r in found}
            yield [
                f"*{record['meaning'][label]}*"
                + (f" In {found[0]['unit']}." if len(units) == 1 else ""),
                "",
                "",
                "",
            ]
            for r in found:
                yield [
                    r["case"] + (f" ({r['unit']})" if len(units) > 1 else ""),
                    grouped(r["ours"]),
                    grouped(r["other"]),
                    f"**{grouped(r['ratio'])}**",
                ]


def grouped(value):
    """Three digits, in groups of three from a thousand on."""
    if not value or abs(value) < 1000:
        return number(value)
    return f"{float(f'{value:.3g}'):,.0f}".replace(",", "\u202f")


class BenchMachine(_Table):
    """Where the record was made."""

    def rows(self):
        machine = bench(self.env)["machine"]
        yield ["machine", "what it was"]
        yield [
            "processor",
            f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads",
        ]
        yield [
            "versions",
            ", ".join(
                f"{k} {v}" for k, v in machine.items() if k not in ("processor", "cores", "threads")
            ),
        ]


def bench(env):
    """The record of the benchmarks."""
    path = Path(env.app.confdir) / RECORD
    env.note_dependency(str(path))
    return json.loads(path.read_text())


def setup(app):
    for name, directive in (
        ("claims-table", ClaimsTable),
        ("sampled-table", SampledTable),
        ("mutants-table", MutantsTable),
        ("harmless-table", HarmlessTable),
        ("constants-table", ConstantsTable),
        ("high-constants-table", HighConstantsTable),
        ("functionals-table", FunctionalsTable),
        ("versions-table", VersionsTable),
        ("execution-table", ExecutionTable),
        ("bench-table", BenchTable),
        ("bench-machine", BenchMachine),
    ):
        app.add_directive(name, directive)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}

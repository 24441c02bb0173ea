"""Sphinx extension: the data flow of the two theorems as SVG, ``{data-flow} cube`` and
``{data-flow} manifold``.

Two lanes: what is computed once, from the target (left), and what the network does with a point
(right).  A box is its place (lane, row), its lines of text and the page or statement it leads to;
an edge may carry what it costs.
"""

from html import escape

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

LANE = 300
ROW = 84
WIDTH = 250
BOX = 46
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito

FLOWS = {
    "cube": (
        {
            "f": (0, 0, "target f on [0,1]ᴰ", "derivatives bounded by ‖∂ᵅf‖", "05_cube", ORANGE),
            "samples": (
                0,
                1,
                "point values f(h t)",
                "near each of the T terms",
                "lem-functionals",
                ORANGE,
            ),
            "c": (0, 2, "coefficients cⱼ = λⱼ(f)", "linear in f", "lem-marsden", ORANGE),
            "spline": (
                0,
                3,
                "spline Qf = Σ cⱼ Mⱼ",
                "off by hᵅ J₀ and hᵅ⁻¹ J₁",
                "thm-jackson",
                ORANGE,
            ),
            "x": (1, 0, "point x", "rows of channel 1", "def-convresnet", BLUE),
            "gather": (
                1,
                1,
                "gather: u = N x / 2ᵏ in row 1",
                "filters of size K",
                "lem-gather",
                BLUE,
            ),
            "double": (
                1,
                2,
                "distances |N xᵢ − c|, c the centre",
                "k doublings, weights ≤ 2",
                "lem-doubling",
                BLUE,
            ),
            "factor": (
                1,
                3,
                "factors Ñₘ: folds and powers",
                "off by η₀ = O(4⁻ⁿ), η₁ = O(2⁻ⁿ)",
                "prop-bspline-net",
                BLUE,
            ),
            "term": (
                1,
                4,
                "terms M̃ⱼ: products μₙ",
                "off by E₀, E₁; exactly zero off the support",
                "prop-tensor-net",
                BLUE,
            ),
            "block": (
                1,
                5,
                "block: S⁺ += Σ cⱼ⁺ M̃ⱼ, S⁻ += Σ cⱼ⁻ M̃ⱼ",
                "M̃ (a number) blocks of J̃ terms, skip connection",
                "lem-skip",
                GREEN,
            ),
            "out": (
                1,
                6,
                "f̃(x) = S⁺ − S⁻",
                "value hᵅJ₀ + mᴰc*E₀, slope hᵅ⁻¹J₁ + N mᴰc*E₁",
                "thm-cube",
                GREEN,
            ),
        },
        [
            ("f", "samples"),
            ("samples", "c"),
            ("c", "spline"),
            ("c", "block"),
            ("x", "gather"),
            ("gather", "double"),
            ("double", "factor"),
            ("factor", "term"),
            ("term", "block"),
            ("block", "out"),
        ],
    ),
    "manifold": (
        {
            "M": (
                0,
                0,
                "manifold 𝓜 of dimension d",
                "reach τ, proved or estimated",
                "lem-federer",
                ORANGE,
            ),
            "atlas": (
                0,
                1,
                "atlas: centres cᵢ, tangent bases Vᵢ",
                "A₀ charts that provably cover",
                "lem-atlas",
                ORANGE,
            ),
            "f": (
                0,
                2,
                "gᵢ = f ∘ φᵢ⁻¹ on balls of ℝᵈ",
                "derivatives enclosed, box by box",
                "lem-chart-norms",
                ORANGE,
            ),
            "pieces": (
                0,
                3,
                "samples of gᵢ at nodes",
                "a little beyond the balls, where charts hold",
                "lem-local-jackson",
                ORANGE,
            ),
            "c": (
                0,
                4,
                "coefficients cᵢⱼ = λⱼ(gᵢ)",
                "at most (N+m−1)ᵈ a chart",
                "lem-functionals",
                ORANGE,
            ),
            "x": (1, 0, "point x of 𝓜 in [0,1]ᴰ", "rows of channel 1", "def-convresnet", BLUE),
            "square": (
                1,
                1,
                "squares of all coordinates",
                "½ log₂ D + O(1) levels, all rows at once",
                "lem-distance-net",
                BLUE,
            ),
            "gather": (
                1,
                2,
                "u = Vᵢᵀ(x − cᵢ), scaled; partition ρᵢ",
                "Σ ρᵢ = 1, ρᵢ = 0 beyond r₁",
                "lem-partition-net",
                BLUE,
            ),
            "term": (
                1,
                3,
                "terms of chart i, times ρᵢ",
                "as on the cube, in d variables",
                "lem-localised-term",
                BLUE,
            ),
            "block": (
                1,
                4,
                "blocks add up all charts",
                "S⁺ and S⁻, skip connections",
                "lem-skip",
                GREEN,
            ),
            "out": (
                1,
                5,
                "f̃(x) = S⁺ − S⁻",
                "exponent −(α − s)/d, whatever D",
                "thm-manifold",
                GREEN,
            ),
        },
        [
            ("M", "atlas"),
            ("atlas", "f"),
            ("f", "pieces"),
            ("pieces", "c"),
            ("c", "block"),
            ("atlas", "gather"),
            ("x", "square"),
            ("square", "gather"),
            ("gather", "term"),
            ("term", "block"),
            ("block", "out"),
        ],
    ),
}


def draw(name, link):
    """The SVG; ``link`` maps a page or label to an address."""
    boxes, edges = FLOWS[name]
    height = (max(b[1] for b in boxes.values()) + 1) * ROW - ROW + BOX + 40
    width = LANE + WIDTH + 20
    arrow = f"arrow-{name}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' style="width:100%;max-width:{width}px" role="group" aria-label="Data flow of the'
        ' theorem; the list below says the same" font-family="sans-serif"><defs><marker'
        f' id="{arrow}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
        ' orient="auto"><path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs><g'
        ' fill="currentColor" font-size="12" font-weight="bold"><text x="10" y="14">once,'
        f' beforehand</text><text x="{LANE + 10}" y="14">for every point, in the network</text></g>'
    ]
    corner = {key: (10 + b[0] * LANE, 26 + b[1] * ROW) for key, b in boxes.items()}
    for start, end in edges:
        (x0, y0), (x1, y1) = corner[start], corner[end]
        if x0 == x1:
            path = f"M{x0 + WIDTH / 2} {y0 + BOX}V{y1 - 1}"
        else:
            middle = (x0 + WIDTH + x1) / 2
            path = (
                f"M{x0 + WIDTH} {y0 + BOX / 2}C{middle} {y0 + BOX / 2} {middle} {y1 + BOX / 2}"
                f" {x1 - 1} {y1 + BOX / 2}"
            )
        lines.append(
            f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.4"'
            f' marker-end="url(#{arrow})"/>'
        )
    for key, (*_, first, second, target, colour) in boxes.items():
        x, y = corner[key]
        lines.append(
            f'<a href="{escape(link(target))}"><rect x="{x}" y="{y}" width="{WIDTH}" height="{BOX}"'
            f' rx="6" fill="{colour}" fill-opacity="0.12" stroke="{colour}"'
            f' stroke-width="1.6"/><text x="{x + WIDTH / 2}" y="{y + 19}" text-anchor="middle"'
            f' fill="currentColor" font-size="12.5" font-weight="bold">{escape(first)}</text><text'
            f' x="{x + WIDTH / 2}" y="{y + 36}" text-anchor="middle" fill="currentColor"'
            f' font-size="11">{escape(second)}</text></a>'
        )
    return "\n".join([*lines, "</svg>"])


class _Flow(nodes.General, nodes.Element):
    """Where a drawing goes, once the addresses of all pages are known."""


class DataFlow(SphinxDirective):
    required_arguments = 1

    def run(self):
        return [_Flow(name=self.arguments[0])]


def insert(app, doctree, docname):
    from lib.claims import REGISTRY

    def link(target):
        claim = REGISTRY.get(target)
        start = f"book/{claim.chapter:02}_" if claim else f"book/{target}"
        page = next(d for d in app.env.found_docs if d.startswith(start))
        return app.builder.get_relative_uri(docname, page) + (f"#{target}" if claim else "")

    for node in list(doctree.findall(_Flow)):
        node.replace_self(
            nodes.raw("", f'<div class="data-flow">{draw(node["name"], link)}</div>', format="html")
        )


def setup(app):
    app.connect("doctree-resolved", insert)
    app.add_node(_Flow)
    app.add_directive("data-flow", DataFlow)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

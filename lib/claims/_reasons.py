"""Why a statement is only sampled: what stands in the way of deciding it."""

REASONS = {
    "lem-ladder": "about every Lipschitz function; three, decided in rational numbers",
    "prop-steps": (
        "about every Lipschitz function and point; at the ends of cells there are up to 2^M pieces"
    ),
    "prop-frozen": (
        "about every Lipschitz function; three, decided in rational numbers for all points"
    ),
    "cor-contrast": "asymptotic: orders are fitted",
    "prop-flip": "about every point of a band; random ones",
    "thm-jackson": (
        "about every f; checked for one family, whose splines are also inside the certificates of"
        " thm-cube"
    ),
    "lem-interpolation": "about every pair of points; attained for a linear function",
    "prop-tensor-net": "piecewise linear in D variables",
    "prop-spline-net": "contained, more sharply, in the certificates of thm-cube",
    "def-convresnet": "two programs for the same formula, compared in float64",
    "lem-gather": "about every affine map; random ones, decided without rounding for all points",
    "lem-skip": "equality of two networks up to rounding",
    "lem-grouped": (
        "about every grouped convolution; those of our networks, compared number by number"
    ),
    "lem-rows": "equality of two evaluations up to rounding",
    "prop-realisation": "sizes are exact; the function is compared in float64",
    "cor-budget": "equality of two networks up to rounding",
    "prop-sparse": "equality of two programs up to rounding, everywhere in space",
    "thm-cube": (
        "about every f; eight formulas, for each an enclosure of both errors over the whole cube"
    ),
    "cor-cube-rate": "asymptotic: an order is fitted",
    "cor-selection": "about every pair of targets; random pairs",
    "lem-federer": "about every pair of points of a manifold",
    "lem-geodesic": "about every pair of points of a manifold; arc lengths are numerical",
    "lem-angle": "about every pair of points of a manifold",
    "lem-chart": "injectivity and surjectivity of a projection: pairs and a net",
    "lem-atlas": "the cover is certified by a net when the atlas is built; the check samples",
    "lem-partition": "identity of sums in float64",
    "lem-distance-net": "equality with a bound in many variables, tried where it is attained",
    "lem-gate": "about every gate; those of three atlases, zeros decided for all floats",
    "lem-product-gate": "piecewise linear in the product of two networks",
    "prop-chart-local": (
        "about all points of a manifold; on curves and spheres certificates decide it box by box"
    ),
    "thm-manifold": (
        "norms in charts are sampled, so the bound is not an enclosure; on closed curves see"
        " cor-certified-curve"
    ),
    "cor-manifold-rate": "asymptotic: an order is fitted",
    "cor-ambient": "equality of two errors in different dimensions, to 1e-8",
    "lem-bump": "about every g; knots and maxima of the bump are decided with square roots",
    "thm-bernstein": "about every continuous method; one nonlinear method at a time",
    "lem-spline-bernstein": (
        "about every spline and point; the best spline by linear programming, at nine points of a"
        " cell"
    ),
    "thm-favard": "about every continuous method; ours, on functions that it cannot see",
    "cor-optimality": (
        "the upper bounds are those of thm-jackson, the lower ones those of thm-favard; both rest"
        " on samples"
    ),
    "prop-jump": "about every size; weights followed along one path",
    "prop-bits": "about every code; one code, all sums of bumps",
    "thm-radius": "about every point and every move; gradient attacks around random points",
    "prop-sup-certificate": "about every point; random ones, on lines",
    "lem-zonotope": "about every picture of a ball; random ones and corners",
    "lem-interval-layer": "about every network and box; random boxes, extreme points",
    "lem-taylor": "about every function and box; six formulas",
    "lem-deviation": "about every box; random boxes, all terms",
    "lem-rounding": "about every float; random points, against 400 bits",
    "prop-rounding": "about every formula; the coefficients of four, all of them, against 300 bits",
    "thm-certificate": (
        "about every network; each certificate against a second proof on the same boxes and against"
        " samples"
    ),
    "cor-certified-curve": (
        "about every target; one, on two curves, each certificate against samples and the a priori"
        " bound"
    ),
}

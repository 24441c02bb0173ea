"""The dependency graph of the statements as SVG, drawn from the report of ``python -m lib verify
--json``.
"""

from html import escape

WIDTH = 126
BOX = 22
COLUMN = 142
ROW = 54
MARGIN = 84  # of a box; between boxes, between rows; left of them
FILL = {"exact": "#009E73", "certified": "#0072B2", "sampled": "#E69F00"}  # Okabe and Ito
TEXT = {"exact": "#000000", "certified": "#ffffff", "sampled": "#000000"}


def places(rows):
    """Row and column of every statement: chapters from top to bottom, and in each first what uses
    none of its own.

    Statements of a row are sorted by the mean column of what they use.
    """
    level, chapter = {}, {}
    for row in rows:  # in the order of the book, so what is used has its place already
        own = [level[u] for u in row["uses"] if u in level and chapter[u] == row["chapter"]]
        level[row["id"]], chapter[row["id"]] = max(own, default=-1) + 1, row["chapter"]
    found = {}
    for y, key in enumerate(sorted({(chapter[i], level[i]) for i in level})):
        members = [r for r in rows if (chapter[r["id"]], level[r["id"]]) == key]
        members.sort(
            key=lambda r: sum(found[u][1] for u in r["uses"]) / len(r["uses"]) if r["uses"] else 0
        )
        for x, row in enumerate(members):
            found[row["id"]] = (y, x)
    return found


def draw(rows, link, names):
    """The SVG.

    Parameters
    ----------
    rows : list of dict
        The claims of the report.
    link : callable
        From a row to the address of its statement.
    names : dict
        Of the chapters.
    """
    where = places(rows)
    widest = max(x for _, x in where.values()) + 1
    members = {y: sum(p[0] == y for p in where.values()) for y, _ in where.values()}
    # rows are centred, single boxes to the left and to the right in turn, so that lines do not hide
    # behind them
    shift = {y: (widest - n) / 2 + (0.7 if y % 2 else -0.7) * (n == 1) for y, n in members.items()}

    def corner(label):
        y, x = where[label]
        return MARGIN + (x + shift[y]) * COLUMN, 12 + y * ROW

    width = MARGIN + widest * COLUMN
    height = 20 + (max(y for y, _ in where.values()) + 1) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' style="width:100%;max-width:{width}px" role="group" aria-label="Dependency graph of the'
        ' statements; the table below has the same content" font-family="sans-serif"'
        ' font-size="12">'
    ]
    for chapter, name in names.items():
        top = 12 + min(where[r["id"]][0] for r in rows if r["chapter"] == chapter) * ROW
        lines.append(
            f'<line x1="0" x2="{width}" y1="{top - 16}" y2="{top - 16}" stroke="currentColor"'
            f' stroke-opacity="0.15"/><text x="2" y="{top + 15}" fill="currentColor"'
            f' font-weight="bold">{escape(name)}</text>'
        )
    for row in rows:
        x1, y1 = corner(row["id"])
        for used in row["uses"]:
            x0, y0 = corner(used)
            a = x0 + WIDTH / 2
            b = y0 + BOX
            c = x1 + WIDTH / 2
            d = y1
            bend = max(16, (d - b) / 2)
            lines.append(
                f'<path d="M{a} {b} C{a} {b + bend:.0f} {c} {d - bend:.0f} {c} {d}" fill="none" '
                'stroke="currentColor" stroke-opacity="0.25"/>'
            )
    for row in rows:
        x, y = corner(row["id"])
        title = f"{row['id']}: {row['evidence']}, rests on what is at best {row['rests_on']}"
        lines.append(
            f'<a href="{escape(link(row))}"><title>{escape(title)}</title>'
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{BOX}" rx="4"'
            f' fill="{FILL[row["evidence"]]}" '
            f'stroke="{FILL[row["rests_on"]]}" stroke-width="4"/>'
            f'<text x="{x + WIDTH / 2}" y="{y + 15}" text-anchor="middle"'
            f' fill="{TEXT[row["evidence"]]}">'
            f"{escape(row['id'])}</text></a>"
        )
    return "\n".join([*lines, "</svg>"])

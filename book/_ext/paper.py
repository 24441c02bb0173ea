"""Print the built book with Chromium: ``python book/_ext/paper.py _build/html _build/book.pdf``.

The articles of all pages, in the order of the table of contents, go into one page; links between
them become links within it, so numbers and references are those of the site.  The page is printed
twice: the first print tells on which page of paper each chapter begins.
"""

import posixpath
import re
import shutil
import sys
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from bs4 import BeautifulSoup
from pypdf import PdfReader, PdfWriter

CSS = """
@page { size: A4; }
body { font-size: 10pt; }
article.bd-article { padding: 0; break-before: page; }
nav.paper { break-before: page; }
nav.paper li { list-style: none; display: flex; gap: 1em; }
nav.paper li span.dots { flex: 1; border-bottom: 1px dotted; height: 1em; }
nav.paper ul { padding-left: 1.2em; }
h1.cover { margin-top: 30vh; text-align: center; border: none; }
p.cover { text-align: center; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.proof, figure, table.docutils tr, .living { break-inside: avoid; }
div.wide-table, div.output { overflow: visible !important; }
table { font-size: 0.75em; overflow-wrap: anywhere; }
.headerlink, .copybtn, .toggle-button { display: none !important; }
"""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
]  # of Chromium
SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "living.js")
FOOTER = (
    '<div style="width: 100%; font-size: 8px; text-align: center; color: #444"><span'
    ' class="pageNumber"></span></div>'
)


def contents(toc):
    """The pages of the book with their depth, in order."""
    yield toc["root"], 0
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            yield chapter["file"], 0
            yield from ((section["file"], 1) for section in chapter.get("sections", []))


def anchor(page, fragment=""):
    """The anchor in the one page for an anchor of a page of the site."""
    return (
        "-".join(["page", page.replace("/", "-"), fragment])
        if fragment
        else "page-" + page.replace("/", "-")
    )


def article(site, page, pages):
    """The article of a page with its title; anchors are made unique, links to other pages of the
    book become internal.
    """
    soup = BeautifulSoup((site / f"{page}.html").read_text(), "html.parser")
    body = soup.select_one("article.bd-article")
    folder = posixpath.dirname(page)
    for tag in body.find_all(id=True):
        if not tag.find_parent("svg"):
            tag["id"] = anchor(page, tag["id"])
    for link in body.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if parts.scheme:
            continue
        target = (
            posixpath.normpath(posixpath.join(folder, parts.path)) if parts.path else f"{page}.html"
        )
        if target.removesuffix(".html") in pages:
            link["href"] = "#" + anchor(target.removesuffix(".html"), parts.fragment)
        else:  # the code, which is not printed
            del link["href"]
    for image in body.find_all("img", src=True):
        if not urlsplit(image["src"]).scheme:
            image["src"] = posixpath.normpath(posixpath.join(folder, image["src"]))
    body["id"] = anchor(page)
    return body, body.h1.get_text().rstrip("#")


def headings(articles, order):
    """Anchor, text and depth of every page, and of the sections of the chapters."""
    for page, depth in order:
        body, title = articles[page]
        yield anchor(page), title, depth
        if re.match(r"book/\d\d_", page):
            for section in body.find_all("section", recursive=True):
                if section.h2 is not None and section.h2.parent is section:
                    yield section["id"], section.h2.get_text().rstrip("#"), 1


def one_page(site, toc, articles, on_page):
    """The whole book as one page of HTML; ``on_page`` maps anchors to page numbers, where they
    are known.
    """
    order = list(contents(toc))
    first = BeautifulSoup((site / f"{toc['root']}.html").read_text(), "html.parser")

    def local(address):
        return posixpath.normpath(
            posixpath.join(posixpath.dirname(toc["root"]), address.split("?")[0])
        )

    head = [
        f'<link rel="stylesheet" href="{local(link["href"])}">'
        for link in first.select('link[rel="stylesheet"]')
    ]
    config = next(
        s for s in first.find_all("script") if (s.string or "").startswith("window.MathJax")
    )
    head += [str(config), '<script defer src="_static/mathjax/tex-chtml-full.js"></script>']
    head += [f'<script defer src="_static/{name}"></script>' for name in SCRIPTS]
    lines = [
        f'<li style="padding-left: {1.5 * depth}em"><a href="#{place}">{escape(heading)}</a>'
        f'<span class="dots"></span><span>{on_page.get(place, "")}</span></li>'
        for place, heading, depth in headings(articles, order)
    ]
    title = first.title.get_text()
    return "\n".join(
        [
            (
                '<!DOCTYPE html><html lang="en" data-theme="light"><head><meta'
                f' charset="utf-8"><title>{title}</title>'
            ),
            *head,
            f'<style>{CSS}</style></head><body><h1 class="cover">{articles[toc["root"]][1]}</h1>',
            '<p class="cover">Printed from the web book. Code is linked there, not printed.</p>',
            '<nav class="paper"><h2>Contents</h2><ul>',
            *lines,
            "</ul></nav>",
            *(str(body) for body, _ in articles.values()),
            "</body></html>",
        ]
    )


def print_pdf(page, out):
    """Print a page, once all formulas and pictures are there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        tab = browser.new_page(viewport={"width": 760, "height": 1000})
        tab.set_default_timeout(300_000)
        tab.goto(page.resolve().as_uri())
        tab.wait_for_function("() => MathJax.startup.promise.then(() => true)")
        tab.pdf(
            path=out,
            format="A4",
            tagged=True,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            margin=dict.fromkeys(("top", "bottom", "left", "right"), "18mm"),
        )
        browser.close()


def main(site, out):
    if shutil.which("chromium") is None:
        sys.exit("make pdf needs Chromium: on Debian, apt-get install chromium")
    toc = yaml.safe_load((Path(__file__).parent.parent.parent / "_toc.yml").read_text())
    order = list(contents(toc))
    pages = {name for name, _ in order}
    articles = {name: article(site, name, pages) for name, _ in order}
    page = site / "print.html"
    on_page = {}
    for _ in range(2):
        page.write_text(one_page(site, toc, articles, on_page))
        print_pdf(page, out)
        reader = PdfReader(out)
        on_page = {
            name.removeprefix("/"): reader.get_destination_page_number(found) + 1
            for name, found in reader.named_destinations.items()
        }
    page.unlink()
    writer = PdfWriter(clone_from=reader)
    above = None
    # Chromium's own outline doubles the words
    for place, heading, depth in headings(articles, order):
        item = writer.add_outline_item(
            title=heading, page_number=on_page[place] - 1, parent=above if depth else None
        )
        above = above if depth else item
    writer.write(out)
    print(f"{out}: {len(reader.pages)} pages")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

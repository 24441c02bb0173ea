"""The built site in a real browser, offline: every page on a desk and on a phone, in light and
dark.

Needs what ``make book`` has built and Debian's Chromium; skipped otherwise, unless
``SITE=required``, as in the gate.
"""

import functools
import http.server
import json
import os
import re
import shutil
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import paper  # noqa: E402  (it prints with the same browser)

SITE = ROOT / "_build" / "html"
CHROMIUM = shutil.which("chromium")
PAGES = (
    sorted(str(p.relative_to(SITE)) for p in SITE.rglob("*.html") if "_static" not in p.parts)
    if SITE.is_dir()
    else []
)
WRITTEN = [p for p in PAGES if p.startswith(("book/", "notebooks/"))]
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
KEPT = re.compile(r"https://(doi\.org|arxiv\.org)/")
LIVING = {
    "quasi": "02_splines",
    "square": "03_relu",
    "blocks": "04_convresnet",
    "charts": "06_manifolds",
    "widthdepth": "09_robustness",
}

missing = (
    "the book is not built: make book"
    if not PAGES
    else "Chromium is not installed"
    if CHROMIUM is None
    else ""
)
if missing and os.environ.get("SITE") == "required":
    raise RuntimeError(missing)
pytestmark = pytest.mark.skipif(bool(missing), reason=missing)

# Text that MathJax should have typeset, outside code.
RAW = r"""() => {
  const walk = document.createTreeWalker(
    document.querySelector("article") || document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (node.parentElement.closest("code, pre, script, style, noscript, mjx-container")) continue;
    if (/\\[(\[a-zA-Z]|\$\$?[^$]*\\/.test(node.data)) found.push(node.data.trim().slice(0, 80));
  }
  return found;
}"""
WIDE = """() => document.documentElement.scrollWidth > window.innerWidth
  ? [...document.querySelectorAll("article *")]
      .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1).slice(0, 5)
      .map(e => e.tagName + "." + e.className + ": " + e.textContent.trim().slice(0, 60)) : []"""
# What docutils and the theme write: roles of citations, code blocks that scroll, landmarks around
# the article.  And headers of tables that are formulas: axe does not see the MathML that MathJax
# writes for screen readers (see below).
NOT_OURS = (
    "empty-table-header",
    "aria-required-children",
    "aria-allowed-role",
    "aria-deprecated-role",
    "scrollable-region-focusable",
    "region",
)
ARTICLE = '<article class="bd-article">'
TYPESET = (
    "() => !window.MathJax || !MathJax.startup || !MathJax.startup.promise ||"
    " MathJax.startup.promise.then(() => true)"
)


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=paper.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a page of the site from the disk, without a network; complaints are collected in
    ``page.complaints``.
    """
    contexts = []

    def opened(name, size="desk", **options):
        context = chromium.new_context(viewport=SIZES[size], offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on(
            "console",
            lambda m: page.complaints.append(m.text) if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda e: page.complaints.append(str(e)))
        page.on("requestfailed", lambda r: page.complaints.append(f"failed: {r.url}"))
        page.on(
            "request",
            lambda r: (
                None
                if r.url.startswith(("file:", "data:", "blob:"))
                else page.complaints.append(f"left the machine: {r.url}")
            ),
        )
        page.goto(f"{SITE.as_uri()}/{name}")
        if options.get("java_script_enabled", True):
            page.wait_for_function(TYPESET)
        return page

    yield opened
    for context in contexts:
        context.close()


# a change of the colour scheme is seen at once, and layouts are settled after two frames
STILL = "*, *::before, *::after { transition: none !important; animation: none !important }"
SETTLED = (
    "() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(() => go(true))))"
)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_and_accessible_on_desk_and_phone_in_light_and_dark(visit, name):
    """One visit: no wide line, raw formula, broken picture, complaint or request; and, on written
    pages, what axe-core sees: alternative texts, contrast, order of headings, labels and names.
    """
    page = visit(name, color_scheme="light")
    page.add_style_tag(content=STILL)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")
        for size in ("phone", "desk"):
            page.set_viewport_size(SIZES[size])
            page.evaluate(SETTLED)
            assert page.evaluate(WIDE) == [], (scheme, size)
        if name in WRITTEN:
            assert violations(page) == [], scheme
    assert page.evaluate(RAW) == []
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    broken = "a => a.filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
    assert page.locator("img").evaluate_all(broken) == []
    assert page.complaints == []


def violations(page):
    """What axe-core finds in the article of a page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(
        page,
        context="article.bd-article",
        options={
            "preload": False,  # of style sheets, by requests that a page on the disk may not make
            "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "best-practice"]},
            "resultTypes": ["violations"],
            "rules": {rule: {"enabled": False} for rule in NOT_OURS},
        },
    )
    return [
        (v["id"], [(n["html"][:150], n["failureSummary"][:200]) for n in v["nodes"][:4]])
        for v in found.response["violations"]
    ]


def test_a_broken_page_is_noticed(visit, tmp_path):
    """The checks of the test above see an unknown macro, text that was not typeset, a wide line,
    a request and a picture without words.
    """
    text = (SITE / "book/03_relu.html").read_text()
    broken = SITE / "book" / "broken-on-purpose.html"
    faults = (
        '<p class="math notranslate nohighlight">\\(\\nosuchmacro\\)</p><p>\\[x^2</p>'
        '<div style="width: 3000px">wide</div><img src="https://example.org/x.png">'
    )
    broken.write_text(text.replace(ARTICLE, ARTICLE + faults, 1))
    try:
        page = visit("book/broken-on-purpose.html", "phone")
        assert page.evaluate(WIDE) and page.evaluate(RAW)
        assert page.locator("mjx-merror").count() == 1
        assert any("left the machine" in c for c in page.complaints)
        assert "image-alt" in [rule for rule, _ in violations(page)]
    finally:
        broken.unlink()


@pytest.mark.parametrize("name", WRITTEN)
def test_headers_of_tables_say_something(name):
    assert [th.parent.text for th in _soup(name).find_all("th") if not th.text.strip()] == []


@functools.cache
def _soup(name):
    return BeautifulSoup((SITE / name).read_text(), "html.parser")


@functools.cache
def _anchors(name):
    soup = _soup(name)
    return {tag["id"] for tag in soup.find_all(id=True)} | {
        tag["name"] for tag in soup.find_all("a", {"name": True})
    }


@pytest.mark.parametrize("name", PAGES)
def test_links(name):
    """Internal links and anchors resolve; external ones are DOIs or arXiv identifiers."""
    soup = _soup(name)
    broken = []
    for tag, attribute in [("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")]:
        for element in soup.find_all(tag, {attribute: True}):
            address = element[attribute]
            if urlsplit(address).scheme:
                if not KEPT.match(address) and not address.startswith("data:"):
                    broken.append(address)
                continue
            parts = urlsplit(address)
            target = (SITE / name).parent / unquote(parts.path) if parts.path else SITE / name
            if not target.is_file():
                broken.append(address)
            elif parts.fragment and target.suffix == ".html" and tag == "a":
                if unquote(parts.fragment) not in _anchors(str(target.resolve().relative_to(SITE))):
                    broken.append(address)
    assert broken == []


def test_every_statement_has_its_badge_code_and_tampered_check():
    from lib.claims import REGISTRY

    for claim in REGISTRY.values():
        page = next(p for p in WRITTEN if p.startswith(f"book/{claim.chapter:02}_"))
        statement = _soup(page).find(id=claim.id)
        lines = statement.find_all("p", class_="evidence")
        assert lines[0].strong.text == claim.evidence.kind
        assert f"must reject {claim.wrong}" in lines[1].text
        assert any(claim.check.__name__ in a["href"] for a in lines[1].find_all("a"))


def test_the_index_names_every_statement_with_its_number_and_title():
    from lib.claims import REGISTRY

    rows = {
        row.find_all("td")[1].text: row.td.text
        for row in _soup("book/statements.html").select("tbody tr")
    }
    assert list(rows) == list(REGISTRY)
    assert rows["lem-square"].startswith("Lemma 3.2 Square") and all(
        re.match(r"\w+ \d+\.\d+ \S", r) for r in rows.values()
    )


def test_one_counter_for_the_statements_of_a_chapter():
    for page in (p for p in WRITTEN if re.match(r"book/\d\d_", p)):
        numbers = [
            t.text
            for t in _soup(page).select("div.proof p.admonition-title")
            if re.match(r"\w+ \d", t.text)
        ]
        chapter = int(page[5:7])
        found = [re.match(r"\w+ (\d+)\.(\d+)", t).groups() for t in numbers]
        assert found == [(str(chapter), str(i + 1)) for i in range(len(found))], page


def test_functions_lead_back_to_statements():
    soup = _soup("book/api.html")
    entries = [
        d
        for d in soup.select("dl.py.function, dl.py.class")
        if d.find("dt", id=re.compile(r"^lib\."))
    ]
    assert len(entries) > 150
    for entry in entries:
        assert "In the book:" in entry.text, entry.dt["id"]


def test_sources_lead_back_to_their_citations():
    entries = _soup("book/bibliography.html").select("div.citation")
    assert len(entries) >= 25
    for entry in entries:
        assert entry.select("span.cited-in a"), entry.text
        assert [a for a in entry.find_all("a", href=True) if KEPT.match(a["href"])], entry.text


@pytest.mark.parametrize("way", ["hover", "focus"])
def test_a_reference_shows_its_statement(visit, way):
    page = visit("book/05_cube.html")
    reference = page.locator('article a[href*="#thm-jackson"]').first
    reference.scroll_into_view_if_needed()
    getattr(reference, way)()
    box = page.locator(".tippy-box")
    box.wait_for()
    assert "Theorem 2." in box.inner_text() and box.locator("mjx-container").count() > 3
    page.keyboard.press("Escape")


@pytest.mark.parametrize("picture", LIVING)
def test_a_living_picture_answers_the_keyboard(visit, picture):
    page = visit(f"book/{LIVING[picture]}.html")
    figure = page.locator(f"#living-{picture}")
    reading = figure.locator(".living-reading")
    sliders = figure.locator("input[type=range]")
    choices = figure.locator("select")
    assert sliders.count() + choices.count() >= 1
    for i in range(sliders.count()):
        before = reading.inner_text(), figure.locator("svg").first.inner_html()
        sliders.nth(i).focus()
        page.keyboard.press("ArrowRight")
        assert (reading.inner_text(), figure.locator("svg").first.inner_html()) != before
    for i in range(choices.count()):
        before = reading.inner_text()
        choices.nth(i).select_option(index=1)
        assert reading.inner_text() != before
    assert page.complaints == []


@pytest.mark.parametrize("picture", LIVING)
def test_a_living_picture_without_scripts_and_in_print(visit, picture):
    still = visit(f"book/{LIVING[picture]}.html", java_script_enabled=False)
    image = still.locator(f"#living-{picture} noscript img")
    assert image.is_visible() and image.get_attribute("alt")
    page = visit(f"book/{LIVING[picture]}.html")
    page.emulate_media(media="print")
    assert not page.locator(f"#living-{picture} form").is_visible()
    assert page.locator(f"#living-{picture} svg").first.is_visible()


def _data(picture):
    return json.loads(
        _soup(f"book/{LIVING[picture]}.html").select_one(f"#living-{picture} script").text
    )


def test_the_spline_of_the_page_is_that_of_the_library(visit):
    from lib import splines

    data = _data("quasi")
    page = visit("book/02_splines.html")
    x = (np.arange(50) + 0.3) / 50
    for curve in data["curves"]:
        for m, N in ((2, 8), (3, 16), (5, 64), (8, 23)):
            c = curve["splines"][f"{m},{N}"]["c"]
            drawn = np.array(
                page.evaluate(
                    "([c, m, N, x]) => x.map(t => living.spline(c, m, N, t))", [c, m, N, x.tolist()]
                )
            )
            ours = [
                splines.evaluate(np.array(c), m, x[:, None], derivative)
                for derivative in (None, (1,))
            ]
            assert np.abs(drawn.T - ours).max() < 1e-10


def test_the_numbers_of_the_living_pictures_keep_their_bounds():
    for curve in _data("quasi")["curves"]:
        for found in curve["splines"].values():
            for measured, bound in (found["value"], found["slope"]):
                assert 0 < measured <= bound
    for level in _data("square")["levels"]:
        z, sq = np.array(level["z"]), np.array(level["sq"])
        assert np.allclose(sq, z**2, atol=1e-15) and len(z) == 2 ** level["n"] + 1
    blocks = _data("blocks")
    for network in blocks["networks"]:  # the same function, however the terms are dealt out
        last = network["states"][-1]
        assert np.allclose(last["value"], blocks["networks"][0]["states"][-1]["value"], atol=1e-4)
        assert np.abs(np.array(last["value"]) - blocks["f"]).max() < 0.01
    for atlas in _data("charts")["atlases"]:
        total = np.zeros(len(_data("charts")["angle"]))
        for at, values in atlas["partition"].values():
            total[at] += values
        assert np.allclose(total, 1, atol=2e-3)


def test_search_works_from_the_disk(visit):
    page = visit("search.html?q=sawtooth")
    page.get_by_text("Search finished").wait_for()
    assert "book/03_relu.html" in " ".join(
        page.locator("#search-results li a").evaluate_all("a => a.map(x => x.href)")
    )
    assert page.complaints == []


def test_search_quotes_the_pages_it_finds_over_http(chromium):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(SITE))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/search.html?q=sawtooth")
        page.locator("#search-results li").first.wait_for()
        assert "03_relu" in " ".join(
            page.locator("#search-results li a").evaluate_all("a => a.map(x => x.href)")
        )
        page.locator("#search-results p.context").first.wait_for()
        page.close()
        server.shutdown()

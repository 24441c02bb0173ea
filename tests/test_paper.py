"""The printed book: complete, numbered, with working links.

Skipped unless ``make pdf`` has run; with ``SITE=required``, as in the gate, that is an error.
"""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PDF = ROOT / "_build" / "book.pdf"
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import paper  # noqa: E402

if not PDF.is_file() and os.environ.get("SITE") == "required":
    raise RuntimeError("the book is not printed: make pdf")
printed = pytest.mark.skipif(not PDF.is_file(), reason="the book is not printed: make pdf")


@pytest.fixture(scope="module")
def reader():
    from pypdf import PdfReader

    return PdfReader(PDF)


@printed
def test_every_page_of_the_book_is_printed_and_numbered(reader):
    order = list(paper.contents(yaml.safe_load((ROOT / "_toc.yml").read_text())))
    assert {paper.anchor(page) for page, _ in order} <= {
        name.removeprefix("/") for name in reader.named_destinations
    }
    starts = [
        reader.get_destination_page_number(reader.named_destinations["/" + paper.anchor(page)])
        for page, _ in order
    ]
    assert starts == sorted(starts) and len(reader.pages) > 150
    for number in (starts[3], starts[-1]):  # the footer
        assert re.search(rf"\b{number + 1}\s*$", reader.pages[number].extract_text())


@printed
def test_the_contents_name_the_right_pages(reader):
    text = "".join(reader.pages[i].extract_text() for i in range(1, 5))
    for item in (o for o in reader.outline if not isinstance(o, list)):
        number = reader.get_destination_page_number(item) + 1
        title = re.escape(item.title).replace("fi", "(fi|ﬁ)")
        assert re.search(rf"{title}\s*\.*\s*{number}\b", text), item.title


@printed
def test_links_lead_somewhere(reader):
    inside, outside = 0, []
    for page in reader.pages:
        for annotation in (a.get_object() for a in page.get("/Annots") or []):
            if annotation.get("/Subtype") != "/Link":
                continue
            if "/Dest" in annotation:
                assert annotation["/Dest"] in reader.named_destinations
                inside += 1
            else:
                outside.append(annotation["/A"]["/URI"])
    assert inside > 1000
    assert outside and all(
        re.match(r"https://(doi\.org|arxiv\.org)/", address) for address in outside
    )


@printed
def test_formulas_are_typeset_and_solutions_open(reader):
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert not re.search(r"\\\(|\\norm|\\mathcal|\\frac", text)
    assert "Theorem 5.1" in text and "Solution to" in text


def test_links_to_pages_that_are_not_printed_are_taken_off(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.html").write_text(
        '<article class="bd-article"><h1 id="x">A#</h1><a href="b.html#y">in</a><a'
        ' href="../_modules/m.html#f">code</a><a href="#x">here</a><a'
        ' href="https://doi.org/10.1/2">out</a></article>'
    )
    body, title = paper.article(tmp_path, "book/a", {"book/a", "book/b"})
    assert title == "A" and body.h1["id"] == "page-book-a-x"
    assert [a.get("href") for a in body.find_all("a")] == [
        "#page-book-b-y",
        None,
        "#page-book-a-x",
        "https://doi.org/10.1/2",
    ]

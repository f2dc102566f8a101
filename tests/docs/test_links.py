"""Links of the pages lead somewhere, and nothing points at one machine."""

import re

import pytest

from tests.docs.pages import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", sorted(pages()))
def test_links_lead_to_files_and_anchors(page: str) -> None:
    folder = (ROOT / page).parent
    for link in links(page):
        if re.match(r"[a-z]+://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), link


@pytest.mark.parametrize("page", sorted(pages()))
def test_pages_name_no_path_of_one_machine(page: str) -> None:
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", pages()[page])


def test_every_page_below_docs_is_reached_from_the_readme() -> None:
    readme = pages()["README.md"]
    for page in pages():
        if page.startswith("docs/") and not page.startswith("docs/decisions/"):
            assert page in readme, page


def test_decisions_are_numbered_and_have_all_parts() -> None:
    found = sorted(page for page in pages() if page.startswith("docs/decisions/"))
    for number, page in enumerate(found, start=1):
        text = pages()[page]
        assert page.startswith(f"docs/decisions/{number:04}-")
        assert text.startswith(f"# {number}. ")
        assert "Status: " in text
        for part in ("Decision", "Consequences", "Alternatives"):
            assert re.search(rf"^## {part}", text, re.MULTILINE), (page, part)


def test_images_are_small_and_few() -> None:
    images = list((ROOT / "docs/images").iterdir())
    assert len(images) <= 6
    assert all(image.stat().st_size < 300_000 for image in images)

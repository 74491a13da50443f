"""The page in a real browser: silent, readable in both themes and on a phone, the same numbers."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from headless import Browser, chromium
from page_facts import AWKWARD, CHINESE, made_comparison, made_facts, made_sections
from PIL import Image

from effunet.evaluation.page.page import comparison, page

FOUND = chromium()

pytestmark = pytest.mark.skipif(
    FOUND is None, reason="no chromium and no google-chrome in PATH: apt-get install -y chromium"
)

FACTS = made_facts(6, absent=(2,), names=("sky", AWKWARD, "never", CHINESE, "x" * 60, "car"))

CONTRAST = """
(() => {
  const channels = (color) => {
    const found = color.match(/[\\d.]+/g).map(Number);
    return color.startsWith("color(") ? found.slice(0, 3).concat(found[3] ?? 1)
      : found.slice(0, 3).map((c) => c / 255).concat(found[3] ?? 1);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = channels(getComputedStyle(e).backgroundColor);
      if (found[3] === 1) return found;
    }
    throw new Error("no ground");
  };
  const worst = [];
  for (const element of document.body.querySelectorAll("*:not(script)")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || element.tagName === "title") continue;
    const style = getComputedStyle(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink.slice(0, 3)), light(ground(element).slice(0, 3))];
    worst.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML.slice(0, 90)]);
  }
  return worst.sort((x, y) => x[0] - y[0]).slice(0, 3).concat([[worst.length, "texts"]]);
})()
"""

CELLS = """
[...document.querySelector("table.classes").tBodies[0].rows].map((row) =>
  [row.cells[0].innerText, ...[...row.cells].slice(1).map((cell) => cell.dataset.value ?? null)])
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert FOUND is not None
    opened = Browser(FOUND, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "report": page(FACTS, made_sections()),
        "many": page(made_facts(150, absent=(3,)), []),
        "comparison": comparison(made_comparison(4)),
    }
    files = {name: folder / f"{name}.html" for name in made}
    for name, file in files.items():
        file.write_text(made[name], encoding="utf-8")
    return files


@pytest.mark.parametrize("name", ["report", "many", "comparison"])
def test_the_browser_has_nothing_to_complain_of_and_asks_for_no_other_file(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    assert browser.said == [] and browser.blocked == []
    elsewhere = [url for url in browser.requests if not url.startswith("data:")]
    assert elsewhere == [pages[name].as_uri()]
    broken = "[...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
    assert browser.run(broken) == 0


def test_what_the_page_forbids_would_be_heard(browser: Browser, tmp_path: Path) -> None:
    html = page(FACTS, [])
    file = tmp_path / "spoilt.html"
    file.write_text(
        html.replace("<main>", '<main><img src="other.png"><script>document.title = "x"</script>'),
        encoding="utf-8",
    )
    browser.open(file)
    assert len(browser.said) == 2
    assert all("Content Security Policy" in said for said in browser.said)
    assert browser.run("document.title") != "x"
    assert browser.blocked == ["csp"]


@pytest.mark.parametrize("script", [True, False])
def test_the_table_in_the_browser_is_that_of_the_facts(
    browser: Browser, pages: dict[str, Path], script: bool
) -> None:
    browser.open(pages["report"], script=script)
    whole = sum(entry["pixels"] for entry in FACTS["classes"])
    keys = ("iou", "accuracy", "precision", "dice", "boundary_iou", "boundary_f", "pixels")
    expected = [
        [e["name"], *(e[k] for k in keys), e["pixels"] / whole, e["images"]]
        for e in FACTS["classes"]
    ]
    read = [
        [name, *(None if cell is None else float(cell) for cell in cells)]
        for name, *cells in browser.run(CELLS)
    ]
    assert read == expected
    assert f"{100 * FACTS['miou']:.1f}" in browser.run("document.querySelector('h1').innerText")


def test_a_head_sorts_the_table_both_ways_and_back(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["report"])
    names = [entry["name"] for entry in FACTS["classes"]]
    known = [entry for entry in FACTS["classes"] if entry["iou"] is not None]
    best = [e["name"] for e in sorted(known, key=lambda e: -e["iou"])]
    click = "document.querySelectorAll('table.classes thead button')[1].click()"
    orders = ([*best, "never"], [*best[::-1], "never"], names)
    for order, said in zip(orders, ("descending", "ascending", None), strict=True):
        browser.run(click)
        assert [row[0] for row in browser.run(CELLS)] == order
        head = "document.querySelectorAll('table.classes thead th')[1].getAttribute('aria-sort')"
        assert browser.run(head) == said


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report", "many", "comparison"])
def test_the_page_is_never_wider_than_the_screen(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width=width)
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.run("innerWidth") == width
    assert browser.run("document.documentElement.scrollWidth") == width
    # What does not fit scrolls within a box of its own, which a keyboard reaches.
    wide = "[...document.querySelectorAll('table')].every((t) => t.closest('.scroll[tabindex]'))"
    assert browser.run(wide)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_every_text_stands_out_from_its_ground(
    browser: Browser, pages: dict[str, Path], name: str, dark: bool
) -> None:
    browser.open(pages[name], dark=dark)
    *worst, (texts, _) = browser.run(CONTRAST)
    assert texts > 100
    # WCAG 2.1, 1.4.3: 4.5 for text of any size.
    assert worst[0][0] >= 4.5, worst


def test_every_depth_of_the_matrix_is_readable_in_both_themes(
    browser: Browser, tmp_path: Path
) -> None:
    cells = "".join(f'<td class="{kind}{depth}">5</td>' for kind in "rw" for depth in range(1, 11))
    table = f'<table class="matrix"><tbody><tr>{cells}</tr></tbody></table>'
    file = tmp_path / "depths.html"
    body = re.sub(r"<body>.*</body>", f"<body>{table}</body>", page(FACTS, []), flags=re.DOTALL)
    file.write_text(body, encoding="utf-8")
    for dark in (False, True):
        browser.open(file, dark=dark)
        *worst, (texts, _) = browser.run(CONTRAST)
        assert texts == 20 and worst[0][0] >= 4.5, worst


def test_the_two_themes_are_a_light_and_a_dark_picture(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    means: list[float] = []
    for dark in (False, True):
        browser.open(pages["report"], dark=dark)
        browser.screenshot(tmp_path / "shot.png", height=900)
        with Image.open(tmp_path / "shot.png") as shot:
            assert shot.size == (1280, 900)
            means.append(float(np.asarray(shot.convert("L")).mean()))
    assert means[0] > 200 and means[1] < 60

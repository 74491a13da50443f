"""The page is sound HTML that needs no other file, and says what the facts say, whatever they are.

Everything is checked on the parsed page; test_page_browser.py looks at it in a browser.
"""

import base64
import hashlib
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_facts import AWKWARD, CHINESE, made_comparison, made_facts, made_sections
from parsed_page import Element, parsed, values
from PIL import Image

from effunet.evaluation.page.gallery import WIDTH, embedded
from effunet.evaluation.page.markup import text
from effunet.evaluation.page.matrix import LEVELS, level
from effunet.evaluation.page.page import comparison, page
from effunet.evaluation.page.parts import Panel, Section

COLUMNS = ("iou", "accuracy", "precision", "dice", "boundary_iou", "boundary_f", "pixels")


def shown(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f}"


def class_rows(tree: Element) -> list[Element]:
    return tree.one("table", class_="classes").one("tbody").all("tr")


@pytest.mark.parametrize("classes", [1, 2, 20, 21, 150])
def test_the_class_table_says_what_the_facts_say_to_the_last_digit(classes: int) -> None:
    facts = made_facts(classes, absent=(0,) if classes > 2 else ())
    rows = class_rows(parsed(page(facts, [])))
    whole = sum(entry["pixels"] for entry in facts["classes"])
    for row, entry in zip(rows, facts["classes"], strict=True):
        assert row.one("th").text == entry["name"]
        share = entry["pixels"] / whole
        assert values(row) == [*(entry[key] for key in COLUMNS), share, entry["images"]]
        read = [cell.text for cell in row.all("td")]
        assert read[:6] == [shown(entry[key]) for key in COLUMNS[:6]]
        assert read[6] == f"{entry['pixels']:,}"


def test_a_class_that_does_not_occur_is_not_available_and_never_zero() -> None:
    facts = made_facts(5, absent=(2,))
    tree = parsed(page(facts, []))
    absent = class_rows(tree)[2]
    assert [cell.text for cell in absent.all("td")[:6]] == ["n/a"] * 6
    assert not absent.all("span", class_="track")
    assert "over 4 of 5 classes" in tree.one("header").text


def test_the_foot_of_the_class_table_and_every_other_number_are_those_of_the_facts() -> None:
    facts = made_facts()
    tree = parsed(page(facts, []))
    foot = tree.one("table", class_="classes").one("tfoot")
    read = [cell.text for cell in foot.all("td")]
    means = ("miou", "mean_accuracy", "", "mean_dice", "boundary_iou", "boundary_f")
    assert read[:6] == [shown(facts[key]) if key else "" for key in means]
    assert f"{shown(facts['miou'])}\N{NO-BREAK SPACE}%" in tree.one("h1").text
    found = {
        b.attributes["data-key"]: float(b.attributes["data-value"])
        for b in tree.one("section", id="numbers").all("b")
    }
    keys = [key for key in facts["intervals"] if key in facts and key != "miou"]
    assert found == {key: facts[key] for key in keys} | {
        "category_miou": facts["categories"]["miou"],
        "iiou": facts["iiou"]["mean"],
        "category_iiou": facts["iiou"]["category_mean"],
        "ece": facts["calibration"]["ece"],
    }


@pytest.mark.parametrize("classes", [2, 20, 21, 60])
def test_every_count_of_the_confusion_matrix_is_in_the_page(classes: int) -> None:
    facts = made_facts(classes, absent=(1,) if classes > 2 else ())
    block = parsed(page(facts, [])).one("section", id="confusion")
    names = [entry["name"] for entry in facts["classes"]]
    expected = set[str]()
    for truth, row in zip(names, facts["confusion"], strict=True):
        for predicted, pixels in zip(names, row, strict=True):
            how = "found" if truth == predicted else f"taken for {predicted}"
            share = f"{100 * pixels / max(sum(row), 1):.2f}\N{NO-BREAK SPACE}%"
            if pixels:
                expected.add(f"{truth} {how}: {share}, {pixels:,} pixels")
    if classes <= 20:
        cells = block.one("table", class_="matrix").all("td")
        said = {cell.attributes["title"] for cell in cells if "title" in cell.attributes}
    else:
        said = {title.text for title in block.one("svg", class_="matrix").all("title")}
    assert said == expected


def test_a_deeper_colour_is_a_larger_share() -> None:
    levels = [level(share) for share in np.linspace(0, 1, 1001)]
    assert levels == sorted(levels) and levels[0] == 0 and levels[1] == 1
    assert levels[-1] == LEVELS and set(levels) == set(range(LEVELS + 1))


def test_names_are_text_whatever_they_hold() -> None:
    names = (AWKWARD, CHINESE, "</table><script>alert(1)</script>")
    plain = parsed(page(made_facts(3), []))
    tree = parsed(page(made_facts(3, names=names), made_sections()))
    assert [row.one("th").text for row in class_rows(tree)] == list(names)
    assert len(tree.all("script")) == len(plain.all("script")) == 1
    heads = [head.text for head in tree.one("table", class_="matrix").one("thead").all("th")]
    assert heads == list(names)
    titles = [heading.text for heading in tree.all("h2")]
    assert f"Section worst {AWKWARD}" in titles


@given(st.text())
def test_any_text_comes_back_from_an_element_and_an_attribute(any_text: str) -> None:
    tree = parsed(f'<i title="{text(any_text)}">{text(any_text)}</i>').one("i")
    # HTML knows no control characters and no halves of characters.
    kept = re.sub(r"[^\t\n\r -~\u00a0-\ud7ff\ue000-\U0010ffff]", "\ufffd", any_text)
    kept = re.sub(r"[\ufdd0-\ufdef\ufffe\uffff]", "\ufffd", kept)
    assert tree.text == tree.attributes["title"] == kept
    text(any_text).encode()


@pytest.mark.parametrize("made", ["page", "comparison"])
def test_nothing_comes_from_elsewhere_and_only_the_known_script_may_run(made: str) -> None:
    html = page(made_facts(), made_sections()) if made == "page" else comparison(made_comparison())
    tree = parsed(html)
    addresses = [
        value
        for element in tree.below()
        for name, value in element.attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert addresses and all(a.startswith(("data:", "#")) for a in addresses)
    assert "http://" not in html and "https://" not in html and "@import" not in html
    assert "url(" not in html
    policy = tree.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    digest = base64.b64encode(hashlib.sha256(tree.one("script").text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    handlers = [n for e in tree.below() for n in e.attributes if n.startswith("on")]
    assert not handlers


@pytest.mark.parametrize("made", ["page", "comparison"])
def test_the_page_can_be_heard_as_well_as_seen(made: str) -> None:
    html = page(made_facts(), made_sections()) if made == "page" else comparison(made_comparison())
    tree = parsed(html)
    assert tree.one("html").attributes["lang"] == "en"
    assert len(tree.all("h1")) == 1 and not tree.all("h3")
    ids = [e.attributes["id"] for e in tree.below() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [a.attributes["href"][1:] for a in tree.one("nav").all("a")]
    assert links == [section.attributes["id"] for section in tree.all("section")]
    assert all(th.attributes["scope"] in ("row", "col") for th in tree.all("th"))
    assert all(table.all("caption") for table in tree.all("table"))
    assert all(image.attributes["alt"] for image in tree.all("img"))
    assert all(svg.attributes["aria-label"] for svg in tree.all("svg"))


OPTIONAL = {
    "categories": None,
    "iiou": None,
    "confusion": None,
    "calibration": "calibration",
    "errors": "where",
    "unreadable": "unreadable",
    "intervals": None,
    "boundary_distances": None,
    "parameters": None,
    "model": None,
    "library": None,
    "image_miou": None,
    "miou": None,
}


@pytest.mark.parametrize("key", OPTIONAL)
def test_what_has_no_value_is_left_out(key: str) -> None:
    full = parsed(page(made_facts(), []))
    sections = {section.attributes["id"] for section in full.all("section")}
    for facts in (made_facts() | {key: None}, made_facts()):
        if facts[key] is not None:
            del facts[key]
        html = page(facts, [])
        left = {section.attributes["id"] for section in parsed(html).all("section")}
        gone = OPTIONAL[key]
        assert left == (sections - {gone} if gone else sections)
        assert "None" not in html and ">nan" not in html


def test_the_least_that_a_report_can_be_makes_a_page() -> None:
    least = {
        "miou": None,
        "images": 0,
        "dataset": "d",
        "split": "val",
        "classes": [{"name": "a", "iou": None, "pixels": 0}],
    }
    tree = parsed(page(least, []))
    assert "n/a" in tree.one("h1").text
    assert [cell.text for cell in class_rows(tree)[0].all("td")][:2] == ["n/a", "n/a"]


def test_the_datasets_of_a_mixture_stand_alone_as_well() -> None:
    parts = [made_facts(3, seed) | {"dataset": f"part {seed}"} for seed in (5, 6)]
    block = parsed(page(made_facts(3) | {"parts": parts}, [])).one("section", id="datasets")
    rows = block.one("table", class_="parts").one("tbody").all("tr")
    assert [row.one("th").text for row in rows] == ["part 5", "part 6"]
    assert [row.all("td")[0].text for row in rows] == [shown(part["miou"]) for part in parts]
    assert len(block.all("table", class_="classes")) == 2


def picture(address: str) -> np.ndarray:
    data = base64.b64decode(address.split(",", 1)[1])
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB"))


@pytest.mark.parametrize("colours", [3, 5000])
def test_a_map_comes_back_from_the_page_to_the_last_pixel(colours: int) -> None:
    noise = np.random.default_rng(colours)
    palette = noise.integers(0, 256, (colours, 3), np.uint8)
    pixels = palette[noise.integers(0, colours, (97, 200))]
    address, width, height = embedded(Panel("map", pixels, smooth=False))
    assert (width, height) == (200, 97)
    assert np.array_equal(picture(address), pixels)


@pytest.mark.parametrize("smooth", [True, False])
def test_a_large_picture_is_made_narrow_and_a_map_gets_no_new_colour(smooth: bool) -> None:
    ramp = np.linspace(0, 255, 1300).astype(np.uint8)
    pixels = np.repeat(np.repeat(ramp[None, :, None], 650, 0), 3, 2)
    pixels[:, 650:] = (255, 0, 0)
    address, width, height = embedded(Panel("p", pixels, smooth=smooth))
    assert (width, height) == (WIDTH, WIDTH // 2)
    assert address.startswith(f"data:image/{'jpeg' if smooth else 'png'};")
    found = picture(address)
    near = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
    assert np.abs(found.astype(int) - near).mean() < 4
    if not smooth:
        before = {tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}
        after = {tuple(colour) for colour in np.unique(found.reshape(-1, 3), axis=0).tolist()}
        assert after <= before


def test_each_section_of_pictures_has_its_legend_and_an_empty_one_is_left_out() -> None:
    empty = Section("other", "nothing", "never seen", ())
    tree = parsed(page(made_facts(3), [*made_sections(), empty]))
    ids = [section.attributes["id"] for section in tree.all("section")]
    assert ids[-5:] == ["worst", "confused", "suspects", "unreadable", "measured"]
    for key, word in (
        ("worst", "boundary band"),
        ("worst", "false negative"),
        ("confused", "in question"),
    ):
        block = tree.one("section", id=key)
        assert word in block.one("div", class_="legends").text
        assert len(block.all("img")) == 4
        assert {"map" in image.attributes.get("class", "") for image in block.all("img")} == {
            True,
            False,
        }

"""Texts, numbers and small pieces of HTML. Whatever is not markup goes through `text` first."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Pair = Sequence[float] | None
"""The two ends of an interval, or None where there is none."""

NONE = "n/a"

# An HTML document may not hold these characters, however they are written (HTML, 13.1.4).
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def text(value: object) -> str:
    """Any value as text for an element or a quoted attribute."""
    return html.escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value)))


def number(share: float | None, digits: int = 1) -> str:
    """A share of 0..1 as a number of percent without the sign: '63.2'."""
    return NONE if share is None else f"{100 * share:.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as '63.2 %', with a space that does not break."""
    return NONE if share is None else f"{number(share, digits)}\N{NO-BREAK SPACE}%"


def between(pair: Pair) -> str:
    """An interval of shares as '61.0 to 65.1 %'; nothing where there is none."""
    return "" if pair is None else f"{number(pair[0])} to {percent(pair[1])}"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign: '+1.2'; nothing is '0.0'."""
    shown = NONE if difference is None else f"{100 * difference:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown


def count(value: int | None) -> str:
    """A whole number with commas: '1,234,567'."""
    return NONE if value is None else f"{value:,}"


def many(value: int, one: str, more: str | None = None) -> str:
    """'1 image', '2 images'."""
    return f"{count(value)} {one if value == 1 else more or one + 's'}"


def cell(
    value: float | None, shown: str, *, before: str = "", behind: str = "", title: str = ""
) -> str:
    """A cell of a table: the value to the last digit for sorting, and what people read.

    Args:
        value: None where it has none: shown as n/a, and last in every order.
        shown: text of the value.
        before: markup before the text, like a bar.
        behind: markup behind the text.
        title: what is shown while one points at the cell.
    """
    if value is None:
        return f'<td class="num none">{NONE}</td>'
    # Beside a bar numbers of any length take the same room, so that the bars stand in line.
    number = f"{before}<span>{text(shown)}</span>" if before else text(shown)
    return f'<td class="num" data-value="{value}"{_title(title)}>{number}{behind}</td>'


def share_cell(share: float | None, title: str = "") -> str:
    """A cell with a share of 0..1, in percent."""
    return cell(share, number(share), title=title)


def table(
    kind: str,
    caption: str,
    heads: Iterable[tuple[str, str]],
    rows: Iterable[str],
    foot: str = "",
) -> str:
    """A table that scrolls within its own box.

    Args:
        kind: class names of the element; 'sortable' lets the script sort it.
        caption: says what it holds; plain text.
        heads: of each column its name and what it means; plain texts.
        rows: markup of the cells of each.
        foot: markup of the cells of a last line; nothing: none.
    """
    cells = "".join(
        f'<th scope="col"{_title(meaning)}>{text(name)}</th>' for name, meaning in heads
    )
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    last = f"<tfoot><tr>{foot}</tr></tfoot>" if foot else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table class="{kind}"><caption><span>{text(caption)}</span></caption>'
        f"<thead><tr>{cells}</tr></thead>\n<tbody>{body}</tbody>{last}</table></div>"
    )


@dataclass(frozen=True)
class Block:
    """A part of the page with a heading, to which the contents lead."""

    key: str
    title: str
    body: tuple[str, ...]
    lead: str = ""
    """What the block shows; plain text, as the title is."""

    def __bool__(self) -> bool:
        return any(self.body)

    def __str__(self) -> str:
        said = f'<p class="lead">{text(self.lead)}</p>' if self.lead else ""
        inside = "\n".join(part for part in self.body if part)
        heading = f"<h2>{text(self.title)}</h2>"
        return f'<section id="{text(self.key)}">{heading}{said}\n{inside}</section>'


def block(key: str, title: str, *body: str, lead: str = "") -> Block:
    """A part of the page of these pieces of markup; it is false where all are empty."""
    return Block(key, title, body, lead)


def chip(color: Sequence[int]) -> str:
    """A small square of a colour, 0..255 each."""
    red, green, blue = color
    return f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>'


def legend(entries: Iterable[tuple[str, Sequence[int]]]) -> str:
    """Colours and what they mean."""
    items = "".join(f"<li>{chip(color)}{text(name)}</li>" for name, color in entries)
    return f'<ul class="legend">{items}</ul>'


def bar(share: float, interval: Pair = None, kind: str = "") -> str:
    """A bar of 0..1 on a track, with a whisker over its interval."""
    whisker = ""
    if interval is not None:
        low, high = interval
        whisker = f'<i class="whisker" style="{_stretch(low, high)}"></i>'
    return (
        f'<span class="track {kind}" aria-hidden="true">'
        f'<i class="bar" style="width:{_length(share)}"></i>{whisker}</span>'
    )


def dot(value: float, interval: Pair, low: float = 0.0, high: float = 1.0) -> str:
    """A dot on a track from low to high, with its interval; a line at zero where that is inside."""

    def place(position: float) -> float:
        return (position - low) / (high - low) if high > low else 0.5

    marks = f'<i class="zero" style="left:{_length(place(0))}"></i>' if low < 0 < high else ""
    if interval is not None:
        marks += f'<i class="whisker" style="{_stretch(*map(place, interval))}"></i>'
    marks += f'<i class="dot" style="left:{_length(place(value))}"></i>'
    return f'<span class="track dots" aria-hidden="true">{marks}</span>'


def _stretch(low: float, high: float) -> str:
    return f"left:{_length(low)};width:{_length(high - low)}"


def _length(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def _title(said: str) -> str:
    return f' title="{text(said)}"' if said else ""

"""An HTML page as a tree, parsed by the standard library; a tag that is not closed is an error."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parts: list["Element | str"] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """Every element below with this tag and these attributes ('class' holds a word)."""
        return [e for e in self.below() if e.tag == tag and e.has(**attributes)]

    def one(self, tag: str, **attributes: str) -> "Element":
        (found,) = self.all(tag, **attributes)
        return found

    def has(self, **attributes: str) -> bool:
        named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return all(value in self.attributes.get(name, "").split() for name, value in named.items())

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def below(self) -> Iterator["Element"]:
        for part in self.parts:
            if isinstance(part, Element):
                yield part
                yield from part.below()


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def parsed(page: str) -> Element:
    """The root of the tree."""
    builder = _Builder()
    builder.feed(page)
    builder.close()
    assert len(builder.open) == 1, f"never closed: {[e.tag for e in builder.open[1:]]}"
    return builder.open[0]


def values(row: Element) -> list[float | None]:
    """The value of each cell of a row behind its name; None for n/a."""
    cells = row.all("td")
    for cell in cells:
        assert ("data-value" in cell.attributes) != (cell.text == "n/a"), cell
    return [float(c.attributes["data-value"]) if c.text != "n/a" else None for c in cells]

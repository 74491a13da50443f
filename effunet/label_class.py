"""One class of a label map, and how it is read from YAML or JSON."""

from dataclasses import dataclass
from typing import Any

from effunet.errors import DataError
from effunet.plain import read_table, read_text
from effunet.values import Color, RawValue, default_color, read_value, read_values, show_value


@dataclass(frozen=True)
class LabelClass:
    """One class: its name, the colour it is drawn in, and the raw values that mean it.

    category is the group of classes that it belongs to, where its map has groups.
    """

    name: str
    color: Color
    values: tuple[RawValue, ...]
    category: str | None = None


def read_class(entry: Any, index: int, where: str) -> LabelClass:
    """Read the entry of a class, which may be its bare name; index says what is then meant.

    Raises:
        DataError: names where, the key, the value and the mend.
    """
    if isinstance(entry, str):
        entry = {"name": entry}
    where = f"{where}: classes[{index}]"
    table = read_table(entry, ("name", "color", "values", "category"), where)
    name = read_text(table, "name", where)
    if not name:
        raise DataError(f"{where}: the class needs a name")
    color = read_value(table.get("color", list(default_color(index + 1))), f"{where}: color")
    if not isinstance(color, tuple):
        raise DataError(f"{where}: color must be [r, g, b], got {show_value(color)}")
    category = read_text(table, "category", where)
    if "category" in table and not category:
        raise DataError(f"{where}: category must name a group: write its name, or leave it out")
    values = read_values(table.get("values", [index]), f"{where}: values")
    return LabelClass(name, color, values, category or None)

"""B0 to B7 with the efficient decoder, in every format."""

from pathlib import Path

import pytest
from family import FAMILY, assert_alike_in_every_format


@pytest.mark.long
@pytest.mark.parametrize("variant", FAMILY)
def test_every_variant_answers_alike_in_every_format(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_alike_in_every_format(variant, "efficient", tmp_path, monkeypatch)

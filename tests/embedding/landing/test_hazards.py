"""The hazard table: margins by class, its file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeseg.core.errors import DataError, UsageError
from edgeseg.core.labels import VOID
from edgeseg.embedding.landing.hazards import HazardTable, read_hazards

from ..conftest import GRASS, LABELS, PERSON, ROAD


def test_ranks_rise_with_the_margin() -> None:
    table = HazardTable.landing_on(LABELS, ["grass"], {"person": 5.0})
    ranks = table.ranks(LABELS)
    assert table.ranked_margins_m == (0.0, 1.0, 5.0)
    assert [ranks[each] for each in (GRASS, ROAD, PERSON)] == [0, 2, 3]
    assert ranks[VOID] == ranks[100] == table.unknown_rank == 1


def test_a_file_gives_the_table(tmp_path: Path) -> None:
    path = tmp_path / "hazards.toml"
    path.write_text('default = 2\nunknown = 0.5\n[classes]\ngrass = "safe"\nperson = 5.0\n')
    table = read_hazards(path, LABELS)
    assert table == HazardTable({"grass": None, "road": 2.0, "person": 5.0}, unknown_m=0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no table \[classes\]"),
        ("[classes", "not TOML: "),
        (
            'class = 1\n[classes]\ngrass = "safe"',
            "has the entry 'class'; expected classes, default and unknown",
        ),
        ('[classes]\ngrass = "save"', """grass is 'save'; expected "safe" or a margin in metres"""),
        ("[classes]\ngrass = true", """grass is True; expected "safe" or a margin in metres"""),
        ('unknown = "far"\n[classes]\ngrass = "safe"', "unknown is 'far'"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "hazards.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_hazards(path, LABELS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[classes]\nperson = 5", "no class may be landed on; name at least one"),
        ('[classes]\nlawn = "safe"', "'lawn' is not a class of the network; it knows grass, road, person"),
        ('[classes]\ngrass = "safe"\nperson = -1', "the margin of person is -1 m; expected 0 to 1000"),
        ('[classes]\ngrass = "safe"\nperson = nan', "the margin of person is nan m"),
        ('unknown = inf\n[classes]\ngrass = "safe"', "the margin of unknown ground is inf m"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "hazards.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_hazards(path, LABELS)


def test_a_class_is_not_safe_and_a_hazard() -> None:
    with pytest.raises(UsageError, match="'grass' is both safe and a hazard with a margin of 2 m"):
        HazardTable.landing_on(LABELS, ["grass"], {"grass": 2.0})

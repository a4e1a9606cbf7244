"""Arguments of macros are declared in dbt's own words for types, so that no command begins with a warning."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml
from dbt.parser.schemas import is_valid_type

MACROS: Final = Path(__file__).parents[3] / "macros"


def test_every_type_is_one_that_dbt_knows() -> None:
    declared = list(_declared())
    assert len(declared) > 50
    assert [argument for argument, data_type in declared if not is_valid_type(data_type)] == []


def _declared() -> Iterator[tuple[str, str]]:
    for path in sorted(MACROS.rglob("*.yml")):
        for macro in yaml.safe_load(path.read_text()).get("macros", []):
            for argument in macro.get("arguments", []):
                if "type" in argument:
                    yield f"{macro['name']}.{argument['name']}", argument["type"]

"""The guide's table of settings is that of the program: every name, and every default."""

import re

from docs_pages import ROOT

from ingest.settings import IngestSettings


def told() -> dict[str, str]:
    """Return the defaults that the guide tells, by the setting's name."""
    text = (ROOT / "docs/guides/ingest.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| name | default | |\n| --- | --- | --- |\n")
    rows = [line.split("|") for line in table.partition("\n\n")[0].splitlines()]
    pairs = [(re.findall(r"`([A-Z_]+)`", row[1]), [one.strip() for one in row[2].split(",")]) for row in rows]
    return {name: default for names, defaults in pairs for name, default in zip(names, defaults, strict=True)}


def test_the_guide_tells_every_setting_with_its_default() -> None:
    defaults = {name.upper(): field.default for name, field in IngestSettings.model_fields.items()}
    assert told() == {
        name: "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in defaults.items()
    }

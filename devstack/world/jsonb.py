"""JSON text as PostgreSQL prints a jsonb value, which is what Debezium sends on."""

import json
from typing import Any


def jsonb_text(value: Any) -> str:
    """Return JSON text in PostgreSQL's form for jsonb.

    Keys are sorted by length, then by bytes; a space follows each colon and comma (`jsonb` in the
    PostgreSQL manual, section "JSON Types").

    Args:
        value: anything that `json` can write.

    Returns:
        The text.

    Example:
        >>> jsonb_text({"zone": "UTC", "end": "07:00"})
        '{"end": "07:00", "zone": "UTC"}'
    """
    return json.dumps(_sorted(value), ensure_ascii=False)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
        return {name: _sorted(item) for name, item in ordered}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value

"""The configuration's file: YAML whose keys stand once, and whose faults are told with their lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from core.errors import ConfigurationError
from reconcile.config import ReconcileConfig
from reconcile.locations import Written

DEFAULT_CONFIG: Final = Path("reconcile.yml")


class _UniqueKeys(yaml.SafeLoader):
    """YAML as `yaml.SafeLoader` reads it, but for keys that stand twice, of which that would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; raises where a key stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value} stands there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _has_deeper(place: tuple[int | str, ...], found: Sequence[Any]) -> bool:
    return any(fault["loc"][: len(place)] == place and len(fault["loc"]) > len(place) for fault in found)


def load_config(path: Path = DEFAULT_CONFIG) -> ReconcileConfig:
    """Read a configuration.

    Args:
        path: the YAML file.

    Returns:
        The configuration, checked.

    Raises:
        ConfigurationError: naming the file and, for every fault, the line and the path to the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document: Any = yaml.load(text, _UniqueKeys)  # noqa: S506 - a safe loader that refuses more
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; name another with --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from error
    written = Written(path, text)
    try:
        return ReconcileConfig.model_validate(document or {}, context=written)
    except ValidationError as error:
        found = error.errors()
        # Where a comparison is not valid, the list of those that are is not too short.
        own = [fault for fault in found if not (fault["type"] == "too_short" and _has_deeper(fault["loc"], found))]
        faults = [f"{written.located(fault['loc'])}: {_message(fault['msg'])}" for fault in own]
        raise ConfigurationError(written.refusal(faults)) from error


def _message(message: str) -> str:
    return message.removeprefix("Value error, ")

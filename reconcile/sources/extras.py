"""Packages that only some comparisons need: imported when one names what they read."""

import importlib
from typing import Any

from core.errors import ConfigurationError


def imported(module: str, extra: str) -> Any:
    """Import a module of an extra.

    Args:
        module: the module.
        extra: the extra of this package that installs it.

    Raises:
        ConfigurationError: naming the extra, when the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{module} is not installed; install the extra: pip install 'millrace[{extra}]'"
        ) from error

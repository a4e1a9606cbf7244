"""What the ingester reads before it does anything: everything is checked, and every fault is told at once."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from core.cli import usage
from core.contracts import Contracts, load_contracts
from core.errors import ConfigurationError, UsageError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from ingest.failpoints import Failpoint, load_failpoint
from ingest.http.settings import HttpSettings, load_http_settings
from ingest.setting_names import check_names
from ingest.settings import IngestSettings, load_ingest_settings

T = TypeVar("T")


@dataclass(frozen=True)
class Startup:
    """Everything that is configured.

    Attributes:
        settings: where to connect.
        contracts: the tables.
        tunables: how to run.
        http: where to serve.
        failpoint: where to crash on purpose.
    """

    settings: Settings
    contracts: Contracts
    tunables: IngestSettings
    http: HttpSettings
    failpoint: Failpoint


def load_place() -> Settings:
    """Read where to connect, for a command that does not run the ingester, and set the logs up.

    Returns:
        The settings, every one checked.

    Raises:
        UsageError: when one is not valid, or a variable is no setting: such a command, too, could end up elsewhere.
    """
    with usage():
        check_names(os.environ)
        settings = load_settings()
    configure_logs(settings.log_format, settings.log_level)
    return settings


def load_startup() -> Startup:
    """Read settings, contracts and failpoint, and set the logs up; a variable that is no setting is a fault too.

    Returns:
        All of it, valid.

    Raises:
        UsageError: when something is not valid; the message names every fault of every part.
    """
    faults: list[str] = []

    def attempt(load: Callable[[], T]) -> T | None:
        try:
            return load()
        except ConfigurationError as error:
            faults.append(str(error))
            return None

    attempt(lambda: check_names(os.environ))
    settings = attempt(load_settings)
    if settings is not None:
        configure_logs(settings.log_format, settings.log_level)
    # What the settings say of the others is not known while they are wrong themselves; their defaults are no guess.
    known = settings or Settings.model_construct()
    contracts = attempt(lambda: load_contracts(known.contracts_path))
    tunables, http = attempt(load_ingest_settings), attempt(load_http_settings)
    failpoint = attempt(lambda: load_failpoint(os.environ, known.environment))
    if contracts is not None:
        for check in _of_use(settings, tunables, contracts):
            attempt(check)
    if settings is None or contracts is None or tunables is None or http is None or failpoint is None or faults:
        raise UsageError("\n".join(faults))
    return Startup(settings, contracts, tunables, http, failpoint)


def _of_use(
    settings: Settings | None, tunables: IngestSettings | None, contracts: Contracts
) -> Iterator[Callable[[], object]]:
    """Yield what checks the settings of the parts that these put to use.

    What a part imports is loaded only by those who use it.
    """
    transport = tunables.transport if tunables is not None else None
    if transport == "push":
        from ingest.push.settings import load_push_settings

        yield load_push_settings
    elif transport == "kafka":
        from ingest.kafka import load_kafka_settings

        yield load_kafka_settings
    elif transport == "files":
        from ingest.files.settings import load_files_settings

        yield load_files_settings
    if any(contract.encoding == "avro" for contract in contracts.values()):
        from ingest.decode.avro.settings import load_avro_settings

        yield load_avro_settings
    if settings is not None and settings.api_base_url is not None:
        from ingest.fetch.addresses import address_policy

        yield lambda: address_policy(settings)

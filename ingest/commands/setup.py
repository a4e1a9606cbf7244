"""`ingest setup`: make what the ingester reads and writes, on a laptop and in development."""

from core.stand_ins import check_stand_ins
from ingest.startup import load_startup


def setup() -> None:
    """Create topics, subscriptions, datasets and tables that are missing (local and dev only).

    **Example**

    `ingest setup`
    """
    startup = load_startup()
    check_stand_ins(startup.settings)

    from ingest.setup import set_up

    set_up(startup.settings, startup.contracts, startup.tunables.oversize_uri)

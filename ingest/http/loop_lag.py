"""How late the event loop is: the saturation that no queue shows."""

import asyncio
from typing import Final

from ingest.measures import Measures

_EVERY_S: Final = 0.25
_FORGETTING: Final = 0.9


async def watch_loop_forever(measures: Measures) -> None:
    """Sleep again and again, and note by how much it was too long.

    What is noted is the latest lag, or an earlier, larger one that fades by a tenth a time: a scrape every 15 s sees
    what happened in between.

    Args:
        measures: takes the lag.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        measures.loop_lag_s = max(loop.time() - due, measures.loop_lag_s * _FORGETTING)

"""Which rows stand in a set now, asked for many sets in one query."""

import asyncio
from collections.abc import Mapping

import msgspec

from core.contracts import TableContract
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.detect.warehouse import RawTables


class _Question(msgspec.Struct, frozen=True):
    contract: TableContract
    shared: tuple[str, ...]
    answer: "asyncio.Future[Mapping[bytes, str]]"


class KnownSets:
    """Gathers questions for the length of a notification window and asks them together, a query per table."""

    def __init__(self, warehouse: RawTables, context: RunContext) -> None:
        """Prepare to ask.

        Args:
            warehouse: knows what has landed.
            context: the run.
        """
        self._warehouse = warehouse
        settings = context.settings
        limits = BatchLimits(settings.batch_rows, settings.notification_window_ms / 1_000, concurrency=2)
        self.batches: MicroBatches[_Question] = MicroBatches(self._ask, limits, context.fail)

    async def positions(self, contract: TableContract, key: bytes) -> Mapping[bytes, str]:
        """Return the rows of a set that are not deleted.

        Args:
            contract: their table.
            key: canonical JSON of what the rows of the set share.

        Returns:
            The position of each row's last change, by canonical key.

        Raises:
            MillraceError: when the raw table cannot be asked.
        """
        shared = tuple(_text(value) for value in msgspec.json.decode(key, type=dict[str, object]).values())
        answer = asyncio.get_running_loop().create_future()
        self.batches.add(_Question(contract, shared, answer))
        positions: Mapping[bytes, str] = await answer
        return positions

    async def _ask(self, questions: list[_Question]) -> None:
        by_table: dict[str, list[_Question]] = {}
        for question in questions:
            by_table.setdefault(question.contract.name, []).append(question)
        for asked in by_table.values():
            sets = await self._warehouse.members(asked[0].contract, [question.shared for question in asked])
            for question in asked:
                if not question.answer.done():
                    question.answer.set_result(sets[question.shared])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

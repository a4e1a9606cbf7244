"""What every model of a run would ask of BigQuery is asked once in it, and anew in the next."""

from collections import Counter
from typing import Any

from dbt.cli.main import dbtRunner
from structure_histories import Plan, deliver, histories
from structure_models import with_nodes_of_its_own
from structure_warehouse import Warehouse, options

TABLES = ("member_interactions", "member_points", "member_tiers")
QUESTIONS = {
    "who is erased": "select 1 as one from",
    "what is applied": "as island",
    "how large tables are": "count(*) as row_count\n    from `",
    "which partitions are touched": "as partition_number",
}


def test_each_run_asks_once(structure_warehouse: Warehouse) -> None:
    for table in TABLES:
        structure_warehouse.empty(table)
    courses = [deliver(histories(structure_warehouse.contracts[table], 8, Plan(number=2)), 8, 3) for table in TABLES]
    asked = []
    for landings in zip(*courses, strict=True):
        for landing in landings:
            structure_warehouse.land(landing)
        asked.append(_asked(structure_warehouse))
    assert asked[1] == {"who is erased": 1, "what is applied": 1, "how large tables are": 1}
    assert asked[2] == asked[1]
    for table in TABLES:
        structure_warehouse.empty(table)


def _asked(warehouse: Warehouse) -> Counter[str]:
    """Run the models, and count the questions."""
    asked = Counter[str]()

    def listen(event: Any) -> None:
        if event.info.name == "SQLQuery":
            asked.update(question for question, words in QUESTIONS.items() if words in event.data.sql)

    models = ["str_erasures", "str_truncates", *(f"str_{table}" for table in TABLES)]
    runner = dbtRunner(manifest=with_nodes_of_its_own(warehouse.manifest), callbacks=[listen])
    outcome = runner.invoke(["run", "--select", *models, *options(warehouse.folder)])
    assert outcome.success, outcome.exception or [result.message for result in outcome.result]
    return asked

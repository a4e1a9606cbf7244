"""Proto and Arrow rows, on the default and on a committed stream: what BigQuery holds in the end is the same."""

import json
from itertools import product

from ingest_river import River, event, topic_of


async def test_the_table_holds_the_same_rows_however_they_travelled(river: River) -> None:
    key = {"member_id": 1, "channel": "email", "topic": "ünï\N{OLD ITALIC LETTER A}"}
    bodies = [
        event("member_preferences", 1, key | {"value": "1.10", "note": "x" * 20_000}),
        event("member_preferences", 2, key, op="d", before=key, after=None),
        event("member_preferences", 3, {"member_id": 2, "channel": "sms", "topic": "p"}, op="r"),
        b"",
        event("member_preferences", 4, {}, op="t", after=None),
    ]
    messages = [{"data": body, "ordering_key": json.dumps(key), "attributes": {"origin": "test"}} for body in bodies]
    found = []
    for encoder, stream in product(("proto", "arrow"), ("default", "committed")):
        sent = river.publish(topic_of("member_preferences"), messages)
        summary = await river.run(encoder=encoder, stream=stream)
        assert (summary.landed, summary.dead_lettered) == (len(bodies), 0)
        rows = {row["_event_id"]: row for row in river.rows("member_preferences")}
        found.append([{name: rows[one][name] for name in rows[one] if name not in OF_THE_RUN} for one in sent])
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0][0]["payload"].endswith("x" * 20_000 + '"}')
    river.assert_nothing_lost()


OF_THE_RUN = {"_event_id", "_ingestion_ts", "_publish_ts", "_load_id"}

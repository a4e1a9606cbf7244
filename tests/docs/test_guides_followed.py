"""Guides and runbooks followed to the letter: their blocks become files, and their commands do what they say."""

import json
import re

from docs_pages import ROOT
from docs_reader import PROJECT, Reader, blocks

from core.clients import subscriber_client
from core.contracts import load_contracts
from devstack.stack import Stack
from reconcile.config_file import load_config

GUIDE = "guides/adding-a-table.md"


def ingest(reader: Reader) -> dict[str, object]:
    arguments = ["--until-idle", "1", "--json", "--table", "member_vouchers"]
    return dict(json.loads(reader.run("ingest", "run", *arguments)))


def test_a_row_of_a_new_table_reaches_structure_by_yaml_and_sql_alone(reader: Reader) -> None:
    contract = load_contracts(reader.folder / "dbt_project/models/raw")["member_vouchers"]
    assert contract.column("code").pii == "identifier"
    assert load_config(reader.folder / "reconcile.yml").comparisons[-1].contract == "member_vouchers"

    reader.run_python(blocks(GUIDE, "python")[0])
    assert ingest(reader)["tables"] == {"member_vouchers": 1}
    reader.run("dbt", "--quiet", "build", "--select", "+str_member_vouchers")
    guide = (ROOT / "docs" / GUIDE).read_text(encoding="utf-8")
    (query,) = re.findall(r"--inline '(select voucher_id.*)'$", guide, re.MULTILINE)
    assert reader.run("dbt", "--quiet", "show", "--inline", query).strip() in guide


def test_dead_letters_published_again_arrive_as_they_were(reader: Reader, stack: Stack) -> None:
    topic = f"projects/{PROJECT}/topics/loyalty.member.member_vouchers"
    publish = (
        "import sys; from google.cloud import pubsub_v1 as p;"
        "options = p.types.PublisherOptions(enable_message_ordering=True);"
        f"p.PublisherClient(publisher_options=options).publish({topic!r}, b'{{', ordering_key='k', a='b').result()"
    )
    reader.run_python(publish)
    assert ingest(reader)["reasons"] == {"invalid_json": 1}
    runbook = (ROOT / "docs/runbooks/dead-letters.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^ *\$ (ingest dead-letters replay --reason missing_key)$", runbook, re.MULTILINE)
    assert "1 published again" in reader.run(*shown.replace("missing_key", "invalid_json").split())

    subscription = f"projects/{PROJECT}/subscriptions/loyalty.member.member_vouchers-ingest"
    with subscriber_client(stack.settings()) as client:
        (received,) = client.pull(subscription=subscription, max_messages=10, timeout=10).received_messages
    message = received.message
    attributes = dict(message.attributes)
    # What the replay adds: of which letter it is, and which place among the others its first publication gave it.
    for added in ("millrace_replay_of", "millrace_first_publish_us", "millrace_first_message_id"):
        assert attributes.pop(added)
    assert (message.data, message.ordering_key, attributes) == (b"{", "k", {"a": "b"})


def test_the_question_that_dbt_asks_of_the_watermarks_is_the_one_of_the_command(reader: Reader) -> None:
    summary = ingest(reader)
    guide = (ROOT / "docs/guides/watermarks.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"--inline '(with newest.*)'$", guide, re.MULTILINE)
    told = json.loads(reader.run("ingest", "watermarks", "--json"))
    shown = json.loads(reader.run("dbt", "--quiet", "show", "--output", "json", "--inline", query))["show"]
    assert [row["table_name"] for row in shown] == [each["table"] for each in told] == ["member_vouchers"]
    assert summary["load_id"]

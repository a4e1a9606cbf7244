"""A full disk: what was being written is told, nothing half written counts, and it goes on once there is room."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest_river import River, new_river, topic_of

from core.contracts import load_contracts
from devstack.stack import Stack

LETTERS = 40
ROOM = 6_000

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
{mutation}
from ingest.cli import main
main()
"""

# The mutant: it writes straight to the place where the whole file belongs.
IN_PLACE = """
import importlib
importlib.import_module("ingest.dead_letters.export").PART_SUFFIX = ""
"""


@pytest.fixture
def river(stack: Stack, tmp_path: Path) -> Iterator[River]:
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "members.yml").write_bytes(Path("dbt_project/models/raw/member/members.yml").read_bytes())
    settings = stack.settings().model_copy(update={"contracts_path": folder, "api_base_url": None})
    river = new_river(settings, load_contracts(folder))
    yield river
    river.close()


def export(river: River, target: Path, room: int | None, mutation: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process that may write files of so many bytes at most, as on a disk with no more room."""
    program = ["-m", "ingest.cli"] if room is None else ["-c", LIMITED.format(room=room, mutation=mutation)]
    # Bytecode cut short by the limit would outlive the test.
    command = [sys.executable, "-B", *program, "dead-letters", "export", str(target), "--json"]
    return subprocess.run(command, env=river.environment(), capture_output=True, text=True, timeout=60, check=False)


async def test_an_export_on_a_full_disk_is_told_and_goes_on_once_there_is_room(river: River, tmp_path: Path) -> None:
    sent = river.publish(topic_of("members"), [{"data": b"{" + b"x" * 100} for _ in range(LETTERS)])
    await river.run()
    target = tmp_path / "letters.ndjson"
    full = export(river, target, ROOM)
    assert full.returncode == 1
    assert "letters.ndjson cannot be written: File too large; free some room, or choose another place" in full.stderr
    assert not target.exists()
    part = target.with_name("letters.ndjson.part")
    assert part.stat().st_size == ROOM
    done = export(river, target, None)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["letters"] == LETTERS
    assert 0 < result["resumed"] < LETTERS
    assert [json.loads(line)["event_id"] for line in target.read_text().splitlines()] == sent
    assert not part.exists()


async def test_the_control_that_writes_in_place_leaves_half_a_file_that_passes_for_whole(
    river: River, tmp_path: Path
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    river.publish(topic_of("members"), [{"data": b"{" + b"x" * 100} for _ in range(LETTERS)])
    await river.run()
    target = tmp_path / "letters.ndjson"
    assert export(river, target, ROOM, IN_PLACE).returncode == 1
    assert target.stat().st_size == ROOM
    with pytest.raises(json.JSONDecodeError):
        [json.loads(line) for line in target.read_text().splitlines()]
    # And it does not go on once there is room: to the next export, the file is there.
    again = export(river, target, None)
    assert again.returncode == 1
    assert "is there already" in again.stderr

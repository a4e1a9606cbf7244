"""A run that ended before: its result is shown again to whoever asks for the same, and to nobody else."""

from dataclasses import replace
from pathlib import Path

from core.errors import ConfigurationError, UnreadableError
from reconcile.report.files import prepare_output, read_json, write_reports
from reconcile.result import ComparisonResult, RunResult
from reconcile.shards.folder import RunFolder
from reconcile.shards.merging import differences_file, merged_differences
from reconcile.shards.model import ShardedRun


def check_request(run: ShardedRun, request: str, where: object) -> None:
    """Refuse what is no rest of a run.

    Args:
        run: the run, as it was begun.
        request: digest of the configuration and the options asked for now.
        where: what its tasks share, for the message.

    Raises:
        ConfigurationError: when it is another.
    """
    if run.config != request:
        raise ConfigurationError(
            f"{where}: the run {run.run_id!r} was begun with another configuration or other options; give this one "
            "another --run-id"
        )


def shown_again(folder: RunFolder, run: ShardedRun, merged: RunResult, output: Path | None) -> RunResult:
    """Write the reports of a run that ended, unless they stand there.

    Args:
        folder: what its tasks shared.
        run: its plan.
        merged: its result.
        output: folder for the reports; None to write none.

    Returns:
        The result. Files of differences that are kept nowhere any more are not named in it.
    """
    if output is None or _stands(output, merged):
        return merged
    prepare_output(output)
    comparisons = tuple(_with_differences(folder, run, found, output) for found in merged.comparisons)
    result = replace(merged, comparisons=comparisons)
    write_reports(result, output)
    return result


def _stands(output: Path, merged: RunResult) -> bool:
    try:
        return read_json(output) == merged
    except UnreadableError:
        return False


def _with_differences(folder: RunFolder, run: ShardedRun, found: ComparisonResult, output: Path) -> ComparisonResult:
    if found.differences_file is None:
        return found
    kept = [folder.result(shard) for shard in run.shards if shard.comparison == found.name]
    parts = [part for part in kept if part is not None]
    file = differences_file(found.name)
    # A run of one task dropped them when it ended.
    is_whole = len(parts) == len(kept)
    if is_whole:
        folder.fetch_differences(parts)
    written = is_whole and merged_differences(folder.root, parts, output / file)
    return replace(found, differences_file=file if written else None)

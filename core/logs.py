"""Structured logs: one event a line, JSON for machines and colour for people."""

import logging
import sys
from typing import Literal, TextIO

import structlog

LogFormat = Literal["json", "console"]


def configure_logs(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Set up structlog for the process.

    JSON lines carry `severity` and `time`, the names that Google Cloud Logging reads.

    Args:
        log_format: `json` or `console`.
        level: the least severe level shown, such as `INFO`.
        stream: where to write; standard error by default, so that standard output stays for results.
    """
    # Looked up at each call: a stream kept from import time would miss a redirected stderr.
    target = stream if stream is not None else sys.stderr
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if log_format == "json":
        rest: list[structlog.types.Processor] = [
            structlog.processors.format_exc_info,
            _severity,
            structlog.processors.JSONRenderer(),
        ]
    else:
        rest = [structlog.dev.ConsoleRenderer(colors=target.isatty(), timestamp_key="time")]
    structlog.configure(
        processors=[*shared, *rest],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # One write a line: the lines of several processes on one stream must not run into each other.
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )


def _severity(
    _logger: structlog.types.WrappedLogger, _name: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    event["severity"] = event.pop("level").upper()
    event["message"] = event.pop("event")
    return event

"""Whether a command that the documentation shows would be taken: its subcommand, options, target and selector."""

import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, Final

import click
import typer
import yaml
from docs_pages import ROOT, Shown
from typer.exceptions import TyperException

_SUBSTITUTION: Final = re.compile(r"\$\(([^()]*)\)")
_ASSIGNMENT: Final = re.compile(r"^[A-Za-z_]\w*=")
_SEPARATORS: Final = re.compile(r"^[;&|()<>]+$")
_KEYWORDS: Final = frozenset({"do", "then", "else", "time", "env"})
_OURS: Final = ("devstack", "ingest", "pipeline", "reconcile")


def faults(shown: Shown) -> list[str]:
    """Return what is wrong with a shell line; empty when every part of ours in it would be taken."""
    try:
        calls = list(_calls(shown.text))
    except ValueError as error:
        return [f"{shown}: {error}"]
    return [f"{shown}: {fault}" for words in calls for fault in _faults_of_call(words)]


def _calls(line: str) -> Iterator[list[str]]:
    """Return the simple commands of a shell line, those within `$(...)` too, without assignments and redirections."""
    for inner in _SUBSTITUTION.findall(line):
        yield from _calls(inner)
    lexer = shlex.shlex(_SUBSTITUTION.sub("SUBSTITUTED", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not _SEPARATORS.match(word):
            words.append(word)
            continue
        while words and (_ASSIGNMENT.match(words[0]) or words[0] in _KEYWORDS):
            words.pop(0)
        if words:
            yield words
        words = []


def _faults_of_call(words: list[str]) -> list[str]:
    program, arguments = words[0], words[1:]
    name = program.rsplit("/", 1)[-1]
    if name in _OURS:
        return _faults_of_click(_command(name), name, arguments)
    if name == "make":
        targets = [word for word in arguments if not word.startswith("-") and not _ASSIGNMENT.match(word)]
        return [f"the Makefile has no target {word!r}" for word in targets if word not in _make_targets()]
    if name == "dbt":
        return [*_faults_of_click(_dbt(), name, arguments), *_faults_of_selectors(arguments)]
    scripts = [program] if "/" in program else [word for word in arguments[:1] if name.startswith("python")]
    return [
        f"{word} is not there"
        for word in scripts
        if "/" in word and not word.startswith((".venv", "~", "$")) and not (ROOT / word).exists()
    ]


def _faults_of_click(command: Any, name: str, arguments: list[str]) -> list[str]:
    """Parse as the command itself would, level by level, and run nothing."""
    context, rest = None, arguments
    try:
        while True:
            context = command.make_context(name, list(rest), parent=context)
            if not hasattr(command, "resolve_command"):
                return []
            name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    except (typer.Exit, click.exceptions.Exit):
        return []  # --help
    except (TyperException, click.ClickException) as error:
        return [str(error)]


def _faults_of_selectors(arguments: list[str]) -> list[str]:
    asked = [value for word, value in pairwise(arguments) if word == "--selector"]
    return [f"selectors.yml has no selector {name!r}" for name in asked if name not in _selectors()]


@cache
def _command(name: str) -> Any:
    return typer.main.get_command(importlib.import_module(f"{name}.cli").app)


@cache
def _dbt() -> Any:
    return importlib.import_module("dbt.cli.main").cli


@cache
def _make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@cache
def _selectors() -> frozenset[str]:
    document = yaml.safe_load((ROOT / "selectors.yml").read_text(encoding="utf-8"))
    return frozenset(selector["name"] for selector in document["selectors"])

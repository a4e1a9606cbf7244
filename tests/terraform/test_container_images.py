"""The policy our images keep, held by reading the Dockerfiles: nobody needs a Docker daemon to check it."""

import ast
import fnmatch
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
FIRST_PARTY = {"core", "ingest", "pipeline", "reconcile", "devstack"}
DEPLOYABLES = ("ingest", "pipeline", "reconcile")


class Instruction(NamedTuple):
    name: str
    value: str


def parse(text: str) -> list[Instruction]:
    """Instructions with continued lines joined and comments left out (Dockerfile reference, "Format")."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        Instruction(name.upper(), value.strip())
        for name, _, value in (line.partition(" ") for line in joined.splitlines())
    ]


PINNED = re.compile(r"[\w./-]+(:\d+\.\d+\.\d+-[\w.-]+|@sha256:[0-9a-f]{64})(\s|$)")
UNHASHED = re.compile(r"pip3? install(?!.*--require-hashes)")
DOWNLOAD = re.compile(r"\b(curl|wget)\b|https?://")
SECRET = re.compile(r"token|secret|password|credential|api_?key", re.IGNORECASE)

RULES: tuple[tuple[str, set[str], Callable[[str], object]], ...] = (
    ("base not pinned", {"FROM"}, lambda value: not PINNED.match(value)),
    ("fetches and unpacks unseen", {"ADD"}, lambda _value: True),
    ("install without hashes", {"RUN"}, UNHASHED.search),
    ("download", {"RUN"}, DOWNLOAD.search),
    ("secret in the image", {"ENV", "ARG"}, SECRET.search),
    (
        "shell form, which keeps signals from the process",
        {"ENTRYPOINT", "CMD"},
        lambda value: not value.startswith("["),
    ),
)


def faults(text: str) -> list[str]:
    """Every way in which a Dockerfile breaks the policy."""
    instructions = parse(text)
    last_stage = max(i for i, instruction in enumerate(instructions) if instruction.name == "FROM")
    final = instructions[last_stage:]
    found = [
        f"{fault}: {name} {value}"
        for name, value in instructions
        for fault, names, breaks in RULES
        if name in names and breaks(value)
    ]
    if not _user_is_not_root(final):
        found.append("runs as root")
    if not any(i.name == "ENV" and "PYTHONUNBUFFERED=1" in i.value for i in final):
        found.append("output is buffered")
    if last_stage == 0:
        found.append("tools of the build stay in the image")
    return found


def _user_is_not_root(final: list[Instruction]) -> bool:
    users = [instruction.value for instruction in final if instruction.name == "USER"]
    return bool(users) and re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]) is not None


def copied(text: str) -> set[str]:
    """Files and folders that the final stage takes from the repository."""
    instructions = parse(text)
    last_stage = max(i for i, instruction in enumerate(instructions) if instruction.name == "FROM")
    copies = [i.value.split() for i in instructions[last_stage:] if i.name == "COPY" and "--from=" not in i.value]
    return {source for words in copies for source in words[:-1]}


def imported(package: str) -> set[str]:
    """First-party packages that `package` needs, through any number of imports."""
    found, waiting = set[str](), {package}
    while waiting:
        name = waiting.pop()
        found.add(name)
        for path in (REPOSITORY / name).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                waiting |= {module.split(".")[0] for module in modules} & FIRST_PARTY - found
    return found


def dockerfile(name: str) -> str:
    return (REPOSITORY / "containers" / f"{name}.Dockerfile").read_text(encoding="utf-8")


def test_there_is_an_image_for_each_deployable() -> None:
    assert {path.name.split(".")[0] for path in (REPOSITORY / "containers").iterdir()} == set(DEPLOYABLES)


@pytest.mark.parametrize("name", DEPLOYABLES)
def test_an_image_keeps_the_policy(name: str) -> None:
    assert faults(dockerfile(name)) == []


@pytest.mark.parametrize("name", DEPLOYABLES)
def test_an_image_holds_the_packages_it_imports_and_no_other(name: str) -> None:
    assert copied(dockerfile(name)) & FIRST_PARTY == imported(name)


@pytest.mark.parametrize("name", DEPLOYABLES)
def test_what_an_image_copies_reaches_the_builder(name: str) -> None:
    patterns = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    for source in copied(dockerfile(name)):
        assert (REPOSITORY / source).exists(), source
        assert any(fnmatch.fnmatch(source.split("/")[0], pattern) for pattern in sent), source


@pytest.mark.parametrize("name", DEPLOYABLES)
def test_an_image_starts_its_own_command(name: str) -> None:
    values = {instruction.name: instruction.value for instruction in parse(dockerfile(name))}
    assert json.loads(values["ENTRYPOINT"]) == [name]
    assert json.loads(values["CMD"])[0] == "run"
    runs = [instruction.value for instruction in parse(dockerfile(name)) if instruction.name == "RUN"]
    assert any(f"from {name}.cli import main" in run and f"/venv/bin/{name}" in run for run in runs)


@pytest.mark.parametrize(
    ("original", "changed"),
    [
        ("python:3.11.14-slim-bookworm\n", "python:latest\n"),
        ("python:3.11.14-slim-bookworm\n", "python\n"),
        ("USER 10001:10001", "USER root"),
        ("USER 10001:10001", "USER 0"),
        ("USER 10001:10001", ""),
        ('ENTRYPOINT ["ingest"]', "ENTRYPOINT ingest"),
        ("--require-hashes -r", "-r"),
        ("COPY core core", "ADD https://example.com/core.tar.gz core"),
        ("COPY core core", "RUN curl -o core.tar.gz https://example.com/core.tar.gz"),
        ("PYTHONUNBUFFERED=1", "MILLRACE_API_TOKEN=abc"),
    ],
)
def test_the_policy_notices(original: str, changed: str) -> None:
    text = dockerfile("ingest")
    assert original in text
    assert faults(text.replace(original, changed)) != []

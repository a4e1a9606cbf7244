"""Identifiers from configuration cannot carry SQL."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.identifiers import check_name, check_project, qualified


@given(st.text(max_size=150))
def test_whatever_passes_is_a_plain_name(text: str) -> None:
    try:
        checked = check_name(text)
    except ConfigurationError:
        assert not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", text)
    else:
        assert checked == text
        assert text.isascii()
        assert text.replace("_", "a").isalnum()
        assert len(text) <= 128


@given(st.text(alphabet="abc`-; \n'1", min_size=1, max_size=40), st.text(alphabet="ab`.", min_size=1, max_size=8))
def test_a_qualified_name_has_exactly_its_own_backticks(project: str, name: str) -> None:
    try:
        text = qualified(project, name, name)
    except ConfigurationError:
        return
    assert text.count("`") == 2
    assert text.count(".") == 2


@pytest.mark.parametrize(
    "project", ["short", "Upper-case", "9starts-with-digit", "ends-with-", "x" * 31, "a b c d e f"]
)
def test_wrong_projects_are_refused(project: str) -> None:
    with pytest.raises(ConfigurationError, match="project id"):
        check_project(project)


def test_a_good_name_is_quoted() -> None:
    assert qualified("my-project", "raw", "members") == "`my-project.raw.members`"

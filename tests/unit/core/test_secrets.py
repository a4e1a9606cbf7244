"""A secret is taken as it was meant, or refused by name: never in a client's words, which quote it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter, ValidationError

from core.errors import ConfigurationError
from core.secrets import BearerToken, Password
from core.settings import Settings, load_settings

CANARY = "s3cret-5f1c"
VISIBLE = "".join(sorted({*string.printable} - {*string.whitespace}))
TOKENS: TypeAdapter[SecretStr] = TypeAdapter(BearerToken)
PASSWORDS: TypeAdapter[SecretStr] = TypeAdapter(Password)

around = st.text(" \t\r\n", max_size=3)
visible = st.text(VISIBLE, min_size=1, max_size=40)
unsendable = st.characters(codec="utf-8").filter(lambda one: one not in VISIBLE and not one.isspace())


@given(visible, around, around)
def test_what_stands_around_a_token_is_none_of_it(token: str, before: str, behind: str) -> None:
    assert TOKENS.validate_python(before + token + behind).get_secret_value() == token


@given(visible, unsendable | st.sampled_from(" \t\r\n"), visible)
def test_a_token_that_no_header_may_hold_is_refused(begin: str, wrong: str, end: str) -> None:
    with pytest.raises(ValidationError, match="visible ASCII"):
        TOKENS.validate_python(begin + wrong + end)


@given(around)
def test_an_empty_token_is_refused(blank: str) -> None:
    with pytest.raises(ValidationError, match="is empty"):
        TOKENS.validate_python(blank)


@given(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), st.text("\r\n", max_size=2))
def test_a_password_may_be_any_text_but_loses_the_line_end_behind_it(password: str, end: str) -> None:
    assert PASSWORDS.validate_python(password + end).get_secret_value() == password


@pytest.mark.parametrize("token", [f"{CANARY}\nX-Other: 1", f"{CANARY}\u00e9", f"{CANARY} two", f"\x1b{CANARY}"])
def test_a_wrong_token_of_the_api_is_named_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("MILLRACE_API_TOKEN", token)
    with pytest.raises(ConfigurationError, match="api_token") as caught:
        load_settings()
    # Python's own traceback shows the cause too.
    assert CANARY not in f"{caught.value} {caught.value.__cause__}"


def test_the_line_end_of_a_secret_manager_is_none_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_API_TOKEN", f"{CANARY}\n")
    token = load_settings().api_token
    assert token is not None
    assert token.get_secret_value() == CANARY
    assert Settings(api_token=SecretStr(f"{CANARY}\n")).api_token == token

"""The filter language: documented examples, refusals, and random expressions against an oracle."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.pubsub import filters
from devstack.pubsub.errors import Code, PubSubError


def matches(text: str, **attributes: str) -> bool:
    parsed = filters.parse(text)
    assert parsed is not None
    return parsed.matches(attributes)


@pytest.mark.parametrize(
    ("text", "matching", "failing"),
    [
        ("attributes:domain", {"domain": ""}, {"other": "domain"}),
        ('attributes.domain = "com"', {"domain": "com"}, {"domain": "org"}),
        ('attributes.domain="com"', {"domain": "com"}, {}),
        ('attributes.domain != "com"', {}, {"domain": "com"}),
        ('hasPrefix(attributes.domain, "co")', {"domain": "com"}, {"domain": "oco"}),
        ('hasPrefix(attributes.domain, "")', {"domain": ""}, {}),
        ("NOT attributes:domain", {}, {"domain": "x"}),
        ("-attributes:domain", {}, {"domain": "x"}),
        ("attributes:my-key_1", {"my-key_1": ""}, {"my": ""}),
        ('attributes:"iana.org/language_tag"', {"iana.org/language_tag": "en"}, {}),
        ('attributes."iana.org/language_tag" = "en"', {"iana.org/language_tag": "en"}, {}),
        ('attributes:a AND attributes.b = "1" AND NOT attributes:c', {"a": "", "b": "1"}, {"a": "", "b": "1", "c": ""}),
        ("attributes:a OR attributes:b", {"b": ""}, {"c": ""}),
        ("attributes:a AND (attributes:b OR attributes:c)", {"a": "", "c": ""}, {"c": ""}),
        ("NOT (attributes:a OR attributes:b)", {"c": ""}, {"b": ""}),
        ("((attributes:a))", {"a": ""}, {}),
        ('attributes.k = "say \\"hi\\"\\n\\x41\\u00e9\\101\\U0001F600"', {"k": 'say "hi"\nAéA😀'}, {"k": ""}),
    ],
)
def test_documented_expressions(text: str, matching: dict[str, str], failing: dict[str, str]) -> None:
    assert matches(text, **matching)
    assert not matches(text, **failing)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_a_blank_filter_is_no_filter(text: str) -> None:
    assert filters.parse(text) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rubbish", "needs 'attributes' at character 1"),
        ("attributes:", "an attribute key at character 12, but has the end"),
        ("attributes:AND", "an attribute key"),
        ("attributes.a", "'!='"),
        ("attributes.a = b", "a string in double quotes"),
        ("attributes.a = 'b'", "unexpected at character 15"),
        ('attributes.a = "b', "unexpected"),
        ('attributes.a = "b" attributes:c', "the end, AND or OR"),
        ("attributes:a and attributes:b", "the end, AND or OR"),
        ("attributes:a AND attributes:b OR attributes:c", "mixed"),
        ("(attributes:a", "')'"),
        ("attributes:a)", "the end"),
        ("attributes:a AND", "but has the end"),
        ("NOT NOT attributes:a", "'attributes'"),
        ('hasPrefix(attributes.a "b")', "','"),
        ('hasPrefix(attributes:a, "b")', "'.'"),
        ('data = "x"', "'attributes'"),
        ('attributes.a = "\\q"', "unknown escape"),
        ('attributes.a = "\\UFFFFFFFF"', "no character"),
        ("attributes.é:a", "unexpected"),
        ("(" * 100 + "attributes:a" + ")" * 100, "too deeply"),
        ("attributes:" + "x" * 250, "longer than 256 bytes"),
    ],
)
def test_what_is_not_in_the_language_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(PubSubError, match=re.escape(complaint)) as refusal:
        filters.parse(text)
    assert refusal.value.code is Code.INVALID_ARGUMENT


@dataclass(frozen=True)
class Expression:
    """A filter as text, and as the set of attribute sets it means."""

    text: str
    verdicts: tuple[bool, ...]


# Every assignment of the values below (or no value) to two keys: a complete truth table.
_VALUES = (None, "", "v", "vv", "w")
_WORLDS = [
    {key: value for key, value in (("k", first), ("a b", second)) if value is not None}
    for first in _VALUES
    for second in _VALUES
]
_keys = st.sampled_from(["k", "a b"])
_literals = st.sampled_from(["", "v", "vv", "w", "x"])


def _spelled(key: str) -> str:
    return key if key.isalnum() else f'"{key}"'


def _truth(text: str, meaning: object) -> Expression:
    assert callable(meaning)
    return Expression(text, tuple(bool(meaning(world)) for world in _WORLDS))


_atoms = st.one_of(
    st.builds(lambda k: _truth(f"attributes:{_spelled(k)}", lambda world: k in world), _keys),
    st.builds(
        lambda k, v: _truth(f'attributes.{_spelled(k)} = "{v}"', lambda world: world.get(k) == v), _keys, _literals
    ),
    st.builds(
        lambda k, v: _truth(f'attributes.{_spelled(k)} != "{v}"', lambda world: world.get(k) != v), _keys, _literals
    ),
    st.builds(
        lambda k, v: _truth(
            f'hasPrefix(attributes.{_spelled(k)}, "{v}")',
            lambda world: k in world and world[k][: len(v)] == v,
        ),
        _keys,
        _literals,
    ),
)


def _negated(word: str, inner: Expression) -> Expression:
    return Expression(f"{word}({inner.text})", tuple(not verdict for verdict in inner.verdicts))


def _joined(word: str, parts: list[Expression]) -> Expression:
    fold = all if word == "AND" else any
    rows = zip(*(part.verdicts for part in parts), strict=True)
    return Expression(f" {word} ".join(f"({part.text})" for part in parts), tuple(fold(row) for row in rows))


_expressions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.builds(_negated, st.sampled_from(["NOT ", "-"]), inner),
        st.builds(_joined, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=5,
).filter(lambda expression: len(expression.text.encode()) <= filters.MAX_BYTES)


@given(_expressions)
def test_random_expressions_mean_what_their_truth_table_says(expression: Expression) -> None:
    parsed = filters.parse(expression.text)
    assert parsed is not None
    assert tuple(parsed.matches(world) for world in _WORLDS) == expression.verdicts


@given(st.text(alphabet='attributes:.="\\ANDORNOT()-,! k', max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = filters.parse(text)
    except PubSubError:
        return
    assert parsed is None or parsed.matches({}) in {True, False}

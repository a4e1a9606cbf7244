r"""The filter language of subscriptions, as documented at https://cloud.google.com/pubsub/docs/filtering.

Grammar (keywords are upper case; AND and OR mix only with parentheses):

    expression = term { "AND" term } | term { "OR" term }
    term       = [ "NOT" | "-" ] ( "(" expression ")" | comparison )
    comparison = "attributes" ":" key
               | "attributes" "." key ( "=" | "!=" ) string
               | "hasPrefix" "(" "attributes" "." key "," string ")"
    key        = word | string

`attributes.k != "v"` matches messages without the key, too: it means `NOT attributes.k = "v"`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from devstack.pubsub.errors import PubSubError, invalid

Predicate = Callable[[Mapping[str, str]], bool]

MAX_BYTES: Final = 256
_MAX_DEPTH: Final = 64
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<word>[A-Za-z0-9_][A-Za-z0-9_-]*)
      | (?P<symbol>!=|[().,:=-])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x(?P<hex>[0-9A-Fa-f]{2})|u(?P<u4>[0-9A-Fa-f]{4})|U(?P<u8>[0-9A-Fa-f]{8})"
    r"|(?P<octal>[0-7]{3})|(?P<char>.))",
    re.DOTALL,
)
_CHARACTERS: Final[Mapping[str, str]] = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "?": "?",
    "`": "`",
}
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT"})


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter.

    Attributes:
        text: the expression as it was written.
        matches: tells from a message's attributes whether the message is delivered.
    """

    text: str
    matches: Predicate


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(text: str) -> Filter | None:
    """Parses a filter expression.

    Args:
        text: the expression; empty or blank means no filter.

    Returns:
        The filter, or None when every message passes.

    Raises:
        PubSubError: INVALID_ARGUMENT when the expression is too long or not in the language.

    Example:
        >>> parse('attributes.table = "members" AND NOT attributes:test').matches({"table": "members"})
        True
    """
    if len(text.encode()) > MAX_BYTES:
        raise invalid(f"The filter is longer than {MAX_BYTES} bytes; shorten it.")
    if not text.strip():
        return None
    parser = _Parser(text)
    predicate = parser.expression(depth=0)
    parser.expect_end()
    return Filter(text, predicate)


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise invalid(f"The filter has something unexpected at character {position + 1}: {text[position:]!r}.")
        kind = match.lastgroup or "symbol"
        yield _Token(kind, match.group(kind), match.start(kind))
        position = match.end()
    yield _Token("end", "", end)


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    def expression(self, depth: int) -> Predicate:
        if depth > _MAX_DEPTH:
            raise invalid("The filter is nested too deeply; use fewer parentheses.")
        terms = [self._term(depth)]
        joiner = self._peek().text if self._peek().kind == "word" else ""
        if joiner not in {"AND", "OR"}:
            return terms[0]
        while self._accept(joiner):
            terms.append(self._term(depth))
        if self._peek().text in {"AND", "OR"}:
            raise self._wrong("parentheses, because AND and OR are mixed")
        return _all_of(terms) if joiner == "AND" else _any_of(terms)

    def expect_end(self) -> None:
        if self._peek().kind != "end":
            raise self._wrong("the end, AND or OR")

    def _term(self, depth: int) -> Predicate:
        negated = self._accept("NOT") or self._accept("-")
        if self._accept("("):
            predicate = self.expression(depth + 1)
            self._expect(")")
        else:
            predicate = self._comparison()
        return _negation(predicate) if negated else predicate

    def _comparison(self) -> Predicate:
        if self._accept("hasPrefix"):
            self._expect("(")
            self._expect("attributes")
            self._expect(".")
            key = self._key()
            self._expect(",")
            prefix = self._string()
            self._expect(")")
            return _has_prefix(key, prefix)
        self._expect("attributes")
        if self._accept(":"):
            return _has_key(self._key())
        self._expect(".")
        key = self._key()
        if self._accept("="):
            return _equals(key, self._string())
        self._expect("!=")
        return _negation(_equals(key, self._string()))

    def _key(self) -> str:
        token = self._peek()
        if token.kind == "string":
            return self._string()
        if token.kind != "word" or token.text in _KEYWORDS:
            raise self._wrong("an attribute key")
        self._next += 1
        return token.text

    def _string(self) -> str:
        token = self._peek()
        if token.kind != "string":
            raise self._wrong("a string in double quotes")
        self._next += 1
        return _ESCAPE.sub(_unescaped, token.text[1:-1])

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _accept(self, text: str) -> bool:
        token = self._peek()
        if token.kind == "string" or token.text != text:
            return False
        self._next += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._wrong(repr(text))

    def _wrong(self, wanted: str) -> PubSubError:
        token = self._peek()
        found = repr(token.text) if token.text else "the end"
        return invalid(f"The filter {self._text!r} needs {wanted} at character {token.position + 1}, but has {found}.")


def _unescaped(match: re.Match[str]) -> str:
    code = match["hex"] or match["u4"] or match["u8"]
    if code or match["octal"]:
        number = int(code, 16) if code else int(match["octal"], 8)
        try:
            return chr(number)
        except (ValueError, OverflowError):
            raise invalid(f"The filter has an escape that is no character: {match[0]}.") from None
    character = _CHARACTERS.get(match["char"])
    if character is None:
        raise invalid(f"The filter has an unknown escape: {match[0]}.")
    return character


def _has_key(key: str) -> Predicate:
    return lambda attributes: key in attributes


def _equals(key: str, value: str) -> Predicate:
    # Asking for the key first: reading a missing key of a protobuf map would add it.
    return lambda attributes: key in attributes and attributes[key] == value


def _has_prefix(key: str, prefix: str) -> Predicate:
    return lambda attributes: key in attributes and attributes[key].startswith(prefix)


def _negation(predicate: Predicate) -> Predicate:
    return lambda attributes: not predicate(attributes)


def _all_of(terms: list[Predicate]) -> Predicate:
    return lambda attributes: all(term(attributes) for term in terms)


def _any_of(terms: list[Predicate]) -> Predicate:
    return lambda attributes: any(term(attributes) for term in terms)

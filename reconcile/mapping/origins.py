"""Where one side's value of a compared column comes from, when it is not simply the column of that name."""

from dataclasses import dataclass
from typing import Literal

from core.contracts import DataType

OriginKind = Literal["column", "path", "constant", "expression"]


@dataclass(frozen=True)
class Origin:
    """What a value is made of.

    Attributes:
        kind: a `column` of another name, a `path` into nested values, a `constant`, or an `expression`.
        text: the column, the path with dots between its parts, the constant as text, or the expression.
        inputs: columns of the side that are read for it, with the types that formats without types read them as.
        is_null: whether it is the constant null.
    """

    kind: OriginKind
    text: str
    inputs: tuple[tuple[str, DataType], ...] = ()
    is_null: bool = False

    def __str__(self) -> str:
        if self.kind == "constant":
            return "constant null" if self.is_null else f"constant {self.text!r}"
        return f"{self.kind} {self.text}"

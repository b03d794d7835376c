"""Amounts of money: whole fen with a currency, Decimal in between, never a float.

Every rounding has a name, because two rules that round differently must not look the same in code.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

_MINOR_PER_MAJOR = 100  # fen per yuan
_BIGINT_MAX = 2**63 - 1  # amounts are stored as PostgreSQL bigint


class Rounding(StrEnum):
    """How a fraction of a fen, or of a larger step, is settled; the rule that rounds names it."""

    HALF_UP = "half_up"  # interest and fees: the commercial rounding that a customer expects
    HALF_EVEN = "half_even"  # sums of many small parts in reports
    DOWN = "down"  # towards zero: what the bank grants, such as a limit
    CEILING = "ceiling"  # what the customer must at least pay
    FLOOR = "floor"  # points and other counts that never exceed the amount


_DECIMAL_ROUNDING: dict[Rounding, str] = {
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.DOWN: ROUND_DOWN,
    Rounding.CEILING: ROUND_CEILING,
    Rounding.FLOOR: ROUND_FLOOR,
}


class Money(BaseModel):
    """An amount in whole fen. Adding, subtracting and comparing need the same currency."""

    model_config = ConfigDict(frozen=True, strict=True)

    minor: Annotated[int, Field(ge=-_BIGINT_MAX, le=_BIGINT_MAX)]  # fen, may be negative
    currency: Literal["CNY"] = "CNY"

    @classmethod
    def of(cls, yuan: Decimal | str | int, rounding: Rounding | None = None) -> Self:
        """An amount given in yuan. Without `rounding`, a fraction of a fen raises ValueError.

        Raises TypeError for a float: it has already lost what it stood for.
        """
        if isinstance(yuan, float | bool):
            raise TypeError("money is made from Decimal, str or int, never from a float")
        fen = Decimal(yuan) * _MINOR_PER_MAJOR
        if not fen.is_finite():
            raise ValueError("not an amount of money")
        if rounding is None:
            whole = fen.to_integral_value(rounding=ROUND_DOWN)
            if whole != fen:
                raise ValueError(f"{yuan} yuan is not a whole number of fen; name a rounding")
        else:
            whole = fen.to_integral_value(rounding=_DECIMAL_ROUNDING[rounding])
        return cls(minor=int(whole))

    @classmethod
    def zero(cls) -> Self:
        return cls(minor=0)

    @property
    def yuan(self) -> Decimal:
        """The amount in yuan with two places."""
        return (Decimal(self.minor) / _MINOR_PER_MAJOR).quantize(Decimal("0.01"))

    def times(self, rate: Decimal | str | int, rounding: Rounding) -> Money:
        """The amount multiplied by a rate, rounded to the fen as the rule says."""
        if isinstance(rate, float | bool):
            raise TypeError("a rate is Decimal, str or int, never a float")
        fen = (Decimal(self.minor) * Decimal(rate)).to_integral_value(
            rounding=_DECIMAL_ROUNDING[rounding]
        )
        return Money(minor=int(fen), currency=self.currency)

    def to_step(self, step: Money, rounding: Rounding) -> Money:
        """The amount brought to a multiple of `step`, such as a limit in whole hundreds of yuan."""
        self._same_currency(step)
        if step.minor <= 0:
            raise ValueError("a rounding step is positive")
        steps = (Decimal(self.minor) / Decimal(step.minor)).to_integral_value(
            rounding=_DECIMAL_ROUNDING[rounding]
        )
        return Money(minor=int(steps) * step.minor, currency=self.currency)

    def __add__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(minor=self.minor + other.minor, currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(minor=self.minor - other.minor, currency=self.currency)

    def __neg__(self) -> Money:
        return Money(minor=-self.minor, currency=self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same_currency(other)
        return self.minor < other.minor

    def __le__(self, other: Money) -> bool:
        self._same_currency(other)
        return self.minor <= other.minor

    def __gt__(self, other: Money) -> bool:
        self._same_currency(other)
        return self.minor > other.minor

    def __ge__(self, other: Money) -> bool:
        self._same_currency(other)
        return self.minor >= other.minor

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        """For people: `¥12,345.00`."""
        sign = "-" if self.minor < 0 else ""
        return f"{sign}¥{abs(self.yuan):,.2f}"

    def _same_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot mix {self.currency} and {other.currency}")

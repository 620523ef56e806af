"""What every file of ours has in common: strict types, units in names, no NaN, no unknown keys."""

import datetime
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError


class FileModel(BaseModel):
    """Base of everything that lives on disk. Numbers are never read from strings or booleans."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


class RuledFileModel(FileModel):
    """A model with rules across its fields, which are checked even where single fields are wrong.

    Pydantic's own cross-field validators run only once every field is right, which would show a
    user the mistakes of a file in two or three rounds.
    """

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Broken rules as (field, what is allowed), from data in which any field may be missing or wrong."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _check_fields_and_rules(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        problems: list[InitErrorDetails] = []
        model: Self | None = None
        try:
            model = handler(data)
        except ValidationError as error:
            problems = [_as_custom(line["type"], line["msg"], line["loc"], line["input"]) for line in error.errors()]
        if isinstance(data, Mapping):
            for field, message in cls.rules(data):
                problems.append(_as_custom("rule", message, (field,) if field else (), data.get(field)))
        if problems or model is None:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return model


def _as_custom(kind: str, message: str, loc: tuple[int | str, ...], given: Any) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError(kind, message), loc=loc, input=given)


def number_in(data: Mapping[str, Any], key: str, default: float | None = None) -> float | None:
    """The finite number under a key, its default where the key is absent, or None where it is no such number."""
    value = data.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return None
    return number if math.isfinite(number) else None


def day_from_iso(value: Any) -> Any:
    """The day that a text YYYY-MM-DD means; anything else as it is."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return value
    try:
        return datetime.date.fromisoformat(value)
    except ValueError:
        return value


FIRST_DAY, LAST_DAY = datetime.date(2000, 1, 1), datetime.date(2200, 12, 31)

Day = Annotated[datetime.date, BeforeValidator(day_from_iso), Field(ge=FIRST_DAY, le=LAST_DAY)]
"""A day as YYYY-MM-DD, from 2000 to 2200."""

NAME_PATTERN = r"^\S(.*\S)?$"
CURRENCY_PATTERN = r"^[A-Z]{3}$"

Name = Annotated[str, Field(min_length=1, max_length=120, pattern=NAME_PATTERN)]
"""A name on one line, without blanks at its ends."""

Currency = Annotated[str, Field(pattern=CURRENCY_PATTERN)]
"""ISO 4217 code."""

LARGEST = 1e15
"""No quantity of any field is larger, so that what is computed from them stays a number."""

NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Fraction = Annotated[float, Field(ge=0, le=1)]
"""From 0 to 1, never percent."""
Change = Annotated[float, Field(gt=-1, le=10)]
"""Growth or price change as a fraction: -0.2 is a fall by 20 percent."""

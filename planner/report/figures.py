"""Numbers as people read them. Pure: figures in, text out; percent and thousands exist only here."""

import datetime
import math

UNDEFINED = "undefined"
NONE = "–"
MINUS = "−"


def money(value: float | None, currency: str) -> str:
    """An amount: no decimals from 1,000 on, two from 1 on, three significant digits below.

    Example:
        >>> money(1234567.8, "USD"), money(-3.5, "EUR"), money(0.00123, "USD"), money(None, "USD")
        ('$1,234,568', '−EUR 3.50', '$0.00123', 'undefined')
    """
    if value is None:
        return UNDEFINED
    size = abs(value)
    if size == 0:
        digits = "0"
    elif size >= 1000:
        digits = f"{size:,.0f}"
    elif size >= 1:
        digits = f"{size:,.2f}"
    else:
        digits = _significant(size, 3)
    return f"{_sign(value)}{_symbol(currency)}{digits}"


def cents(value: float) -> str:
    """An amount of a statement to the cent, without its currency.

    Example:
        >>> cents(-1234.5), cents(0.0)
        ('−1,234.50', '–')
    """
    rounded = round(value, 2)
    return f"{_sign(rounded)}{abs(rounded):,.2f}" if rounded else NONE


def per_thousand(value: float | None, currency: str) -> str:
    """What 1,000 accepted answers cost, from the cost of one.

    Example:
        >>> per_thousand(0.00042, "USD")
        '$0.42'
    """
    return money(None if value is None else value * 1000, currency)


def percent(fraction: float | None) -> str:
    """A fraction in percent; what is not quite all or nothing is never rounded to it.

    Example:
        >>> percent(0.985), percent(0.3), percent(0.99999), percent(0.0001), percent(-0.2)
        ('98.5%', '30%', '>99.9%', '<0.1%', '−20%')
    """
    if fraction is None:
        return UNDEFINED
    rounded = round(abs(fraction) * 100, 1)
    if rounded == 0 and fraction != 0:
        return f"{_sign(fraction)}<0.1%" if fraction < 0 else "<0.1%"
    if rounded == 100 and 0 < fraction < 1:
        return ">99.9%"
    return f"{_sign(fraction)}{rounded:,.1f}".removesuffix(".0") + "%"


def change(fraction: float) -> str:
    """A relative change with its sign.

    Example:
        >>> change(0.25), change(-0.25)
        ('+25%', '−25%')
    """
    return ("+" if fraction > 0 else "") + percent(fraction)


def count(value: float) -> str:
    """A large number with its scale in words, a small one with its digits.

    Example:
        >>> count(12e6), count(3.26e9), count(850000), count(0.5), count(999.96e6)
        ('12.0 million', '3.3 billion', '850,000', '0.5', '1.0 billion')
    """
    size = abs(value)
    if round(size / 1e6, 1) >= 1000:
        return f"{_sign(value)}{size / 1e9:,.1f} billion"
    if size >= 999_999.5:
        return f"{_sign(value)}{size / 1e6:,.1f} million"
    if size >= 1000 or size == round(size):
        return f"{_sign(value)}{size:,.0f}"
    return f"{_sign(value)}{_significant(size, 4)}"


def volume(requests_per_month: float) -> str:
    """A monthly volume, such as 12.0 million requests/month."""
    return f"{count(requests_per_month)} requests/month"


def quantity(value: float | int | str | bool | None, unit: str, currency: str) -> str:
    """A value with its unit, whatever it is.

    Example:
        >>> quantity(2.5, "USD/GPU/h", "USD"), quantity(-0.2, "fraction/year", "USD"), quantity(True, "", "USD")
        ('$2.50/GPU/h', '−20% per year', 'yes')
    """
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"{value} {unit}".strip()
    head, slash, tail = unit.partition("/")
    if head == "fraction":
        return percent(value) + (f" per {tail}" if slash else "")
    if head == currency:
        return money(value, currency) + slash + tail
    return f"{count(value)} {unit}".strip()


def days(age_days: int | None) -> str:
    """An age in days."""
    if age_days is None:
        return NONE
    return "1 day" if age_days == 1 else f"{age_days:,} days"


def day(value: datetime.date | None) -> str:
    """A day as YYYY-MM-DD."""
    return NONE if value is None else value.isoformat()


def _symbol(currency: str) -> str:
    return "$" if currency == "USD" else f"{currency} "


def _sign(value: float) -> str:
    return MINUS if value < 0 else ""


def _significant(size: float, digits: int) -> str:
    """A positive number with so many significant digits, never with an exponent."""
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{size:,.{decimals}f}"
    whole, dot, rest = text.partition(".")
    rest = rest.rstrip("0")
    # Money below 1 keeps its cents: 0.50, not 0.5.
    return whole + (dot + rest.ljust(2, "0") if rest and digits == 3 else dot + rest if rest else "")

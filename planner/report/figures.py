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
        # Trailing zeros stay, so that the amounts of a column have the same digits.
        digits = f"{size:.{2 - math.floor(math.log10(size))}f}"
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
        '$0.420'
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
        >>> count(12e6), count(3.25e9), count(850000), count(0.5), count(999.96e6)
        ('12.0 million', '3.25 billion', '850,000', '0.5', '1.00 billion')
    """
    size = abs(value)
    if round(size / 1e6, 1) >= 1000:
        return f"{_sign(value)}{_scaled(size / 1e9)} billion"
    if size >= 999_999.5:
        return f"{_sign(value)}{_scaled(size / 1e6)} million"
    if size >= 1000 or size == round(size):
        return f"{_sign(value)}{size:,.0f}"
    return f"{_sign(value)}{_significant(size, 4)}"


def times(factor: float) -> str:
    """A ratio above 1 in words, never rounded down to 1.

    Example:
        >>> times(20.4), times(1.011), times(1.0000002)
        ('20.4 times', '1.011 times', 'hardly more than')
    """
    digits = _significant(factor, 4) if factor < 2 else _significant(factor, 3)
    return "hardly more than" if digits == "1" else f"{digits} times"


def volume(requests_per_month: float) -> str:
    """A monthly volume, such as 12.0 million requests/month."""
    return f"{count(requests_per_month)} requests/month"


def quantity(value: float | int | str | bool | None, unit: str, currency: str) -> str:
    """A value as it was given, with its unit: six digits and all digits before the point, since others recompute it.

    Example:
        >>> quantity(2.5, "USD/GPU/h", "USD"), quantity(-0.2, "fraction/year", "USD"), quantity(True, "", "USD")
        ('$2.50/GPU/h', '−20% per year', 'yes')
        >>> quantity(12345678, "requests/month", "USD"), quantity(0.0825, "fraction", "USD")
        ('12,345,678 requests/month', '8.25%')
    """
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"{value} {unit}".strip()
    head, slash, tail = unit.partition("/")
    if head == "fraction":
        return f"{_sign(value)}{_significant(abs(value) * 100, 6)}%" + (f" per {tail}" if slash else "")
    digits = _significant(abs(value), 6)
    if head == currency:
        return f"{_sign(value)}{_symbol(currency)}{_with_cents(digits)}{slash}{tail}"
    return f"{_sign(value)}{digits} {unit}".strip()


def days(age_days: int | None) -> str:
    """An age in days."""
    if age_days is None:
        return NONE
    return f"{_sign(age_days)}{abs(age_days):,} day{'' if abs(age_days) == 1 else 's'}"


def day(value: datetime.date | None) -> str:
    """A day as YYYY-MM-DD."""
    return NONE if value is None else value.isoformat()


def _symbol(currency: str) -> str:
    return "$" if currency == "USD" else f"{currency} "


def _sign(value: float) -> str:
    return MINUS if value < 0 else ""


def _scaled(size: float) -> str:
    """Three digits at least, so that a volume and a break-even close to it do not look the same."""
    return f"{size:,.2f}" if round(size, 2) < 10 else f"{size:,.1f}"


def _significant(size: float, digits: int) -> str:
    """A number from 0 up with so many significant digits at least, never with an exponent or needless zeros."""
    if size == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{size:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _with_cents(digits: str) -> str:
    """Money with a fraction shows both digits of its cents: 0.50, not 0.5."""
    whole, dot, rest = digits.partition(".")
    return whole + dot + rest.ljust(2, "0") if rest else digits

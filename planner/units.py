"""Constants of time and scale, and the unit that a field's name carries."""

HOURS_PER_MONTH = 730.5
"""Hours in a month [h]: 365.25 days of 24 hours, over 12 months."""

MONTHS_PER_YEAR = 12
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_MONTH = HOURS_PER_MONTH * SECONDS_PER_HOUR
TOKENS_PER_MTOK = 1e6
WATTS_PER_KW = 1000.0

# The longest ending that fits wins, so the order is from special to general.
_UNIT_BY_ENDING: tuple[tuple[str, str], ...] = (
    ("usd_per_month_per_replica", "{currency}/month/replica"),
    ("usd_per_model_change", "{currency}/model change"),
    ("usd_per_gpu_hour", "{currency}/GPU/h"),
    ("usd_per_replica", "{currency}/replica"),
    ("usd_per_month", "{currency}/month"),
    ("usd_per_year", "{currency}/year"),
    ("usd_per_mtok", "{currency}/million tokens"),
    ("usd_per_kwh", "{currency}/kWh"),
    ("_usd", "{currency}"),
    ("fraction_per_month", "fraction/month"),
    ("fraction_per_year", "fraction/year"),
    ("_fraction", "fraction"),
    ("requests_per_month", "requests/month"),
    ("requests_per_s", "requests/s"),
    ("requests_per_min", "requests/min"),
    ("tokens_per_min", "tokens/min"),
    ("changes_per_year", "changes/year"),
    ("gpus_per_replica", "GPUs/replica"),
    ("_months", "months"),
    ("_replicas", "replicas"),
    ("_w", "W"),
    ("_s", "s"),
)


def unit_of(field: str, currency: str = "USD") -> str:
    """Unit that a field's name carries, or an empty string for a field without one.

    Example:
        >>> unit_of("colocation_usd_per_month_per_replica", "EUR")
        'EUR/month/replica'
        >>> unit_of("input_tokens.p95")
        'tokens'
        >>> unit_of("data_residency")
        ''
    """
    if "price_change_fraction_per_year." in field:  # by kind of cost, which has no unit of its own
        return "fraction/year"
    if "_tokens" in field:
        return "tokens"
    for ending, unit in _UNIT_BY_ENDING:
        if field.endswith(ending):
            return unit.format(currency=currency)
    return ""

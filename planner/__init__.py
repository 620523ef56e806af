"""Decide with measurements whether to host an open-weight language model or to pay an API by the token."""

__version__ = "0.1.0"

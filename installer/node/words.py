"""Text on its way between JSON, this process's locale and people: bytes that are no text make none of it fail. Pure.

cron and old Pythons run us in an ASCII locale, where a path with an umlaut is, as ``str``, another than in UTF-8.
"""

import os
from typing import Any


def local(value: Any) -> Any:
    """A value of JSON with its strings as ``os.fsdecode`` gives them here, so that paths among them can be opened."""
    if isinstance(value, str):
        return os.fsdecode(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, list):
        return [local(each) for each in value]
    if isinstance(value, dict):
        return {local(key): local(each) for key, each in value.items()}
    return value


def readable(text: str) -> str:
    """For people and for JSON that a server takes (it refuses halves of surrogate pairs): other bytes as ``\\xNN``."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a half that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

"""The ways in which people write one and the same thing in a layout file, each turned into the model's own. Pure.

What cannot be read is told, or left as it is where decoding tells it better.
"""

import re
from collections.abc import Callable
from typing import Any

from imaged.model.layout import Role
from imaged.model.stack import Preserve

ANY_NUMBER = 9999  # of disks: no machine has more
_MATCH_TEXTS = ("model", "vendor", "serial", "wwn", "path")
_MATCH_LISTS = ("bus", *_MATCH_TEXTS)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%?")
_LEVEL = re.compile(r"(?:raid)?([0-9]{1,3})", re.IGNORECASE)
_MEMBERS = re.compile(r"([0-9]{1,4})(?:(\+)|-([0-9]{1,4}))?")

Tell = Callable[[str, str], None]  # of a key what is wrong with it


def top(data: Any) -> Any:
    """The file itself."""
    if not isinstance(data, dict) or "esp" not in data:
        return data
    return data | {"esp": _listed(data["esp"], "mirrors")}


def disk(data: Any, tell: Tell) -> Any:
    """An entry of ``disks``, without its alternatives and partitions."""
    data = _listed(_percent(data, "similar", tell), "match")
    if not isinstance(data, dict):
        return data
    count = data.get("count")
    if type(count) is int:
        data = data | {"count": {"min": count, "max": count}}
    elif isinstance(count, dict):
        data = data | {"count": {"max": ANY_NUMBER} | count}
    return data


def match(data: Any) -> Any:
    """One alternative. A serial number of digits only is a number to YAML."""
    data = _listed(data, *_MATCH_LISTS)
    if not isinstance(data, dict):
        return data
    return data | {key: [_text(each) for each in data[key]] for key in _MATCH_TEXTS if isinstance(data.get(key), list)}


def partition(data: Any) -> Any:
    """An entry of ``partitions``."""
    data = content(data)
    if not isinstance(data, dict):
        return data
    if data.get("role") == Role.BIOS_GRUB.value:
        data = {"size": "1M"} | data  # GRUB's core image has 31 to 500 KiB: 1 MiB is always right
    elif data.get("preserve") == Preserve.REQUIRED.value:
        data = {"size": {}} | data
    if data.get("role") == Role.SWAP.value and data.get("fs") == "swap":
        data = _without(data, "fs")
    return data | {"type": _text(data["type"])} if "type" in data else data


def array(data: Any, tell: Tell) -> Any:
    """An entry of ``raid``: levels as a number, or by how many members there are; ``metadata: 1.0`` is no number."""
    data = _listed(content(data), "devices")
    if not isinstance(data, dict):
        return data
    if type(data.get("metadata")) is float:
        data = data | {"metadata": str(data["metadata"])}
    if "level" in data and not isinstance(data["level"], list):
        data = data | {"level": _levels(data["level"], tell)}
    return data


def crypt(data: Any, tell: Tell) -> Any:
    """An entry of ``luks``. ``type: luks2`` says what is so anyway."""
    data = _listed(content(data), "devices", "unlock")
    if not isinstance(data, dict):
        return data
    if data.get("type", "luks2") != "luks2":
        tell("type", f"{data['type']!r} is not made, only luks2")
    key = data.get("key")
    if isinstance(key, dict) and list(key) == ["from"]:
        data = data | {"key": key["from"]}
    return _without(data, "type")


def group(data: Any, tell: Tell) -> Any:
    """An entry of ``lvm``, without its volumes and pools."""
    return _listed(_percent(_preserve(data), "reserve", tell), "devices", "thin")


def volume(data: Any) -> Any:
    """An entry of ``lvs``: ``fs: swap`` is no filesystem but ``swap: true``."""
    data = content(data)
    if isinstance(data, dict) and data.get("fs") == "swap":
        return _without(data, "fs") | {"swap": True}
    return data


def content(data: Any) -> Any:
    """What all have that may carry a filesystem: ``mkfs`` as it is typed, ``preserve: true``."""
    data = _preserve(data)
    if isinstance(data, dict) and isinstance(data.get("mkfs"), str):
        return data | {"mkfs": data["mkfs"].split()}
    return data


def _preserve(data: Any) -> Any:
    if not isinstance(data, dict) or type(data.get("preserve")) is not bool:
        return data
    return data | {"preserve": (Preserve.IF_PRESENT if data["preserve"] else Preserve.NEVER).value}


def _listed(data: Any, *keys: str) -> Any:
    """A single value where a list may stand is a list of one."""
    if not isinstance(data, dict):
        return data
    single = {key: [data[key]] for key in keys if data.get(key) is not None and not isinstance(data[key], list)}
    return data | single


def _without(data: dict[str, Any], key: str) -> dict[str, Any]:
    return {each: value for each, value in data.items() if each != key}


def _text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _percent(data: Any, key: str, tell: Tell) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get(key), str):
        return data
    found = _PERCENT.fullmatch(data[key].strip())
    if not found:
        tell(key, f"{data[key]!r} is no percentage (write it like 5%)")
        return _without(data, key)
    return data | {key: float(found[1])}


def _levels(value: Any, tell: Tell) -> Any:
    """``6``; ``raid6``; or levels by the number of members: ``{"2": 1, "3-5": 5, "6+": 6}``."""
    by_members = value if isinstance(value, dict) else {"1+": value}
    return [found for key, level in by_members.items() if (found := _level(str(key), level, tell))]


def _level(members: str, value: Any, tell: Tell) -> dict[str, Any] | None:
    level, counted = _LEVEL.fullmatch(str(value)), _MEMBERS.fullmatch(members)
    if not level or type(value) not in (int, str):
        tell("level", f"{value!r} is no RAID level")
        return None
    if not counted:
        tell("level", f'{members!r} is no number of members (write it like "2", "3-5" or "6+")')
        return None
    least, above, most = counted.groups()
    return {"level": int(level[1]), "least": int(least), "most": None if above else int(most or least)}

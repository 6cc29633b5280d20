"""A machine that is installed by SystemImager and tells our monitor how it does."""

from attrs import frozen

from imaged.model.net import Mac


@frozen
class Foreign:
    """What it said last. ``status`` is SystemImager's number, ``speed`` in bytes a second, ``trouble`` its last error.

    Times are seconds since the epoch.
    """

    mac: Mac
    first_seen: float
    last_seen: float
    host: str = ""
    address: str = ""
    image: str = ""
    kernel: str = ""
    cpu: str = ""
    status: float = 0.0
    speed: float = 0.0
    trouble: str = ""

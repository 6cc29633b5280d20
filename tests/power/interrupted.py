"""A program for a test: cycles boards one after the other, says who is through, and how it was interrupted."""

import json
import sys

from imaged.cli.ending import cleared_away
from imaged.model.power import PowerAction
from imaged.power.bmc import Order
from imaged.power.fanout import Work, fan_out
from tests.power.emulators import USER, access


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Ports come on stdin."""
    ports = json.load(sys.stdin)
    orders = tuple(
        Order(f"n{at}", access(f"ipmi://{USER}@127.0.0.1:{port}"), PowerAction.CYCLE, 60.0)
        for at, port in enumerate(ports)
    )
    try:
        with cleared_away():
            fan_out(Work(orders, 1), lambda ended: _say(ended.node))
    except (KeyboardInterrupt, SystemExit) as ended:
        _say(type(ended).__name__)

"""Kernel command lines, as boot scripts and people write them."""

import pytest

from imaged.model.errors import BadInput
from imaged.model.net import Mac
from imaged.model.wishes import Break, Then, Wishes
from installer.cmdline import Orders, read

MAC = Mac("52:54:00:12:34:56")
WHOLE = "imaged.server=http://10.0.0.1:8080 imaged.token=abc"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"{WHOLE} BOOTIF=01-52-54-00-12-34-56 rdinit=/sbin/imaged-init\n", Orders("http://10.0.0.1:8080", "abc", MAC)),
        (WHOLE, Orders("http://10.0.0.1:8080", "abc", None)),
        (f"{WHOLE}/ BOOTIF=nonsense", Orders("http://10.0.0.1:8080", "abc/", None)),
        (f"quiet {WHOLE} BOOTIF=52:54:00:12:34:56", Orders("http://10.0.0.1:8080", "abc", MAC)),
        (f"{WHOLE} BOOTIF=01-01-00-5e-00-00-01", Orders("http://10.0.0.1:8080", "abc", None)),
        (f'note="a b" {WHOLE}', Orders("http://10.0.0.1:8080", "abc", None)),
        (f'note="unfinished {WHOLE}', Orders("http://10.0.0.1:8080", "abc", None)),
        ("imaged.token=t imaged.server=http://host/", Orders("http://host", "t", None)),
        ("imaged.token=old imaged.server=http://h imaged.token=new", Orders("http://h", "new", None)),
        ("imaged.medium=m imaged.server=http://h", Orders("http://h", "", None, "m")),
        (f"{WHOLE} imaged.rescue=1", Orders("http://10.0.0.1:8080", "abc", rescue=True)),
        (f"{WHOLE} imaged.inventory=1", Orders("http://10.0.0.1:8080", "abc", inventory=True)),
        (f"{WHOLE} imaged.rescue=0", Orders("http://10.0.0.1:8080", "abc")),
        (
            f"{WHOLE} imaged.break=wipe,mkfs:after imaged.then=beep",
            Orders("http://10.0.0.1:8080", "abc", wishes=Wishes((Break("wipe"), Break("mkfs", False)), Then.BEEP)),
        ),
    ],
)
def test_read(given: str, expected: Orders) -> None:
    assert read(given) == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("", "imaged.server="),
        ("imaged.server=http://10.0.0.1", "imaged.token="),
        ("imaged.server= imaged.token=x", "imaged.server="),
        ("imaged.server=10.0.0.1:8080 imaged.token=x", "not a URL"),
        ("imaged.server=http:// imaged.token=x", "not a URL"),
        ("imaged.server=http://h:port imaged.token=x", "not a URL"),
        ("imaged.server=file:///etc imaged.token=x", "not a URL"),
        ("imaged.medium=m", "imaged.server="),
        ("imaged.medium= imaged.server=http://h", "imaged.token="),
        (f"{WHOLE} imaged.then=dance", "imaged.then='dance'"),
        (f"{WHOLE} imaged.break=dance", "imaged.break: 'dance'"),
    ],
)
def test_refused(given: str, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        read(given)


@pytest.mark.parametrize(("server", "host"), [("http://10.0.0.1:80", "10.0.0.1"), ("http://[fd00::1]:80", "[fd00::1]")])
def test_host(server: str, host: str) -> None:
    assert Orders(server, "t").host == host

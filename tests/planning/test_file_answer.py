"""How much of a file is sent for what a request asks. RFC 9110, sections 13 and 14."""

import pytest

from imaged.planning.file_answer import Described, Part, answer

FILE = Described(1000, 784111777 * 10**9 + 5)
DATE, BEFORE, AFTER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (37, 36, 38))
OTHER = '"abc"'
WHOLE = (200, 0, 1000)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({}, WHOLE),
        # 14.1.2: ranges of bytes
        ({"range": "bytes=0-499"}, (206, 0, 500)),
        ({"range": "bytes=500-"}, (206, 500, 500)),
        ({"range": "bytes=-1"}, (206, 999, 1)),
        ({"range": "bytes=-5000"}, (206, 0, 1000)),
        ({"range": "bytes=0-99999"}, (206, 0, 1000)),
        ({"range": "bytes=999-999"}, (206, 999, 1)),
        ({"range": "bytes=1000-"}, (416, 0, 0)),
        ({"range": "bytes=-0"}, (416, 0, 0)),
        # 14.2: what is no range is ignored, and so may several be
        ({"range": "bytes=5-4"}, WHOLE),
        ({"range": "bytes=-"}, WHOLE),
        ({"range": "bytes=a-b"}, WHOLE),
        ({"range": "lines=1-2"}, WHOLE),
        ({"range": "bytes=0-1,5-6"}, WHOLE),
        ({"range": f"bytes={'9' * 40}-"}, WHOLE),
        # 13.1.5
        ({"range": "bytes=0-0", "if-range": FILE.tag}, (206, 0, 1)),
        ({"range": "bytes=0-0", "if-range": DATE}, (206, 0, 1)),
        ({"range": "bytes=0-0", "if-range": OTHER}, WHOLE),
        ({"range": "bytes=0-0", "if-range": f"W/{FILE.tag}"}, WHOLE),
        ({"range": "bytes=0-0", "if-range": AFTER}, WHOLE),
        # 13.1.2, 13.1.3
        ({"if-none-match": FILE.tag}, (304, 0, 0)),
        ({"if-none-match": f"{OTHER}, W/{FILE.tag}"}, (304, 0, 0)),
        ({"if-none-match": "*"}, (304, 0, 0)),
        ({"if-none-match": OTHER}, WHOLE),
        ({"if-none-match": OTHER, "if-modified-since": DATE}, WHOLE),
        ({"if-modified-since": DATE}, (304, 0, 0)),
        ({"if-modified-since": AFTER}, (304, 0, 0)),
        ({"if-modified-since": BEFORE}, WHOLE),
        ({"if-modified-since": "yesterday"}, WHOLE),
        ({"if-none-match": FILE.tag, "range": "bytes=0-0"}, (304, 0, 0)),
        # 13.1.1, 13.1.4
        ({"if-match": FILE.tag}, WHOLE),
        ({"if-match": "*"}, WHOLE),
        ({"if-match": f"W/{FILE.tag}"}, (412, 0, 0)),
        ({"if-match": OTHER}, (412, 0, 0)),
        ({"if-match": FILE.tag, "if-unmodified-since": BEFORE}, WHOLE),
        ({"if-unmodified-since": BEFORE}, (412, 0, 0)),
        ({"if-unmodified-since": DATE}, WHOLE),
        ({"if-unmodified-since": "yesterday"}, WHOLE),
    ],
)
def test_the_part_that_is_sent(asked: dict[str, str], answered: tuple[int, int, int]) -> None:
    part = answer(FILE, asked)
    assert (part.status, part.start, part.length) == answered


@pytest.mark.parametrize(("asked", "status"), [({}, 200), ({"range": "bytes=0-"}, 416), ({"range": "bytes=-1"}, 416)])
def test_an_empty_file(asked: dict[str, str], status: int) -> None:
    part = answer(Described(0, 0), asked)
    assert (part.status, part.length) == (status, 0)


def test_a_file_in_words() -> None:
    assert FILE.date == DATE
    assert Described(1000, FILE.changed + 1).tag != FILE.tag != Described(999, FILE.changed).tag
    assert answer(FILE, {}) == Part(answer(FILE, {}).status, 0, FILE.size)

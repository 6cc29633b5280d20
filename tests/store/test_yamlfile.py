"""YAML as people mean it; anything odd is refused with file and line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaged.model.errors import BadInput, NotFound
from imaged.store.yamlfile import load, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("a: {b: [1, -5, x]}", {"a": {"b": [1, -5, "x"]}}),
        ("a: true\nb: false\nc: ~\nd:", {"a": True, "b": False, "c": None, "d": None}),
        ("a: yes\nb: no\nc: on\nd: off\ne: True", {"a": "yes", "b": "no", "c": "on", "d": "off", "e": "True"}),
        ("on: 1", {"on": 1}),
        ("mac: 52:54:00:12:34:56", {"mac": "52:54:00:12:34:56"}),
        ("mac: 10:20:30:40:50:10", {"mac": "10:20:30:40:50:10"}),
        ("mode: 0644\nhex: 0x10\nbig: 1_000", {"mode": "0644", "hex": "0x10", "big": "1_000"}),
        ("day: 2026-11-21\ntime: 1:30.5", {"day": "2026-11-21", "time": "1:30.5"}),
        ("a: 1.5\nb: .inf\nc: .nan\nd: 1e5", {"a": 1.5, "b": ".inf", "c": ".nan", "d": "1e5"}),
        ("a: '1'\nb: \"true\"", {"a": "1", "b": "true"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: =", {"a": "="}),
    ],
)
def test_words_are_what_they_look_like(text: str, expected: Any) -> None:
    assert parse(text, where="f") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "f: line 3: the key 'a' is there twice"),
        ("x:\n  - a: 1\n    a: 2", "f: line 3: the key 'a' is there twice"),
        ("1: a", "f: line 1: the key 1 must be a word"),
        ("[a]: b", "f: line 1: the key ['a'] must be a word"),
        ("a: [", "f: line 1: expected the node content"),
        ("a: b: c", "f: line 1: mapping values are not allowed"),
        ("a:\n\tb: 1", "f: line 2: found character '\\t'"),
        ("--- a\n--- b", "f: line 2: "),
        ("a: *b", "f: line 1: found undefined alias 'b'"),
        ("a: &a [*a]", "f: line 1: found unconstructable recursive node"),
        ("a: &a {b: *a}", "f: line 1: found unconstructable recursive node"),
        ("b:\n  <<: {a: 1}", "f: line 2: << is not known here"),
        ("a: !!python/object/apply:os.system [x]", "f: line 1: the tag !!python/object/apply:os.system is not known"),
        ("a: !!timestamp x", "f: line 1: the tag !!timestamp is not known here"),
        ("a: !!binary x", "f: line 1: the tag !!binary is not known here"),
        ("!!map [a]", "f: line 1: expected a mapping of keys"),
        ("!!seq {a: b}", "f: line 1: expected a list"),
        ("!!bool x", "f: not valid YAML"),
        ("!!int x", "f: not valid YAML"),
        ("a: " + "9" * 5000, "f: not valid YAML"),
        ("a: \0", "f: not valid YAML"),
        ("[" * 3000, "f: YAML nested too deeply"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text, where="f")
    assert str(caught.value).startswith(said)


@given(st.text(max_size=40) | st.text(alphabet="ab01:-[]{},&*!|>'\"#%@`~<=.\n\t ?", max_size=40))
def test_any_text_is_plain_data_or_bad_input(text: str) -> None:
    try:
        data = parse(text, where="f")
    except BadInput:
        return
    assert _is_plain(data)


def _is_plain(data: Any) -> bool:
    if isinstance(data, dict):
        return all(isinstance(key, str) and _is_plain(value) for key, value in data.items())
    if isinstance(data, list):
        return all(map(_is_plain, data))
    return data is None or type(data) in (str, int, bool, float)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: Jürgen\n", encoding="utf-8")
    assert load(path) == {"name": "Jürgen"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: J\xfcrgen\n")
    with pytest.raises(BadInput, match="byte 7 is not UTF-8"):
        load(tmp_path / "latin.yaml")

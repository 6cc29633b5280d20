"""Container images: which one, which layers, what a layer takes away."""

import json

import pytest

from imaged.model.errors import BadInput
from imaged.planning.oci import (
    Blob,
    Choice,
    choose,
    diff_ids,
    goarch,
    is_index,
    read_docker,
    read_index,
    read_manifest,
    taken,
)

_A, _B, _C = (f"sha256:{letter * 64}" for letter in "abc")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _entry(digest: str, **more: object) -> dict[str, object]:
    return {"mediaType": "x", "digest": digest, "size": 3, **more}


def test_an_index_is_read_without_what_tells_about_other_images() -> None:
    text = _json(
        {
            "manifests": [
                _entry(_A, annotations={"org.opencontainers.image.ref.name": "12"}, platform={"architecture": "arm64"}),
                _entry(_B, annotations={"vnd.docker.reference.type": "attestation-manifest"}),
                _entry(
                    _C, annotations={"org.opencontainers.image.ref.name": "\x1b[31m", "io.containerd.image.name": "n"}
                ),
            ]
        }
    )
    assert read_index(text, "index.json") == (
        Choice(Blob(_A, 3), ("12",), "arm64"),
        Choice(Blob(_C, 3), ("n", "?[31m")),
    )
    assert is_index(text)


AMD, ARM = Choice(Blob(_A), ("debian:12",), "amd64"), Choice(Blob(_B), ("debian:12",), "arm64")
OLD, ANY = Choice(Blob(_C), ("debian:11",), "amd64"), Choice(Blob(_C), ("registry:5000/other/debian:11",))


@pytest.mark.parametrize(
    ("choices", "tag", "arch", "expected"),
    [
        ((AMD,), "", "", AMD),
        ((ARM,), "", "", ARM),  # the only one there is
        ((AMD, ARM), "", "", AMD),
        ((AMD, ARM), "", "aarch64", ARM),
        ((AMD, ARM), "", "arm64", ARM),
        ((AMD, OLD), "12", "", AMD),
        ((AMD, OLD), "debian:11", "", OLD),
        ((AMD, ANY), "debian:11", "", ANY),
        ((AMD, ANY), "debian:11", "riscv64", ANY),  # its config tells
        ((AMD, Choice(AMD.blob, ("latest",), "amd64")), "", "", AMD),
    ],
)
def test_one_image_is_chosen(choices: tuple[Choice, ...], tag: str, arch: str, expected: Choice) -> None:
    assert choose(choices, tag, arch, "x86_64", "index.json") == expected


@pytest.mark.parametrize(
    ("choices", "tag", "arch", "said"),
    [
        ((), "", "", "there is no image in it"),
        ((AMD, OLD), "", "", "Choose with --tag"),
        ((AMD, ANY), "", "", "Choose with --tag"),
        ((AMD, OLD), "13", "", "no image '13'"),
        ((AMD, OLD), "2", "", "no image '2'"),
        ((AMD,), "", "aarch64", "none for aarch64"),
        ((ARM, Choice(Blob(_C), (), "s390x")), "", "", "Choose with --arch"),
    ],
)
def test_a_choice_that_is_not_clear_lists_what_there_is(
    choices: tuple[Choice, ...], tag: str, arch: str, said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        choose(choices, tag, arch, "x86_64", "index.json")
    assert said in str(caught.value)
    assert all(str(choice) in str(caught.value) for choice in choices)


def test_a_manifest_and_its_config_are_read() -> None:
    manifest = read_manifest(_json({"config": _entry(_A), "layers": [_entry(_B), _entry(_C)]}), "m")
    assert (manifest.config.digest, [layer.digest for layer in manifest.layers]) == (_A, [_B, _C])
    assert manifest.config.at == f"blobs/sha256/{'a' * 64}"
    text = _json({"architecture": "arm64", "rootfs": {"type": "layers", "diff_ids": [_B, _C]}})
    assert diff_ids(text, 2, "c") == ((_B, _C), "arm64")


def test_what_docker_saves_is_read() -> None:
    old = {"Config": f"{'a' * 64}.json", "RepoTags": None, "Layers": ["1/layer.tar"]}
    new = {"Config": f"blobs/sha256/{'b' * 64}", "RepoTags": ["x:1"], "Layers": [f"blobs/sha256/{'c' * 64}"]}
    first, second = read_docker(_json([old, new]), "manifest.json")
    assert (first.config.digest, first.config.at, first.layers) == (
        _A,
        f"{'a' * 64}.json",
        (Blob("", path="1/layer.tar"),),
    )
    assert (second.names, second.layers[0].digest) == (("x:1",), _C)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_index, b"{"),
        (read_index, b"[]"),
        (read_index, b"[" * 100_000),
        (read_index, b'{"manifests": 3}'),
        (read_index, b'{"manifests": [3]}'),
        (read_index, b'{"manifests": [{"digest": "sha256:x", "size": 1}]}'),
        (read_index, b'{"manifests": [{"digest": "sha256:../../etc/shadow", "size": 1}]}'),
        (read_index, _json({"manifests": [_entry(_A, annotations=[1])]})),
        (read_manifest, b'{"layers": []}'),
        (read_manifest, _json({"config": _entry(_A)})),
        (read_manifest, _json({"config": {"digest": _A}, "layers": []})),
        (read_docker, b"{}\xff"),
        (read_docker, b"[{}]"),
        (read_docker, b'[{"Config": 3, "Layers": [], "RepoTags": []}]'),
        (read_docker, b"3"),
        (lambda text, where: diff_ids(text, 1, where), b"{}"),
        (lambda text, where: diff_ids(text, 2, where), _json({"rootfs": {"diff_ids": [_A]}})),
        (lambda text, where: diff_ids(text, 1, where), _json({"rootfs": {"diff_ids": ["md5:1"]}})),
    ],
)  # type: ignore[misc]
def test_what_is_no_container_image_is_said(read, text: bytes) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput) as caught:
        read(text, "here")
    assert caught.value.where == "here"


def test_what_a_layer_takes_away() -> None:
    members = [
        ("./etc/", True), ("etc/.wh.passwd", False), ("/usr/.wh..wh..opq", False), ("./var/x", False),
        (".wh..wh.plnk", False), (".wh.tmp", False), ("./", True), ("a/.wh.deep.wh.name", False),
        (".wh..wh..opq", False),
    ]  # fmt: skip
    found = taken(members)
    assert found.removed == ("etc/passwd", "tmp", "a/deep.wh.name")
    assert found.emptied == ("usr", "")
    assert found.replaced == ("var/x",)


@pytest.mark.parametrize("name", ["a/.wh.", "a/.wh..", "a/.wh..."])
def test_a_mark_that_would_take_a_parent_away_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="takes"):
        taken([(name, False)])


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("amd64", "amd64")])
def test_processors_have_two_names(machine: str, expected: str) -> None:
    assert goarch(machine) == expected

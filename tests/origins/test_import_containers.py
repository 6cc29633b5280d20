"""Container images become trees: layers, marks for what is gone, choices, digests."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from imaged.model.errors import BadInput
from tests.origins.import_sources import (
    GNU,
    GZIP,
    LayoutMaker,
    Site,
    archive,
    entries,
    forged,
    layer,
    layer_of,
    make_root,
    member,
)

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make such files"),
    pytest.mark.skipif(not shutil.which("zstd"), reason="needs zstd"),
]
BASE = layer(etc=None, usr=None, etc__a="a", etc__b="b", usr__lib=None, usr__lib__x="x", usr__lib__y="y", opt=None)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def maker(tmp_path: Path) -> LayoutMaker:
    return LayoutMaker(tmp_path / "layout")


def files(site: Site) -> dict[str, str]:
    found = {path.relative_to(site.tree).as_posix(): path for path in site.tree.rglob("*")}
    return {name: path.read_text() for name, path in found.items() if path.is_file() and not path.is_symlink()}


WHOLE = {"etc/a": "a", "etc/b": "b", "usr/lib/x": "x", "usr/lib/y": "y"}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([BASE], WHOLE),
        ([BASE, layer(etc__a="new", etc__c="c")], {**WHOLE, "etc/a": "new", "etc/c": "c"}),
        ([BASE, layer_of({"etc/.wh.a": ""})], {name: WHOLE[name] for name in WHOLE if name != "etc/a"}),
        ([BASE, layer_of({"usr/.wh.lib": ""})], {"etc/a": "a", "etc/b": "b"}),
        ([BASE, layer_of({"usr/.wh.lib": "", "usr/lib": None, "usr/lib/z": "z"})],
         {"etc/a": "a", "etc/b": "b", "usr/lib/z": "z"}),
        ([BASE, layer_of({"usr/lib": None, "usr/lib/z": "z", "usr/lib/.wh..wh..opq": ""})],
         {"etc/a": "a", "etc/b": "b", "usr/lib/z": "z"}),
        ([BASE, layer_of({"usr/.wh.nothing": "", "no/where/.wh.x": "", ".wh..wh.plnk": ""})], WHOLE),
        ([BASE, layer_of({"usr/lib": "a file now"})], {"etc/a": "a", "etc/b": "b", "usr/lib": "a file now"}),
        ([BASE, layer_of({"etc/a": None, "etc/a/deep": "d"})],
         {**{name: WHOLE[name] for name in WHOLE if name != "etc/a"}, "etc/a/deep": "d"}),
        ([BASE, layer_of({"etc/.wh.a": ""}), layer_of({"etc/a": "again"})], {**WHOLE, "etc/a": "again"}),
        ([layer_of({"etc/.wh.x": "", "etc/x": "x", "usr": None})], {"etc/x": "x"}),
    ],
)  # fmt: skip
def test_layers_are_laid_down_in_order(
    site: Site, maker: LayoutMaker, layers: list[bytes], expected: dict[str, str]
) -> None:
    maker.add(maker.image(layers), "debian:12")
    imported = site.take(maker.at)
    assert files(site) == expected
    assert imported.kind.startswith("OCI layout, debian:12 sha256:")
    assert site.rest() == []


def test_everything_that_makes_a_file_is_kept(site: Site, maker: LayoutMaker, tmp_path: Path) -> None:
    if not shutil.which("busybox"):
        pytest.skip("needs busybox")
    make_root(tmp_path / "root")
    plain = archive(tmp_path / "root", tmp_path / "layer.tar", tool=GNU).read_bytes()
    maker.add(maker.image([BASE, layer_of({".wh..wh..opq": ""}), plain]))
    site.take(archive(maker.at, tmp_path / "a"))
    assert entries(site.tree) == entries(tmp_path / "root")


def test_later_layers_go_through_links_as_the_machine_would(site: Site, maker: LayoutMaker) -> None:
    links = forged((member("lib", tarfile.SYMTYPE, link="/usr/lib"), ""))
    maker.add(maker.image([BASE, links, layer_of({"lib/z": "z", "lib/.wh.x": ""}), layer_of({"lib/new": "n"})]))
    site.take(maker.at)
    assert files(site) == {"etc/a": "a", "etc/b": "b", "usr/lib/y": "y", "usr/lib/z": "z", "usr/lib/new": "n"}


@pytest.mark.parametrize("link", ["{outside}", "../../../../../../../../..{outside}", "{outside}/x"])
@pytest.mark.parametrize("names", ["out", "out/x", "out/.wh.x", "out/.wh..wh..opq", "out/../../../.wh.etc"])
def test_nothing_reaches_through_a_link_of_an_earlier_layer(
    site: Site, maker: LayoutMaker, tmp_path: Path, link: str, names: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("mine")
    links = forged((member("out", tarfile.SYMTYPE, link=link.format(outside=outside)), ""))
    maker.add(maker.image([BASE, links, layer_of({names: "evil"})]))
    with suppress(BadInput):
        site.take(maker.at)
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("x", "mine")]
    assert site.rest() == []


def test_an_image_is_chosen_by_tag_and_processor(maker: LayoutMaker, tmp_path: Path) -> None:
    several = maker.index(
        maker.image([BASE, layer(etc__is="amd")]),
        maker.image([BASE, layer(etc__is="arm")], "arm64"),
        {**maker.blob(b"{}"), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
    )
    maker.add(several, "12")
    maker.add(maker.image([BASE, layer(etc__is="old")]), "11")
    for number, (tag, arch, machine, expected) in enumerate(
        [("12", "", "x86_64", "amd"), ("12", "", "aarch64", "arm"), ("12", "aarch64", "x86_64", "arm"),
         ("12", "arm64", "x86_64", "arm"), ("11", "", "x86_64", "old")]
    ):  # fmt: skip
        site = Site(tmp_path / str(number))
        site.take(maker.at, tag=tag, arch=arch, machine=machine)
        assert files(site)["etc/is"] == expected
    for number, (tag, arch, said) in enumerate(
        [("", "", "--tag"), ("13", "", "no image '13'"), ("12", "s390x", "s390x")]
    ):
        with pytest.raises(BadInput) as caught:
            Site(tmp_path / f"no{number}").take(maker.at, tag=tag, arch=arch)
        assert said in str(caught.value)


def test_what_docker_saved_in_its_older_form_is_read(site: Site, tmp_path: Path) -> None:
    """One directory per layer; a layer that is there twice is a link to the other one."""
    at = tmp_path / "saved"
    second = layer(etc__c="c")
    for name, content in (("1", BASE), ("2", second)):
        (at / name).mkdir(parents=True)
        (at / name / "layer.tar").write_bytes(content)
    (at / "3").mkdir()
    (at / "3/layer.tar").symlink_to("../2/layer.tar")
    ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in (BASE, second, second)]
    config = json.dumps({"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    (at / name).write_bytes(config)
    layers = [f"{number}/layer.tar" for number in (1, 2, 3)]
    (at / "manifest.json").write_text(json.dumps([{"Config": name, "RepoTags": ["debian:12"], "Layers": layers}]))
    (at / "repositories").write_text("{}")
    imported = site.take(archive(at, tmp_path / "a", packer="gzip"), tag="12")
    assert imported.kind == f"docker archive, debian:12 sha256:{name.removesuffix('.json')}"
    assert files(site) == {**WHOLE, "etc/c": "c"}


def test_a_link_in_a_saved_image_does_not_lead_out_of_it(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(BASE)
    at = tmp_path / "saved"
    at.mkdir()
    (at / "layer.tar").symlink_to(secret)
    config = {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(BASE).hexdigest()}"]}}
    (at / "c.json").write_text(json.dumps(config))
    (at / "manifest.json").write_text(json.dumps([{"Config": "c.json", "RepoTags": [], "Layers": ["layer.tar"]}]))
    with pytest.raises(BadInput, match=r"layer\.tar: is not in the image"):
        site.take(archive(at, tmp_path / "a"))


@pytest.mark.parametrize("which", ["manifest", "config", "layer", "missing", "shorter", "diff"])
def test_what_is_not_what_its_digest_says_is_refused(site: Site, maker: LayoutMaker, which: str) -> None:
    image = maker.image([BASE, layer(etc__c="c")])
    maker.add(image)
    blobs = maker.at / "blobs/sha256"
    manifest = json.loads((blobs / image["digest"][7:]).read_bytes())
    if which == "diff":  # blobs are whole, and their content is not what the config promises
        config = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
        config["rootfs"]["diff_ids"].reverse()
        manifest["config"] = maker.document(config, "config")
        maker.top = []
        maker.add(maker.document(manifest, "manifest"))
    else:
        digest = {"manifest": image, "config": manifest["config"]}.get(which, manifest["layers"][1])["digest"]
        at = blobs / digest.removeprefix("sha256:")
        content = at.read_bytes()
        if which == "missing":
            at.unlink()
        else:
            at.write_bytes(content[:-1] if which == "shorter" else bytes([*content[:-1], content[-1] ^ 1]))
    with pytest.raises(BadInput) as caught:
        site.take(maker.at)
    assert "blobs/sha256/" in caught.value.where
    assert site.rest() == []


def test_an_index_without_end_is_refused(site: Site, maker: LayoutMaker) -> None:
    image = maker.image([BASE])
    for _ in range(8):
        image = maker.index(image)
    maker.add(image)
    with pytest.raises(BadInput, match="without end"):
        site.take(maker.at)


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
def test_what_skopeo_writes_is_read(site: Site, maker: LayoutMaker, tmp_path: Path, form: str) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    maker.add(maker.image([BASE, layer(etc__c="c"), layer_of({"etc/.wh.a": ""})], packers=(GZIP,)), "12")
    (tmp_path / "policy").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    to = f"{form}:{tmp_path}/out:debian:12"
    options = ("--policy", f"{tmp_path}/policy", "copy", "--quiet")
    subprocess.run(("skopeo", *options, f"oci:{maker.at}:12", to), check=True)
    site.take(tmp_path / "out", tag="12")
    assert files(site) == {"etc/b": "b", "etc/c": "c", "usr/lib/x": "x", "usr/lib/y": "y"}

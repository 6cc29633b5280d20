"""Names of processors: as ``uname -m`` says them, and what else people and distributions call them."""

_OTHERS = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "i486": "i686", "i586": "i686", "armhf": "armv7l",
           "ppc64el": "ppc64le"}  # fmt: skip
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64", "ppc64le": "ppc64el", "s390x": "s390x"}
KNOWN = ("x86_64", "aarch64", "i686", "armv7l", "riscv64", "ppc64le", "s390x", "loongarch64")


def machine_arch(name: str) -> str:
    """``x86_64`` for ``amd64``; a name that is not known stays as it is."""
    return _OTHERS.get(name, name)

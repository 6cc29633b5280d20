"""How a path is written for people: no name in an image can steer a terminal or break a line."""


def shown(path: str) -> str:
    r"""``path`` (as os.fsdecode gives it) with bytes that are not printable UTF-8 as ``\ooo``, like ls(1) in quotes."""
    if path.isprintable():
        return path
    return "".join(sign if sign.isprintable() else _octal(sign) for sign in path)


def _octal(sign: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", "surrogateescape"))

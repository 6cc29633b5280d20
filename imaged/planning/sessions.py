"""Sessions of the web page: whose they are now, what a form must carry, where somebody goes after logging in. Pure."""

import hashlib
import hmac
from collections.abc import Collection
from typing import Final

from imaged.model.access import Caller, Token
from imaged.model.errors import Denied
from imaged.model.people import Session, User
from imaged.planning.access import by_token

TOKEN, USER = "token", "user"
COOKIE: Final = "imaged_session"
SAID: Final = "imaged_said"
_NOTHING_ELSE: Final = {  # what every answer to a browser says
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def headers(*, secure: bool) -> dict[str, str]:
    """Of every page; ``secure``: it came by TLS, and nothing but TLS is to be used from now on."""
    return {**_NOTHING_ELSE, **({"Strict-Transport-Security": "max-age=31536000"} if secure else {})}


def resumed(session: Session | None, token: Token | None, user: User | None, now: float) -> Caller | None:
    """Whose session it is; None: nobody's any more. ``token`` or ``user``: those of its name as they are now."""
    if session is None or session.expires <= now:
        return None
    if session.by == TOKEN and token and token.created == session.proof:
        return by_token(token, now) if token.expires is None or token.expires > now else None
    if session.by == USER and user and user.changed == session.proof:
        return Caller(f"user:{user.name}", user.role)
    return None


def form_token(secret: str) -> str:
    """What a form of this session carries, so that no other site can send it; from it nobody learns the secret."""
    return hmac.new(secret.encode(), b"forms of the web page", hashlib.sha256).hexdigest()


def refuse_forged(secret: str, carried: str, origin: str, host: str) -> None:
    """``origin`` and ``host`` as the headers have them; browsers that send no origin are judged by the form alone.

    Raises Denied.
    """
    refuse_elsewhere(origin, host)
    if not hmac.compare_digest(form_token(secret).encode(), carried.encode("utf-8", "replace")):
        raise Denied("this form is not of this session", hint="Load the page again, and send it once more.")


def refuse_elsewhere(origin: str, host: str) -> None:
    """Raises Denied for a form that a page of somebody else sends."""
    if origin and origin.partition("://")[2].lower() != host.lower():
        raise Denied("this form comes from another site", where=origin[:200])


def cookie(name: str, text: str, *, secure: bool, seconds: int | None) -> str:
    """The header that sets it; ``seconds`` 0: it is gone. Scripts never see it."""
    age = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={text}; Path=/; HttpOnly; SameSite=Strict{age}{'; Secure' if secure else ''}"


def cookies(header: str) -> dict[str, str]:
    """RFC 6265, section 4.2; of several of one name the first counts."""
    pairs = (each.strip().partition("=") for each in header.split(";"))
    found: dict[str, str] = {}
    for name, _, text in pairs:
        found.setdefault(name, text)
    return found


def inside(path: str, otherwise: str = "/") -> str:
    """``path`` if it is one of this server, else another: nobody is sent elsewhere by what was in an address."""
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and " " not in path
    return path if fine and len(path) <= 2000 and path.isascii() else otherwise


def over_tls(forwarded: str, *, trusted: bool) -> bool:
    """By the header ``X-Forwarded-Proto`` of a proxy that the settings trust."""
    return trusted and forwarded.rpartition(",")[2].strip().lower() == "https"


def address(direct: str, forwarded: str, *, trusted: bool) -> str:
    """Whoever asks; by the last word of ``X-Forwarded-For``, which the proxy itself has written."""
    return forwarded.rpartition(",")[2].strip()[:64] or direct if trusted else direct


def shown_pages(known: Collection[str], path: str) -> str:
    """The page of the menu that ``path`` is below."""
    best = [each for each in known if path == each or path.startswith(f"{each.rstrip('/')}/")]
    return max(best, key=len, default="")

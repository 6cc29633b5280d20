"""Time zone, language and keyboard, where something was said of them; else they are the image's."""

import re

from imaged.model.plan import CheckFile, MakeLink, RunInTarget, Step, WriteFile
from imaged.planning.fixups.target import Target


def locale(target: Target) -> tuple[Step, ...]:
    """localtime(5), locale.conf(5), vconsole.conf(5), and Debian's own files where the image has those."""
    return (*_timezone(target), *_language(target), *_keyboard(target))


def _timezone(target: Target) -> tuple[Step, ...]:
    zone = target.host.timezone
    if not zone:
        return ()
    said = (WriteFile("/etc/timezone", f"{zone}\n", reason="the node's time zone"),)
    return (
        CheckFile(f"/usr/share/zoneinfo/{zone}", reason="the image does not know this time zone: tzdata"),
        MakeLink("/etc/localtime", f"../usr/share/zoneinfo/{zone}", "the node's time zone"),
        *(said if "/etc/timezone" in target.facts.files else ()),
    )


def _language(target: Target) -> tuple[Step, ...]:
    lang, facts = target.host.locale, target.facts
    if not lang:
        return ()
    path = "/etc/default/locale" if "/etc/default/locale" in facts.files or _debian(target) else "/etc/locale.conf"
    steps: list[Step] = [WriteFile(path, f"LANG={lang}\n", reason="the node's language")]
    if "locale-gen" in facts.commands and "/etc/locale.gen" in facts.files:
        shape = f"s/^#[[:space:]]*({re.escape(lang)}[[:space:]])/\\1/"
        steps.append(RunInTarget(("sed", "-i", "-E", shape, "/etc/locale.gen"), reason="the node's language"))
        # Debian's leaves those alone that are there: an update asks again each time.
        keep = ("--keep-existing",) if _debian(target) else ()
        steps.append(RunInTarget(("locale-gen", *keep), reason="the node's language"))
    return tuple(steps)


def _keyboard(target: Target) -> tuple[Step, ...]:
    layout, _, variant = (target.host.keyboard or "").partition(":")
    if not layout:
        return ()
    xkb = f'XKBMODEL="pc105"\nXKBLAYOUT="{layout}"\nXKBVARIANT="{variant}"\nXKBOPTIONS=""\n'
    if "/etc/default/keyboard" in target.facts.files or _debian(target):
        return (WriteFile("/etc/default/keyboard", f'{xkb}BACKSPACE="guess"\n', reason="the node's keyboard"),)
    # kbd has a keymap of this name for every layout and variant of XKB
    keymap = f"{layout}-{variant}" if variant else layout
    text = f"KEYMAP={keymap}\nXKBLAYOUT={layout}\n" + (f"XKBVARIANT={variant}\n" if variant else "")
    return (WriteFile("/etc/vconsole.conf", text, reason="the node's keyboard"),)


def _debian(target: Target) -> bool:
    return "debconf-set-selections" in target.facts.commands

"""An update without the agent, as a shell script that one node runs: plain rsync, then the steps of its plan. Pure.

For nodes that have sshd, rsync and a POSIX shell, but no Python or no agent. What the agent knows and a shell does not
is left out and said: see ``NOT_DONE``.
"""

import re
import shlex
from collections.abc import Iterable, Iterator

from attrs import frozen

from imaged.model.errors import BadInput
from imaged.model.plan import CheckFile, CopyFile, MakeLink, MoveFile, RemovePath, RunInTarget, WriteFile
from imaged.model.uefi import InstallGrub, MirrorEsp
from imaged.model.update import Triggered, UpdatePlan, UpdateStep
from imaged.planning.answers import Change, UpdateAnswer
from imaged.planning.rsync_filter import escape

NOT_DONE = (
    "Without the agent rsync walks the whole image, contents are not proven by their hashes, users and groups of the "
    "image are not merged, and a new kernel is in the menu but not tried by itself."
)
_OURS = ("/.imaged", "/**/.imaged", "/var/lib/imaged")
_MARK = "imaged-plain"
# rsync(1), --itemize-changes: eleven characters, then the name.
_ITEM = re.compile(r"(\*deleting  |[<>ch.*][fdLDS].{9}) (.+)")


@frozen
class Plain:
    """What was asked for. ``server`` is the address of our rsync service; ``root`` the tree, empty: the node's own."""

    server: str
    dry_run: bool = False
    checksum: bool = False
    delete: bool = True
    bootloader: bool = True
    confirmed: bool = False
    root: str = ""


def script(plan: UpdatePlan, laid: Iterable[str], how: Plain) -> str:
    """For ``sh -s``. ``laid`` are the paths of overrides that are no directories, without a leading slash.

    Exit codes are the agent's: 3 for a guard. ``read`` understands its output.
    """
    files = tuple(laid)
    quoted = {name: shlex.quote(value) for name, value in (("root", how.root), ("node", plan.node))}
    lines = [
        _HEAD.format(server=how.server, port=plan.rsync_port, **quoted),
        _os_guard(plan.guard.os_id) if not how.confirmed else "",
        _ESP,
        _list("rules", (*_brought(plan), *(f"- {each}" for each in _left_alone(plan, files)))),
        _RULES,
        *_transfers(files, how),
        _GUARD.format(most=plan.guard.deletes) if how.delete and not how.confirmed else "",
    ]
    if how.dry_run:
        return "\n".join([*lines, 'cat "$tmp/list"', _COUNT, "exit 0\n"])
    lines += ['rm -f "$root$home/serial"', "pull", 'cut -c13- "$tmp/list" | sed "s,^,/,; s,/$,," >"$tmp/paths"']
    lines += list(_steps(plan.fixups))
    lines += list(_steps(plan.bootloader)) if how.bootloader else []
    for each in plan.scripts:
        lines.append(_script(each.name, each.content, plan.variables))
    return "\n".join([*lines, _COUNT, ""])


def refusal(why: str) -> str:
    """For a node that no plan can be made for."""
    return f"printf '%s\\n' {shlex.quote(why)} >&2; exit 1\n"


def read(output: str, image: str) -> UpdateAnswer:
    """What the script printed. Raises BadInput for an output without its last line."""
    changes: list[Change] = []
    for line in output.splitlines():
        item = _ITEM.fullmatch(line)
        words = line.split()
        if item:
            kind = "delete" if item[1].startswith("*") else "add" if item[1].endswith("+++++++++") else "change"
            changes.append(Change(kind, f"/{item[2]}", "" if kind == "delete" else item[1]))
        elif len(words) == 5 and words[0] == _MARK and all(word.isdigit() for word in words[1:]):
            added, changed, deleted, reboot = map(int, words[1:])
            return UpdateAnswer(image, "done", "", added, changed, deleted, 0, bool(reboot), tuple(changes))
    raise BadInput("the node's shell did not come to the end of the update")


_HEAD = """\
set -eu
LC_ALL=C; export LC_ALL; umask 022
root={root}; home=/var/lib/imaged; tmp=
fail() {{ printf 'imaged: %s\\n' "$1" >&2; exit "${{2:-1}}"; }}
command -v rsync >/dev/null || fail 'this node has no rsync either: install the node again'
[ -s "$root$home/secret" ] || fail "$home/secret is missing: this system was not installed by imaged"
exec 9>>"$root$home/lock"
if command -v flock >/dev/null; then flock -n 9 || fail 'another update is at it already' 3; fi
trap 'rm -rf "$tmp"' EXIT; trap 'exit 130' HUP INT TERM
tmp=$(umask 077; mktemp -d "$root$home/plain.XXXXXX")
RSYNC_PROXY={node}:$(cat "$root$home/secret")@{server}:{port}; export RSYNC_PROXY
inside() {{ if [ "$root" ]; then chroot "$root" "$@"; else "$@"; fi; }}
put() {{ # path mode; its content by standard input
  cat >"$tmp/new"; mkdir -p -- "$(dirname -- "$root$1")"; at=$(readlink -f -- "$root$1")
  if cmp -s "$tmp/new" "$at"; then chmod "$2" "$at" || :; return 0; fi
  cat "$tmp/new" >"$at.imaged-new"; chmod "$2" "$at.imaged-new" || :; mv -f -- "$at.imaged-new" "$at"
  printf '%s\\n' "$1" >>"$tmp/paths"
}}
link() {{ # path target
  [ "$(readlink -- "$root$1" || :)" != "$2" ] || return 0
  mkdir -p -- "$(dirname -- "$root$1")"
  if [ -d "$root$1" ] && [ ! -L "$root$1" ]; then rmdir -- "$root$1"; fi
  ln -sfn -- "$2" "$root$1"; printf '%s\\n' "$1" >>"$tmp/paths"
}}
move() {{ # source path
  if [ -e "$root$1" ]; then sync; mv -f -- "$root$1" "$root$2"; printf '%s\\n' "$2" >>"$tmp/paths"; fi
}}
check() {{ # path mode text
  [ -s "$root$1" ] || fail "$1: is missing or empty"
  if [ "$2" ] && [ "$(stat -c %04a "$root$1")" != "$2" ]; then fail "$1: has another mode than $2"; fi
  if [ "$3" ] && ! grep -qF -- "$3" "$root$1"; then fail "$1: does not hold '$3'"; fi
}}
touched() {{ # patterns: has a path that one of them covers changed?
  while IFS= read -r path; do for pattern do case $path in $pattern) return 0;; esac; done; done <"$tmp/paths"
  return 1
}}
"""

# As installer/node/esp.py has it: all that is new is on the disk before it takes its name, the removable path comes
# last, and copies of the partition when that is whole.
_ESP = """\
copy() { # source path
  if cmp -s "$root$1" "$root$2"; then return 0; fi
  mkdir -p -- "$(dirname -- "$root$2")"; cp -p -- "$root$1" "$root$2.imaged-new"; sync
  mv -f -- "$root$2.imaged-new" "$root$2"; sync
}
grub() { # esp, the words of its grub-install
  esp=$1; stage=$root$esp/.imaged-boot; shift; rm -rf "$stage"; mkdir "$stage"
  inside "$@" "--efi-directory=$esp/.imaged-boot" >&2 || fail "$1 ended with $?"
  sync; take '*' '*/EFI/BOOT/*'; sync; take '*/EFI/BOOT/*' ''; sync; rm -rf "$stage"
}
take() { # paths of the stage that these are, and those are not
  find "$stage" -type f | while IFS= read -r from; do
    case $from in $2) continue;; $1) ;; *) continue;; esac
    to=$root$esp${from#"$stage"}; mkdir -p "$(dirname "$to")"; mv -f "$from" "$to"
  done
}
mirror() { # esp devices
  esp=$1; shift; mkdir -p "$tmp/esp"
  for device do
    mount -t vfat -o umask=0077 "$device" "$tmp/esp" >&2 || { echo "$esp has no copy on $device" >&2; continue; }
    code=0
    for which in --exclude=/EFI/BOOT/ --delete; do
      rsync -rt --modify-window=2 "$which" "$root$esp/" "$tmp/esp/" >&2 || code=$?
      sync
    done
    umount "$tmp/esp"
    [ "$code" = 0 ] || fail "rsync of $esp to $device ended with $code"
  done
}
"""

# Of the image are local filesystems that fstab mounts at that place, as for the agent (installer/node/mounts.py); each
# other mount point is left alone with all that is in it. FAT, which knows no owners, has a transfer of its own. The
# kernel that runs stays startable.
_RULES = """\
if [ -z "$root" ]; then
  kernel=$(uname -r)
  for each in "/boot/*-$kernel" "/boot/*-$kernel.*" "/lib/modules/$kernel" "/usr/lib/modules/$kernel"; do
    printf 'P %s\\0P %s/**\\0' "$each" "$each" >>"$tmp/rules"
  done
fi
cp "$tmp/rules" "$tmp/rules-of-fat"
of_image() {
  case $2 in ext[234]|xfs|btrfs|f2fs|vfat|overlay) ;; *) return 1;; esac
  [ -r "$root/etc/fstab" ] || return 1
  while read -r device at kind _; do
    case $device$kind in '#'*|*none|*bind) continue;; esac
    if [ "$at" = "$1" ]; then return 0; fi
  done <"$root/etc/fstab"
  return 1
}
while read -r _ point kind _; do
  case $point in "$root"/?*) point=${point#"$root"};; *) continue;; esac
  if ! of_image "$point" "$kind"; then printf '%s\\n' "$point"
  elif [ "$kind" = vfat ]; then
    printf '%s\\n' "$point"; above=$point
    while [ "$above" ]; do printf '+ %s/\\0' "$above" >>"$tmp/fat"; above=${above%/*}; done
    printf '+ %s/***\\0' "$point" >>"$tmp/fat"
  fi
done </proc/mounts | sed 's/\\\\[0-7][0-7][0-7]/?/g; s/[*[]/?/g; s/^/- /' | tr '\\n' '\\0' >>"$tmp/rules"
if [ -s "$tmp/fat" ]; then { cat "$tmp/fat"; printf -- '- *\\0'; } >>"$tmp/rules-of-fat"; fi"""

_GUARD = """\
deleted=$(grep -c '^\\*deleting' "$tmp/list" || :)
if [ "$deleted" -gt {most} ]; then
  fail "$deleted paths would be deleted, more than the {most} that go unasked; --yes goes on" 3
fi"""

_COUNT = f"""\
added=$(grep -c '^..+++++++++' "$tmp/list" || :); deleted=$(grep -c '^\\*deleting' "$tmp/list" || :)
all=$(grep -c . "$tmp/list" || :); reboot=0
if [ -f "$tmp/paths" ] && touched '/boot/vmlinu*' '/boot/Image-*'; then reboot=1; fi
printf '{_MARK} %s %s %s %s\\n' "$added" "$((all - added - deleted))" "$deleted" "$reboot" """


def _os_guard(wanted: str) -> str:
    if not wanted:
        return ""
    said = shlex.quote(f", the image is {wanted}; --yes goes on")
    return (
        'id=$( (. "$root/etc/os-release" && printf %s "${ID-}") 2>/dev/null || :)\n'
        f'if [ "$id" ] && [ "$id" != {shlex.quote(wanted)} ]; then fail "the node runs $id"{said} 3; fi'
    )


def _brought(plan: UpdatePlan) -> Iterator[str]:
    """Boot programs come though all around them on the EFI system partition is left alone."""
    yield from (f"+ {escape(path)}" for path in plan.loaders)
    vendors = dict.fromkeys(path.rpartition("/")[0] for path in plan.loaders)
    for directory in (*vendors, *dict.fromkeys(each.rpartition("/")[0] for each in vendors)):
        yield from (f"+ {escape(directory)}/", f"- {escape(directory)}/*")


def _left_alone(plan: UpdatePlan, laid: Iterable[str]) -> Iterator[str]:
    """Patterns as rsync has them: ours agree but for what is in a directory."""
    written = (
        each.step.path
        for each in (*plan.fixups, *plan.bootloader)
        if isinstance(each.step, WriteFile | CopyFile | MoveFile | RemovePath | MakeLink)
    )
    moved = (each.step.source for each in plan.fixups if isinstance(each.step, MoveFile))
    for pattern in (*(each.pattern for each in plan.protect), *_OURS, *written, *moved, *plan.merge):
        yield f"{pattern}*" if pattern.endswith("/") else pattern
    yield from (escape(f"/{path}") for path in laid)


def _list(name: str, words: Iterable[str]) -> str:
    """NUL-ended: a name may hold a newline."""
    return "".join(f"printf '%s\\0' {shlex.quote(word)} >>\"$tmp/{name}\"\n" for word in words)


def _transfers(laid: tuple[str, ...], how: Plain) -> Iterator[str]:
    """With --delete-delay nothing goes before everything has come, and --delay-updates does the same for what changes.

    Directories of overrides only say where their files go: the image's own keep their owners and modes.
    """
    common = "rsync -aHAXS --numeric-ids --delay-updates --partial-dir=.imaged-partial --from0 --out-format='%i %n'"
    common += " --ignore-times" if how.checksum else ""
    image = f'{common}{" --delete-delay" if how.delete else ""} --filter="merge $tmp/rules"'
    lines = ["transfer() {", f'  {image} "$@" rsync://imaged/image/ "$root/" || fail "rsync ended with $?"']
    fat = image.replace("-aHAXS --numeric-ids", "-rt --modify-window=2 --omit-dir-times")
    fat = fat.replace("rules", "rules-of-fat")
    lines.append(f'  [ ! -s "$tmp/fat" ] || {fat} "$@" rsync://imaged/image/ "$root/" || fail "rsync ended with $?"')
    if laid:
        yield _list("names", laid)
        overrides = f'{common} --no-implied-dirs --files-from="$tmp/names"'
        lines.append(
            f'  {overrides} "$@" rsync://imaged/overrides/ "$root/" || fail "rsync of overrides ended with $?"'
        )
    yield "\n".join([*lines, "}", "pull() { transfer >/dev/null; }", 'transfer --dry-run >"$tmp/list"'])


def _steps(triggered: Iterable[Triggered]) -> Iterator[str]:
    for each in triggered:
        line = _step(each.step)
        if each.when:
            patterns = " ".join(shlex.quote(pattern) for when in each.when for pattern in _cases(when))
            line = f"if touched {patterns}; then\n{line}\nfi"
        yield line


def _cases(when: str) -> tuple[str, ...]:
    """For the shell's ``case``, where a ``*`` does not stop at a slash: that may run a step too often, never too
    seldom."""
    return (f"{when}*",) if when.endswith("/") else (when, f"{when}/*")


def _step(step: UpdateStep) -> str:
    match step:
        case WriteFile():
            return f"printf %s {shlex.quote(step.content)} | put {shlex.quote(step.path)} {shlex.quote(step.mode)}"
        case CopyFile():
            return f"copy {shlex.join((step.source, step.path))}"
        case MoveFile():
            return f"move {shlex.join((step.source, step.path))}"
        case InstallGrub():
            return f"grub {shlex.join((step.esp, *step.argv))}"
        case MirrorEsp():
            return f"mirror {shlex.join((step.source, *step.devices))}"
        case RemovePath():
            return f'rm -rf -- "$root"{_globbed(step.path)}'
        case MakeLink():
            return f"link {shlex.quote(step.path)} {shlex.quote(step.target)}"
        case RunInTarget():
            words, name = shlex.join(step.argv), shlex.quote(step.argv[0])
            return f'printf %s {shlex.quote(step.stdin)} | inside {words} >&2 || fail {name}" ended with $?"'
        case CheckFile():
            return f"check {shlex.join((step.path, step.mode, step.contains))}"


def _globbed(pattern: str) -> str:
    """Quoted but for its wildcards."""
    parts = re.split(r"([*?]|\[[^]]+\])", pattern)
    return "".join(part if index % 2 else shlex.quote(part) if part else "" for index, part in enumerate(parts))


def _script(name: str, content: str, variables: dict[str, str]) -> str:
    words = " ".join(f"{key}={shlex.quote(value)}" for key, value in sorted(variables.items()))
    return (
        f"printf %s {shlex.quote(content)} | put /var/lib/imaged/script 0700\n"
        f"inside env {words} /var/lib/imaged/script >&2 || fail {shlex.quote(f'post-update script {name}')}"
        '" ended with $?"\nrm -f "$root/var/lib/imaged/script"'
    )

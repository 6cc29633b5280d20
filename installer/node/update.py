"""One update of this node, from the plan to the report: every part decides or acts elsewhere, here is their order."""

import os
import re
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple

from installer.node import apply as applying
from installer.node import decide as deciding
from installer.node import full, kernels, steps, survey, trial, users
from installer.node.actions import DELETE, PROTECTED, Action
from installer.node.answer import Outcome, shown
from installer.node.errors import Failed, NoServer, Refused, Skipped
from installer.node.fetch import Fetch, Source, Wanted, names, verdict
from installer.node.journal import Journal, triggers
from installer.node.known import Known
from installer.node.lookup import Lookup
from installer.node.manifest import Entry, parse
from installer.node.merging import merge_users, slurp
from installer.node.place import Place, inside
from installer.node.process import run, tail, watch
from installer.node.site import Site
from installer.node.stage import Stage

OURS = ("/.imaged", "/**/.imaged", "/var/lib/imaged")  # our own state and staging, on every filesystem
_LINKER = re.compile(rb"\0(/lib[^\0]{0,200}/ld[^/\0]{0,80})\0")  # PT_INTERP of elf(5), which lies near the start
_SPARE = 1.2  # of the bytes to fetch: fixups.md's margin for what else is written meanwhile

Plan = Dict[str, Any]


class Options(NamedTuple):
    """What was asked for on the command line. ``directory`` has no leading slash."""

    dry_run: bool = False
    checksum: bool = False
    delete: bool = True
    bootloader: bool = True
    directory: bytes = b""
    confirmed: bool = False
    full: bool = False

    @property
    def whole(self) -> bool:
        """Whether the node is at the version afterwards, and not only a part of it."""
        return self.delete and self.bootloader and not self.directory


def update(site: Site, plan: Plan, known: Known, source: Source, options: Options) -> Outcome:
    """Bring the tree into step with ``plan``, whose manifest is ``known``; its stamps learn what is right.

    Raises Refused before the first write, and Failed; after either a rerun goes on where this ended.
    """
    place = Place(os.fsencode(site.root))
    try:
        rules = survey.rules_of(plan, site.root)
        with _Phase(site, "compare"):
            linked = proposal(site, place, plan, known, rules, options)
        if options.dry_run:
            return Outcome(tuple(linked.actions), (), False)
        guard(plan, linked.actions, node_os(site.root), options.confirmed, linker_of(site.root))
        return _carry_out(site, place, plan, known.path, source, options, linked, rules)
    finally:
        place.close()


def _carry_out(
    site: Site, place: Place, plan: Plan, manifest: str, source: Source, options: Options, linked: deciding.Linked,
    rules: survey.Rules,
) -> Outcome:  # fmt: skip
    actions = linked.actions
    journal = Journal(os.path.join(site.state, "journal"))
    stage = Stage(place)
    tops = sorted({stage.top(each.path) for each in actions if each.verb != PROTECTED} | {b"."})
    stage.sweep_new(tops)
    wanted = [Wanted(each.path, each.entry, each.source) for each in actions if each.content and each.entry is not None]
    applying.obstacles(place, actions, lambda path: bool(rules.protected(path)))
    said: List[str] = []
    changed = [each.path for each in linked.actions if each.verb != PROTECTED]
    try:
        with _Phase(site, "fetch"):
            if options.full:
                rsync_everything(site, plan, source, options, rules)
                actions = [each for each in actions if rules.alone(each.path)]
                wanted = [each for each in wanted if rules.alone(each.path)]
            room(stage, taken(wanted, plan.get("sparse", {})), making(place, plan, changed))
            _fetch(site, place, stage, source).all(wanted)
        with _Phase(site, "apply"):
            owed = journal.owed()
            journal.begin(str(plan["serial"]), changed)
            applied = applying.apply(place, stage, actions, linked.leaders, rules.mounts.is_coarse)
            said += ["{} stays: something of this node is in it".format(shown(path)) for path in applied.kept]
            files = _entries(manifest, users.names(plan.get("merge", ())))
            said += merge_users(place, stage, site.state, files, _fetch(site, place, stage, source))
            stage.sync()
    except Failed:
        if not _partial_is_worth_keeping(stage, tops):
            stage.remove(tops)
        stage.close()
        raise
    stage.remove(tops)
    why = triggers(changed, owed)
    with _Phase(site, "fixups"):
        for step in steps.due(plan.get("fixups", ()), why):
            if steps.carry_out(step, site.root, site.say):  # what a fixup writes may ask for the boot loader's steps
                why += (os.fsencode(step["path"].lstrip("/")),)
    reboot = False
    if options.bootloader:
        with _Phase(site, "bootloader"):
            for step in steps.due(plan.get("bootloader", ()), why):
                try:
                    steps.carry_out(step, site.root, site.say)
                except Skipped as reason:
                    said.append(str(reason))
            reboot, words = trial.try_once(site, plan, why)
            said += words
    applying.settle(place, _directories(manifest, _moved(plan, actions, why)))
    with _Phase(site, "scripts"):
        scripts(site, plan)
    journal.finish()
    return Outcome(tuple(linked.actions), tuple(said), reboot)


def _fetch(site: Site, place: Place, stage: Stage, source: Source) -> Fetch:
    return Fetch(place, stage, source, site.say, site.sleep)


def rsync_everything(site: Site, plan: Plan, source: Source, options: Options, rules: survey.Rules) -> None:
    """``--full``: the image by plain rsync, then the overrides over it. Raises Failed."""
    below = os.fsdecode(options.directory)
    left = [each["pattern"] for each in plan.get("protect", ())] + list(OURS) + list(_written(plan))
    left += list(plan.get("merge", ()))
    files = [path for path, entry in rules.overrides.items() if entry.kind != "dir"]
    apart = tuple(rules.mounts.foreign) + rules.mounts.coarse
    kept = kernels.held(site.kernel, trial.read_pending(site.state))
    command = full.argv(source.modules["image"], site.root, options.delete, options.checksum, below)
    _rsync(site, source, command, full.rules(left, files, apart, kept, below))
    laid = [path for path in files if not rules.closed(path) and not rules.fixups(path)]
    laid = [path for path in laid if not options.directory or path.startswith(options.directory + b"/")]
    if laid:
        _rsync(site, source, full.laid(source.modules["overrides"], site.root, options.checksum), names(laid))


def _rsync(site: Site, source: Source, command: Sequence[str], listed: bytes) -> None:
    ended = watch(command, site.say, stdin=listed, secret=source.secret)
    outcome, reason = verdict(ended.code, ended.errors)
    if outcome != "done" or ended.code:
        kind = NoServer if outcome == "again" else Failed
        raise kind(reason or "rsync ended with {}".format(ended.code), where="rsync", hint="\n  ".join(tail(ended)))


class _Phase(object):
    """Reports a phase: started, then done, or failed with the reason."""

    def __init__(self, site: Site, name: str) -> None:
        self._site, self._name = site, name

    def __enter__(self) -> None:
        self._site.report(self._name, "started", "")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._site.report(self._name, "failed" if error else "done", str(error) if error else "")


# --- what to do ----------------------------------------------------------------


def proposal(
    site: Site, place: Place, plan: Plan, known: Known, rules: survey.Rules, options: Options
) -> deciding.Linked:
    """Compare, and decide. Nothing is written."""
    differences = survey.survey(site.root, known, rules, options.checksum, options.directory)
    found = [
        deciding.Found(each.path, each.entry, each.owner, each.what, each.was)
        for each in differences
        if not (each.path in rules.merged and each.was == "file")
    ]
    held = kernels.held(site.kernel, trial.read_pending(site.state))
    decision = deciding.Rules(rules.protected, rules.fixups, rules.merged, held, options.delete, options.directory)
    actions = deciding.decide(found, decision)
    return deciding.with_links(actions, _members(known.path, rules.overrides.values(), applying.groups(actions)))


def guard(plan: Plan, actions: Sequence[Action], os_id: str, confirmed: bool, linker: bytes = b"") -> None:
    """Raises Refused for what only a person may want: a great many deletions, another distribution.

    The modules of a kernel that the version does not have are thousands of paths, and every change of kernels deletes
    them: they count as one. Another C library is another system, whatever os-release says: every program of the node,
    this one too, stops in the middle. ``linker`` is what starts them now.
    """
    limits, wanted = plan.get("guard", {}), plan.get("guard", {}).get("os_id", "")
    gone = [kernels.owner(each.path) or each.path for each in actions if each.verb == DELETE]
    deletes = len(set(gone))
    if confirmed:
        return
    if deletes > limits.get("deletes", 1000):
        raise Refused(
            "{} paths would be deleted, more than the {} that go unasked".format(deletes, limits.get("deletes", 1000)),
            hint="Look at --dry-run; --yes goes on.",
        )
    lost = {each.path.rpartition(b"/")[2] for each in actions if each.verb == DELETE}
    lost -= {each.path.rpartition(b"/")[2] for each in actions if each.verb != DELETE}
    if os.path.basename(linker) in lost:
        what = "the image has no {}, which starts every program of this node: its C library is another one"
        raise Refused(what.format(shown(linker[1:])), hint="--yes goes on. To install anew is safer.")
    if wanted and os_id and wanted != os_id:
        raise Refused("the node runs {}, the image is {}".format(os_id, wanted), hint="--yes goes on.")


def making(place: Place, plan: Plan, changed: Sequence[bytes]) -> Dict[bytes, int]:
    """What the initramfs will take that this update makes here, each as large as the largest that is there; a new one
    lies beside the one that it replaces until it is whole."""
    paths = kernels.built(steps.due(plan.get("bootloader", ()), changed), plan.get("kernels", ()))
    boot = place.walk(b"boot") if paths and place.lstat(b"boot") else ()
    there = [each for each in boot if each[0].startswith(b"boot/init")]
    largest = max((status.st_size for _, status in there), default=0)
    known = {path for path, _ in there}
    beside = [path for path in paths if path in known][:1]
    return dict.fromkeys([path for path in paths if path not in known] + beside, largest)


def taken(wanted: Iterable[Wanted], sparse: Dict[str, int]) -> Dict[bytes, int]:
    """The bytes that each content takes here: rsync makes holes where there are holes."""
    known = {os.fsencode(path.lstrip("/")): size for path, size in sparse.items()}
    return {
        each.path: min(each.entry.size, known.get(each.path, each.entry.size)) if each.source == "image"
        else each.entry.size
        for each in wanted
    }  # fmt: skip


def room(stage: Stage, coming: Dict[bytes, int], made: Dict[bytes, int]) -> None:
    """Raises Failed where what is to come, or to be made here, does not fit. What is in staging counts as come."""
    sizes = dict(made)
    sizes.update(coming)
    for top, paths in stage.rows(sizes).items():
        need, free = int(sum(sizes[path] for path in paths) * _SPARE), stage.room(top)
        if need > free:
            what = "{} MiB are needed and {} are free".format(need >> 20, free >> 20)
            raise Failed(what, where="/" if top == b"." else shown(top), hint="Nothing was changed.")


def _partial_is_worth_keeping(stage: Stage, tops: Iterable[bytes]) -> bool:
    """A rerun goes on with what has come, unless that is what fills the disk."""
    return all(stage.room(top) > 1 << 20 for top in tops)


def _written(plan: Plan) -> Tuple[str, ...]:
    return steps.written(list(plan.get("fixups", ())) + list(plan.get("bootloader", ())))


def _members(manifest: str, laid: Iterable[Entry], groups: Set[Tuple[str, int]]) -> Iterator[Tuple[str, Entry]]:
    """Every name of the groups of hard links that an action touches."""
    over = list(laid)
    paths = {each.path for each in over}
    if any(source == "image" for source, _ in groups):
        with Lookup(manifest) as lookup:
            for line in lookup.linked():
                entry = parse(line)
                if ("image", entry.group) in groups and entry.path not in paths:
                    yield "image", entry
    for entry in over:
        if entry.links > 1 and ("overrides", entry.group) in groups:
            yield "overrides", entry


# --- around the tree -------------------------------------------------------------


def scripts(site: Site, plan: Plan) -> None:
    """Post-update scripts in their order. Raises Failed with the script's name and last lines."""
    variables = {str(key): str(value) for key, value in plan.get("variables", {}).items()}
    prefix: Tuple[str, ...] = () if site.root == "/" else ("chroot", site.root)
    script = "/var/lib/imaged/script"
    path = os.path.join(site.root, script.lstrip("/"))
    for each in plan.get("scripts", ()):
        steps.write_atomically(path, each["content"].encode("utf-8", "surrogateescape"), 0o700)
        try:
            run(prefix + (script,), site.say, env=variables)
        except Failed as error:
            raise Failed(error.what, where="post-update script {}".format(each["name"]), hint=error.hint) from None
        finally:
            os.unlink(path)


def node_os(root: str) -> str:
    """os-release(5)'s ID of the node; empty if it says none."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        text = slurp(os.fsencode(os.path.join(root, name)))
        for line in (text or b"").decode("utf-8", "replace").splitlines():
            if line.startswith("ID="):
                return line[3:].strip().strip("\"'")
    return ""


def linker_of(root: str) -> bytes:
    """The dynamic linker of the node's shell; empty if that needs none."""
    try:
        with open(inside(root, "/bin/sh"), "rb") as file:
            found = _LINKER.search(file.read(1 << 16))
    except OSError:
        return b""
    return found.group(1) if found else b""


# --- the manifest again -----------------------------------------------------------


def _moved(plan: Plan, actions: Iterable[Action], owed: Iterable[bytes]) -> FrozenSet[bytes]:
    """Directories whose times an update moves: by its actions, its fixups, its merges and its staging; and those
    that an update before it moved which did not come to its end."""
    found = applying.touched(each for each in actions if each.verb != PROTECTED)
    for path in owed:
        found |= {path, path.rpartition(b"/")[0] or b"."}
    for path in _written(plan) + tuple(plan.get("merge", ())):
        found.add(os.fsencode(path.strip("/")).rpartition(b"/")[0] or b".")
    return frozenset(found | {b"."})


def _directories(manifest: str, paths: FrozenSet[bytes]) -> Iterator[Entry]:
    return (each for each in _entries(manifest, paths) if each.kind == "dir")


def _entries(manifest: str, paths: Iterable[bytes]) -> Iterator[Entry]:
    with Lookup(manifest) as lookup:
        for path in sorted(paths):
            entry = lookup.entry(path)
            if entry is not None:
                yield entry

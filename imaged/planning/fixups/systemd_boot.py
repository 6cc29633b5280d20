"""systemd-boot: the loader onto the ESP, and kernels where it can read them."""

from imaged.model.plan import RemovePath, RunInTarget, Step
from imaged.planning.fixups.target import Target
from imaged.planning.fixups.tool import Tool, initrd_of, tool
from imaged.planning.platforms import unified

# dracut's own plugin (before dracut-ng 100) would build a second one, for the machine at hand, whatever initramfs
# kernel-install is given (install.d/50-dracut.install).
_ENTRY_ONLY = "KERNEL_INSTALL_PLUGINS=/usr/lib/kernel/install.d/90-loaderentry.install"


def systemd_boot(target: Target) -> tuple[Step, ...]:
    """bootctl(1) writes the vendor's and the removable path. Kernels that the loader cannot read are brought to it by
    kernel-install(8), which takes its command line from /etc/kernel/cmdline."""
    esp = target.system.esp
    if esp is None:
        return ()
    seed = RemovePath(f"{esp.mount}/loader/random-seed", "the golden client's seed: nodes would share it")
    install = ("bootctl", "--no-variables", f"--esp-path={esp.mount}", "install")
    return (seed, RunInTarget(install, reason="boot loader for UEFI"), *_kernels(target))


def golden_kernels(target: Target) -> tuple[Step, ...]:
    """Unified kernels of the image say which root they start: the golden client's. The node's own are made anew, by
    what made those; one that nobody can make again stays."""
    facts, esp = target.facts, target.system.esp
    again = tool(facts) is Tool.MKINITCPIO or "kernel-install" in facts.commands
    if esp is None or not again or not any("/EFI/Linux/" in path for path in facts.files):
        return ()
    return (RemovePath(f"{esp.mount}/EFI/Linux/*.efi", "unified kernels for the golden client's root"),)


def kernels_on_esp(target: Target) -> bool:
    """Whether /boot itself is a filesystem that firmware reads: entries then name the kernels where they lie."""
    holder = target.system.at("/boot")
    return holder is not None and holder.fs.value == "vfat"


def _kernels(target: Target) -> tuple[Step, ...]:
    facts = target.facts
    if (kernels_on_esp(target) and not unified(facts)) or "kernel-install" not in facts.commands:
        return ()
    if unified(facts) and tool(facts) is Tool.MKINITCPIO:
        return ()  # mkinitcpio's presets have made them, with the node's command line in them
    no_rebuild = ("env", _ENTRY_ONLY) if tool(facts) is Tool.DRACUT and not unified(facts) else ()
    return tuple(
        RunInTarget(
            (*no_rebuild, "kernel-install", "add", each.version, each.image, initrd_of(each, facts)),
            timeout=1800,
            reason="systemd-boot reads kernels from the ESP only",
        )
        for each in facts.kernels
    )

"""What one node may fetch by rsync at this moment."""

from pathlib import Path

from attrs import frozen


@frozen
class Module:
    """A tree that rsync serves read only under a name: ``image`` is the version the node shall run."""

    name: str
    path: Path


@frozen
class Grant:
    """The answer to a node that proved itself: it is ``node``, and sees these modules and nothing else."""

    node: str
    modules: tuple[Module, ...]

"""What a long verb shows while it works: its phases, and what the present one works on."""

from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from imaged.store.shown import shown


class Phases:
    """One line per phase with its seconds, the present one moving. Without a terminal: one line as each begins."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description:<18}"), TimeElapsedColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[detail]}", markup=False), console=self._console)
        self._task: TaskID | None = None
        self._name = ""
        self._count = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.end()
        self._progress.stop()

    def begin(self, name: str) -> None:
        """The phase before is done."""
        if name == self._name:
            return
        self.end()
        self._name, self._count = name, 0
        if self._console.is_terminal:
            self._task = self._progress.add_task(name, total=1, detail="")
        else:
            self._console.print(f"{name} ...", highlight=False)

    def detail(self, text: str) -> None:
        """What the phase works on just now."""
        if self._task is not None and text:
            self._progress.update(self._task, detail=shown(text))

    def count(self, more: int) -> None:
        """So many more files are hashed."""
        self._count += more
        self.detail(f"{self._count} files")

    def end(self) -> None:
        """The present phase is done."""
        if self._task is not None:
            self._progress.update(self._task, completed=1, detail="")
            self._task = None

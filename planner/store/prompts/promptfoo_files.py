"""Files that a configuration of promptfoo names, relative to it, and what is never read."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from planner.store.prompts.own_prompt import MOST_BYTES
from planner.store.prompts.plain_files import read_text

SCHEME = "file://"
CODE = (
    *(".py", ".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".rb", ".go"),
    *(".sh", ".bash", ".exe", ".bat", ".cmd", ".ps1", ".pl"),
)
_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://|exec:|package:|python:", re.IGNORECASE)


class RefusedError(ValueError):
    """Why an entry cannot be used."""


class Files:
    """The files of one configuration; each is read once.

    Attributes:
        folder: of the configuration. Names may lead out of it: they are the user's own files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._texts: dict[Path, str] = {}

    def path(self, reference: str, kinds: Sequence[str]) -> Path:
        """What a reference names.

        Args:
            reference: with file:// or without.
            kinds: that are read here, by the ends of their names.

        Raises:
            RefusedError: it is of another kind.
        """
        name = reference.strip().removeprefix(SCHEME)
        # Of a program, a function may be named behind it.
        suffixes = [Path(part).suffix.lower() for part in (name, name.rpartition(":")[0])]
        allowed = f"allowed: {', '.join(kinds)}"
        if any(suffix in CODE for suffix in suffixes):
            raise RefusedError(f"{reference[:80]} is a program, and none is run; {allowed}")
        if any(sign in name for sign in "*?["):
            raise RefusedError(f"{reference[:80]} is a pattern, which is not supported; name each file; {allowed}")
        path = self.folder / name
        if suffixes[0] not in kinds and not _is_there(path.is_dir):
            raise RefusedError(f"{reference[:80]} is of a kind that is not read; {allowed}")
        return path

    def text(self, path: Path) -> str:
        """What a file holds.

        Raises:
            InputFileError: there is no such file, it is a folder, or no text.
            RefusedError: all files together are too large.
        """
        if path not in self._texts:
            self._texts[path] = read_text(path, MOST_BYTES)
            if sum(map(len, self._texts.values())) > MOST_BYTES:
                raise RefusedError(f"all files together hold more than {MOST_BYTES:,} characters")
        return self._texts[path]


def is_reference(text: str, folder: Path, kinds: Sequence[str]) -> bool:
    """Whether a text names a file: by file://, or as one word that ends as such names do, or as a file that is there.

    Example:
        >>> is_reference("file://a.txt", Path(), ()), is_reference("ask.txt", Path(), [".txt"])
        (True, True)
        >>> is_reference("Read gone.txt", Path(), [".txt"]), is_reference("{{a}}.txt", Path(), [".txt"])
        (False, False)
    """
    if text.startswith(SCHEME):
        return True
    name = text.strip()
    if "\n" in name or "{{" in name or len(name) > 1000:
        return False
    suffixes = [Path(part).suffix.lower() for part in (name, name.rpartition(":")[0])]
    return any(suffix in kinds for suffix in suffixes) and (" " not in name or _is_there((folder / name).is_file))


def _is_there(ask: Callable[[], bool]) -> bool:
    """What a path says of itself; no where no file can have such a name: too long, or with a zero byte."""
    try:
        return ask()
    except (OSError, ValueError):
        return False


def refuse_remote(reference: str) -> None:
    """Raises where promptfoo would fetch something, or run it.

    Raises:
        RefusedError: so it is.
    """
    if _REMOTE.match(reference) and not any(sign.isspace() for sign in reference.strip()):
        raise RefusedError(f"{reference[:80]} would be fetched or run, which is not supported; use a file of your own")

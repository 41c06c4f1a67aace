"""Errors in a user's file, with the place where a reader should look."""

from __future__ import annotations

from pathlib import Path


class SvelteError(SyntaxError):
    """A component that cannot be compiled or linked.

    A `SyntaxError`, so that Python, IPython and editors show the file, the line and a caret. `frame` is the same as
    text, as the picture shows it.
    """

    def __init__(self, message: str, path: Path, source: str = "", line: int | None = None, column: int = 0) -> None:
        """`line` counts from 1, `column` from 0; without a line the whole file is meant."""
        lines = source.split("\n")
        text = lines[line - 1] if line and line <= len(lines) else None
        super().__init__(message, (str(path), line, column + 1 if line else None, text))
        self.file = path.name

    @property
    def frame(self) -> str:
        """``Thing.svelte:3:12  message`` with the line and a caret below it."""
        return code_frame(self.file, self.msg, self.lineno, (self.offset or 1) - 1, self.text)


def code_frame(file: str, message: str, line: int | None, column: int, text: str | None) -> str:
    """A message with its place; the same as js/src/user/errors.ts draws."""
    if not line:
        return f"{file}  {message}"
    head = f"{file}:{line}:{column + 1}  {message}"
    if text is None:
        return head
    # Tabs stay tabs, so that the caret stands below its character.
    indent = "".join("\t" if character == "\t" else " " for character in text[:column])
    return f"{head}\n{line:>5} | {text.rstrip()}\n{'':>5} | {indent}^"

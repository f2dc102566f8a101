"""Files that are written as far as they can be: one that fails is missing, with the reason, and costs no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from search.errors import SearchError
from search.records.missing import Missing

T = TypeVar("T")
Make = Callable[[], bytes | str]
"""Makes one file; text is written as UTF-8."""


@dataclass
class Attempts:
    """What was made, and what was not."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)

    def write(self, makes: Mapping[str, Make]) -> None:
        """Make every file by path, each for itself."""
        for path, make in makes.items():
            data = self.value(path, make)
            if data is not None:
                self.files[path] = data.encode() if isinstance(data, str) else data

    def take(self, what: str, make: Callable[[], Mapping[str, bytes]]) -> None:
        """Take several files that are made together; ``what`` stands for them where they fail."""
        self.files.update(self.value(what, make) or {})

    def value(self, what: str, make: Callable[[], T]) -> T | None:
        """Return what ``make`` gives; if it fails, None, and ``what`` is missing."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001  # a search that is finished is never thrown away
            self.missing.append(missing(what, error))
            return None


def missing(what: str, error: Exception) -> Missing:
    """What is missing because of an error: the user's words where there are some, else ours to mend."""
    if isinstance(error, SearchError):
        return Missing(what=what, why=str(error), is_fault=False)
    why = f"a fault of bitbudget ({type(error).__name__}: {error}); please report this model".replace("\n", " ")
    return Missing(what=what, why=why, is_fault=True)

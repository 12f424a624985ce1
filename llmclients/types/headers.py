"""`Headers`: the headers of a reply, found in any case; secrets in them are hidden before anybody sees one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

__all__ = ["NO_HEADERS", "Headers"]


class Headers(Mapping[str, str]):
    """A mapping of header names, which are in lower case and found in any, to values.

    Args:
        values: names in lower case.
        hide: gives the values without secrets. Called once, by who first looks: most answers' headers are never read.
    """

    __slots__ = ("_hide", "_values")

    def __init__(
        self, values: Mapping[str, str] | None = None, hide: Callable[[dict[str, str]], dict[str, str]] | None = None
    ) -> None:
        self._values: Mapping[str, str] = {} if values is None else values
        self._hide = hide

    def _shown(self) -> Mapping[str, str]:
        hide = self._hide
        if hide is not None:
            self._values = hide(dict(self._values))
            self._hide = None  # last: another thread that comes between hides once more
        return self._values

    def __getitem__(self, name: str) -> str:
        return self._shown()[name.lower() if isinstance(name, str) else name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shown())

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({dict(self._shown())!r})"

    def __reduce__(self) -> tuple[type[Headers], tuple[dict[str, str]]]:
        return type(self), (dict(self._shown()),)

    def __deepcopy__(self, memo: dict[int, object]) -> Headers:
        return self  # it does not change


NO_HEADERS = Headers()

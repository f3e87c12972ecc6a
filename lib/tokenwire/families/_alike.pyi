from collections.abc import Callable
from typing import Any, final

@final
class Template:
    def __new__(
        cls,
        literals: tuple[bytes, ...],
        kinds: str,
        text: int,
        steps: tuple[tuple[Any, int | Callable[[], Any]], ...],
        unescape: Callable[[bytes], str],
    ) -> Template: ...
    def read(self, payloads: list[bytes], /) -> tuple[list[Any], list[str]]: ...

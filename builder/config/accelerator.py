"""What a binary computes on, and every way people have spelled it.

CUDA versions have a compact spelling with the dot left out: two digits are X.Y (`92`), three XX.Y
(`100`), four XX.YY (`1010`). A version whose compact spelling would read as another one is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

from builder.errors import UsageError

__all__ = ["Accelerator", "AcceleratorKind"]

AcceleratorKind = Literal["cpu", "cuda", "rocm", "xpu"]

_NUMBER = r"(?:0|[1-9][0-9]*)"
_CUDA = re.compile(rf"(?:cuda|cu)?(?:(?P<dotted>{_NUMBER}[._]{_NUMBER})|(?P<compact>[0-9]{{2,4}}))")
_ROCM = re.compile(rf"rocm(?P<dotted>{_NUMBER}(?:[._]{_NUMBER}){{1,2}})")
_HINT = "write cpu, xpu, a CUDA version (12.8, cu128, cuda12.8) or rocm6.2"
_ONE_DIGIT: Final = 10
_TWO_DIGITS: Final = 100


@dataclass(frozen=True, slots=True, order=True)
class Accelerator:
    """`cpu`, `cuda` X.Y, `rocm` X.Y[.Z] or `xpu`.

    `str` is the word used in target ids (`cuda128`), `parse` the inverse.
    """

    kind: AcceleratorKind
    version: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        match self.kind:
            case "cpu" | "xpu":
                if self.version:
                    raise UsageError(f"`{self.kind}` has no version", hint=f"write `{self.kind}`")
            case "cuda":
                self._refuse_ambiguous_cuda()
            case "rocm":
                if len(self.version) not in {2, 3} or min(self.version) < 0:
                    raise UsageError("ROCm needs a version", hint="write it like `rocm6.2`")
            case _:
                raise UsageError(
                    f"no such accelerator: `{self.kind}`",
                    hint=f"the kinds are {', '.join(get_args(AcceleratorKind))}",
                )

    def _refuse_ambiguous_cuda(self) -> None:
        if len(self.version) != 2:  # noqa: PLR2004 - major and minor
            raise UsageError(
                "CUDA needs a version of two numbers", hint="write it like `12.8` or `cu128`"
            )
        major, minor = self.version
        one_digit_minor = _ONE_DIGIT > minor >= 0
        two_digit_major = _ONE_DIGIT <= major < _TWO_DIGITS
        if (1 <= major < _ONE_DIGIT and one_digit_minor) or (
            two_digit_major and 0 <= minor < _TWO_DIGITS
        ):
            return
        raise UsageError(
            f"the CUDA version {self.dotted} has no compact spelling of its own",
            hint="compact spellings are X.Y, XX.Y and XX.YY without the dot",
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read any known spelling: `cpu`, `xpu`, `cu92`, `100`, `10.0`, `cuda12_6`, `rocm6.2`."""
        word = text.strip().lower()
        if word == "cpu":
            return cls("cpu")
        if word == "xpu":
            return cls("xpu")
        if match := _ROCM.fullmatch(word):
            return cls("rocm", _numbers(match["dotted"]))
        match = _CUDA.fullmatch(word)
        if match is None:
            raise UsageError(f"not an accelerator: `{text}`", hint=_HINT)
        if match["dotted"]:
            return cls("cuda", _numbers(match["dotted"]))
        compact = match["compact"]
        split = 1 if len(compact) == 2 else 2  # noqa: PLR2004 - two digits are X.Y
        accelerator = cls("cuda", (int(compact[:split]), int(compact[split:])))
        if accelerator.label != f"cu{compact}":
            raise UsageError(
                f"not a CUDA version: `{text}`", hint=f"did you mean `{accelerator.dotted}`?"
            )
        return accelerator

    def __str__(self) -> str:
        return f"cuda{self._compact}" if self.kind == "cuda" else self.label

    @property
    def label(self) -> str:
        """The word in versions, folders and download pages: `cpu`, `cu130`, `rocm6.2`, `xpu`."""
        return f"cu{self._compact}" if self.kind == "cuda" else f"{self.kind}{self.dotted}"

    @property
    def dotted(self) -> str:
        """The version, `13.0`; empty for `cpu` and `xpu`."""
        return ".".join(map(str, self.version))

    @property
    def _compact(self) -> str:
        return "".join(map(str, self.version))


def _numbers(dotted: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.split(r"[._]", dotted))

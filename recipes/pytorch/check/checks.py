"""The checks that are about torch and nothing else: each asks the installed one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

from builder.hookspecs import hookimpl
from smoke.catalogue import Check, Outcome, Skip
from smoke.probing import Answer, ask
from smoke.subject import Installed, Kind, Subject, installed_of

_PROBE = Path(__file__).with_name("torch_probe.py")
_START_SECONDS = 60.0
"""Longer, and starting the device runtime hangs."""

# id, what the probe is called, what must hold, what to do when it does not
_ROWS = (
    ("git-version", "git_version", "The package says which revision it was built from.",
     "build from a checkout, or give the revision to the build"),
    ("abi", "cxx11_abi", "The package says which C++ ABI it was compiled for.",
     "compile the Python part with the flags of the C++ part"),
    ("math", "math", "The math library that the platform promises is compiled in.",
     "install MKL where the build looks for it (`CMAKE_PREFIX_PATH`)"),
    ("xnnpack", "xnnpack", "XNNPACK is compiled in.", "build with `USE_XNNPACK=1`"),
    ("threads", "threads", "Computations use more than one thread.",
     "look at `env.loaded`: two OpenMP runtimes in one process leave one thread"),
    ("exceptions", "exceptions", "A C++ exception becomes a Python one.",
     "link one C++ runtime, and no static CUPTI with gold"),
    ("exceptions-device", "exceptions_device", "So does one about a device that is not there.",
     "link one C++ runtime, and no static CUPTI with gold"),
    ("recurrent", "recurrent", "A recurrent network learns on the CPU.", "run the probe by hand"),
    ("convolution", "convolution", "A convolution learns on the CPU.", "run the probe by hand"),
    ("linalg", "linalg", "A singular value decomposition is right.",
     "look which LAPACK is linked: `torch.__config__.show()`"),
    ("gloo", "gloo", "Processes can be joined by gloo.", "build with `USE_GLOO=1`"),
    ("xpu", "xpu", "A build for XPU has its runtime.", "build with `USE_XPU=1`"),
    ("numpy", "numpy", "Tensors become arrays, and arrays tensors.",
     "compile against the oldest numpy that is promised"),
    ("compile", "compile", "`torch.compile` makes a function that computes the same.",
     "see which files of `torch/_inductor` and which headers are missing"),
    ("cuda-start", "cuda_start", "The device runtime starts, or says that there is no device.",
     "the driver stub must not be in the package, and nothing may wait for a device"),
    ("cuda-version", "cuda_version", "The CUDA in the version is the one that is compiled in.",
     "let the version come from the toolkit of the target"),
    ("cudnn-version", "cudnn_version", "The cuDNN that is loaded is the one it was compiled for.",
     "pin the cuDNN of the build in `Requires-Dist`, or graft that very one"),
    ("cuda-wheels", "cuda_wheels", "cuDNN and NCCL are loaded in the versions that are installed.",
     "see with `env.loaded` where they come from: a copy on the machine is found before the wheel's"),
    ("cuda-libraries", "cuda_libraries", "MAGMA and cuDNN are there.",
     "look which of them the build did not find"),
    ("cuda-networks", "cuda_networks", "Networks and decompositions run on the device.",
     "see whether the device's architecture is in the package: `builder inspect`"),
    ("cuda-errors", "cuda_errors", "An error on the device reaches Python.",
     "look for device assertions that were compiled out"),
)  # fmt: skip


_ALONE = frozenset({"compile", "cuda_start", "cuda_networks", "cuda_errors"})
"""What may hang, take long, or leave a device in a state that others should not meet."""


class _Asking:
    """The probe in one environment after the other: what is harmless is asked in one process.

    When that process dies, each is asked again for itself, so that one crash is one finding.
    """

    def __init__(self) -> None:
        self._together: dict[Path, Answer] = {}

    def about(self, probe: str) -> Callable[[Subject], Outcome | Skip]:
        """The check that asks for one thing."""

        def run(subject: Subject) -> Outcome | Skip:
            installed = installed_of(subject)
            if installed.facts is None:
                return Skip("the environment's interpreter does not answer")
            answer = self._answer(probe, installed, subject.checks.timeout)
            if answer.said is None:
                return Outcome((f"torch: {answer.ending}",))
            said = cast("Mapping[str, str]", answer.said[probe])
            if "skip" in said:
                return Skip(said["skip"])
            if "error" in said:
                return Outcome((f"torch: {said['error']}",))
            return Outcome((f"torch: answers, then {answer.ending}",) if answer.ending else ())

        return run

    def _answer(self, probe: str, installed: Installed, timeout: float) -> Answer:
        if probe not in _ALONE:
            if installed.scratch not in self._together:
                names = tuple(row[1] for row in _ROWS if row[1] not in _ALONE)
                self._together[installed.scratch] = ask(installed, str(_PROBE), names, timeout)
            known = self._together[installed.scratch]
            if known.said is not None and not known.ending:
                return known
        limit = min(_START_SECONDS, timeout) if probe == "cuda_start" else timeout
        return ask(installed, str(_PROBE), (probe,), limit)


@hookimpl
def builder_checks() -> Iterable[Check]:
    """One check for each row."""
    asking = _Asking()
    kinds: tuple[Kind, ...] = ("wheel", "environment")
    for name, probe, summary, remedy in _ROWS:
        run = asking.about(probe)
        yield Check(f"torch.{name}", summary, kinds, "environment", remedy, run)

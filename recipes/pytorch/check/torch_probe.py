"""What checks ask of the installed torch: `python torch_probe.py NAME...`, answered in one line of JSON.

Each function returns what it saw; what it cannot do here it says with `skip`. An exception is a problem.
"""

import json
import os
import re
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")


class Skip(Exception):
    """Nothing to say on this machine or for this build."""


def device():
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        raise Skip("built without a device runtime")
    if not torch.cuda.is_available():
        raise Skip(f"built for CUDA {torch.version.cuda}, no device")
    return "cuda"


def git_version():
    import torch

    version = torch.version.git_version
    assert version not in (None, "", "Unknown"), f"torch.version.git_version is {version!r}"
    return version


def cxx11_abi():
    import torch

    return {"cxx11": bool(torch.compiled_with_cxx11_abi())}


def math():
    import platform

    import torch

    if platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "darwin":
        assert torch.backends.mkl.is_available(), "MKL is not there"
    elif platform.machine().lower() in ("aarch64", "arm64") and sys.platform == "linux":
        assert torch.backends.mkldnn.is_available(), "oneDNN is not there"
    else:
        raise Skip("nobody promises MKL here")
    return torch.__config__.show().splitlines()[0]


def xnnpack():
    from torch.backends import xnnpack as backend

    assert backend.enabled, "XNNPACK is not compiled in"
    return backend.enabled


def threads():
    import torch

    if (os.cpu_count() or 1) < 2:
        raise Skip("this machine has one core")
    count = torch.get_num_threads()
    assert count > 1, f"computes with {count} thread: is the OpenMP runtime loaded twice?"
    return count


def exceptions():
    import torch

    try:
        torch.zeros(2, 3) @ torch.zeros(5)
    except RuntimeError as error:
        return str(error)
    raise AssertionError("a C++ exception did not become a RuntimeError")


def exceptions_device():
    import torch

    if torch.version.cuda is None:
        raise Skip("built without CUDA")
    try:
        torch.eye(7, 7, device="cuda:7")
    except RuntimeError as error:
        return str(error)
    raise AssertionError("cuda:7 did not raise a RuntimeError")


def recurrent(place="cpu"):
    import torch

    network = torch.nn.LSTM(10, 20, 2).to(place)
    out, (hidden, cell) = network(torch.randn(5, 3, 10, device=place))
    out.sum().backward()
    assert out.shape == (5, 3, 20), out.shape
    assert all(one.grad is not None and one.grad.isfinite().all() for one in network.parameters())
    return list(out.shape)


def convolution(place="cpu"):
    import torch

    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(10),
    ).to(place)
    out = network(torch.randn(4, 1, 28, 28, device=place))
    out.sum().backward()
    assert out.shape == (4, 10), out.shape
    return list(out.shape)


def linalg(place="cpu"):
    import torch

    matrix = torch.rand(64, 32, dtype=torch.float64, device=place)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    error = (left @ torch.diag(values) @ right - matrix).abs().max().item()
    assert error < 1e-10, f"the decomposition is off by {error}"
    return error


def gloo():
    import torch.distributed as distributed

    if not distributed.is_available() or not distributed.is_gloo_available():
        raise Skip("built without gloo")
    with tempfile.TemporaryDirectory() as folder:
        distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/store", rank=0, world_size=1
        )
        distributed.destroy_process_group()
    return True


def xpu():
    import torch

    if "xpu" not in torch.__version__:
        raise Skip("not built for XPU")
    assert torch.xpu._is_compiled(), "the XPU runtime is not compiled in"
    return True


def numpy():
    try:
        import numpy as np
    except ImportError:
        raise Skip("numpy is not installed: name it in `check.requires`") from None
    import torch

    assert torch.tensor(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert torch.arange(5).numpy().sum() == 10
    return np.__version__


def compile():
    import shutil

    import torch

    if sys.platform == "win32" or not (shutil.which("g++") or shutil.which("clang++")):
        raise Skip("there is no C++ compiler here")
    values = torch.linspace(0, 1, 1000)
    got = torch.compile(lambda x: torch.sin(x) ** 2 + torch.cos(x) ** 2)(values)
    assert torch.allclose(got, torch.ones_like(values)), "the compiled function is wrong"
    return torch.backends.cpu.get_cpu_capability()


def cuda_start():
    import torch

    if torch.version.cuda is None:
        raise Skip("built without CUDA")
    if not torch.cuda.is_available():
        return f"built for CUDA {torch.version.cuda}, no device"
    return torch.randn(3, 5).cuda().sum().item()


def cuda_libraries():
    import torch

    place = device()
    assert torch.cuda.has_magma, "MAGMA is not there"
    assert torch.backends.cudnn.is_available(), "cuDNN is not there"
    assert torch.backends.cudnn.version(), "cuDNN does not say its version"
    return [place, torch.backends.cudnn.version()]


def cuda_version():
    import torch

    if torch.version.cuda is None:
        raise Skip("built without CUDA")
    local = torch.__version__.partition("+")[2]
    if not local.startswith("cu"):
        raise Skip(f"the version {torch.__version__} does not say which CUDA")
    said = torch.version.cuda.replace(".", "")
    assert said == local[2:], f"version {torch.__version__} has CUDA {torch.version.cuda}"
    return said


def cudnn_loaded():
    """Major, minor and patch of the cuDNN in this process."""
    import torch

    number = torch.backends.cudnn.version()
    major = 10000 if number >= 90000 else 1000
    return number // major, number % major // 100, number % 100


def cudnn_version():
    import torch

    if torch.version.cuda is None:
        raise Skip("built without CUDA")
    if not torch.backends.cudnn.is_available():
        raise Skip("built without cuDNN")
    told = getattr(getattr(torch._C, "_cudnn", None), "getCompileVersion", None)
    if told is None:
        raise Skip("this torch does not tell which cuDNN it was compiled for")
    loaded, compiled = dotted(cudnn_loaded()), dotted(told())
    assert loaded == compiled, f"cuDNN {loaded} is loaded, compiled for {compiled}"
    return loaded


def cuda_wheels():
    import torch

    if torch.version.cuda is None:
        raise Skip("built without CUDA")
    loaded = {}
    if torch.backends.cudnn.is_available():
        loaded["cudnn"] = dotted(cudnn_loaded())
    if hasattr(torch._C, "_nccl_version"):
        loaded["nccl"] = dotted(torch.cuda.nccl.version())
    wheels = [one for one in nvidia_wheels() if one[0] in loaded]
    if not wheels:
        raise Skip("no wheel of cuDNN or NCCL is installed that it could load")
    wrong = [
        f"{name} {version} is installed, {loaded[library]} is loaded"
        for library, name, version in wheels
        if dotted(version.split(".")) != loaded[library]
    ]
    assert not wrong, "; ".join(wrong)
    return loaded


def nvidia_wheels():
    """Library, name and version of each wheel of cuDNN and NCCL that is installed."""
    try:
        from importlib.metadata import distributions
    except ImportError:
        raise Skip("this Python does not tell what is installed") from None
    known = [(one.metadata["Name"] or "", one.version) for one in distributions()]
    names = [(re.sub("[-_.]+", "-", name).lower(), version) for name, version in known]
    found = [(re.match(r"nvidia-(cudnn|nccl)-cu\d+$", name), version) for name, version in names]
    return sorted({(match.group(1), match.group(0), version) for match, version in found if match})


def dotted(numbers):
    """The first three numbers of a version; wheels have a fourth that libraries do not tell."""
    return ".".join(str(number) for number in tuple(numbers)[:3])


def cuda_networks():
    place = device()
    return [recurrent(place), convolution(place), linalg(place)]


def cuda_errors():
    import torch

    device()
    values = torch.zeros(3, device="cuda")
    try:
        values[torch.tensor([7], device="cuda")].sum().item()
    except Exception as error:
        return type(error).__name__
    raise AssertionError("an index beyond the end of a device tensor went unnoticed")


def answer(name):
    try:
        return {"saw": repr(globals()[name]())}
    except Skip as reason:
        return {"skip": str(reason)}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"}


print("\n@probe " + json.dumps({name: answer(name) for name in sys.argv[1:]}))
sys.stdout.flush()

"""Compute with an installed `torch_scatter` and see that only torch's own libraries are loaded."""

import os
import sys
from pathlib import Path

import torch
import torch_scatter

THREADS = 2


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")
    print(f"{what}: {found!r}")


def check_results():
    source = torch.tensor([[5.0, 1, 7, 2, 3, 2, 1, 3]])
    index = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    sums = [6.0, 9.0, 5.0, 4.0]
    expect("sum", torch_scatter.scatter(source, index, reduce="sum").tolist(), [sums])
    largest, where = torch_scatter.scatter_max(source, index)
    expect("max", (largest.tolist(), where.tolist()), ([[5.0, 7.0, 3.0, 3.0]], [[0, 2, 4, 7]]))
    pointers = torch.tensor([[0, 2, 4, 6, 8]])
    expect("segments", torch_scatter.segment_csr(source, pointers).tolist(), [sums])
    expect("sorted", torch_scatter.segment_coo(source, index[None]).tolist(), [sums])


def check_gradient():
    source = torch.ones(4, requires_grad=True)
    torch_scatter.scatter(source, torch.tensor([0, 0, 1, 1]), reduce="mean").sum().backward()
    expect("gradient", source.grad.tolist(), [0.5] * 4)


def check_many_numbers_with_threads():
    torch.set_num_threads(THREADS)
    source = torch.ones(400_000)
    pointers = torch.arange(0, 400_001, 4)
    sums = torch_scatter.segment_csr(source, pointers)
    expect(
        "sum over threads",
        (sums.numel(), float(sums.min()), float(sums.max())),
        (100_000, 4.0, 4.0),
    )
    expect("threads", torch.get_num_threads(), THREADS)


def check_loaded_libraries():
    files = {line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if "/" in line}
    libraries = Path(torch.__file__).parent / "lib"
    for prefix in ("libgomp", "libc10", "libtorch_cpu"):
        found = [file for file in sorted(files) if Path(file).name.startswith(prefix)]
        folders = [str(Path(file).resolve().parent) for file in found]
        expect(f"{prefix} is loaded once, from torch", folders, [str(libraries.resolve())])


check_results()
check_gradient()
check_many_numbers_with_threads()
if os.path.exists("/proc/self/maps"):
    check_loaded_libraries()

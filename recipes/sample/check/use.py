"""Compute with an installed `sample` and compare with known results.

`use.py` expects a wheel without CUDA, `use.py --cuda` one with a kernel; a GPU is used when there is one.
Runs on every CPython that the wheel is built for.
"""

import os
import subprocess
import sys
import zlib

import sample

NOT_BUILT = "not built for CUDA"
NO_DEVICE = "built for CUDA, no device"


def expect(what, found, wanted):
    if found != wanted:
        sys.exit("%s: found %r, wanted %r" % (what, found, wanted))
    print("%s: %r" % (what, found))


def refuses(what, call, error):
    try:
        call()
    except error as refusal:
        print("%s: refused (%s)" % (what, refusal))
    else:
        sys.exit("%s: was accepted" % what)


def threads_of_a_process_with(number):
    code = "import sample; print(sample.threads(), sample.dot([1] * 10000, [2] * 10000))"
    environment = dict(os.environ, OMP_NUM_THREADS=str(number))
    return subprocess.check_output([sys.executable, "-c", code], env=environment).decode().split()


def check_results():
    numbers = list(range(1000))
    expect("dot", sample.dot(numbers, numbers), float(sum(n * n for n in numbers)))
    expect("checksum", sample.checksum(b"123456789"), zlib.crc32(b"123456789"))
    data = b"a" * 600 + bytes(range(256))
    expect("unpack(pack)", sample.unpack(sample.pack(data)) == data, True)
    expect("threads", threads_of_a_process_with(3), ["3", "20000.0"])
    refuses("lengths that differ", lambda: sample.dot([1], [1, 2]), ValueError)
    refuses("damaged data", lambda: sample.unpack(sample.pack(b"aaa") + b"\x01b"), ValueError)


def check_cuda(wanted):
    said = sample.cuda()
    values, on_device = sample.saxpy(2.0, [1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    expect("saxpy", values, [12.0, 24.0, 36.0])
    expect("built for CUDA", said != NOT_BUILT, wanted)
    expect("saxpy on a GPU", on_device, said not in (NOT_BUILT, NO_DEVICE))
    print(said)


expect("libsample", bool(sample.core_version()), True)
check_results()
check_cuda("--cuda" in sys.argv[1:])

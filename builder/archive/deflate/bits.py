"""Blocks without content: how packed streams are joined that end in the middle of a byte.

Format: RFC 1951, 3.2. A stored block ends at a byte; blocks of odd and even length reach every bit.
"""

from __future__ import annotations

__all__ = ["align", "clear_bit", "lead_to"]

_STORED = b"\0\0\xff\xff"
_FIXED_BITS = 10
_FIXED = 0b01_0

# The order in which the lengths of the code length codes are written (3.2.7).
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def clear_bit(packed: bytearray, bit: int) -> None:
    """Make 0 of one bit: of the first of a block, which says that it is the last one."""
    packed[bit >> 3] &= ~(1 << (bit & 7)) & 0xFF


def align(packed: bytearray, end: int) -> None:
    """Put an empty stored block behind the bit `end`, so that the stream goes on at a whole byte."""
    del packed[(end + 7) >> 3 :]
    used = end & 7
    if used:
        packed[-1] &= (1 << used) - 1
    if used == 0 or used + 3 > 8:  # noqa: PLR2004 - three bits of header, eight in a byte
        packed.append(0)
    packed += _STORED


def lead_to(phase: int, rest: int) -> bytes:
    """Empty blocks from a whole byte to the bit `phase` (1-7) of one, filled up from byte `rest`."""
    value, length = _odd_block() if phase & 1 else (0, 0)
    while length & 7 != phase:
        value |= _FIXED << length
        length += _FIXED_BITS
    value |= (rest >> phase) << length
    return value.to_bytes((length + 7) // 8, "little")


def _odd_block() -> tuple[int, int]:
    """An empty block with codes of its own and 99 bits; all its codes are complete.

    The literals 254, 255 and the end (256) have 1, 2 and 2 bits, two distances 1 bit each: so the
    lengths are 254 zeros (`18` twice) and 1, 2, 2, 1, 1, told with codes for 18, 1 and 2.
    """
    lengths = {18: 1, 1: 2, 2: 2}
    used = _ORDER.index(1) + 1
    fields = [(0b10_0, 3), (0, 5), (1, 5), (used - 4, 4)]
    fields += [(lengths.get(code, 0), 3) for code in _ORDER[:used]]
    fields += [(0b0, 1), (138 - 11, 7), (0b0, 1), (254 - 138 - 11, 7)]
    one, two = (0b01, 2), (0b11, 2)  # the codes 10 and 11: codes begin at their highest bit
    fields += [one, two, two, one, one, (0b11, 2)]
    value = length = 0
    for bits, count in fields:
        value |= bits << length
        length += count
    return value, length

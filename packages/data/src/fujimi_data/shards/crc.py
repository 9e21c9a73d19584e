"""CRC-32C inside compiled functions, by the processor's own instruction where it has one."""

import platform
from typing import Any

import llvmlite.binding as llvm
import llvmlite.ir as ir
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

# Castagnoli's polynomial, lowest power first; RFC 3720, section 12.1
_POLYNOMIAL = 0x82F63B78
# Three runs of so many words are summed at the same time: the instruction takes three cycles, one begins in each.
_RUN = 64
_FEATURES = dict(llvm.get_host_cpu_features())
_MACHINE = platform.machine().lower()
_X86 = _MACHINE in ("x86_64", "amd64") and bool(_FEATURES.get("sse4.2"))
_ARM = _MACHINE in ("aarch64", "arm64") and bool(_FEATURES.get("crc"))


def _tables(zeros_nbytes: int, count: int) -> NDArray[np.uint32]:
    """What each byte of a checksum becomes when so many zeros follow it: shape (count, 256).

    Table k is for byte k of the checksum.
    """
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for _ in range(zeros_nbytes * 8):
        bits = np.where(bits & 1, (bits >> 1) ^ np.uint32(_POLYNOMIAL), bits >> 1).astype(np.uint32)
    columns = np.arange(256, dtype=np.uint32)
    tables = np.zeros((count, 256), dtype=np.uint32)
    for k in range(count):
        for bit in range(8):
            tables[k] ^= np.where(columns >> bit & 1, bits[8 * k + bit], 0).astype(np.uint32)
    return tables


_AFTER_ONE_RUN = _tables(8 * _RUN, 4)
_AFTER_ONE_BYTE = _tables(1, 1)[0]


def _word_by_table(crc: np.uint64, word: np.uint64) -> np.uint64:
    value = np.uint32(crc)
    for byte in range(8):
        place = (value ^ np.uint32(word >> np.uint64(8 * byte))) & np.uint32(255)
        value = _AFTER_ONE_BYTE[place] ^ (value >> np.uint32(8))
    return np.uint64(value)


@intrinsic
def _word_by_instruction(typing_context: Any, crc: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide, narrow = ir.IntType(64), ir.IntType(32)
        if _X86:
            kind = ir.FunctionType(wide, [wide, wide])
            function = builder.module.declare_intrinsic("llvm.x86.sse42.crc32.64.64", fnty=kind)
            return builder.call(function, arguments)
        kind = ir.FunctionType(narrow, [narrow, wide])
        function = builder.module.declare_intrinsic("llvm.aarch64.crc32cx", fnty=kind)
        return builder.zext(builder.call(function, [builder.trunc(arguments[0], narrow), arguments[1]]), wide)

    return types.uint64(types.uint64, types.uint64), generate


# Steps a checksum by eight bytes.
_word: Any = _word_by_instruction if _X86 or _ARM else compiled(_word_by_table)


@compiled
def crc32c_words(words: NDArray[np.uint64]) -> np.uint32:
    """CRC-32C of whole words of eight bytes, little-endian.

    Source:
        RFC 3720, section 12.1, for the sum; that of parts is the sum of their sums, shifted by the zeros of what
        follows, since the sum is linear.
    """
    crc = np.uint64(0xFFFFFFFF)
    place, count = 0, len(words)
    while count - place >= 3 * _RUN:
        first, second, third = crc, np.uint64(0), np.uint64(0)
        for i in range(place, place + _RUN):
            first = _word(first, words[i])
            second = _word(second, words[i + _RUN])
            third = _word(third, words[i + 2 * _RUN])
        crc = np.uint64(_after_one_run(np.uint32(_after_one_run(np.uint32(first)) ^ np.uint32(second)))) ^ third
        place += 3 * _RUN
    for i in range(place, count):
        crc = _word(crc, words[i])
    return np.uint32(np.uint32(crc) ^ np.uint32(0xFFFFFFFF))


@compiled
def _after_one_run(crc: np.uint32) -> np.uint32:
    mask = np.uint32(255)
    low = _AFTER_ONE_RUN[0, crc & mask] ^ _AFTER_ONE_RUN[1, (crc >> np.uint32(8)) & mask]
    high = _AFTER_ONE_RUN[2, (crc >> np.uint32(16)) & mask] ^ _AFTER_ONE_RUN[3, crc >> np.uint32(24)]
    return np.uint32(low ^ high)

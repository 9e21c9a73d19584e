"""One-dimensional Perlin noise, bit for bit that of the package noise."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Ken Perlin's permutation of 0 to 255; "Improving noise", SIGGRAPH 2002, reference implementation.
_PERMUTATION = np.frombuffer(
    bytes.fromhex(
        "97a0895b5a0f830dc95f6035c2e907e18c24671e458e086325f0150a17be0694f778ea4b001ac53e5efcdbcb75230b20"
        "39b12158ed953857ae147d88aba844af4aa547868b301ba64d929ee7536fe57a3cd385e6dc695c29372ef528f4668f36"
        "41193fa101d85049d14c84bbd05912a9c8c4878274bc9f56a4646dc6adba034034d9e2fa7c7b05ca2693767eff5255d4"
        "cfce3be32f103a11b6bd1c2adfb7aad577f898022c9aa346dd99659ba72bac09811627fd13626c6e4f71e0e8b2b97068"
        "daf661e4fb22f2c1eed2900cbfb3a2f1513391ebf90eef6b31c0d61fb5c76a9db854ccb07379322d7f0496fe8aeccd5d"
        "de72431d1848f38d80c34e42d73d9cb4"
    ),
    dtype=np.uint8,
)


def _slopes() -> NDArray[np.float32]:
    """Slope at each of 256 grid points, and at the first one again, so that its neighbour never wraps."""
    hashes = _PERMUTATION.astype(np.float32)
    slopes = np.where(_PERMUTATION & 8, np.float32(-1), hashes % 8 + 1)
    return np.append(slopes, slopes[:1]).astype(np.float32)


_SLOPES = _slopes()


@compiled
def floor(x: np.float32) -> np.float32:
    """Largest whole number that is not above ``x``."""
    return np.float32(np.floor(x))


@compiled
def pnoise1(x: np.float32) -> np.float32:
    """Noise at ``x``, with period 256 and at most 2 in size.

    Between grid points ``i <= x < i + 1`` the slopes there are blended with ``6 f^5 - 15 f^4 + 10 f^3`` of
    ``f = x - i``, all in 32 bits.

    Args:
        x: From 0 to ``2**31``.

    Source:
        K. Perlin, "Improving noise", SIGGRAPH 2002, for the blend; the slopes and the factor 0.4 are those of the
        package ``noise`` 1.2.2, ``pnoise1`` with its default arguments, which VisualAtom is defined with.
    """
    below = floor(x)
    cell = np.uint32(np.int32(below)) & np.uint32(255)
    f = np.float32(x - below)
    blend = f * f * f * (f * (f * np.float32(6) - np.float32(15)) + np.float32(10))
    left = _SLOPES[cell] * f
    right = _SLOPES[cell + np.uint32(1)] * (f - np.float32(1))
    return np.float32((left + blend * (right - left)) * np.float32(0.4))

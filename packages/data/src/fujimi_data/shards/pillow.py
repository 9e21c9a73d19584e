"""Pictures of the forms that nothing here reads faster than Pillow does."""

import io

import numpy as np
from numpy.typing import NDArray


def decode(content: bytes | memoryview, formats: tuple[str, ...]) -> NDArray[np.uint8]:
    """Read a picture: shape (rows, columns) if it is grey, (rows, columns, 3) in colour; transparency is dropped.

    Args:
        content: Of a file.
        formats: That it may have, by Pillow's names.

    Raises:
        ValueError: If it has none of them, or is damaged.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            grey = image.mode in ("1", "L", "LA", "I", "I;16")
            return np.asarray(image.convert("L" if grey else "RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as wrong:
        raise ValueError(f"not a {' or '.join(formats)} picture: {wrong}") from None

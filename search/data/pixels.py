"""One image file to the pixels of one sample: decode, resize the shorter side, crop the middle.

Result: uint8 ``[H, W, C]``, channels in the order asked for. Resizing is bilinear over the pixel areas; the longer
side becomes ``floor(size * longer / shorter)`` and the crop begins at ``round_half_even((side - crop) / 2)``, as in
common training pipelines. Orientation tags are not applied: pixels are taken as stored.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from search.errors import InvalidDataError
from search.spec.job import Preprocess

MAX_PIXELS = 64 * 2**20
FORMATS = ("JPEG", "PNG")
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def read_pixels(path: Path, preprocess: Preprocess, *, n_channels: int, where: str) -> npt.NDArray[np.uint8]:
    """Decode one image.

    Args:
        path: A JPEG or PNG file.
        preprocess: Order of channels, ``resize`` and ``crop``.
        n_channels: 1 (grey) or 3.
        where: What the user knows the file by.

    Returns:
        uint8 ``[H, W, n_channels]``.

    Raises:
        InvalidDataError: If the file is no image, is damaged or too large, or is smaller than the crop.
    """
    try:
        with _open(path, where) as image:
            pixels = _as_array(_crop(_resize(_convert(image, n_channels), preprocess), preprocess, where))
    except _BOMBS:
        raise _too_large(where) from None
    except _DAMAGE as error:
        raise _damaged(where, error) from None
    return pixels[..., ::-1] if preprocess.order == "BGR" else pixels


def read_size(path: Path, *, where: str) -> tuple[int, int]:
    """Return ``(height, width)`` from the header alone.

    Raises:
        InvalidDataError: As ``read_pixels``, as far as the header shows it.
    """
    try:
        with _open(path, where) as image:
            return image.height, image.width
    except _BOMBS:
        raise _too_large(where) from None
    except _DAMAGE as error:
        raise _damaged(where, error) from None


def size_after(size: tuple[int, int], preprocess: Preprocess) -> tuple[int, int]:
    """Return ``(height, width)`` after ``resize`` and ``crop``; the crop may be larger than the image."""
    height, width = size
    if preprocess.resize is not None:
        short, long = sorted((height, width))
        longer = preprocess.resize * long // short
        height, width = (preprocess.resize, longer) if height <= width else (longer, preprocess.resize)
    return (height, width) if preprocess.crop is None else crop_size(preprocess.crop)


def crop_size(crop: int | tuple[int, ...]) -> tuple[int, int]:
    """Return ``(height, width)`` of a crop."""
    return (crop, crop) if isinstance(crop, int) else (crop[0], crop[1])


def _open(path: Path, where: str) -> Image.Image:
    image = Image.open(path, formats=FORMATS)
    if image.height * image.width > MAX_PIXELS:
        image.close()
        raise _too_large(where)
    if image.mode not in _EIGHT_BIT_MODES:
        image.close()
        raise InvalidDataError(
            f"{where}: has pixels of kind {image.mode}; 8 bits per channel are needed. Convert it to RGB."
        )
    return image


def _convert(image: Image.Image, n_channels: int) -> Image.Image:
    # A palette with transparency must pass through RGBA, or its colours are guessed.
    opaque = image.convert("RGBA") if image.mode in ("P", "PA") and "transparency" in image.info else image
    return opaque.convert("L" if n_channels == 1 else "RGB")


def _resize(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    if preprocess.resize is None or min(image.size) == preprocess.resize:
        return image
    height, width = size_after((image.height, image.width), preprocess.model_copy(update={"crop": None}))
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _crop(image: Image.Image, preprocess: Preprocess, where: str) -> Image.Image:
    if preprocess.crop is None:
        return image
    height, width = crop_size(preprocess.crop)
    if height > image.height or width > image.width:
        raise InvalidDataError(
            f"{where}: is {image.height} x {image.width} after resize, smaller than the crop {height} x {width}. "
            f"Use a larger data.preprocess.resize or remove the image."
        )
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))


def _as_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(image, np.uint8)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _too_large(where: str) -> InvalidDataError:
    return InvalidDataError(f"{where}: has more than {MAX_PIXELS} pixels. Scale it down before.")


def _damaged(where: str, error: Exception) -> InvalidDataError:
    reason = " ".join(str(error).split())
    return InvalidDataError(f"{where}: cannot be decoded as JPEG or PNG ({reason}). Replace or remove it.")

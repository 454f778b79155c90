"""Encoded pictures to pixels, into the batch's array. The header is judged before a pixel is decoded."""

import io
import math
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from mmdist.data.image_buffers import misaligned
from mmdist.data.image_header import BadImage, ImageHeader, read_header

__all__ = ["BadImage", "decode_image", "decode_images", "decode_thumbnail"]

_EXIF_ORIENTATION = 0x0112
_FUNCTION_NAME = re.compile(r"^\w+\(\): ")
_WHITE = (255, 255, 255, 255)
_SHRINK_RESERVE = 2
_MOST_COPIED_BYTES = 64 * 1024
"""Pixels of a picture, in bytes, up to which decoding beside the batch and copying is faster: see `misaligned`."""
_SIMPLE_JPEG_COMPONENTS = (1, 3)
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes | memoryview, out: npt.NDArray[np.uint8], *, max_pixels: int) -> None:
    """Decodes a JPEG, PNG, GIF, BMP or WebP picture into RGB. Releases the GIL while it decodes.

    Animations give their first frame, transparency is laid over white, 16 bits are scaled to 8, CMYK and grey
    become RGB, and the rotation noted in EXIF is applied. A picture of another size is scaled (antialiased,
    bilinear; the sides' ratio is not kept).

    Args:
        data: The encoded picture.
        out: uint8 (H, W, 3), contiguous, written in place; undefined after an error.
        max_pixels: Largest picture, by its header, that is decoded.

    Raises:
        BadImage: where the bytes are no whole picture of these formats within the cap; it gives the reason.
    """
    _decode(data, read_header(data), out, max_pixels)


def decode_images(
    wanted: Iterable[tuple[int, bytes | memoryview]], out: npt.NDArray[np.uint8], *, max_pixels: int
) -> list[tuple[int, str]]:
    """Decodes pictures into their places of a batch's array, each as `decode_image` does.

    Pictures from one encoder begin with the same bytes up to their size. Where a JPEG begins with all the bytes that
    the header of the one before it was read from, it has the same header, and that is not read again.

    Args:
        wanted: Places and encoded pictures.
        out: uint8 (B, H, W, 3), contiguous, written in place; undefined at the places of bad pictures.
        max_pixels: Largest picture, by its header, that is decoded.

    Returns:
        The places of bad pictures, each with its reason.
    """
    bad = []
    fits, start = False, b""
    shape = out.shape[1:]
    beside = misaligned(shape) if math.prod(shape) <= _MOST_COPIED_BYTES else None
    for place, data in wanted:
        try:
            # Copying the bytes and comparing them is faster than comparing a view of them.
            if not start or bytes(data[: len(start)]) != start:
                start = b""
                header = read_header(data)
                fits = _fits(header, shape[:2], max_pixels)
                start = bytes(data[: header.size_bytes])
            if not fits:
                _decode(data, header, out[place], max_pixels)
            elif beside is None:
                _decode_fitting(data, out[place])
            else:
                _decode_fitting(data, beside)
                out[place] = beside
        except BadImage as error:
            bad.append((place, str(error)))
    return bad


def decode_thumbnail(data: bytes | memoryview, side: int, *, max_pixels: int) -> npt.NDArray[np.uint8]:
    """A small upright picture that keeps the ratio of its sides: uint8 (H, W, 3), neither side over `side`.

    Raises:
        BadImage: as `decode_image` does.
    """
    header = read_header(data)
    if header.format != "JPEG":  # others may say only behind their pixels which way is up
        _refuse_large(header.width, header.height, "by its header", max_pixels)
        picture = _read_with_pillow(data, header, max_pixels)
        picture.thumbnail((side, side), Image.Resampling.BILINEAR)
        return np.array(picture)
    height, width = (header.width, header.height) if header.orientation >= 5 else (header.height, header.width)
    scale = min(1.0, side / max(height, width, 1))
    out = np.empty((max(1, round(height * scale)), max(1, round(width * scale)), 3), np.uint8)
    decode_image(data, out, max_pixels=max_pixels)
    return out


def _decode(data: bytes | memoryview, header: ImageHeader, out: npt.NDArray[np.uint8], max_pixels: int) -> None:
    _refuse_large(header.width, header.height, "by its header", max_pixels)
    if _fits(header, out.shape[:2], max_pixels):
        _decode_fitting(data, out)
    elif header.format == "JPEG" and header.components in _SIMPLE_JPEG_COMPONENTS:
        _decode_jpeg(data, header, out)
    else:
        _put(_read_with_pillow(data, header, max_pixels), out)


def _fits(header: ImageHeader, size: tuple[int, ...], max_pixels: int) -> bool:
    """Whether the decoder's own pixels are those of the batch."""
    is_simple = header.format == "JPEG" and header.components in _SIMPLE_JPEG_COMPONENTS and header.orientation == 1
    return is_simple and (header.height, header.width) == size and header.pixels <= max_pixels


def _decode_fitting(data: bytes | memoryview, out: npt.NDArray[np.uint8]) -> None:
    try:
        simplejpeg.decode_jpeg(data, "RGB", buffer=out)
    except ValueError as error:
        raise _not_decoded(error) from error


def _not_decoded(error: ValueError) -> BadImage:
    """The decoder's words without the name of its function."""
    return BadImage(f"JPEG that cannot be decoded: {_FUNCTION_NAME.sub('', str(error))}")


def _decode_jpeg(data: bytes | memoryview, header: ImageHeader, out: npt.NDArray[np.uint8]) -> None:
    height, width = out.shape[:2]
    try:
        # Shrinking inside the decoder is much faster; the reserve keeps the scaling after it antialiased.
        least = _SHRINK_RESERVE * max(height, width)
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least, min_width=least)
    except ValueError as error:
        raise _not_decoded(error) from error
    _put(_turn(Image.fromarray(pixels), header.orientation), out)


def _read_with_pillow(data: bytes | memoryview, header: ImageHeader, max_pixels: int) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=(header.format,)) as opened:
            # A frame may be larger than the canvas that the header names.
            _refuse_large(opened.width, opened.height, "in a frame", max_pixels)
            opened.load()
            return _turn(_to_rgb(opened), opened.getexif().get(_EXIF_ORIENTATION, 1))
    except BadImage:
        raise
    except Exception as error:  # Pillow raises whatever its plugins meet, and none of it may stop a batch
        raise BadImage(f"{header.format} that cannot be decoded: {error}") from error


def _refuse_large(width: int, height: int, where: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadImage(f"{width} x {height} pixels {where}, over the cap of {max_pixels}")


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        wide = np.asarray(picture).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        straight = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", straight.size, _WHITE), straight).convert("RGB")
    return picture.convert("RGB")


def _turn(picture: Image.Image, orientation: object) -> Image.Image:
    how = _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None
    return picture if how is None else picture.transpose(how)


def _put(picture: Image.Image, out: npt.NDArray[np.uint8]) -> None:
    height, width = out.shape[:2]
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    out[...] = np.asarray(picture)

"""What an encoded picture says of itself before anything is decoded: format, size, channels, orientation.

Only the five formats of the allowlist are known, told apart by their first bytes. Nothing here allocates by what
a header claims.
"""

import struct
from dataclasses import dataclass
from typing import Literal

__all__ = ["BadImage", "ImageFormat", "ImageHeader", "read_header"]

ImageFormat = Literal["JPEG", "PNG", "GIF", "BMP", "WEBP"]

_ACCEPTED = "JPEG, PNG, GIF, BMP and WebP are read"
_NAMED_ELSEWHERE = (
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML or SVG"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "ZIP"),
)
# Start-of-frame markers carry the size; C4, C8 and CC lie among them and do not.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_ORIENTATION_TAG = 0x0112


class BadImage(Exception):  # noqa: N818 - it marks a row, and never ends a job
    """The bytes are not a picture that can be used; the text is the reason, fit for the quarantine file."""


@dataclass(frozen=True)
class ImageHeader:
    """A picture's format, its size in pixels, its channels (0 where unknown) and its EXIF orientation (1 to 8)."""

    format: ImageFormat
    width: int
    height: int
    components: int = 0
    orientation: int = 1
    size_bytes: int = 0
    """JPEG: all that was looked at lies in so many first bytes. Other formats: 0."""

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def read_header(data: bytes | memoryview) -> ImageHeader:
    """Reads the header of a picture.

    Raises:
        BadImage: where the bytes are empty, of another format, cut within the header, or of zero size.
    """
    view = memoryview(data)
    if not view.nbytes:
        raise BadImage("empty: 0 bytes")
    start = bytes(view[:12])
    try:
        if start.startswith(b"\xff\xd8\xff"):
            header = _jpeg(view)
        elif start.startswith(b"\x89PNG\r\n\x1a\n"):
            header = ImageHeader("PNG", *struct.unpack_from(">II", view, 16))
        elif start.startswith((b"GIF87a", b"GIF89a")):
            header = ImageHeader("GIF", *struct.unpack_from("<HH", view, 6))
        elif start.startswith(b"BM"):
            header = _bmp(view)
        elif start.startswith(b"RIFF") and start[8:] == b"WEBP":
            header = _webp(view)
        else:
            raise BadImage(_other_format(start, view.nbytes))
    except (struct.error, IndexError) as error:
        raise BadImage(f"cut within the header: {view.nbytes} bytes") from error
    if header.pixels == 0:
        raise BadImage(f"zero-sized: {header.width} x {header.height} pixels by its header")
    return header


def _jpeg(view: memoryview) -> ImageHeader:
    orientation = 1
    position = 2
    while True:
        # A marker may be preceded by any number of fill bytes 0xFF.
        if view[position] != 0xFF:
            raise BadImage(f"JPEG with a broken header: no marker at byte {position}")
        while view[position] == 0xFF:
            position += 1
        marker = view[position]
        position += 1
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in (0xD9, 0xDA):
            raise BadImage("JPEG with a broken header: no frame before its data")
        (length,) = struct.unpack_from(">H", view, position)
        if marker in _START_OF_FRAME:
            height, width, components = struct.unpack_from(">HHB", view, position + 3)
            return ImageHeader("JPEG", width, height, components, orientation, position + 8)
        if marker == 0xE1 and bytes(view[position + 2 : position + 8]) == b"Exif\x00\x00":
            orientation = _exif_orientation(bytes(view[position + 8 : position + length]))
        if length < 2:
            raise BadImage(f"JPEG with a broken header: a segment of length {length}")
        position += length


def _exif_orientation(tiff: bytes) -> int:
    """The orientation in an EXIF block; 1 where there is none or the block is broken, as viewers do."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG and kind == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _bmp(view: memoryview) -> ImageHeader:
    (header_bytes,) = struct.unpack_from("<I", view, 14)
    if header_bytes == 12:
        return ImageHeader("BMP", *struct.unpack_from("<HH", view, 18))
    width, height = struct.unpack_from("<ii", view, 18)
    return ImageHeader("BMP", abs(width), abs(height))  # a negative height means top to bottom


def _webp(view: memoryview) -> ImageHeader:
    kind = bytes(view[12:16])
    if kind == b"VP8X":
        low = struct.unpack_from("<IHBHB", view, 20)
        return ImageHeader("WEBP", (low[1] | low[2] << 16) + 1, (low[3] | low[4] << 16) + 1)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", view, 21)
        return ImageHeader("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", view, 26)
        return ImageHeader("WEBP", width & 0x3FFF, height & 0x3FFF)
    raise BadImage(f"WebP of an unknown kind: {kind!r}")


def _other_format(start: bytes, size_bytes: int) -> str:
    for magic, name in _NAMED_ELSEWHERE:
        if start.startswith(magic):
            return f"{name}, which is not read ({_ACCEPTED})"
    return f"not a picture of a known format: {size_bytes} bytes that begin with {start[:8].hex(' ')} ({_ACCEPTED})"

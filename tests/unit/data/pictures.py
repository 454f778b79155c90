"""Pictures for the tests: smooth ones, so that lossy formats keep them, encoded in every way that matters."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

SIDE = 32


def pixels(height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """uint8 (height, width, 3): red grows downwards, green to the right, blue is constant."""
    red = np.linspace(0, 240, height)[:, None].repeat(width, 1)
    green = np.linspace(0, 240, width)[None].repeat(height, 0)
    return np.stack([red, green, np.full((height, width), 96.0)], axis=2).astype(np.uint8)


def encoded(picture: Any, kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(sink, kind, **options)
    return sink.getvalue()


def jpeg(picture: np.ndarray | None = None, **options: Any) -> bytes:
    return encoded(pixels() if picture is None else picture, "JPEG", **{"quality": 95, "subsampling": 0, **options})


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_16_bit_rgb(values: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow reads and does not write. values: uint16 (H, W, 3)."""
    height, width, _ = values.shape
    lines = b"".join(b"\x00" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(lines))
        + png_chunk(b"IEND", b"")
    )


def with_jpeg_size(data: bytes, height: int, width: int) -> bytes:
    """A JPEG whose header claims another size."""
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def with_png_size(data: bytes, height: int, width: int) -> bytes:
    """A PNG whose header claims another size, with the right checksum."""
    return data[:8] + png_chunk(b"IHDR", struct.pack(">II", width, height) + data[24:29]) + data[33:]

"""The corruption matrix of pictures: each case has one stated outcome, pixels or a reason."""

import contextlib

import numpy as np
import pictures
import pyarrow as pa
import pytest
import simplejpeg
from pictures import SIDE, encoded, jpeg, pixels
from PIL import Image

from mmdist.data.decode import BadImage, decode_image, decode_images
from mmdist.data.image_header import read_header

RGB = pixels()
GREY = np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)
PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
INDICES = (np.arange(SIDE * SIDE) // 100 % 3).reshape(SIDE, SIDE).astype(np.uint8)
WIDE_GREY = np.linspace(0, 65535, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
ALPHA = np.linspace(0, 255, SIDE)[:, None].repeat(SIDE, 1).astype(np.uint8)
OVER_WHITE = (RGB * (ALPHA[..., None] / 255.0) + 255 - ALPHA[..., None]).round().astype(np.uint8)


def decode(data: bytes, size: tuple[int, int] = (SIDE, SIDE), max_pixels: int = 1_000_000) -> np.ndarray:
    out = np.full((*size, 3), 7, np.uint8)
    decode_image(data, out, max_pixels=max_pixels)
    return out


def palette_picture(transparent: int | None = None) -> bytes:
    picture = Image.fromarray(INDICES, "P")
    picture.putpalette(PALETTE.tobytes())
    return encoded(picture, "PNG", **({} if transparent is None else {"transparency": transparent}))


def rgba() -> np.ndarray:
    return np.concatenate([RGB, ALPHA[..., None]], axis=2)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return grey[..., None].repeat(3, axis=2)


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(RGB), Image.new("RGB", (SIDE, SIDE), "black")]
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


# name: (the file, what must come out, largest difference that the format may cause)
DECODED = {
    "jpeg": (jpeg(), RGB, 4),
    "jpeg progressive": (jpeg(progressive=True), RGB, 4),
    "jpeg grey": (encoded(GREY, "JPEG", quality=95), as_rgb(GREY), 4),
    "jpeg cmyk": (encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=95), RGB, 8),
    "jpeg with trailing junk": (jpeg() + b"\x00junk" * 100, RGB, 4),
    "jpeg after fill bytes": (b"\xff\xd8\xff\xff\xff" + jpeg()[3:], RGB, 4),
    "png": (encoded(RGB, "PNG"), RGB, 0),
    "png with trailing junk": (encoded(RGB, "PNG") + b"junk" * 100, RGB, 0),
    "png grey": (encoded(GREY, "PNG"), as_rgb(GREY), 0),
    "png 1 bit": (encoded(Image.fromarray((GREY > 99).astype(np.uint8) * 255).convert("1"), "PNG"), None, 0),
    "png 16-bit grey": (encoded(WIDE_GREY, "PNG"), as_rgb((WIDE_GREY / 257.0).round().astype(np.uint8)), 1),
    "png 16-bit rgb": (pictures.png_16_bit_rgb(RGB.astype(np.uint16) * 257), RGB, 1),
    "png palette": (palette_picture(), PALETTE[INDICES], 0),
    "png palette with transparency": (
        palette_picture(transparent=1),
        np.where(INDICES[..., None] == 1, np.uint8(255), PALETTE[INDICES]),
        0,
    ),
    "png alpha": (encoded(rgba(), "PNG"), OVER_WHITE, 1),
    "png grey alpha": (
        encoded(Image.fromarray(np.stack([GREY, np.full_like(GREY, 255)], axis=2), "LA"), "PNG"),
        as_rgb(GREY),
        0,
    ),
    "gif": (encoded(Image.fromarray(INDICES, "L"), "GIF"), as_rgb(INDICES), 0),
    "gif animated": (animated("GIF"), RGB, 24),
    "bmp": (encoded(RGB, "BMP"), RGB, 0),
    "bmp grey": (encoded(GREY, "BMP"), as_rgb(GREY), 0),
    "webp lossless": (encoded(RGB, "WEBP", lossless=True), RGB, 0),
    "webp lossy": (encoded(RGB, "WEBP", quality=95), RGB, 12),
    "webp alpha": (encoded(rgba(), "WEBP", lossless=True, exact=True), OVER_WHITE, 1),
    "webp animated": (animated("WEBP"), RGB, 0),
}

CUT = {
    "jpeg cut in its data": (jpeg()[:-200], "Premature end|truncated"),
    "jpeg without its last two bytes": (jpeg()[:-2], "Premature end|truncated"),
    "jpeg cut in its header": (jpeg()[:30], "cut within the header"),
    "jpeg scaled, cut": (jpeg(pixels(200, 300))[:-400], "Premature end|truncated"),
    "jpeg cmyk cut": (encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG")[:-100], "truncated"),
    "png cut": (encoded(RGB, "PNG")[:-60], "PNG that cannot be decoded"),
    "gif cut": (encoded(Image.fromarray(RGB).quantize(), "GIF")[:-300], "GIF that cannot be decoded"),
    "bmp cut": (encoded(RGB, "BMP")[:-60], "BMP that cannot be decoded"),
    "webp cut": (encoded(RGB, "WEBP", lossless=True)[:-30], "WEBP that cannot be decoded"),
}

BAD = {
    **CUT,
    "empty": (b"", "empty: 0 bytes"),
    "one byte": (b"\xff", "not a picture of a known format: 1 bytes"),
    "text": (b"hello, I am no picture", "not a picture of a known format"),
    "tiff": (encoded(RGB, "TIFF"), "TIFF, which is not read"),
    "ico": (encoded(RGB, "ICO"), "ICO, which is not read"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which is not read"),
    "jpeg of zero size": (pictures.with_jpeg_size(jpeg(), 0, 32), "zero-sized: 32 x 0"),
    "png of zero size": (pictures.with_png_size(encoded(RGB, "PNG"), 32, 0), "zero-sized: 0 x 32"),
    "jpeg bomb": (pictures.with_jpeg_size(jpeg(), 65500, 65500), "65500 x 65500 pixels by its header, over the cap"),
    "png bomb": (pictures.with_png_size(encoded(RGB, "PNG"), 50000, 60000), "60000 x 50000 pixels by its header"),
    "gif bomb": (b"GIF89a" + b"\xff\xff\xff\xff" + b"\x00" * 20, "65535 x 65535 pixels by its header"),
    "bmp bomb": (encoded(RGB, "BMP")[:18] + b"\x00\x00\x01\x00" * 2 + bytes(40), "65536 x 65536 pixels"),
    "webp bomb": (b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + b"\x00" * 4 + b"\xff" * 6, "16777216 x 16777216"),
    "jpeg with a wrong size": (pictures.with_jpeg_size(jpeg(), 64, 64), "JPEG that cannot be decoded"),
    "jpeg start alone": (b"\xff\xd8\xff\xd9", "no frame before its data"),
    "jpeg without a frame": (b"\xff\xd8\xff\xda\x00\x02", "no frame before its data"),
    "jpeg with noise for a header": (b"\xff\xd8\xff\xe0\x00\x04ab" + b"noise" * 9, "no marker at byte"),
    "png of another name": (b"\x89PNG\r\n\x1a\n" + b"x" * 40, "PNG that cannot be decoded|over the cap"),
}


@pytest.mark.parametrize("name", DECODED)
def test_decodes_to_the_expected_pixels(name: str) -> None:
    data, expected, tolerance = DECODED[name]
    found = decode(data)
    if expected is None:
        expected = as_rgb((GREY > 99).astype(np.uint8) * 255)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize("name", BAD)
def test_refuses_with_the_reason(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(BadImage, match=reason):
        decode(data)


@pytest.mark.parametrize("name", [name for name in DECODED if "junk" not in name and "animated" not in name])
def test_a_cut_picture_is_bad_wherever_it_is_cut(name: str) -> None:
    data, _, _ = DECODED[name]
    # The last bytes of a PNG or GIF are checksum and trailer: without them all pixels are still there.
    tail = 25 if name.startswith(("png", "gif")) else 1
    for length in range(0, len(data) - tail, max(1, len(data) // 40)):
        with pytest.raises(BadImage):
            decode(data[:length])


@pytest.mark.parametrize("name", ["png", "png alpha", "gif"])
def test_a_picture_without_its_trailer_is_whole_or_bad(name: str) -> None:
    data, _, _ = DECODED[name]
    for length in range(len(data) - 25, len(data)):
        with contextlib.suppress(BadImage):
            assert np.array_equal(decode(data[:length]), decode(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_applies_the_rotation_of_exif(kind: str, orientation: int) -> None:
    upright = pixels(SIDE, 48)
    turns = {  # how a camera stored the upright picture
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    stored = np.ascontiguousarray(turns[orientation])
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = encoded(stored, kind, exif=pictures.exif(orientation), **options)
    assert np.abs(decode(data, (SIDE, 48)).astype(int) - upright).max() <= 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(16, 16), (8, 24), (100, 100), (500, 300)])
def test_scales_other_sizes(kind: str, size: tuple[int, int]) -> None:
    data = encoded(pixels(200, 300), kind)
    scaled = Image.fromarray(pixels(200, 300)).resize(size[::-1], Image.Resampling.BILINEAR)
    assert np.abs(decode(data, size).astype(int) - np.asarray(scaled)).max() <= 8


def test_scaling_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    found = decode(encoded(stripes, "PNG"), (16, 16))
    assert np.abs(found[:, 1:-1].astype(int) - 127).max() <= 2


@pytest.mark.parametrize("size", [(SIDE, SIDE), (8, 8)])
def test_a_reason_names_no_function_of_the_decoder(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage, match=r"^JPEG that cannot be decoded: [A-Z][^()]*$"):
        decode(jpeg()[:-100], size)


def test_the_cap_is_inclusive() -> None:
    assert np.abs(decode(jpeg(), max_pixels=SIDE * SIDE).astype(int) - RGB).max() <= 4
    with pytest.raises(BadImage, match=f"over the cap of {SIDE * SIDE - 1}"):
        decode(jpeg(), max_pixels=SIDE * SIDE - 1)


def test_a_frame_larger_than_its_canvas_meets_the_cap() -> None:
    data = bytearray(encoded(Image.fromarray(INDICES, "L"), "GIF"))
    frame = data.index(b",\x00\x00\x00\x00")
    data[frame + 5 : frame + 9] = b"\xff\x0f\xff\x0f"
    with pytest.raises(BadImage, match="pixels in a frame, over the cap"):
        decode(bytes(data))


def test_headers_name_format_and_size() -> None:
    for kind, options in {"JPEG": {}, "PNG": {}, "GIF": {}, "BMP": {}, "WEBP": {"lossless": True}}.items():
        header = read_header(encoded(pixels(20, 30), kind, **options))
        assert (header.format, header.height, header.width) == (kind, 20, 30)
    lossy = read_header(encoded(pixels(20, 30), "WEBP"))
    extended = read_header(animated("WEBP"))
    assert (lossy.height, lossy.width, extended.height, extended.width) == (20, 30, SIDE, SIDE)


def test_reads_from_a_memoryview_of_arrow() -> None:
    buffer = pa.array([jpeg()], pa.binary()).buffers()[2]
    start = memoryview(buffer).cast("B")
    assert np.abs(decode(start).astype(int) - RGB).max() <= 4


def test_pictures_that_share_a_header_are_decoded_as_each_alone() -> None:
    shades = [np.full((SIDE, SIDE, 3), shade, np.uint8) for shade in (0, 90, 200)]
    forged = bytearray(jpeg(shades[1]))
    frame = forged.index(b"\xff\xc0")
    forged[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    data = [jpeg(shades[0]), jpeg(shades[1]), bytes(forged), jpeg(shades[2]), jpeg(shades[1])[:40], b"", jpeg(GREY)]
    data += [jpeg(RGB, exif=pictures.exif(6)), jpeg(RGB), encoded(RGB, "PNG"), jpeg(shades[2], quality=30)]
    out = np.zeros((len(data), SIDE, SIDE, 3), np.uint8)
    views = [(place, memoryview(value)) for place, value in enumerate(data)]
    bad = dict(decode_images(views, out, max_pixels=1_000_000))
    assert sorted(bad) == [2, 4, 5]
    for place, value in enumerate(data):
        if place in bad:
            with pytest.raises(BadImage) as raised:
                decode(value)
            assert bad[place] == str(raised.value)
        else:
            assert np.array_equal(out[place], decode(value))


@pytest.mark.parametrize("side", [16, 147, 148, 160])
def test_pictures_decoded_beside_the_batch_are_those_decoded_in_it(side: int) -> None:
    rng = np.random.default_rng(side)
    data = [jpeg(rng.integers(0, 256, (side, side, 3), np.uint8)) for _ in range(3)]
    out = np.zeros((4, side, side, 3), np.uint8)
    wanted = [(0, data[0]), (1, b"bad"), (2, data[1]), (3, data[2])]
    assert [place for place, _ in decode_images(wanted, out, max_pixels=1_000_000)] == [1]
    for place, value in zip((0, 2, 3), data, strict=True):
        assert np.array_equal(out[place], simplejpeg.decode_jpeg(value, "RGB"))


def test_a_header_says_how_far_it_was_read() -> None:
    data = jpeg(RGB, exif=pictures.exif(6))
    header = read_header(data)
    assert read_header(data[: header.size_bytes]) == header
    with pytest.raises(BadImage, match="cut within the header"):
        read_header(data[: header.size_bytes - 1])

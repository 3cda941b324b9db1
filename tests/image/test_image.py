"""Every kind of image becomes the RGB bytes its rule says, or an error that names it."""

import numpy as np
import pytest
from PIL import Image

from argus_core.errors import ArgusError
from argus_core.image import read_image

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
GREY = COLOURS[..., 0]
UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


def thrice(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def check(source, expected, atol=0):
    out = read_image(source)
    assert out.dtype == np.uint8 and out.flags.c_contiguous and out.flags.writeable
    np.testing.assert_allclose(out.astype(int), np.asarray(expected).astype(int), atol=atol, rtol=0)


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_the_exif_orientation_is_applied_once(suffix, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    how = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(COLOURS).save(path, exif=exif, **how)
    for source in (path, str(path)):
        check(source, UPRIGHT[orientation](COLOURS), atol=3 if suffix == "jpg" else 0)
    with Image.open(path) as image:
        check(image, UPRIGHT[orientation](COLOURS), atol=3 if suffix == "jpg" else 0)


def test_broken_exif_does_not_hide_the_image(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        assert read_image(tmp_path / "a.jpg").shape == COLOURS.shape


def over_white(colour, alpha):
    alpha = alpha.astype(float)[..., None] / 255
    return np.rint(colour * alpha + 255 * (1 - alpha))


def test_transparency_is_laid_over_white(tmp_path):
    alpha = GREY[:, ::-1]
    rgba = np.dstack([COLOURS, alpha])
    check(rgba, over_white(COLOURS, alpha), atol=1)
    check(np.dstack([COLOURS, alpha]) / 255.0, over_white(COLOURS, alpha), atol=1)
    grey = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    for name, image, colour in (("a.png", Image.fromarray(rgba), COLOURS), ("b.png", grey, thrice(GREY))):
        image.save(tmp_path / name)
        check(tmp_path / name, over_white(colour, alpha), atol=1)


def test_palettes_keep_their_colours_and_their_transparent_entry(tmp_path):
    indices = np.arange(40, dtype=np.uint8).reshape(5, 8) % 3
    palette = np.array([[200, 10, 20], [0, 0, 0], [1, 2, 3]], dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png")
    check(tmp_path / "a.png", palette[indices])
    image.save(tmp_path / "b.png", transparency=1)
    image.save(tmp_path / "c.gif", transparency=1)
    palette[1] = 255
    check(tmp_path / "b.png", palette[indices])
    check(tmp_path / "c.gif", palette[indices])


def test_grey_and_one_bit_images_are_repeated(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    check(tmp_path / "grey.png", thrice(GREY))
    Image.fromarray(GREY > 99).save(tmp_path / "bit.png")
    check(tmp_path / "bit.png", thrice((GREY > 99) * 255))


def test_a_grey_value_can_be_marked_transparent(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "key.png", transparency=int(GREY[2, 3]))
    check(tmp_path / "key.png", thrice(np.where(GREY[2, 3] == GREY, 255, GREY)))


def test_cmyk_is_converted(tmp_path):
    inks = np.random.default_rng(1).integers(0, 256, (5, 8, 4), dtype=np.uint8)
    Image.fromarray(inks, mode="CMYK").save(tmp_path / "inks.tif")
    light = (255 - inks.astype(float)) / 255
    check(tmp_path / "inks.tif", np.rint(255 * light[..., :3] * light[..., 3:]), atol=1)


WIDE = np.array([[0, 255, 256, 511], [32768, 65279, 65280, 65535]], dtype=np.uint16)
HIGH = np.array([[0, 0, 1, 1], [128, 254, 255, 255]])


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_keep_the_high_byte(suffix, tmp_path):
    Image.fromarray(WIDE).save(tmp_path / f"wide.{suffix}")
    check(tmp_path / f"wide.{suffix}", thrice(HIGH))


@pytest.mark.parametrize("values", [WIDE, WIDE.astype(">u2"), WIDE[..., None], np.dstack([WIDE] * 3)])
def test_sixteen_bit_arrays_follow_the_same_rule(values):
    check(values, thrice(HIGH))


def test_thirty_two_bit_images_are_sixteen_bit_ones():
    check(Image.fromarray(WIDE.astype(np.int32)), thrice(HIGH))
    with pytest.raises(ArgusError, match=r"given I image.*0 to 70000.*65535"):
        read_image(Image.fromarray(np.array([[0, 70000]], dtype=np.int32)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_shares_of_white(dtype, tmp_path):
    check((COLOURS / 255).astype(dtype), COLOURS)
    check((GREY / 255).astype(dtype), thrice(GREY))
    Image.fromarray((GREY / 255).astype(np.float32)).save(tmp_path / "float.tiff")
    check(tmp_path / "float.tiff", thrice(GREY))


def test_arrays_of_bytes_pass_through():
    assert np.shares_memory(read_image(COLOURS), COLOURS)
    check(COLOURS[:, ::-1], COLOURS[:, ::-1])
    locked = COLOURS.copy()
    locked.flags.writeable = False
    check(locked, COLOURS)
    check(GREY, thrice(GREY))
    check(GREY[..., None], thrice(GREY))


def test_an_image_given_is_not_changed():
    image = Image.fromarray(COLOURS)
    image.getexif()[0x0112] = 6
    check(image, np.rot90(COLOURS, -1))
    assert image.size == (8, 5) and image.getexif()[0x0112] == 6


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros((5, 8), dtype=bool), "bool"),
        (np.zeros((5, 8, 3), dtype=np.int64), "int64.*uint8"),
        (np.zeros((5, 8, 3), dtype=complex), "complex128"),
        (np.zeros((3, 5, 8), dtype=np.uint8), r"\(3, 5, 8\)"),
        (np.zeros((1, 5, 8, 3), dtype=np.uint8), r"\(1, 5, 8, 3\)"),
        (np.zeros((0, 8, 3), dtype=np.uint8), r"\(0, 8, 3\)"),
        (np.zeros((5, 8, 2), dtype=np.uint8), r"\(5, 8, 2\)"),
        (np.full((5, 8), 200.0), r"0\.\.1.*200"),
        (np.full((5, 8), -0.5), "-0.5"),
        (np.full((5, 8), np.nan), "nan"),
        (7, "int"),
        ("nowhere.png", "nowhere.png.*no such file"),
        (b"bytes", "bytes"),
    ],
)
def test_what_is_no_image_is_named(wrong, words):
    with pytest.raises(ArgusError, match=words):
        read_image(wrong)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp", "gif", "bmp"])
def test_no_truncation_escapes_or_passes_for_an_image(suffix, tmp_path):
    """Cut at any length, a file is an ArgusError with its path or (behind the last pixel) the image itself."""
    Image.fromarray(COLOURS).save(tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    expected = read_image(tmp_path / f"whole.{suffix}")
    failures = 0
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(whole[:length])
        try:
            np.testing.assert_array_equal(read_image(path), expected)
        except ArgusError as error:
            failures += 1
            assert str(path) in str(error)
    assert failures > 10


def test_a_folder_and_a_text_are_named(tmp_path):
    with pytest.raises(ArgusError, match="no such file"):
        read_image(tmp_path)
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(ArgusError, match=r"a\.jpg.*cannot be read"):
        read_image(tmp_path / "a.jpg")


def test_huge_images_warn_and_enormous_ones_are_refused_by_name(tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    Image.fromarray(COLOURS).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", COLOURS[..., 0].size - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        check(path, COLOURS)
    with pytest.raises(ArgusError, match=r"huge\.png.*MAX_IMAGE_PIXELS"):  # where warnings are errors, as here
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ArgusError, match=r"huge\.png.*MAX_IMAGE_PIXELS"):
        read_image(path)

"""Orientation and pixels that are not square: masks, depth maps and video frames as viewers and players show them."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageOps

from argus_core.cli.inputs import Source, frames
from argus_core.data.check import check_data
from argus_core.errors import ArgusError
from argus_core.image import read_image, read_size
from argus_data.folders.image_folders import open_images
from argus_data.layers.depth_maps import read_depth
from argus_data.layers.masks import read_mask
from mask_folders import save_image, save_mask

LABELS = np.array([[0, 1, 2], [1, 1, 2]], dtype=np.uint8)


def exif(orientation: int) -> Image.Exif:
    record = Image.Exif()
    record[274] = orientation
    return record


def turned(values, orientation):
    """By Pillow's own rules."""
    image = Image.fromarray(values)
    image.getexif()[274] = orientation
    return np.array(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["L.png", "P.png", "1.png", "I;16.png", "L.tif", "I;16.tif"])
def test_masks_are_turned_as_photographs_are(tmp_path, kind, orientation):
    mode = kind.partition(".")[0]
    values = LABELS > 0 if mode == "1" else LABELS.astype(np.uint16) if mode == "I;16" else LABELS
    image = Image.fromarray(values)
    (image.convert("P") if mode == "P" else image).save(tmp_path / kind, exif=exif(orientation))
    assert np.array_equal(
        read_mask(tmp_path / kind),
        turned(LABELS, orientation) if mode != "1" else turned(LABELS.clip(0, 1), orientation),
    )


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", np.uint16), (".tif", np.uint16), (".tif", np.float32)])
def test_depth_maps_are_turned_as_photographs_are(tmp_path, suffix, dtype):
    values = (LABELS.astype(dtype) + 1) * 1000
    Image.fromarray(values).save(tmp_path / f"a{suffix}", exif=exif(6))
    found = read_depth(tmp_path / f"a{suffix}", 1.0)
    assert np.allclose(found, np.rot90(values, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_sizes_are_those_of_the_upright_image(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((4, 7, 3), np.uint8)).save(path, exif=exif(orientation))
    assert read_size(path) == read_image(path).shape[:2] == ((7, 4) if orientation >= 5 else (4, 7))


def test_an_image_and_its_mask_that_are_turned_alike_fit(tmp_path):
    save_image(tmp_path / "images/a.jpg", size=(2, 3))
    Image.open(tmp_path / "images/a.jpg").save(tmp_path / "images/a.jpg", exif=exif(6))
    (tmp_path / "masks").mkdir()
    Image.fromarray(LABELS).save(tmp_path / "masks/a.png", exif=exif(6))
    (tmp_path / "classes.json").write_text('["wall", "floor", "bed"]')
    split = open_images(tmp_path, masks="masks", classes="classes.json")["all"]
    assert split.read(0).shape[:2] == split.truth(0, "segment").shape == (3, 2)
    assert not check_data({"all": split})["all"].faults


def test_an_image_and_annotations_that_are_not_turned_alike_are_told(tmp_path):
    save_image(tmp_path / "images/a.jpg", size=(2, 3))
    Image.open(tmp_path / "images/a.jpg").save(tmp_path / "images/a.jpg", exif=exif(6))
    save_mask(tmp_path / "masks/a.png", LABELS)
    Image.fromarray(LABELS.astype(np.uint16) + 1000).save(tmp_path / "masks/depth.png")
    (tmp_path / "depth").mkdir()
    (tmp_path / "masks/depth.png").rename(tmp_path / "depth/a.png")
    (tmp_path / "classes.json").write_text('["wall", "floor", "bed"]')
    report = check_data(open_images(tmp_path, masks="masks", depth="depth", classes="classes.json"))["all"]
    told = [str(fault) for fault in report.faults]
    assert "the mask is 2x3 (height x width), the image 3x2; one of the two files has an EXIF" in "\n".join(told)
    assert "it is 2x3 (height x width), the image 3x2; one of the two files has an EXIF" in "\n".join(told)


def png(bits: int, rows, *chunks: bytes) -> bytes:
    """A grey PNG of 2 or 4 bits, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = ["".join(format(value, f"0{bits}b") for value in row) for row in rows]
    raw = b"".join(
        b"\0" + int(line.ljust(-(-len(line) // 8) * 8, "0"), 2).to_bytes(-(-len(line) // 8), "big") for line in lines
    )
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + b"".join(chunk(*one) for one in chunks) + chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [2, 4])
def test_masks_of_few_bits_hold_indices_not_shades(tmp_path, bits):
    (tmp_path / "a.png").write_bytes(png(bits, LABELS.tolist(), (b"tRNS", b"\0\0")))
    assert read_mask(tmp_path / "a.png").tolist() == LABELS.tolist()


def test_a_record_behind_the_pixels_counts(tmp_path):
    """PNG may say its orientation at the end of the file."""
    Image.fromarray(LABELS).save(tmp_path / "a.png", exif=exif(6))
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"eXIf") - 4
    length = 12 + struct.unpack(">I", data[start : start + 4])[0]
    moved = data[:start] + data[start + length : -12] + data[start : start + length] + data[-12:]
    (tmp_path / "a.png").write_bytes(moved)
    assert read_mask(tmp_path / "a.png").shape == read_image(tmp_path / "a.png").shape[:2] == (3, 2)


@pytest.mark.parametrize("read", [read_mask, lambda path: read_depth(path, 1.0)])
def test_masks_and_depth_maps_that_end_early_are_refused(tmp_path, read):
    Image.fromarray(np.ones((40, 40), np.uint16)).save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as image:
        rows = image.tag_v2[278]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    at = data.index(struct.pack("<HHI", 257, 4, 1)) + 8  # the height, twice what its strips cover
    data[at : at + 4] = struct.pack("<I", rows * 2)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ArgusError, match="too early"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("read", [read_mask, lambda path: read_depth(path, 1.0)])
def test_no_program_is_run_for_a_mask(tmp_path, read):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 2\n%%EndComments\nshowpage\n")
    with pytest.raises(ArgusError, match="PostScript is a program"):
        read(tmp_path / "a.png")


ONE = 1 << 16
MATRICES = {  # a, b, c, d of the display matrix, and the four corners as they are shown
    "as stored": ((ONE, 0, 0, ONE), "RG/BW"),
    "clockwise": ((0, ONE, -ONE, 0), "BR/WG"),
    "upside down": ((-ONE, 0, 0, -ONE), "WB/GR"),
    "anticlockwise": ((0, -ONE, ONE, 0), "GW/RB"),
    "mirrored": ((-ONE, 0, 0, ONE), "GR/WB"),
    "flipped": ((ONE, 0, 0, -ONE), "BW/RG"),
    "mirrored and turned": ((0, ONE, ONE, 0), "RB/GW"),
    "by 5 degrees": ((round(0.996 * ONE), round(0.087 * ONE), -round(0.087 * ONE), round(0.996 * ONE)), "RG/BW"),
}
COLOURS = {"R": (255, 0, 0), "G": (0, 255, 0), "B": (0, 0, 255), "W": (255, 255, 255)}


def clip(path, count=3, shape=None, matrix=None, **options):
    """A video of 64x48 whose quarters are red, green, blue and white."""
    av = pytest.importorskip("av")
    quarters = np.array([[COLOURS["R"], COLOURS["G"]], [COLOURS["B"], COLOURS["W"]]], np.uint8)
    image = quarters.repeat(24, axis=0).repeat(32, axis=1).astype(int)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
        stream.options = {"qmin": "2", "qmax": "3"}
        if shape:
            stream.codec_context.sample_aspect_ratio = shape
        for _ in range(count):
            noisy = (image + rng.integers(-40, 40, image.shape)).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode())
    if matrix:
        a, b, c, d = matrix
        data = bytearray(path.read_bytes())
        at = data.index(b"tkhd") + 44
        data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(data)
    return path


def song(path, pictures=0, cover=False):
    """Sound of 0.4 s, with a picture that is its cover or three frames of 0.1 s."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=16000)
        stream = container.add_stream("mjpeg", rate=10) if pictures else None
        if stream:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        if cover:
            stream.disposition = av.stream.Disposition.attached_pic
        for _ in range(pictures):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        for number in range(6):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 16000, 1024 * number
            container.mux(audio.encode(tone))
        for each in filter(None, (audio, stream)):
            container.mux(each.encode())
    return path


def looked(path, every=1):
    found = list(frames(Source(str(path), "clip", "clip", moving=True), every, 0))
    return [one.image for one in found if one.image is not None], [one.fault for one in found if one.image is None]


def corners(image):
    height, width = image.shape[:2]
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)

    def colour(pixel):
        return min(COLOURS, key=lambda name: np.abs(pixel.astype(int) - COLOURS[name]).sum())

    return "/".join("".join(colour(image[row, column]) for column in columns) for row in rows)


@pytest.mark.parametrize("name", MATRICES)
def test_frames_are_turned_and_mirrored_as_a_player_shows_them(tmp_path, name):
    matrix, shown = MATRICES[name]
    images, faults = looked(clip(tmp_path / "a.mp4", matrix=matrix))
    assert len(images) == 3 and not faults
    assert {corners(image) for image in images} == {shown}
    assert images[0].shape == ((48, 64, 3) if abs(matrix[0]) > abs(matrix[1]) else (64, 48, 3))


@pytest.mark.parametrize(
    ("shape", "ending", "matrix", "size"),
    [
        (Fraction(4, 3), "mp4", None, (48, 85, 3)),
        (Fraction(8, 9), "mkv", None, (48, 57, 3)),
        (Fraction(8, 9), "avi", None, (48, 57, 3)),
        (Fraction(4, 3), "mp4", MATRICES["clockwise"][0], (85, 48, 3)),
        (Fraction(99, 1), "mkv", None, (48, 64, 3)),  # nobody means that
    ],
)
def test_pixels_are_made_square(tmp_path, shape, ending, matrix, size):
    images, faults = looked(clip(tmp_path / f"a.{ending}", shape=shape, matrix=matrix))
    assert images[0].shape == size and not faults


def test_the_case_of_a_phone(tmp_path):
    images, _ = looked(clip(tmp_path / "phone.mp4", matrix=MATRICES["clockwise"][0]))
    assert all(image.shape == (64, 48, 3) and image.flags.c_contiguous for image in images)


def test_damaged_frames_are_left_out_and_counted(tmp_path):
    path = clip(tmp_path / "a.mp4", count=30)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 3000] = np.random.default_rng(1).integers(0, 256, 3000, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    images, (fault,) = looked(path)
    lost = int(fault.split(": ")[1].split()[0])
    assert 0 < lost < 30 and len(images) == 30 - lost and fault.endswith("of 30 frames damaged and left out")
    assert {corners(image) for image in images} == {"RG/BW"}


@pytest.mark.parametrize(
    ("ending", "options", "words"),
    [("mp4", {"movflags": "faststart"}, "ends early, "), ("mkv", {}, "ends early, "), ("mp4", {}, "end is missing")],
)
def test_videos_that_end_early_say_so(tmp_path, ending, options, words):
    path = clip(tmp_path / f"a.{ending}", count=30, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    images, faults = looked(path)
    assert words in faults[-1] and len(images) < 30
    assert bool(images) == words.startswith("ends early")


def test_a_little_more_sound_than_pictures_is_no_fault(tmp_path):
    images, faults = looked(song(tmp_path / "a.mkv", pictures=3))
    assert len(images) == 3 and not faults


def test_what_holds_no_video_is_said(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello\n" * 50)
    song(tmp_path / "sound.mp4")
    data = (tmp_path / "sound.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    for name, words in (
        ("empty.mp4", "cannot be read as a video (it is empty)"),
        ("text.mp4", "cannot be read as a video (its content is no video that FFmpeg knows, or its end is missing)"),
        ("sound.mp4", "holds no video, only audio"),
        ("cut.mp4", "cannot be read as a video (its end is missing)"),  # no OSError of PyAV's, which was a traceback
        ("gone.mp4", "cannot be read as a video (No such file or directory)"),
    ):
        assert looked(tmp_path / name) == ([], [f"{tmp_path / name}: {words}"])
    images, (fault,) = looked("nothing://camera")
    assert not images and "nothing://camera: cannot be read as a video (" in fault


def test_the_cover_of_a_song_is_no_video(tmp_path):
    if not hasattr(pytest.importorskip("av").stream, "Disposition"):
        pytest.skip("this PyAV does not tell covers")
    path = song(tmp_path / "cover.mp4", pictures=1, cover=True)
    assert looked(path) == ([], [f"{path}: holds no video, only audio"])

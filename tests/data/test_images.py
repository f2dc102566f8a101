import io
import zlib

import numpy as np
import pytest
from PIL import Image

import search.data.pixels as pixels_module
from search.data.images import open_images
from search.data.inputs import InputInfo
from search.errors import InvalidDataError, UsageError
from search.spec.job import Preprocess
from tests.data.reading import open_documented as open_data

NCHW = InputInfo("image", np.dtype(np.float32), (None, 3, None, None))
GREY = InputInfo("image", np.dtype(np.float32), (None, 1, None, None))
PLAIN = Preprocess()


def picture(seed=0, size=(6, 8)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def test_values_follow_the_formula_exactly(tmp_path):
    image = picture()
    save(tmp_path / "0.png", image)
    source = open_images(tmp_path, [NCHW], Preprocess(mean=127.5, scale=0.00784))
    expected = (image.astype(np.float32) - np.float32(127.5)) * np.float32(0.00784)
    np.testing.assert_array_equal(source.batch([0])["image"][0], expected.transpose(2, 0, 1))


def test_mean_and_scale_per_channel_follow_the_order_of_the_channels(tmp_path):
    image = picture()
    save(tmp_path / "0.png", image)
    preprocess = Preprocess(order="BGR", mean=(1.0, 2.0, 3.0), scale=(0.5, 0.25, 2.0))
    got = open_images(tmp_path, [NCHW], preprocess).batch([0])["image"][0]
    for channel, (mean, scale) in enumerate([(1, 0.5), (2, 0.25), (3, 2)]):
        np.testing.assert_array_equal(got[channel], (image[:, :, 2 - channel].astype(np.float32) - mean) * scale)


def test_the_layout_can_be_channels_last(tmp_path):
    image = picture()
    save(tmp_path / "0.png", image)
    info = InputInfo("image", np.dtype(np.float32), (1, 6, 8, 3))
    source = open_images(tmp_path, [info], Preprocess(layout="NHWC"))
    assert source.layout["image"].shape == (6, 8, 3)
    np.testing.assert_array_equal(source.batch([0])["image"][0], image)


def test_a_model_with_one_channel_gets_grey(tmp_path):
    save(tmp_path / "0.png", picture())
    got = open_images(tmp_path, [GREY], PLAIN).batch([0])["image"]
    np.testing.assert_array_equal(got[0, 0], np.asarray(Image.open(tmp_path / "0.png").convert("L")))


@pytest.mark.parametrize(
    ("size", "expected"), [((40, 61), (20, 30)), ((61, 40), (30, 20)), ((20, 33), (20, 33)), ((7, 7), (20, 20))]
)
def test_resize_brings_the_shorter_side_to_the_size(tmp_path, size, expected):
    save(tmp_path / "0.png", picture(size=size))
    source = open_images(tmp_path, [NCHW], Preprocess(resize=20))
    assert source.layout["image"].shape == (3, *expected)
    assert source.batch([0])["image"].shape == (1, 3, *expected)


def test_the_crop_is_cut_from_the_middle(tmp_path):
    image = picture(size=(9, 12))
    save(tmp_path / "0.png", image)
    got = open_images(tmp_path, [NCHW], Preprocess(crop=(5, 4))).batch([0])["image"][0]
    np.testing.assert_array_equal(got.transpose(1, 2, 0), image[2:7, 4:8])


def test_pixels_stay_bytes_for_a_model_that_wants_bytes(tmp_path):
    image = picture()
    save(tmp_path / "0.png", image)
    info = InputInfo("image", np.dtype(np.uint8), (None, 3, 6, 8))
    source = open_data(tmp_path, [info], PLAIN)
    assert source.batch([0])["image"].dtype == np.uint8
    with pytest.raises(InvalidDataError, match="'image' is float32, but the model wants uint8"):
        open_data(tmp_path, [info], Preprocess(mean=1.0))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_other_kinds_of_pixels_become_rgb(tmp_path, mode):
    Image.fromarray(picture()).convert(mode).save(tmp_path / "0.png")
    got = open_images(tmp_path, [NCHW], PLAIN).batch([0])["image"][0]
    expected = np.asarray(Image.open(tmp_path / "0.png").convert("RGB"), np.float32)
    np.testing.assert_array_equal(got.transpose(1, 2, 0), expected)


def test_files_are_taken_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 1):
        save(tmp_path / f"img_{number}.png", np.full((4, 4, 3), number, np.uint8))
    got = open_images(tmp_path, [NCHW], PLAIN).batch(slice(None))["image"]
    assert got[:, 0, 0, 0].tolist() == [1, 2, 10]


@pytest.mark.parametrize(
    ("folders", "labels"),
    [(["cat", "dog", "ant"], [0, 1, 2]), (["0", "2", "10"], [0, 2, 10])],
)
def test_folders_are_classes(tmp_path, folders, labels):
    for folder in folders:
        save(tmp_path / folder / "0.png", picture())
    assert open_images(tmp_path, [NCHW], PLAIN).labels("labels").tolist() == labels


def test_labels_come_from_a_csv(tmp_path):
    for name in ("a.png", "b.png", "c/d.png"):
        save(tmp_path / name, picture())
    (tmp_path / "labels.csv").write_text("b.png,1\na.png, 0\nc/d.png,7\n")
    source = open_images(tmp_path, [NCHW], PLAIN)
    assert source.labels("labels").tolist() == [0, 1, 7]
    assert source.labels("labels").dtype == np.int64


def test_a_header_names_further_labels(tmp_path):
    save(tmp_path / "a.png", picture())
    (tmp_path / "labels.csv").write_text("\ufefffile,label,angle\na.png,3,0.5\n", encoding="utf-8")
    source = open_images(tmp_path, [NCHW], PLAIN)
    assert (source.labels("labels").tolist(), source.labels("angle").tolist()) == ([3], [0.5])


def test_images_without_labels_have_none(tmp_path):
    save(tmp_path / "a.jpg", picture())
    assert open_images(tmp_path, [NCHW], PLAIN).label_keys == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,0\nb.png,1\n", r"there is no image 'b\.png'"),
        ("", r"has no line for the image 'a\.png'"),
        ("a.png,0\na.png,1\n", r"names 'a\.png' twice"),
        ("a.png,0,1\n", "has 3 columns; 2 are expected"),
        ("file,label\na.png,cat\n", "label 'cat' is no number"),
    ],
)
def test_a_csv_must_fit_the_images(tmp_path, text, message):
    save(tmp_path / "a.png", picture())
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InvalidDataError, match=message):
        open_images(tmp_path, [NCHW], PLAIN)


def test_a_csv_in_another_encoding_is_refused(tmp_path):
    save(tmp_path / "a.png", picture())
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidDataError, match="cannot be read as CSV in UTF-8"):
        open_images(tmp_path, [NCHW], PLAIN)


def test_a_damaged_image_is_named(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.jpg", picture(size=(64, 64)))
    (tmp_path / "1.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:900])
    source = open_images(tmp_path, [NCHW], PLAIN)
    source.batch([0, 2])
    with pytest.raises(InvalidDataError, match=r"1\.jpg: cannot be decoded as JPEG or PNG \(.*Replace or remove it"):
        source.batch([1])


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 30, b"GIF89a" + b"\0" * 30])
def test_what_is_no_image_is_found_at_once(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"a\.png: cannot be decoded"):
        open_images(tmp_path, [NCHW], PLAIN)


def _png_claiming(width, height):
    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_an_image_that_claims_too_many_pixels_is_not_decoded(tmp_path, side):
    (tmp_path / "a.png").write_bytes(_png_claiming(side, side))
    with pytest.raises(InvalidDataError, match=f"has more than {pixels_module.MAX_PIXELS} pixels"):
        open_images(tmp_path, [NCHW], PLAIN)


def test_sixteen_bit_pixels_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InvalidDataError, match="8 bits per channel are needed"):
        open_images(tmp_path, [NCHW], PLAIN)


def test_images_of_several_sizes_need_a_crop(tmp_path):
    save(tmp_path / "0.png", picture(size=(6, 8)))
    save(tmp_path / "1.png", picture(size=(8, 6)))
    with pytest.raises(InvalidDataError, match=r"1\.png: is 8 x 6 after preprocess, but 0\.png is 6 x 8"):
        open_images(tmp_path, [InputInfo("image", NCHW.dtype, (None, 3, 6, 8))], PLAIN)
    assert open_images(tmp_path, [NCHW], Preprocess(crop=6)).batch(slice(None))["image"].shape == (2, 3, 6, 6)


def test_images_of_several_sizes_go_into_a_model_that_leaves_them_open(tmp_path):
    first, second = picture(size=(6, 8)), picture(size=(5, 8))
    save(tmp_path / "0.png", first)
    save(tmp_path / "1.png", second)
    source = open_images(tmp_path, [NCHW], PLAIN)
    assert source.layout["image"].shape == (3, None, 8)
    assert [source.batch([n])["image"].shape for n in (0, 1)] == [(1, 3, 6, 8), (1, 3, 5, 8)]


def test_an_image_smaller_than_the_crop_is_named(tmp_path):
    save(tmp_path / "0.png", picture(size=(6, 8)))
    with pytest.raises(InvalidDataError, match=r"0\.png: is 6 x 8 after resize, smaller than the crop 7 x 7"):
        open_images(tmp_path, [NCHW], Preprocess(crop=7)).batch([0])


def test_the_size_must_be_the_models(tmp_path):
    save(tmp_path / "0.png", picture(size=(6, 8)))
    with pytest.raises(InvalidDataError, match=r"'image' is \[1, 3, 6, 8\].*wants \[N, 3, 5, 5\]"):
        open_data(tmp_path, [InputInfo("image", np.dtype(np.float32), (None, 3, 5, 5))], PLAIN)


@pytest.mark.parametrize(
    ("inputs", "preprocess", "message"),
    [
        ([NCHW, InputInfo("b", NCHW.dtype, (None, 1))], PLAIN, r"feeds one input, but the model has 2 \(image, b\)"),
        ([InputInfo("image", NCHW.dtype, (None, 12))], PLAIN, "need an input of rank 4"),
        ([InputInfo("image", NCHW.dtype, (None, 6, 8, 3))], PLAIN, "layout NCHW.*has 6 channels.*Use the other layout"),
        ([GREY], Preprocess(mean=(1.0, 2.0, 3.0)), "mean has 3 numbers for 1 channels"),
    ],
)
def test_the_model_must_take_images(tmp_path, inputs, preprocess, message):
    save(tmp_path / "0.png", picture())
    with pytest.raises(InvalidDataError, match=message):
        open_images(tmp_path, inputs, preprocess)


def test_images_and_folders_of_images_are_not_mixed(tmp_path):
    save(tmp_path / "0.png", picture())
    save(tmp_path / "cat" / "0.png", picture())
    with pytest.raises(InvalidDataError, match="holds images and folders of images"):
        open_images(tmp_path, [NCHW], PLAIN)


def test_images_need_a_preprocess(tmp_path):
    save(tmp_path / "0.png", picture())
    with pytest.raises(UsageError, match=r"has no data\.preprocess"):
        open_data(tmp_path, [NCHW])


def test_decoded_pixels_are_kept_up_to_the_budget(tmp_path):
    for number in range(4):
        save(tmp_path / f"{number}.png", picture(number))
    source = open_images(tmp_path, [NCHW], PLAIN, cache_bytes=2 * 6 * 8 * 3)
    before = source.batch(slice(None))["image"]
    for number in range(2):
        (tmp_path / f"{number}.png").unlink()
    np.testing.assert_array_equal(source.batch([0, 1, 3])["image"], before[[0, 1, 3]])
    (tmp_path / "2.png").unlink()
    with pytest.raises(InvalidDataError, match=r"2\.png"):
        source.batch([2])


def test_the_digest_covers_images_and_labels(tmp_path):
    save(tmp_path / "0.png", picture())
    first = open_images(tmp_path, [NCHW], PLAIN).digest
    (tmp_path / "labels.csv").write_text("0.png,1\n")
    second = open_images(tmp_path, [NCHW], PLAIN).digest
    save(tmp_path / "0.png", picture(1))
    third = open_images(tmp_path, [NCHW], PLAIN).digest
    assert len({first, second, third}) == 3


def test_a_jpeg_is_read_as_pillow_decodes_it(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(picture(size=(16, 16))).save(stream, "JPEG")
    (tmp_path / "0.JPG").write_bytes(stream.getvalue())
    got = open_images(tmp_path, [NCHW], PLAIN).batch([0])["image"][0]
    np.testing.assert_array_equal(
        got.transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(stream.getvalue())), np.float32)
    )

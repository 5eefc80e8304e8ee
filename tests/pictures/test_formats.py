"""What is not read says what it is; pages of a proxy stay what they are."""

import bz2
import gzip
import io
import lzma
import tarfile
import wave
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from carpipe.config import CleanConfig
from carpipe.pictures import decode
from carpipe.pictures.format_names import called
from carpipe.pictures.formats import _BEGINNINGS, _BRANDS, FORMATS, sniff
from carpipe.stages.clean import clean
from tests.pictures.drawn import draw, encode


def box(brand, *others):
    brands = b"".join(others)
    return (16 + len(brands)).to_bytes(4, "big") + b"ftyp" + brand + bytes(4) + brands + bytes(300)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as one:
        one.writestr("a.txt", b"")
    return file.getvalue()


def sound():
    file = io.BytesIO()
    with wave.open(file, "wb") as one:
        one.setnchannels(1)
        one.setsampwidth(2)
        one.setframerate(8000)
        one.writeframes(bytes(800))
    return file.getvalue()


UNSUPPORTED = {
    "JXL": b"\xff\x0a" + bytes(300),
    "JXL in a container": b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"jxl "),
    "TIFF": encode(Image.new("RGB", (90, 60)), "TIFF"),
    "TIFF of a Motorola": b"MM\0*" + bytes(300),
    "JPEG2000": encode(draw((90, 60)), "JPEG2000"),
    "JPEG2000 without a container": encode(draw((90, 60)), "JPEG2000", no_jp2=True),
    "ICO": encode(Image.new("RGB", (32, 32)), "ICO"),
    "PDF": encode(Image.new("RGB", (90, 60)), "PDF"),
    "EPS": encode(Image.new("RGB", (90, 60)), "EPS"),
    "PPM": encode(Image.new("RGB", (90, 60)), "PPM"),
    "QOI": encode(Image.new("RGB", (90, 60)), "QOI"),
    "PSD": b"8BPS\0\1" + bytes(300),
    "CR3": box(b"crx ", b"crx ", b"isom"),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(300),
    "MP4": box(b"mp42", b"isom", b"mp42"),
    "MP4 of an odd brand": box(b"dash"),
    "MOV": box(b"qt  ", b"qt  "),
    "AVI": b"RIFF\0\1\0\0AVI LIST" + bytes(300),
    "MKV": b"\x1aE\xdf\xa3" + bytes(300),
    "MPEG of a broadcast": (b"G" + bytes(187)) * 4,
    "WAV": sound(),
    "M4A": box(b"M4A ", b"isom"),
    "WMV": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(300),
    "ZIP": zipped(),
    "TAR": tarfile.TarInfo("a.txt").tobuf() + bytes(1024),
    "BZIP2": bz2.compress(b"a"),
    "XZ": lzma.compress(b"a"),
    "DOC": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500),
    "RTF": b"{\\rtf1\\ansi a}",
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(300),
    "PCX": encode(Image.new("RGB", (90, 60)), "PCX"),
    "SGI": encode(Image.new("RGB", (90, 60)), "SGI"),
    "DDS": encode(Image.new("RGB", (90, 60)), "DDS"),
    "DICOM": bytes(128) + b"DICM" + bytes(300),
    "EMF": b"\1\0\0\0" + bytes(36) + b" EMF\0\0\1\0" + bytes(300),
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "SVG with a prologue": b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by hand -->\n<svg/>',
}
PAGES = {
    "HTML": b"<!doctype html><html><body><svg></svg>Service unavailable</body></html>",
    "XHTML": b'<?xml version="1.0"?><html><body><svg/></body></html>',
    "an error of S3": b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code></Error>',
    "text": b"upstream connect error or disconnect",
    "JSON": b'{"error": "quota"}',
    "a page that a server packed": gzip.compress(b"<!doctype html>Service unavailable"),
    "zeros": bytes(5000),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_a_format_that_is_not_read_is_named_in_the_row(kind):
    row = clean([("a.jpg", UNSUPPORTED[kind])], config=CleanConfig()).results.iloc[0]

    assert (row["reason"], row["format"]) == ("unsupported_format", kind.split()[0])


@pytest.mark.parametrize(("name", "codec"), [("mp4", "mp4v"), ("avi", "MJPG"), ("mkv", "MJPG"), ("webm", "VP80")])
def test_videos_are_known_as_ffmpeg_writes_them(tmp_path, name, codec):
    path = tmp_path / f"video.{name}"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (90, 60))
    for _ in range(3):
        video.write(np.asarray(draw((90, 60)))[:, :, ::-1])
    video.release()

    assert sniff(path.read_bytes()) == name.upper()


def test_whatever_is_not_read_has_a_name_for_people():
    names = {name for _, _, name in _BEGINNINGS} | {*_BRANDS.values(), "MKV", "WEBM", "MP4", "SVG"}

    assert not [name for name in names - {*FORMATS} if called(name).startswith("of the format")]
    assert {name.split()[0] for name in UNSUPPORTED} <= names


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_proxy_sends_is_no_image(kind):
    with pytest.raises(decode.PhotoError) as caught:
        decode.read(PAGES[kind], max_pixels=1000)

    assert (caught.value.reason, caught.value.format) == ("not_an_image", None)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (box(b"heic", b"mif1", b"heic"), "HEIF"),
        (box(b"mif1", b"mif1", b"heic"), "HEIF"),
        (box(b"mif1", b"mif1", b"avif"), "AVIF"),
        (box(b"avif", b"avif", b"mif1"), "AVIF"),
        (box(b"miaf", b"miaf", b"heic"), "HEIF"),
        (box(b"MA1B", b"mif1", b"avif"), "AVIF"),
        (box(b"isom", b"isom", b"mp42"), "MP4"),
        (box(b"msf1", b"msf1", b"hevc"), "HEIF"),
    ],
)
def test_containers_are_told_apart_by_their_brands(data, name):
    assert sniff(data) == name


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "HEIF"])
def test_what_is_read_is_known_by_its_beginning(name):
    assert sniff(encode(draw((90, 60)), name)) == name


def test_of_names_that_pillow_has_its_own_are_used():
    for kind, data in UNSUPPORTED.items():
        if kind in ("TIFF", "JPEG2000", "ICO", "QOI", "PPM"):
            assert Image.open(io.BytesIO(data)).format == kind

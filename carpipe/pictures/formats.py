"""What a file is, by its first bytes. Names and types that uploads come with say nothing."""

# What marketplaces and phones upload under the name .jpg. Each decoder is code that reads hostile bytes: no more of
# them than needed.
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "BMP", "GIF")

# How pictures, videos and papers begin that are not read, and some that are. (where, bytes, name)
_BEGINNINGS = (
    (0, b"\xff\xd8\xff\xf7", "JPEG-LS"),
    (0, b"\xff\xd8", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF8", "GIF"),
    (0, b"\xff\x0a", "JXL"),
    (4, b"JXL \r\n\x87\n", "JXL"),
    (4, b"jP  \r\n\x87\n", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"II\xbc\x01", "JXR"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"IIRO", "ORF"),
    (0, b"IIU\0", "RW2"),
    (0, b"FUJIFILMCCD-RAW", "RAF"),
    (0, b"8BPS", "PSD"),
    (0, b"gimp xcf", "XCF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"icns", "ICNS"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "EPS"),
    (0, b"\x76\x2f\x31\x01", "EXR"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"P5\n", "PPM"),
    (0, b"P6\n", "PPM"),
    (8, b"AVI ", "AVI"),
    (0, b"\x1aE\xdf\xa3", "MKV"),
    (0, b"\0\0\1\xba", "MPEG"),
    (4, b"moov", "MOV"),
    (4, b"mdat", "MOV"),
    (4, b"wide", "MOV"),
)
# ISO/IEC 14496-12: containers say by brands what is in them.
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIF",
    b"heix": "HEIF",
    b"heim": "HEIF",
    b"heis": "HEIF",
    b"hevc": "HEIF",
    b"hevx": "HEIF",
    b"mif1": "HEIF",
    b"mif2": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "CR3",
    b"qt  ": "MOV",
    b"jxl ": "JXL",
}


def sniff(data: bytes) -> str | None:
    """The name of the file's format, as Pillow spells it; None where it is no picture, video or paper that is known."""
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    if data.startswith(b"BM") and len(data) > 26 and data[6:10] == bytes(4):
        return "BMP"
    for place, beginning, name in _BEGINNINGS:
        if data.startswith(beginning, place) and (place != 8 or data.startswith(b"RIFF")):
            return name
    return "SVG" if _is_svg(data) else None


def _by_brand(data: bytes) -> str:
    """Of several brands the one that says most: a general one may stand first."""
    brands = data[16 : min(int.from_bytes(data[:4], "big"), 256)]
    names = [_BRANDS.get(data[8:12]), *(_BRANDS.get(brands[i : i + 4]) for i in range(0, len(brands), 4))]
    if names[0] is None:  # a profile of a picture, or one of the many kinds of video
        return next((name for name in ("AVIF", "HEIF") if name in names), "MP4")
    if names[0] != "HEIF":
        return names[0]
    return "AVIF" if data[8:12] in (b"mif1", b"mif2", b"msf1") and "AVIF" in names else "HEIF"


def _is_svg(data: bytes) -> bool:
    text = data[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in text and b"<html" not in text

"""What a file is, by its first bytes. Names and types that uploads come with say nothing.

Of what is not read there is what people send by mistake: videos, papers, archives, raw files of cameras, drawings. The
beginnings are those of https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern and the sections after it, of
https://www.loc.gov/preservation/digital/formats/fdd/browse_list.shtml, and of the formats' own specifications.
"""

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
    (0, b"II*\0\x10\0\0\0CR", "CR2"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"IIRO", "ORF"),
    (0, b"IIU\0", "RW2"),
    (0, b"FUJIFILMCCD-RAW", "RAF"),
    (0, b"FOVb", "X3F"),
    (0, b"\0MRM", "MRW"),
    (0, b"8BPS", "PSD"),
    (0, b"gimp xcf", "XCF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\0\0\2\0", "CUR"),
    (0, b"icns", "ICNS"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "EPS"),
    (0, b"\x76\x2f\x31\x01", "EXR"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DDS"),
    (0, b"P5\n", "PPM"),
    (0, b"P6\n", "PPM"),
    (0, b"\x8aMNG\r\n\x1a\n", "MNG"),
    (0, b"\x8bJNG\r\n\x1a\n", "JNG"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"FLIF", "FLIF"),
    (0, b"\x0a\5\1\x08", "PCX"),
    (0, b"\1\xda\0", "SGI"),
    (0, b"\1\xda\1", "SGI"),
    (0, b"#?RADIANCE\n", "HDR"),
    (0, b"AT&TFORM", "DJVU"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF\0\0\1\0", "EMF"),
    (128, b"DICM", "DICOM"),
    (8, b"AVI ", "AVI"),
    (8, b"WAVE", "WAV"),
    (0, b"\0\0\1\xba", "MPEG"),
    (0, b"\0\0\1\xb3", "MPEG"),
    (0, b"FLV\1", "FLV"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMV"),
    (0, b"OggS\0", "OGG"),
    (0, b"ID3", "MP3"),
    (0, b"fLaC", "FLAC"),
    (0, b"PK\3\4", "ZIP"),
    (0, b"BZh", "BZIP2"),
    (0, b"\xfd7zXZ\0", "XZ"),
    (0, b"7z\xbc\xaf\x27\x1c", "7Z"),
    (0, b"Rar!\x1a\7", "RAR"),
    (257, b"ustar", "TAR"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "DOC"),
    (0, b"{\\rtf", "RTF"),
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
    b"M4A ": "M4A",
}
_EBML, _EBML_HEADER = b"\x1aE\xdf\xa3", 64
# ISO/IEC 13818-1: bytes of a packet, each of which begins so.
_PACKET, _SYNC = 188, b"G"


def sniff(data: bytes) -> str | None:
    """The name of the file's format, as Pillow spells it; None where it is no picture, video or paper that is known."""
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    if data.startswith(b"BM") and len(data) > 26 and data[6:10] == bytes(4):
        return "BMP"
    for place, beginning, name in _BEGINNINGS:
        if data.startswith(beginning, place) and (place != 8 or data.startswith(b"RIFF")):
            return name
    if data.startswith(_EBML):
        return "WEBM" if b"webm" in data[:_EBML_HEADER] else "MKV"
    if _is_transport_stream(data):
        return "MPEG"
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


def _is_transport_stream(data: bytes) -> bool:
    return len(data) > 2 * _PACKET and all(data.startswith(_SYNC, packet * _PACKET) for packet in range(3))


def _is_svg(data: bytes) -> bool:
    text = data[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in text and b"<html" not in text

"""What formats of files are called where people read it: `an MP4 video`, for `formats.sniff`'s `MP4`."""

# What may be sent, as people know it: a HEIF is what phones call HEIC.
TAKEN = "a JPEG, PNG, WebP, HEIC, AVIF, BMP or GIF"

_PICTURES = {
    "JPEG-LS": "a JPEG-LS picture",
    "JXL": "a JPEG XL picture",
    "JPEG2000": "a JPEG 2000 picture",
    "JXR": "a JPEG XR picture",
    "TIFF": "a TIFF picture, or the raw file of a camera",
    "CR2": "a raw file of a Canon camera",
    "CR3": "a raw file of a Canon camera",
    "ORF": "a raw file of an Olympus camera",
    "RW2": "a raw file of a Panasonic camera",
    "RAF": "a raw file of a Fujifilm camera",
    "X3F": "a raw file of a Sigma camera",
    "MRW": "a raw file of a Minolta camera",
    "PSD": "a Photoshop file",
    "XCF": "a GIMP file",
    "ICO": "an icon",
    "CUR": "a mouse pointer",
    "ICNS": "an icon",
    "SVG": "an SVG drawing",
    "EPS": "a PostScript file",
    "WMF": "a Windows drawing (WMF)",
    "EMF": "a Windows drawing (EMF)",
    "EXR": "an OpenEXR picture",
    "HDR": "a Radiance HDR picture",
    "QOI": "a QOI picture",
    "DDS": "a DDS texture",
    "PPM": "a PPM picture",
    "PCX": "a PCX picture",
    "SGI": "an SGI picture",
    "MNG": "an MNG animation",
    "JNG": "a JNG picture",
    "BPG": "a BPG picture",
    "FLIF": "a FLIF picture",
    "DICOM": "a medical picture (DICOM)",
}
_OTHERS = {
    "MP4": "an MP4 video",
    "MOV": "a QuickTime video",
    "AVI": "an AVI video",
    "MKV": "a Matroska video",
    "WEBM": "a WebM video",
    "MPEG": "an MPEG video",
    "FLV": "a Flash video",
    "WMV": "a Windows Media file",
    "OGG": "an Ogg video or sound",
    "M4A": "an M4A sound",
    "MP3": "an MP3 sound",
    "FLAC": "a FLAC sound",
    "WAV": "a WAV sound",
    "PDF": "a PDF",
    "DJVU": "a DjVu document",
    "DOC": "an Office document",
    "RTF": "an RTF document",
    "ZIP": "a ZIP archive, or an Office document",
    "BZIP2": "a bzip2 archive",
    "XZ": "an xz archive",
    "7Z": "a 7-Zip archive",
    "RAR": "a RAR archive",
    "TAR": "a tar archive",
}
_NAMES = _PICTURES | _OTHERS


def called(name: str) -> str:
    """The format with its article."""
    return _NAMES.get(name, f"of the format {name}")

"""Names as people see them: nothing in one is invisible, covers what is around, or goes on for ever."""

import unicodedata

import pytest

from carpipe.names import brief, meant, shown, shown_text

READABLE = [
    "raw/škoda_octavia_2016/Škoda č. 1.jpg",
    "Лада Веста, чёрная",
    "Й".join("ёЁї"),
    unicodedata.normalize("NFD", "Citroën_Việt_ế_Й"),
    "比亚迪_汉_2022",
    "现代・쏘나타・ｶﾛｰﾗ",
    "トヨタ",
    "तस्वीर_हुंडई",
    "รถยนต์ที่ดี",
    "שָׁלוֹם",
    "سيارة",
    "𠮷野家",
    '🚗 a\'s \\ "b"',
    "",
]
# Unicode's DerivedCoreProperties.txt, Default_Ignorable_Code_Point.
IGNORABLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip
# PropList.txt, White_Space, but for the space; and what is drawn as nothing without being either.
BLANK = [
    (0x9, 0xD), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0x2800, 0x2800), (0x1D159, 0x1D159), (0x16FE4, 0x16FE4), (0x0, 0x1F),
    (0x7F, 0x9F), (0xD800, 0xDFFF), (0xE000, 0xF8FF), (0xFFF9, 0xFFFB), (0xFDD0, 0xFDEF), (0x10FFFE, 0x10FFFF),
]  # fmt: skip


@pytest.mark.parametrize("name", READABLE)
def test_names_of_all_scripts_stay(name):
    assert shown(name) == shown_text(name) == brief(name) == name


@pytest.mark.parametrize(("first", "last"), [*IGNORABLE, *BLANK], ids=lambda code: f"{code:x}")
def test_nothing_that_cannot_be_seen_is_left(first, last):
    for code in range(first, last + 1):
        told = shown(f"a{chr(code)}b")
        assert told.isascii(), hex(code)
        assert told.startswith("a\\"), hex(code)


def test_accents_do_not_write_over_the_lines_around():
    flood = "a" + "\u0301\u20dd\u0489" * 100 + "b"

    told = shown(flood)

    assert sum(bool(unicodedata.category(one).startswith("M")) for one in told) == 4
    assert told.startswith("a\u0301\u20dd\u0489\u0301\\u20dd\\u0489")
    assert told.endswith("b")
    assert shown("\u0338=") == "\\u0338=", "it would change the sign before the name"
    assert shown_text("a\n\u0338=\tb\u3164") == "a\n\\u0338=\tb\\u3164"


def test_a_long_name_is_cut():
    assert brief("a" * 100) == "a" * 100
    assert brief("a" * 10**6) == "a" * 99 + "…"
    assert len(brief("\u3164" * 10**6)) == 100
    assert brief("abcdef", max_characters=4) == "abc…"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("ce74", " Did you mean ce749f440123456789ab?"),
        ("ce749f440123456789ba", " Did you mean ce749f440123456789ab?"),
        ("0a1b2c3d4e5f60718293", ""),
        ("", ""),
        ("bad", " Did you mean bad\\x1bid?"),
    ],
)
def test_what_was_meant_by_an_id(given, says):
    assert meant(given, ["ce749f440123456789ab", "bad\x1bid"]) == says

import pytest

from carpipe.errors import InputError
from carpipe.taxonomy.slug import has_ascii_form, slug, slugs_of

# What the published taxonomy calls these, by hand; "smart_city-coupé%2fcity-cabrio" lost its second "city" there.
BY_HAND = {
    "bmw_1er-m-coupé": "bmw_1er-m-coupe",
    "citroen_c-elysée": "citroen_c-elysee",
    "lamborghini_huracán": "lamborghini_huracan",
    "skoda_rapid%2fspaceback": "skoda_rapid_spaceback",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *BY_HAND.items(),
        ("smart_city-coupé%2fcity-cabrio", "smart_city-coupe_city-cabrio"),
        ("citroën_c4", "citroen_c4"),
        ("citroe\u0308n_c4", "citroen_c4"),
        ("Škoda_Fabia", "skoda_fabia"),
        ("weiß_ø-ł-æ", "weiss_o-l-ae"),
        ("volkswagen_up!", "volkswagen_up!"),
        ("suzuki_wagon-r+", "suzuki_wagon-r+"),
        ("kia_cee'd", "kia_cee'd"),
        ("renault_kangoo-z.e.", "renault_kangoo-z.e"),
        ("..", "_"),
        ("fiat_500 / 595", "fiat_500_595"),
        ("ладa", "u043bu0430u0434a"),
    ],
)
def test_slugs_are_ascii_and_their_own_slugs(name: str, expected: str) -> None:
    assert slug(name) == expected
    assert slug(expected) == expected


def test_only_names_without_an_ascii_form_get_code_points() -> None:
    assert has_ascii_form("weiß_coupé%2f!")
    assert not has_ascii_form("лада_нива")


def test_a_dataset_keeps_the_original_of_each_slug() -> None:
    assert slugs_of(["citroën_c4", "audi_a1", "citroën_c4"]) == {"audi_a1": "audi_a1", "citroen_c4": "citroën_c4"}
    names = [f"audi_a{i}" for i in range(1, 9)]
    assert list(slugs_of(reversed(names))) == names


def test_two_classes_of_one_slug_are_refused() -> None:
    with pytest.raises(InputError, match="'citroen_c4' and 'citroën_c4' are both 'citroen_c4'"):
        slugs_of(["citroën_c4", "audi_a1", "citroen_c4"])

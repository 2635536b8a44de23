"""How a report shows texts that come from data, and numbers."""

import pytest

from vae_anomaly.report.text import MISSING, fixed, number, visible

UNSEEN = "\u2061\u2063\u206a\u180e\u034f\u3164\u115f\U000e0041\u200b\u00ad\u2028\ue000"


@pytest.mark.parametrize("character", UNSEEN, ids=lambda one: f"U+{ord(one):04X}")
def test_characters_that_are_not_seen_are_shown_by_number(character):
    assert visible(f"a{character}b") == f"a⟨U+{ord(character):04X}⟩b"


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_joiners_are_shown_where_they_join_nothing(joiner):
    shown = f"⟨U+{ord(joiner):04X}⟩"
    assert visible(f"a{joiner}b") == f"a{shown}b"
    assert visible(f"{joiner}é") == f"{shown}é"
    assert visible(f"é{joiner}{joiner}é") == f"é{shown}{shown}é"


@pytest.mark.parametrize(
    "text", ["\u0645\u06cc\u200c\u062e", "👩\u200d🚀", "क्\u200dष", "Zürich 東京"]
)
def test_joiners_stay_where_a_script_or_an_emoji_needs_them(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (999.96, "1,000"),
        (1234.5, "1,234"),
        (12.345, "12.35"),
        (-0.0, "0"),
        (float("inf"), "∞"),
        (-float("inf"), "-∞"),
        (float("nan"), MISSING),
        (-1e-5, "-1e-05"),
        (1.23456e20, "1.235e+20"),
    ],
)
def test_numbers_have_four_digits_and_separators(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0004, "< 0.001"), (-0.0004, "0.000"), (-0.0, "0.000"), (0.25, "0.250")]
)
def test_a_zero_has_no_sign(value, shown):
    assert fixed(value) == shown

"""What X and Wayland call the same kind of data, and texts on their way between them."""

from hypothesis import given
from hypothesis import strategies as st

from launcher.xwayland.model.text import decode_compound
from launcher.xwayland.transfer.targets import (
    MAX_KINDS,
    UTF8_MIME,
    ToX,
    coding_of,
    from_x,
    mimes_of,
    targets_of,
    type_of,
)


def test_mime_types_are_targets_and_back() -> None:
    kinds = ("image/png", "text/uri-list", "application/x-own;format=3")
    assert mimes_of(kinds) == {kind: kind for kind in kinds}
    assert targets_of(kinds) == {kind: kind for kind in kinds}


def test_the_best_text_of_x_is_what_is_asked_for() -> None:
    assert mimes_of(["STRING", "COMPOUND_TEXT", "UTF8_STRING"])[UTF8_MIME] == "UTF8_STRING"
    assert mimes_of(["STRING", "COMPOUND_TEXT"])["text/plain"] == "COMPOUND_TEXT"
    assert mimes_of(["STRING"])["TEXT"] == "STRING"
    # Who names the MIME type itself has it as it says.
    assert mimes_of(["UTF8_STRING", "text/plain"])["text/plain"] == "text/plain"


def test_text_of_wayland_has_all_names_that_x_knows() -> None:
    found = targets_of(["text/plain", UTF8_MIME])
    assert {found[target] for target in ("UTF8_STRING", "COMPOUND_TEXT", "TEXT", "STRING")} == {UTF8_MIME}
    assert "UTF8_STRING" not in targets_of(["image/png"])


def test_targets_that_are_no_data_are_left_out() -> None:
    assert not mimes_of(["TARGETS", "MULTIPLE", "TIMESTAMP", "SAVE_TARGETS", "DELETE", "_NETSCAPE_URL"])


def test_there_may_be_only_so_many_kinds_of_so_long_names() -> None:
    many = [f"text/{number}" for number in range(MAX_KINDS + 1)]
    assert len(mimes_of(many)) == len(targets_of(many)) == MAX_KINDS
    odd = ["text/" + "x" * 300, "text/\n", ""]
    assert not mimes_of(odd)
    assert not targets_of(odd)


@given(st.text(st.characters(exclude_characters="\x1b", exclude_categories=["Cs"])), st.integers(1, 7))
def test_text_survives_in_any_pieces(text: str, size: int) -> None:
    data = text.encode()
    for target in ("UTF8_STRING", "COMPOUND_TEXT", "TEXT"):
        coding = ToX(coding_of(target))
        pieces = [coding.encode(data[at : at + size], final=False) for at in range(0, len(data), size)]
        sent = b"".join((*pieces, coding.encode(b"", final=True)))
        assert from_x(sent, type_of(target)) == data


@given(st.text(st.characters(max_codepoint=255)))
def test_latin_text_survives(text: str) -> None:
    coding = ToX(coding_of("STRING"))
    assert from_x(coding.encode(text.encode(), final=True), "STRING") == text.encode()


def test_what_latin_text_can_not_say_is_a_question_mark() -> None:
    assert ToX(coding_of("STRING")).encode("a€b".encode(), final=True) == b"a?b"


def test_compound_text_is_what_other_clients_understand() -> None:
    assert decode_compound(ToX(coding_of("COMPOUND_TEXT")).encode("ж".encode(), final=True)) == "ж"

"""px of the X screen and the compositor's logical px: whole numbers on both sides, and no drift."""

from hypothesis import given
from hypothesis import strategies as st

from crossdomain.wire.codec import Value
from launcher.xwayland.wayland.scaling import Scaling
from launcher.xwayland.x11.density import encode_settings, settings_of

factors = st.integers(120, 480).map(lambda steps: steps / 120)
lengths = st.integers(1, 32767)


@given(factors, lengths)
def test_a_size_that_the_compositor_gave_is_that_size_when_it_comes_back(factor: float, length: int) -> None:
    scaling = Scaling(factor)
    assert scaling.shrink(scaling.grow(length)) == length


@given(factors, lengths)
def test_contents_lose_less_than_a_logical_px_and_are_never_stretched(factor: float, length: int) -> None:
    shown = Scaling(factor).fit(length)
    assert 0 < shown <= length
    assert length - shown < factor or length <= factor


@given(factors, st.integers(-32767, 32767))
def test_places_keep_their_order(factor: float, place: int) -> None:
    scaling = Scaling(factor)
    assert scaling.shrink(place) <= scaling.shrink(place + 1)


def test_nothing_is_converted_at_a_factor_of_one() -> None:
    assert Scaling().of_request("wl_subsurface", "set_position") is None
    assert Scaling().of_event("wl_pointer", "motion") is None


def test_lengths_are_converted_where_they_stand_and_others_are_not() -> None:
    values: list[Value] = [7, 9, 256, -512]
    scale = Scaling(2).of_event("wl_pointer", "enter")
    assert scale is not None
    scale(values)
    assert values == [7, 9, 512, -1024]
    values = [-3, 1, 1, 0]
    scale = Scaling(2).of_request("xdg_surface", "set_window_geometry")
    assert scale is not None
    scale(values)
    assert values == [-1, 0, 1, 0]


def test_gtk_draws_whole_multiples_and_larger_letters_for_the_rest() -> None:
    assert settings_of(2.0)["Gdk/WindowScalingFactor"] == 2
    assert settings_of(2.0)["Gdk/UnscaledDPI"] == 96 * 1024
    assert settings_of(1.5)["Gdk/WindowScalingFactor"] == 1
    assert settings_of(1.5)["Gdk/UnscaledDPI"] == 144 * 1024
    assert settings_of(1.5)["Xft/DPI"] == 144 * 1024


def test_settings_are_written_as_xsettings_wants_them() -> None:
    assert encode_settings({"Xft/DPI": 98304}) == (
        b"\0\0\0\0\0\0\0\0\1\0\0\0\0\0\7\0Xft/DPI\0\0\0\0\0\0\x80\1\0"
    )

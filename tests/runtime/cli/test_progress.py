"""The line that says how far a command is."""

import sys

import pytest

from vae_runtime.cli import progress


def advance_by_a_quarter(total: int | None) -> None:
    with progress.ProgressLine(total) as line:
        line.advance(1000)


def test_it_shows_the_share_and_goes_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_OF_SILENCE", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    advance_by_a_quarter(4000)
    shown = capsys.readouterr().err
    assert shown == "\r1,000 of 4,000 images (25%)" + progress.ERASE_LINE


def test_a_command_that_ends_within_a_second_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    advance_by_a_quarter(None)
    assert capsys.readouterr().err == ""


def test_it_is_silent_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_OF_SILENCE", -1.0)
    advance_by_a_quarter(None)
    assert capsys.readouterr().err == ""

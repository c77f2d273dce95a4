"""Logs: bounded while a writer holds them open, read from the end."""

from pathlib import Path

from deploy.local.logs import rotate, tail


def test_a_writer_that_keeps_its_file_open_goes_on_in_the_short_one(tmp_path: Path) -> None:
    path = tmp_path / "nats.log"
    with path.open("a", buffering=1) as writer:
        writer.write("old\n" * 100)
        assert rotate(path, most_bytes=100)
        writer.write("new\n")

    assert path.read_text() == "new\n"
    assert (tmp_path / "nats.log.1").read_text() == "old\n" * 100


def test_a_short_log_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "nats.log"
    path.write_text("short\n")

    assert not rotate(path, most_bytes=100)
    assert not rotate(tmp_path / "none.log")


def test_the_tail_is_the_last_lines_however_long_the_log(tmp_path: Path) -> None:
    path = tmp_path / "nats.log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))

    assert tail(path, lines=2) == "line 99998\nline 99999"
    assert tail(tmp_path / "none.log", lines=2) == ""

"""What the measure of redaction says of judgements: what was found and right, and what was there and missed."""

from pathlib import Path

import pytest

from benchmarks import redaction

TEXT = "Write to ann@example.org, or to 10.2.3.4, which is a version.\n\nMy name on the door is Bob.\n"


def lines_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[str]:
    monkeypatch.setattr("sys.argv", ["redaction", *map(str, arguments)])
    redaction.main()
    return capsys.readouterr().out.splitlines()


def test_precision_is_of_what_was_found_and_recall_of_what_was_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    for name in ("one.txt", "the-same.md", "other.bin"):
        (folder / name).write_text(TEXT, encoding="utf-8")
    samples = lines_of(capsys, monkeypatch, folder, "--samples", 5)
    assert [line.split("\t")[1:4] for line in samples] == [["email", "?", "ann@example.org"], ["ip", "?", "10.2.3.4"]]
    passage = samples[0].split("\t")[0]
    labels = tmp_path / "labels.tsv"
    judged = [
        f"{passage}\temail\tyes\tann@example.org",
        f"{passage}\tip\tno\t10.2.3.4",
        f"{passage}\temail\tyes\tBob",
        f"{passage}\tread",
        "0123456789ab\tip\tyes\t10.0.0.1",
    ]
    labels.write_text("\n".join(judged), encoding="utf-8")
    table = lines_of(capsys, monkeypatch, folder, "--labels", labels)
    assert table[0] == "1 passages, 22 words; 3 judgements, 1 passages read."
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in table[4:]}
    assert cells["email"][1:] == ["1", "454.55", "1", "1.00 (0.21 to 1.00)", "2", "0.50 (0.09 to 0.91)"]
    assert cells["ip"][3:5] == ["1", "0.00 (0.00 to 0.79)"]
    assert "nothing" not in cells
    shown = lines_of(capsys, monkeypatch, folder, "--passages", 1)
    assert "Write to ⟦email:ann@example.org⟧, or to ⟦ip:10.2.3.4⟧, which is a version." in shown

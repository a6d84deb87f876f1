from pathlib import Path

from vae_train.history import COLUMNS, History


def test_a_lost_row_of_the_history_comes_back_with_the_next_epoch(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = []
    for epoch in (1, 2, 3):
        losses = dict.fromkeys(COLUMNS[:-1], float(epoch))
        rows.append(losses | {"epoch": epoch})
    History(path).write(rows[:1], 1.5)
    # Killed between the second checkpoint and its row.
    History(path).write(rows, 2.5)
    cells = [line.split(",") for line in path.read_text().splitlines()]
    assert cells[0] == list(COLUMNS)
    assert [(row[0], row[-1]) for row in cells[1:]] == [("1", "1.5"), ("2", ""), ("3", "2.5")]
